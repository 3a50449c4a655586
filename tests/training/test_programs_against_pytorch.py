"""Training as users do it: the parameters and the losses of the whole data set are PyTorch's."""

from functools import partial

import numpy as np
import pytest
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device, to_host

ROOM = "programs"
KINDS = (
    "plain", "sample weights", "ignored labels", "labels of steps", "pos_weight", "several losses",
    "several losses, sample weights", "ignored labels, sample weights",
    "labels of steps, sample weights",
)  # fmt: skip
CASES = [f"{kind}{more}" for kind in KINDS for more in ("", ", accumulated")]
ROWS, SIZE, EPOCHS, PAD = 42, 10, 5, -100  # the last batch has two rows


def arrays():
    rng = np.random.default_rng(18)
    labels = rng.integers(0, 3, ROWS)
    return {
        "x": rng.standard_normal((ROWS, 4)),
        "labels": labels,
        "known": np.where(rng.random(ROWS) < 0.3, PAD, labels),
        "steps": np.where(rng.random((ROWS, 2)) < 0.4, PAD, rng.integers(0, 3, (ROWS, 2))),
        "yes": rng.integers(0, 2, (ROWS, 6)),
        "values": rng.standard_normal((ROWS, 3)),
        "weights": rng.random(ROWS) * 3,
    }


CLASSES, POSITIVE = np.array([1.0, 0.2, 4.0]), np.array([1.0, 2, 3, 4, 5, 6])


def initial():
    rng = np.random.default_rng(5)
    shapes = {"0.weight": (5, 4), "0.bias": (5,), "2.weight": (6, 5), "2.bias": (6,)}
    return {name: rng.uniform(-0.7, 0.7, shape) for name, shape in shapes.items()}


def by_pytorch(torch, case):
    kind, accumulated = case.removesuffix(", accumulated"), case.endswith(", accumulated")
    f = torch.nn.functional
    data = {name: torch.tensor(each) for name, each in arrays().items()}
    labels, known, values, w = (data[each] for each in ("labels", "known", "values", "weights"))
    classes, positive = torch.tensor(CLASSES), torch.tensor(POSITIVE)
    each_class = partial(f.cross_entropy, reduction="none")

    def weighted(losses, p):
        return (w[p] * losses).sum() / w[p].sum()

    def of_known(losses, c, p):
        return (w[p].reshape(-1, 1) * losses).sum() / (w[p].reshape(-1, 1) * c).sum()

    def squares(y, p):
        return ((y[:, 3:] - values[p]) ** 2).mean(dim=1)

    loss = {
        "plain": lambda y, p: f.cross_entropy(y, labels[p]),
        "sample weights": lambda y, p: weighted(each_class(y, labels[p]), p),
        "ignored labels": lambda y, p: f.cross_entropy(y[:, :3], known[p], classes, ignore_index=PAD),
        "labels of steps": lambda y, p: f.cross_entropy(
            y.reshape(-1, 3), data["steps"][p].reshape(-1), ignore_index=PAD
        ),
        "ignored labels, sample weights": lambda y, p: of_known(
            each_class(y[:, :3], known[p], classes, ignore_index=PAD).reshape(-1, 1),
            torch.where(known[p] == PAD, 0, classes[known[p].clamp(0)]).reshape(-1, 1),
            p,
        ),
        "labels of steps, sample weights": lambda y, p: of_known(
            each_class(y.reshape(-1, 3), data["steps"][p].reshape(-1), ignore_index=PAD).reshape(-1, 2),
            data["steps"][p] != PAD,
            p,
        ),
        "pos_weight": lambda y, p: f.binary_cross_entropy_with_logits(
            y, data["yes"][p].double(), pos_weight=positive
        ),
        "several losses": lambda y, p: f.cross_entropy(y[:, :3], labels[p]) + squares(y, p).mean(),
        "several losses, sample weights": lambda y, p: weighted(
            each_class(y[:, :3], labels[p]) + squares(y, p), p
        ),
    }[kind]
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 6)).double()
    net.load_state_dict({name: torch.tensor(each) for name, each in initial().items()})
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    together, losses = SIZE * (3 if accumulated else 1), []
    for _ in range(EPOCHS):
        for start in range(0, ROWS, together):
            p = slice(start, start + together)
            optimizer.zero_grad()
            loss(net(data["x"][p]), p).backward()
            optimizer.step()
        losses.append(loss(net(data["x"]), slice(None)).item())
    found = {name: each.detach().numpy() for name, each in net.state_dict().items()}
    return found | {"losses": np.array(losses)}


class Network(sn.Sequential):
    """Its outputs in the form that the losses of a case need, from inputs in two parts."""

    def __init__(self, form):
        super().__init__(sn.Linear(4, 5, dtype="f8"), sn.tanh, sn.Linear(5, 6, dtype="f8"))
        self.load_state_dict(initial())
        self.form = form

    def forward(self, left, right):
        return self.form(super().forward(sn.concatenate([left, right], axis=1)))


def ours(case):
    kind = case.removesuffix(", accumulated")
    data = arrays()
    both = data["labels"], data["values"]
    targets, loss, form = {
        "plain": (data["labels"], sn.softmax_loss, lambda y: y),
        "sample weights": (data["labels"], sn.softmax_loss, lambda y: y),
        "ignored labels": (
            data["known"],
            partial(sn.softmax_loss, weight=to_device(CLASSES), ignore_index=PAD),
            lambda y: y[:, :3],
        ),
        "labels of steps": (
            data["steps"], partial(sn.softmax_loss, ignore_index=PAD), lambda y: y.reshape(-1, 2, 3)
        ),
        "pos_weight": (
            data["yes"],
            partial(sn.binary_cross_entropy_with_logits, pos_weight=to_device(POSITIVE)),
            lambda y: y,
        ),
        "several losses": (both, [sn.softmax_loss, sn.mse_loss], lambda y: (y[:, :3], y[:, 3:])),
        "several losses, sample weights": (
            {"a": both[0], "b": both[1]},
            {"a": sn.softmax_loss, "b": sn.mse_loss},
            lambda y: {"a": y[:, :3], "b": y[:, 3:]},
        ),
    }[kind if kind.startswith("several") else kind.removesuffix(", sample weights")]  # fmt: skip
    weights = data["weights"] if "sample weights" in kind else None
    train = sn.ArrayDataLoader(
        (data["x"][:, :1], data["x"][:, 1:]), targets, SIZE, shuffle=False, weights=weights, dtype="f8"
    )
    net = Network(form)
    sgd = sn.SGD(net.parameters(), 0.1, momentum=0.9)
    metrics = sn.MetricsCollector(train, None, loss, False, metrics=[])
    accumulate = 3 if case.endswith("accumulated") else 1
    learner = sn.Learner(train, net, sgd, loss, metrics, False, accumulate=accumulate)
    learner.fit(EPOCHS, None)
    found = {name: to_host(each.data) for name, each in net.named_parameters()}
    return found | {"losses": np.array(learner.history["train_loss"])}


@pytest.mark.parametrize("case", CASES)
def test_parameters_and_losses_are_pytorch_s(backend, case):
    assert_pytorch(ROOM, case, ours(case), rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)
