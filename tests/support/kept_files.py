"""What tests/files/format-2 holds, and what comes of each file: its writer and its test both use this.

Each function named after a kind of file loads one, uses it, and returns arrays by name. `shake` changes
the loaded parameters a little; the writer so measures how much rounding on another machine may change.
"""

import gzip
import json
from pathlib import Path

import numpy as np
from arrays import host, variable

import scratchnet as sn
from backends import active, to_device
from scratchnet.cli.main import main
from scratchnet.training.checkpoint import read
from scratchnet.training.trained import load_model

FILES = Path(__file__).parents[1] / "files" / "format-2"
EPOCHS = 6
_DRAWS = np.random.RandomState(1)  # its numbers never change
X = _DRAWS.standard_normal((60, 6)).astype(np.float32)
Y = (X[:, :3] + 0.5 * _DRAWS.standard_normal((60, 3))).argmax(axis=1)
IMAGES = _DRAWS.standard_normal((10, 1, 4, 4)).astype(np.float32)
WORDS = _DRAWS.randint(0, 7, (10, 5))


def expected():
    """Return the arrays that each file leads to, and how far each may differ on another machine."""
    return json.loads(gzip.decompress((FILES / "expected.json.gz").read_bytes()))


def as_it_is(parameters):
    """Change nothing."""


class Dense(sn.Module):
    """Before a batch norm there is no bias: its gradient is rounding alone, which Adam would follow."""

    def __init__(self):
        self.body = sn.Sequential(
            sn.Linear(6, 5, rng=0, bias=False),
            sn.BatchNorm1d(5),
            sn.Residual(sn.Linear(5, 5, rng=1, activation=sn.tanh), sn.LayerNorm(5)),
            sn.RMSNorm(5),
            sn.Dropout(0.2, rng=2),
        )
        self.head = sn.Linear(5, 3, rng=3)

    def forward(self, x):
        return self.head(self.body(x))


class Convolutional(sn.Module):
    def __init__(self):
        self.body = sn.Sequential(
            sn.Conv2d(1, 4, 3, padding=1, bias=False, rng=0), sn.BatchNorm2d(4), sn.tanh,
            sn.AvgPool2d(2), sn.ConvTranspose2d(4, 2, 2, stride=2, rng=1), sn.GroupNorm(2, 2),
            sn.Flatten(), sn.Linear(32, 3, rng=2),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


class Recurrent(sn.Module):
    def __init__(self):
        self.words = sn.Embedding(7, 4, rng=0)
        self.lstm = sn.LSTM(4, 3, 2, bidirectional=True, return_state=False, rng=1)
        self.gru = sn.GRU(6, 3, return_state=False, rng=2)
        self.rnn = sn.RNN(3, 3, return_state=False, rng=3)
        self.head = sn.Linear(3, 3, rng=4)

    def forward(self, x):
        return self.head(self.rnn(self.gru(self.lstm(self.words(x))))[:, -1])


class Attention(sn.Module):
    def __init__(self):
        self.words, self.positions = sn.Embedding(7, 4, rng=0), sn.SinusoidalPositions(4, 8)
        self.layer = sn.TransformerEncoderLayer(4, 2, 6, rng=1)
        self.attention = sn.MultiheadAttention(4, 2, kdim=4, vdim=4, rng=2)
        self.head = sn.Linear(4, 3, rng=3)

    def forward(self, x):
        x = self.layer(self.positions(self.words(x)))
        return self.head(self.attention(x, x, x)[0].mean(axis=1))


NETWORKS = {
    "dense": (Dense, X[:10]), "convolutional": (Convolutional, IMAGES),
    "recurrent": (Recurrent, WORDS), "attention": (Attention, WORDS),
}  # fmt: skip


def outputs(net, inputs):
    net.eval()
    return np.array(host(net(variable(inputs, requires_grad=False))))


def steps(net, inputs, count):
    net.train()
    sgd = sn.SGD(net.parameters(), 0.1)
    for _ in range(count):
        net.zero_grad()
        sn.softmax_loss(
            net(variable(inputs, requires_grad=False)), to_device(Y[: len(inputs)])
        ).backward()
        sgd.step()


def network(name, shake=as_it_is):
    """Load a network, compute with it, and train it for three steps more."""
    kind, inputs = NETWORKS[name]
    net = kind()
    net.load_state_dict(sn.load(FILES / f"{name}.safetensors"))
    shake(net.parameters())
    before = outputs(net, inputs)
    steps(net, inputs, 3)
    return {"before": before, "after": outputs(net, inputs)}


OPTIMIZERS = {
    "SGD": lambda p: sn.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": sn.Adam, "AdamW": sn.AdamW, "NAdam": sn.NAdam, "Adagrad": sn.Adagrad, "Lion": sn.Lion,
    "RMSprop": lambda p: sn.RMSprop(p, momentum=0.5, centered=True),
    "Muon": lambda p: sn.Muon(p[:1]),
}  # fmt: skip


def updated(optimizer, parameters, count):
    for _ in range(count):
        for each in parameters:
            each.grad = to_device(
                np.linspace(0.5, 1.5, each.size, dtype=np.float32).reshape(each.shape) ** 3
            )
        optimizer.step()


def parameters_of(name):
    """Return the parameters that the optimizer in the file had, before its first step."""
    shapes = [(3, 4)] if name == "Muon" else [(3, 4), (4,)]
    return [variable(np.ones(each, np.float32)) for each in shapes]


def optimizer(name, shake=as_it_is):
    """Load the state of an optimizer, and make two steps more, with the same gradients."""
    parameters = parameters_of(name)
    made, kept = OPTIMIZERS[name](parameters), sn.load(FILES / "optimizers.safetensors")
    made.load_state_dict(
        {key.partition("/")[2]: kept[key] for key in kept if key.startswith(f"{name}/")}
    )
    shake(parameters)
    updated(made, parameters, 2)
    return {str(number): np.array(host(each)) for number, each in enumerate(parameters)}


def learner(net, optimizer, train=None, **options):
    train = train or sn.ArrayDataLoader(to_device(X[:40]), to_device(Y[:40]), 8, seed=3)
    valid = sn.ArrayDataLoader(to_device(X[40:]), to_device(Y[40:]), 8, mode="valid")
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, False, ["accuracy", "f1"])
    return sn.Learner(train, net, optimizer(net), sn.softmax_loss, metrics, False, **options)


def adam(net):
    first, *rest = net.parameters()
    return sn.Adam([{"parameters": [first]}, {"parameters": rest, "learning_rate": 0.02}], 0.03)


def in_shards():
    train = sn.StreamingDataLoader(FILES / "data" / "index.json", 8, window=16)
    made = learner(Dense(), lambda net: sn.SGD(net.parameters(), 0.1), train)
    made.shards = made.shards or 2  # as of two processes; a resumed run has those of its file
    return made


CHECKPOINTS = {
    "adam": lambda: learner(Dense(), adam, clip_grad_norm=0.8),
    "schedule": lambda: learner(
        Dense(),
        lambda net: sn.SGD(net.parameters(), sn.schedules.one_cycle(0.2, 30), momentum=0.9),
        accumulate=2,
    ),
    "shards": in_shards,
}
"""Training runs. The first has callbacks too."""


def callbacks(name, folder, append=True):
    """Return what the training run of a checkpoint has, by name."""
    if name != "adam":
        return {}
    return {
        "stopping": sn.EarlyStopping("valid_loss", patience=9, restore_best_weights=True),
        "plateau": sn.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.05),
        "best": sn.ModelCheckpoint(folder / "network.safetensors", save_best_only=True),
        "log": sn.CSVLogger(folder / "log.csv", append),
    }


def learning_rates(training):
    state = training.optimizer.state_dict()
    return [state[f"groups.{number}.learning_rate"] for number in (0, 1)]


def checkpoint(name, folder, shake=as_it_is):
    """Resume a training run in the middle of an epoch, and train it to its end."""
    training = CHECKPOINTS[name]()
    training.resume(FILES / f"checkpoint-{name}.safetensors")
    shake(training.net.parameters())
    found = {"stopped at": np.array([training.epochs, training.batches_done])}
    given = callbacks(name, folder)
    training.fit(EPOCHS - training.epochs, None, callbacks=list(given.values()))
    found |= {each: np.array(values) for each, values in training.history.items() if each != "duration"}
    found |= {f"end.{each}": array for each, array in training.net.state_dict().items()}
    if given:
        told = given["stopping"].best_epoch, given["plateau"].wait, given["best"].best_epoch
        found |= {"callbacks": np.array(told), "rates": np.array(learning_rates(training))}
    return found


def command(name, folder, shake=as_it_is):
    """Let `scratchnet train` go on from its checkpoint, to the fourth epoch, and load its model."""
    arrays, told = read(FILES / f"{name}.safetensors")
    weights = {each: variable(array) for each, array in arrays.items() if each.startswith("net.")}
    shake(weights.values())
    sn.save(folder / "c", arrays | {each: host(found) for each, found in weights.items()}, told)
    options = ["--resume", "--epochs", "4", "--data", str(FILES / "data" / "table.csv")]
    options += [
        "--backend",
        active().name,
        "--checkpoint",
        str(folder / "c"),
        "--save",
        str(folder / "m"),
    ]
    assert main(["train", *options]) == 0
    return load_model(folder / "m").net.state_dict()


MODELS = {"mlp": (4, 784), "cnn": (4, 3, 8, 8), "table": (4, 3), "regression": (4, 3)}
"""The shape of some samples for each model of `scratchnet train --save`."""


def model(name, folder, shake=as_it_is):
    """Load a model of the command, and compute with it."""
    (folder / "model").write_bytes(
        gzip.decompress((FILES / f"model-{name}.safetensors.gz").read_bytes())
    )
    trained = load_model(folder / "model")
    shake(trained.net.parameters())
    samples = np.random.RandomState(2).random_sample(MODELS[name])
    return {"outputs": outputs(trained.net, trained.reading.prepared(samples))}
