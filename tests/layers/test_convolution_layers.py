"""The layers of convolution and pooling, and a small network of them: PyTorch's, captured, looked at."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored, expected

import backends
import scratchnet as sn
from backends import to_device, xp

ROOM = "layers_convolution"
BATCH, SIZE, CLASSES, STEPS, RATE = 6, 9, 3, 10, 0.05


class Rows(sn.Module):
    """Each image as one row."""

    capturable = True

    def forward(self, x):
        return x.reshape(x.shape[0], -1)


def network(layers, rows, relu, **options):
    """The same network of this library or of PyTorch: the layers have the same names and arguments."""
    return (
        layers.Conv2d(2, 4, 3, padding="same", **options), relu(),
        layers.MaxPool2d(3, 2, 1),
        layers.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=1, groups=2, **options), relu(),
        layers.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, **options),
        layers.AvgPool2d(2, ceil_mode=True),
        layers.AdaptiveAvgPool2d((2, 3)),
        rows(),
    )  # fmt: skip


def small(dtype="float64"):
    return sn.Sequential(
        *network(sn, Rows, sn.functions.ReLU, rng=0, dtype=dtype),
        sn.Linear(24, CLASSES, 0, dtype=dtype),
    )


def data():
    rng = np.random.default_rng(3)
    return rng.standard_normal((BATCH, 2, SIZE, SIZE)), np.arange(BATCH) % CLASSES


def by_pytorch(torch, case):
    """Train the same network with PyTorch; the state before the first step comes too."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(*network(nn, nn.Flatten, nn.ReLU), nn.Linear(24, CLASSES)).double()
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    x, labels = map(torch.tensor, data())
    found = {f"before {name}": each.clone() for name, each in net.state_dict().items()}
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found |= {f"after {name}": each for name, each in net.state_dict().items()}
    return {n: each.numpy() for n, each in found.items()} | {"losses": np.array(losses)}


CASES = ["ten steps"]


def test_ten_steps_from_pytorch_s_state_are_pytorch_s(backend):
    net, (x, labels) = small(), data()
    stored = expected(ROOM, "ten steps")
    before = {n.removeprefix("before "): a for n, a in stored.items() if n.startswith("before ")}
    net.load_state_dict(before)
    optimizer, losses = sn.SGD(net.parameters(), RATE), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = sn.softmax_loss(net(sn.Variable(to_device(x), requires_grad=False)), to_device(labels))
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    found = {f"before {name}": each for name, each in before.items()}
    found |= {f"after {name}": each for name, each in net.state_dict().items()}
    assert_pytorch(ROOM, "ten steps", found | {"losses": np.array(losses)}, rtol=1e-9)


def test_pytorch_still_gives_what_is_stored():
    assert_still_stored(ROOM, "ten steps", by_pytorch)


def test_an_epoch_is_captured_bit_for_bit(backend):
    x, labels = data()
    learners = []
    for capture in (True, False):
        net = small("float32")
        loader = sn.ArrayDataLoader(
            to_device(x.astype("float32")), to_device(labels), 4, seed=1, shuffle="batches"
        )
        metrics = sn.MetricsCollector(loader, loader, sn.softmax_loss, capture)
        optimizer = sn.SGD(net.parameters(), RATE)
        learner = sn.Learner(loader, net, optimizer, sn.softmax_loss, metrics, capture)
        learner.fit(3, None)
        learners.append(learner)
    expected = "one launch" if backends.active().captures else "step by step"
    assert [each.replay.how for each in learners] == [expected, "step by step"]
    assert learners[0].history["train_loss"] == learners[1].history["train_loss"]
    for one, other in zip(*(each.net.parameters() for each in learners), strict=True):
        np.testing.assert_array_equal(host(one), host(other))


def test_the_network_can_be_counted_drawn_and_explained(backend):
    net = sn.Sequential(
        sn.Conv2d(2, 4, 3, padding=1, rng=0),
        sn.relu,
        sn.MaxPool2d(2),
        sn.ConvTranspose2d(4, 3, 2, 2, rng=0),
    )
    rows = sn.summary(net, (5, 2, 8, 6)).rows
    assert [row.outputs for row in rows if row.parameters] == [((5, 4, 8, 6),), ((5, 3, 8, 6),)]
    first, *_, last = (row for row in rows if row.parameters)
    places, products = 5 * 8 * 6, 2 * 5 * 8 * 6 * 4 * 2 * 9
    assert (first.forward, first.backward) == (products + 4 * places, products + 4 * places)
    transposed = 2 * (5 * 4 * 4 * 3) * (3 * 2 * 2)
    assert (last.forward, last.backward) == (transposed + 3 * places, 2 * transposed + 3 * places)
    x = variable(np.ones((1, 2, 8, 6), "float32"))
    y = net(x)
    drawn = sn.draw(y).dot
    assert "windows=Windows((3, 3), padding=" in drawn
    assert "∂L/∂x = conv2d(grad, weight)" in drawn
    explained = " ".join(str(sn.explain(y.sum())).split())
    assert "∂L/∂bias = Σ grad over images and windows (4,)" in explained


def test_initial_values_are_drawn_as_in_pytorch(backend):
    for layer, fan_in in (
        (sn.Conv2d(4, 600, (3, 2), groups=2, rng=3), 2 * 6),
        (sn.Conv1d(4, 600, 3, rng=3), 4 * 3),
        (sn.ConvTranspose2d(600, 8, 3, groups=2, rng=3), 4 * 9),
    ):
        bound, rng = 1 / np.sqrt(fan_in), np.random.default_rng(3)
        for each in (layer.weight, layer.bias):
            drawn = rng.uniform(-bound, bound, each.shape)
            np.testing.assert_array_equal(host(each), drawn.astype("float32"))


def test_initializers_and_dtype(backend):
    init = {"weight_init": sn.initializers.he_normal, "bias_init": sn.initializers.zeros}
    layer = sn.Conv2d(3, 4, 3, rng=1, dtype="float64", **init)
    drawn = np.random.default_rng(1).standard_normal((4, 3, 3, 3)) * np.sqrt(2 / 27)
    np.testing.assert_array_equal(host(layer.weight), drawn)
    np.testing.assert_array_equal(host(layer.bias), np.zeros(4))
    assert layer(xp.zeros((1, 3, 3, 3))).dtype == np.float64


def test_without_a_bias(backend):
    layer = sn.Conv2d(3, 4, 3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert layer(variable(np.ones((3, 5, 5), "float32"))).shape == (4, 3, 3)


@pytest.mark.parametrize("frozen", ["weight", "bias", "x"])
def test_what_is_frozen_gets_no_gradient(backend, rng, frozen):
    layer, x = sn.Conv2d(3, 4, 3, rng=0), variable(rng.standard_normal((2, 3, 4, 4)).astype("float32"))
    parts = {"weight": layer.weight, "bias": layer.bias, "x": x}
    parts[frozen].requires_grad = False
    layer(x).sum().backward()
    assert [name for name, each in parts.items() if each.grad is None] == [frozen]


def test_repr():
    layers = (
        sn.Conv2d(3, 4, 3),
        sn.Conv2d(4, 4, 3, 2, "valid", groups=2, bias=False),
        sn.Conv1d(1, 2, 3, 1, 1),
        sn.MaxPool2d(2, padding=1, ceil_mode=True),
        sn.AvgPool2d((3, 2), 1),
        sn.AdaptiveAvgPool2d((None, 2)),
        sn.ConvTranspose2d(4, 2, 3, 2, output_padding=1),
    )
    assert [repr(each) for each in layers] == [
        "Conv2d(3, 4, kernel_size=(3, 3))",
        "Conv2d(4, 4, kernel_size=(3, 3), stride=(2, 2), padding='valid', groups=2, bias=False)",
        "Conv1d(1, 2, kernel_size=(3,), padding=(1,))",
        "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(1, 1), ceil_mode=True)",
        "AvgPool2d(kernel_size=(3, 2), stride=(1, 1))",
        "AdaptiveAvgPool2d(output_size=(None, 2))",
        "ConvTranspose2d(4, 2, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))",
    ]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: sn.Conv2d(3, 4, 3)(np.zeros((5, 4, 8, 8))),
            sn.ShapeError,
            r"^Conv2d: input has shape \(5, 4, 8, 8\), but this layer expects \(n, 3, height, width\)",
        ),
        (
            lambda: sn.Conv2d(3, 4, 3)(np.zeros((3, 8))),
            sn.ShapeError,
            r"\(3, 8\), but this layer expects",
        ),
        (lambda: sn.Conv1d(3, 4, 3)(np.zeros((3, 4, 8, 8))), sn.ShapeError, r"\(n, 3, length\)"),
        (lambda: sn.Conv2d(3, 4, 3)([1]), sn.OperandError, "^Conv2d: x is a list; wrap it"),
        (
            lambda: sn.Conv2d(3, 4, 3)(np.zeros((3, 2, 8))),
            sn.ShapeError,
            "spans 3 x 3 is larger than x of",
        ),
        (lambda: sn.MaxPool2d(3)(np.zeros((3, 2, 8))), sn.ShapeError, "kernel_size .* spans 3 elements"),
        (
            lambda: sn.Conv2d(4, 4, 3, groups=3),
            sn.SettingError,
            "groups=3 does not divide in_channels=4",
        ),
        (
            lambda: sn.Conv2d(4, 6, 3, groups=4),
            sn.SettingError,
            "groups=4 does not divide out_channels=6",
        ),
        (lambda: sn.Conv2d(4, 4, 3, padding=-1), sn.SettingError, "^Conv2d: padding is -1"),
        (lambda: sn.Conv2d(4, 4, 3, padding="full"), sn.SettingError, "^Conv2d: padding is 'full'"),
        (lambda: sn.Conv2d(4, 4, 3, 2, "same"), sn.SettingError, 'padding="same" needs stride 1'),
        (
            lambda: sn.ConvTranspose2d(4, 4, 3, 1, "same"),
            sn.SettingError,
            "padding is 'same'; give integ",
        ),
        (lambda: sn.Conv2d(4, 4, 0), sn.SettingError, "^Conv2d: kernel_size is 0"),
        (
            lambda: sn.AvgPool2d(3, divisor_override=0),
            sn.SettingError,
            "^AvgPool2d: divisor_override is 0",
        ),
        (lambda: sn.Conv1d(4, 4, (3, 3)), sn.SettingError, r"^Conv1d: kernel_size is \(3, 3\)"),
        (
            lambda: sn.MaxPool2d(3, padding=2),
            sn.SettingError,
            r"^MaxPool2d: padding \(2, 2\) is more than",
        ),
        (
            lambda: sn.AvgPool2d(3, padding=2),
            sn.SettingError,
            r"^AvgPool2d: padding \(2, 2\) is more than",
        ),
        (lambda: sn.AdaptiveAvgPool2d((1, 0)), sn.SettingError, "^AdaptiveAvgPool2d: output_size is 0"),
    ],
)
def test_what_cannot_be_is_one_clear_line(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
