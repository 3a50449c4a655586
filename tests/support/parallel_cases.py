"""Small training runs, to be run on several ranks: python parallel_cases.py FILE [--cases CASE …].

Rank 0 writes to FILE, as JSON, what came of each run.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import scratchnet as sn
from scratchnet.training.parallel import buckets

rng = np.random.default_rng(0)
X = rng.standard_normal((75, 1, 6, 6)).astype(np.float32) + 1
Y = ((X.mean((1, 2, 3)) > 1) + (X[:, 0, 0, 0] > 1)).astype(np.int64)
TEXT = rng.integers(0, 9, (21, 5))


def loader(x: Any = X[:50], y: Any = Y[:50], size: int = 12, **options: Any) -> sn.ArrayDataLoader:
    """50 samples in batches of 12: the last one has 2 rows, fewer than leaves."""
    return sn.ArrayDataLoader(x, y, size, **options)


def dense(*middle: Any) -> sn.Module:
    net = sn.Flatten() >> sn.Linear(36, 8, rng=0) >> sn.tanh
    for each in middle:
        net = net >> each
    return net >> sn.Linear(8, 3, rng=1)


def normalized() -> sn.Module:
    images = sn.Conv2d(1, 4, 3, rng=0) >> sn.BatchNorm2d(4) >> sn.relu >> sn.Dropout2d(0.2, rng=7)
    dense = sn.Linear(64, 8, rng=1) >> sn.BatchNorm1d(8, momentum=None) >> sn.Linear(8, 3, rng=2)
    return images >> sn.Flatten() >> dense


class Text(sn.Module):
    """Words, two recurrent layers with dropout between them, classes of each step."""

    def __init__(self) -> None:
        self.words = sn.Embedding(9, 6, rng=0)
        self.cells = sn.LSTM(6, 5, num_layers=2, dropout=0.3, rng=1, return_state=False)
        self.out = sn.Linear(5, 9, rng=2)

    def forward(self, x: Any) -> Any:
        return self.out(self.cells(self.words(x))).reshape(-1, 9)


class Counting(sn.Module):
    """A buffer that depends on the rows, and a parameter that only some rows use."""

    def __init__(self) -> None:
        self.inner = dense()
        self.seen = sn.Buffer(np.zeros(36, np.float32))
        self.rare = sn.Variable(np.ones(3, np.float32))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.seen = 0.5 * self.seen.data + x.data.reshape(len(x), -1).mean(axis=0)
        y = self.inner(x) * (1 + self.seen.data.mean())
        return y * self.rare if float(x.data[0, 0, 0, 0]) > 1 else y


class Penalized(sn.Module):
    """Each row's output has the size of its gradient: a backward pass within forward, and one of it."""

    def __init__(self) -> None:
        self.inner = dense(sn.BatchNorm1d(8))

    def forward(self, x: Any) -> Any:
        if not self.training:
            return self.inner(x)
        x = sn.Variable(x.data, requires_grad=True)
        y = self.inner(x)
        (slope,) = sn.grad((y * y).sum(), [x], create_graph=True)
        self.inner(x).sum().backward()
        self.inner.zero_grad()
        return y + sn.tanh((slope * slope).sum(axis=(1, 2, 3)))[:, None] * np.float32([0.1, 0, -0.1])


class Noisy(sn.Module):
    """Noise of a NumPy generator, and a number that counts the batches."""

    def __init__(self) -> None:
        self.inner, self.rng, self.batches = dense(), np.random.default_rng(3), 0

    def forward(self, x: Any) -> Any:
        if self.training:
            self.batches += 1
            x = x + self.rng.standard_normal(x.shape).astype(np.float32) / self.batches
        return self.inner(x)


class StepsFirst(sn.Module):
    """A Transformer of sequences whose first axis counts the steps."""

    def __init__(self) -> None:
        self.layer = sn.TransformerEncoderLayer(6, 2, 8, dropout=0.3, batch_first=False, rng=0)
        self.out = sn.Linear(6, 3, rng=1)

    def forward(self, x: Any) -> Any:
        return self.out(self.layer(x.reshape(len(x), 6, 6).transpose(1, 0, 2)).mean(axis=0))


class TwoOutputs(sn.Module):
    def __init__(self) -> None:
        self.inner = dense()

    def forward(self, x: Any) -> Any:
        y = self.inner(x)
        return y, y * 2, y[:, 0]


class Rows(sn.Dataset):
    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> Any:
        return X[index], Y[index]


def many_files() -> sn.StreamingDataLoader:
    """The 50 samples in 7 files, in a folder of this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    for number, rows in enumerate(np.array_split(np.arange(50), 7)):
        np.savez(Path(folder.name, f"{number}.npz"), inputs=X[rows], targets=Y[rows])
    train = sn.StreamingDataLoader(sn.index_files(folder.name), 12, window=9, transform=CROP)
    train.source = "many files"  # and not the name of the folder
    return train


class Batches:
    """A loader of the user's own, which knows nothing of shares."""

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Any:
        return iter([(X[i : i + 12], Y[i : i + 12]) for i in range(0, 50, 12)])


def learner(
    net: sn.Module, train: Any = None, optimizer: Any = None, loss: Any = sn.softmax_loss, **options: Any
) -> sn.Learner:
    train = train or loader()
    valid = loader(X[50:], Y[50:], 7, mode="valid")
    metrics = sn.MetricsCollector(train, valid, loss, metrics=["accuracy", "f1"])
    optimizer = optimizer or sn.SGD(net.parameters(), 0.1)
    return sn.Learner(train, net, optimizer, loss, metrics, **options)


def text_learner() -> sn.Learner:
    net, train = Text(), sn.ArrayDataLoader(TEXT, TEXT.reshape(21, 5)[:, ::-1].copy(), 8)

    def loss(outputs: Any, targets: Any) -> Any:
        return sn.softmax_loss(outputs, targets.reshape(-1))

    return sn.Learner(train, net, sn.Adam(net.parameters(), 0.01), loss, None)


def with_optimizer(kind: Any, **settings: Any) -> sn.Learner:
    net = dense()
    parameters = [each for each in net.parameters() if kind is not sn.Muon or each.ndim == 2]
    for each in net.parameters():
        each.requires_grad = any(each is other for other in parameters)
    return learner(net, optimizer=kind(parameters, **settings))


def small_buckets() -> sn.Learner:
    """Backward adds to the gradient of one layer twice, and buckets are on their way before it ends."""
    buckets.BUCKET = 300
    twice = sn.Linear(8, 8, rng=5)
    return learner(dense(twice, sn.tanh, sn.Linear(8, 8, rng=6), sn.tanh, twice))


def in_small_buckets(net: sn.Module, **options: Any) -> sn.Learner:
    buckets.BUCKET = 30
    return learner(net, loader(**options))


def several_losses(**options: Any) -> sn.Learner:
    """Losses that divide by different numbers."""
    net, targets = TwoOutputs(), (Y[:50], Y[:50], X[:50, 0, 0, 0].copy())
    losses = [IGNORING, functools.partial(sn.softmax_loss, weight=[1.0, 2.0, 3.0]), sn.mse_loss]
    train = loader(X[:50], targets, **options)
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), losses)


def ignoring(outputs: Any, targets: Any) -> Any:
    return sn.softmax_loss(outputs, targets, ignore_index=2, weight=[1.0, 3.0, 1.0])


WEIGHTS = np.linspace(0, 2, 50).astype(np.float32)
ZEROS = np.repeat([0.0, 1.0, 0.0, 1.0], [8, 10, 6, 26]).astype(np.float32)
SOFT = np.eye(3, dtype=np.float32)[Y[:50]] * 0.7 + 0.1
IGNORING = functools.partial(sn.softmax_loss, ignore_index=2, weight=[1.0, 3.0, 1.0])
CROP = sn.transforms.Compose(
    [sn.transforms.RandomCrop(6, padding=1), sn.transforms.RandomHorizontalFlip()]
)

CASES: dict[str, Callable[[], sn.Learner]] = {
    "dense": lambda: learner(dense()),
    "dropout": lambda: learner(dense(sn.Dropout(0.5, rng=3))),
    "normalized": lambda: learner(normalized()),
    "normalized, accumulated": lambda: learner(normalized(), accumulate=2),
    "recurrent": text_learner,
    "counting": lambda: learner(Counting()),
    "fixed batches": lambda: learner(dense(), loader(shuffle="batches")),
    "in order, without the last": lambda: learner(dense(), loader(shuffle=False, drop_last=True)),
    "batches of three": lambda: learner(dense(), loader(size=3)),
    "transforms": lambda: learner(dense(), loader(transform=CROP)),
    "data set": lambda: learner(dense(), sn.DataLoader(Rows(), 12, workers=1)),
    "many files": lambda: learner(dense(), many_files()),
    "own loader": lambda: learner(dense(), Batches()),
    "weights": lambda: learner(dense(), loader(weights=WEIGHTS)),
    "ignored labels": lambda: learner(dense(), loss=IGNORING),
    "weights of zero": lambda: learner(dense(), loader(size=6, shuffle=False, weights=ZEROS)),
    "ignored labels in a function": lambda: learner(dense(), loss=ignoring),
    "probabilities": lambda: learner(
        dense(), loader(y=SOFT), loss=functools.partial(sn.softmax_loss, weight=[1.0, 3.0, 1.0])
    ),
    "several losses": several_losses,
    "several losses and weights": lambda: several_losses(weights=WEIGHTS),
    "steps first": lambda: learner(StepsFirst()),
    "normalized, small buckets": lambda: in_small_buckets(normalized()),
    "gradient penalty": lambda: in_small_buckets(Penalized(), drop_last=True),
    "noisy": lambda: learner(Noisy(), loader(size=6)),
    "accumulated": lambda: learner(dense(), accumulate=3),
    "accumulated weights": lambda: learner(dense(), loader(weights=WEIGHTS), accumulate=2),
    "clipped": lambda: learner(dense(), clip_grad_norm=0.1, clip_grad_value=0.05),
    "small buckets": small_buckets,
    "schedule": lambda: with_optimizer(sn.SGD, learning_rate=sn.schedules.cosine(0.1, 10), momentum=0.9),
    "adagrad": lambda: with_optimizer(sn.Adagrad),
    "adam": lambda: with_optimizer(sn.Adam),
    "adamw": lambda: with_optimizer(sn.AdamW),
    "nadam": lambda: with_optimizer(sn.NAdam),
    "lion": lambda: with_optimizer(sn.Lion),
    "muon": lambda: with_optimizer(sn.Muon),
    "rmsprop": lambda: with_optimizer(sn.RMSprop),
}  # fmt: skip


class StopsOn(sn.Callback):
    """Stops the training run on one rank alone, after a batch of the second epoch."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.learner.epochs == 1 and batch == 2 and self.rank:
            self.learner.stop()


def result_of(run: sn.Learner) -> dict[str, Any]:
    """Describe a training run: a digest of its state, its figures, and its weights."""
    state = run.net.state_dict()
    state["optimizer"] = np.frombuffer(
        repr(sorted(run.optimizer.state_dict().items())).encode(), np.uint8
    )
    digest = hashlib.sha256(b"".join(state[each].tobytes() for each in sorted(state))).hexdigest()
    history = {key: values for key, values in run.history.items() if key != "duration"}
    weights = {key: each.tolist() for key, each in run.net.state_dict().items()}
    where = [run.epochs, run.batches_done]
    return {"digest": digest, "history": history, "weights": weights, "where": where}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("file", type=Path)
    options.add_argument("--cases", nargs="+", default=list(CASES))
    options.add_argument("--shards", type=int)
    options.add_argument("--stop", type=Path, help="stop in the second epoch, and save here")
    options.add_argument("--resume", type=Path, help="go on from there")
    given = options.parse_args()
    found = {}
    with sn.data_parallel(given.shards, timeout=20) as ranks:
        for name in given.cases:
            buckets.BUCKET = 25_000_000
            run = CASES[name]()
            if given.resume:
                run.resume(given.resume)
            callbacks = [StopsOn(ranks.rank == ranks.size - 1)] if given.stop else []
            run.fit(3 - run.epochs, report=None, checkpoint=given.stop, callbacks=callbacks)
            found[name] = result_of(run)
    if ranks.rank == 0:
        given.file.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
