"""The normalization layers: PyTorch's numbers, accuracy, dtypes, memory layouts and messages."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device

ROOM = "normalization"
LAYERS = {
    "BatchNorm1d": ("BatchNorm1d", (4,), {}, (6, 4)),
    "BatchNorm1d of sequences": ("BatchNorm1d", (3, 1e-3, 0.3), {}, (4, 3, 5)),
    "BatchNorm1d, average": ("BatchNorm1d", (3,), {"momentum": None}, (5, 3)),
    "BatchNorm1d without statistics": ("BatchNorm1d", (3,), {"track_running_stats": False}, (5, 3)),
    "BatchNorm2d": ("BatchNorm2d", (3,), {}, (4, 3, 2, 5)),
    "BatchNorm2d, not affine": ("BatchNorm2d", (3,), {"affine": False}, (2, 3, 3, 3)),
    "LayerNorm": ("LayerNorm", (5,), {}, (2, 3, 5)),
    "LayerNorm over two axes": ("LayerNorm", ((3, 4), 1e-2), {}, (2, 3, 4)),
    "LayerNorm without bias": ("LayerNorm", (5,), {"bias": False}, (4, 5)),
    "LayerNorm, not affine": ("LayerNorm", (5,), {"elementwise_affine": False}, (4, 5)),
    "GroupNorm": ("GroupNorm", (2, 6), {}, (3, 6, 2, 2)),
    "GroupNorm, not affine": ("GroupNorm", (3, 6, 0.1, False), {}, (3, 6, 4)),
    "RMSNorm": ("RMSNorm", (5,), {}, (2, 3, 5)),
    "RMSNorm over two axes": ("RMSNorm", ((2, 3), 0.1), {}, (4, 2, 3)),
    "RMSNorm, not affine": ("RMSNorm", (5, None, False), {}, (4, 5)),
}
CASES = [*LAYERS, "ten steps"]


def drawn(case):
    """The layer's state as another run might have left it, three batches, and a gradient."""
    _, _, _, shape = LAYERS[case]
    rng = np.random.default_rng(sum(map(ord, case)))

    def state(former):
        return {
            name: rng.uniform(0.5, 2, each.shape) if each.dtype.kind == "f" else each
            for name, each in former.items()
        }

    return state, rng.standard_normal((3, *shape)) * 2 + 1, rng.standard_normal(shape)


def by_pytorch(torch, case):
    if case == "ten steps":
        return training_by_pytorch(torch)
    name, arguments, settings, _ = LAYERS[case]
    layer = getattr(torch.nn, name)(*arguments, **settings).double()
    state, batches, g = drawn(case)
    former = {name: each.numpy() for name, each in layer.state_dict().items()}
    layer.load_state_dict({name: torch.tensor(each) for name, each in state(former).items()})
    for batch in batches[:2]:
        layer(torch.tensor(batch))
    x, g = torch.tensor(batches[2], requires_grad=True), torch.tensor(g, requires_grad=True)
    y = layer(x)
    parameters = dict(layer.named_parameters())
    inputs = [x, *parameters.values()]
    first = torch.autograd.grad(y, inputs, g, create_graph=True)
    second = torch.autograd.grad((first[0] ** 2).sum(), [x, g])
    found = {"y": y, "eval": layer.eval()(x), "second at x": second[0], "second at grad": second[1]}
    found |= dict(zip(["gradient at x", *parameters], first, strict=True))
    found |= {f"state {name}": each for name, each in layer.state_dict().items() if "num" not in name}
    return {name: each.detach().numpy() for name, each in found.items()}


def ours(case, dtype="float64"):
    name, arguments, settings, _ = LAYERS[case]
    layer = getattr(sn, name)(*arguments, **settings, dtype=dtype)
    state, batches, g = drawn(case)
    layer.load_state_dict(state(layer.state_dict()))
    batches = [sn.Variable(to_device(each.astype(dtype))) for each in batches]
    for batch in batches[:2]:
        layer(batch)
    x, g = batches[2], sn.Variable(to_device(g.astype(dtype)))
    y = layer(x)
    parameters = dict(layer.named_parameters())
    first = sn.grad(y, [x, *parameters.values()], g, create_graph=True)
    second = sn.grad((first[0] ** 2).sum(), [x, g])
    found = {"y": y, "eval": layer.eval()(x), "second at x": second[0], "second at grad": second[1]}
    layer.train()(x).backward(g.data)  # the kernels of the backward pass
    once = [x.grad, *(each.grad for each in parameters.values())]
    found |= dict(zip(["gradient at x", *parameters], once, strict=True))
    return layer, {name: host(each) for name, each in found.items()}, [host(each) for each in first]


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_pytorch_computes(backend, case):
    _, found, of_graph = ours(case)
    for one, two in zip(list(found.values())[4:], of_graph, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    layer, _, _ = ours(case)
    again = type(layer)(*LAYERS[case][1], **LAYERS[case][2], dtype="float64")
    state, batches, _ = drawn(case)
    again.load_state_dict(state(again.state_dict()))
    for batch in batches:
        again(to_device(batch))
    kept = {f"state {name}": each for name, each in again.state_dict().items() if "num" not in name}
    assert_pytorch(ROOM, case, found | kept, rtol=1e-9)


def start_of_training():
    rng = np.random.default_rng(1)
    shapes = {"0.weight": (6, 4), "0.bias": (6,), "3.weight": (2, 6), "3.bias": (2,)}
    state = {name: rng.standard_normal(shape) / 2 for name, shape in shapes.items()}
    return state, rng.standard_normal((10, 8, 4)), rng.standard_normal((10, 8, 2))


def training_by_pytorch(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).double()
    state, inputs, targets = start_of_training()
    net.load_state_dict({name: torch.tensor(each) for name, each in state.items()}, strict=False)
    sgd = torch.optim.SGD(net.parameters(), 0.1)
    for x, t in zip(torch.tensor(inputs), torch.tensor(targets), strict=True):
        sgd.zero_grad()
        ((net(x) - t) ** 2).mean().backward()
        sgd.step()
    return {name: each.numpy() for name, each in net.state_dict().items()}


def test_ten_steps_of_training_with_batch_normalization(backend):
    dtype = {"dtype": "float64"}
    net = sn.Sequential(
        sn.Linear(4, 6, **dtype), sn.BatchNorm1d(6, **dtype), sn.relu, sn.Linear(6, 2, **dtype)
    )
    state, inputs, targets = start_of_training()
    net.load_state_dict(net.state_dict() | state)
    sgd = sn.SGD(net.parameters(), 0.1)
    for x, t in zip(inputs, targets, strict=True):
        net.zero_grad()
        sn.square(net(to_device(x)) - to_device(t)).mean().backward()
        sgd.step()
    assert_pytorch(ROOM, "ten steps", net.state_dict(), rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("case", LAYERS)
def test_smaller_dtypes(backend, case, dtype):
    layer, found, _ = ours(case, dtype)
    _, wide, _ = ours(case)
    for name in ("y", "gradient at x"):
        assert found[name].dtype == dtype
        np.testing.assert_allclose(found[name], wide[name], atol=50 * np.finfo(dtype).eps, err_msg=name)
    assert {each.dtype.name for each in layer.state_dict().values()} <= {dtype, "int64"}


def test_groups_of_an_empty_batch(backend):
    layer, x = sn.GroupNorm(2, 4), variable(np.ones((0, 4, 3, 3), "f4"))
    y = layer(x)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not host(layer.weight.grad).any()


@pytest.mark.parametrize("mean", [0, 1e4, -1e6])
@pytest.mark.parametrize("rows", [40, 5000])
def test_a_large_mean_costs_no_digits(backend, mean, rows):
    """The numbers are exact in float32, so the result is known to its last digits."""
    rng = np.random.default_rng(2)
    x = rng.integers(-20, 20, (rows, 24)) / 8 + float(mean)
    g = rng.standard_normal(x.shape)
    for axis, layer in ((0, sn.BatchNorm1d(24)), (1, sn.LayerNorm(24))):
        v = sn.Variable(to_device(x.astype("float32")))
        y = layer(v)
        centered = x - x.mean(axis, keepdims=True)
        deviation = np.sqrt((centered**2).mean(axis, keepdims=True) + 1e-5)
        normal = centered / deviation
        np.testing.assert_allclose(host(y), normal, atol=2e-6)
        y.backward(to_device(g.astype("float32")))
        share = (g * normal).mean(axis, keepdims=True)
        expected = (g - g.mean(axis, keepdims=True) - normal * share) / deviation
        np.testing.assert_allclose(host(v.grad), expected, atol=1e-5)
        if axis == 0:
            statistics = layer.state_dict()
            np.testing.assert_allclose(statistics["running_mean"], 0.1 * x.mean(0), rtol=1e-6, atol=1e-6)
            unbiased = 0.9 + 0.1 * x.var(0, ddof=1)
            np.testing.assert_allclose(statistics["running_var"], unbiased, rtol=2e-6)


@pytest.mark.parametrize(
    "shape", [(7, 5, 3, 4), (2, 3, 9, 8), (6, 4, 1, 1), (1, 1, 2, 2), (40, 2000, 2, 1)]
)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_the_memory_layout_changes_nothing(backend, shape, order):
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal((2, *shape))
    for make in (
        lambda: sn.BatchNorm2d(shape[1], dtype="f8"),
        lambda: sn.LayerNorm(shape[3], dtype="f8"),
    ):
        found = []
        for axes in ((0, 1, 2, 3), order):
            inner = np.argsort(axes).tolist()
            v, h = (
                to_device(np.ascontiguousarray(each.transpose(axes))).transpose(*inner)
                for each in (x, g)
            )
            v, layer = sn.Variable(v), make()
            y = layer(v)
            y.backward(h)
            found.append([host(each) for each in (y, v.grad, *layer.gradients())])
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)


FAULTS = {
    r"BatchNorm2d: input has shape \(4, 3\), but this layer expects \(n, 3, height, width\)": (
        lambda: sn.BatchNorm2d(3)(np.ones((4, 3), "f4"))),
    r"BatchNorm1d: input has shape \(4, 2\), .* expects \(n, 3\) or \(n, 3, length\)": (
        lambda: sn.BatchNorm1d(3)(np.ones((4, 2), "f4"))),
    r"BatchNorm1d: input has shape \(1, 3\), one value per channel.*give a larger batch": (
        lambda: sn.BatchNorm1d(3)(np.ones((1, 3), "f4"))),
    r"batch_norm: in training each channel needs more than one value, but shape \(1, 3\) has 1": (
        lambda: sn.batch_norm(np.ones((1, 3), "f4"), None, None, training=True)),
    "batch_norm: outside of training it needs running_mean": (
        lambda: sn.batch_norm(np.ones((2, 3), "f4"), None, None)),
    r"batch_norm: weight has shape \(4,\), but x of shape \(2, 3\) needs \(3,\)": (
        lambda: sn.batch_norm(np.ones((2, 3), "f4"), None, None, np.ones(4, "f4"), training=True)),
    r"layer_norm: input has shape \(2, 3\), but normalized_shape is \(4,\), so it must be \(..., 4\)": (
        lambda: sn.LayerNorm(4)(np.ones((2, 3), "f4"))),
    r"GroupNorm: 4 groups do not divide 6 channels": lambda: sn.GroupNorm(4, 6),
    r"GroupNorm: num_channels is 0": lambda: sn.GroupNorm(4, 0),
    r"group_norm: 4 groups do not divide the 6 channels": (
        lambda: sn.group_norm(np.ones((2, 6), "f4"), 4)),
    r"group_norm: num_groups is 0\.5; it must be an integer$": (
        lambda: sn.group_norm(np.ones((2, 6), "f4"), 0.5)),
    r"group_norm: num_groups is \(2, 3\); it must be an integer$": (
        lambda: sn.group_norm(np.ones((2, 6), "f4"), (2, 3))),
    "batch_norm: x is a list; wrap it": lambda: sn.batch_norm([[1.0]], None, None, training=True),
    r"GroupNorm: input has shape \(2, 5\), but this layer expects \(n, 6, ...\)": (
        lambda: sn.GroupNorm(2, 6)(np.ones((2, 5), "f4"))),
    "rms_norm: x has dtype int64; it must be floating": lambda: sn.rms_norm(np.ones((2, 3), "i8"), 3),
    "LayerNorm: normalized_shape is 0; it must be a positive integer": lambda: sn.LayerNorm(0),
    "BatchNorm2d: eps is -1; it must be a number of at least 0": lambda: sn.BatchNorm2d(3, -1),
    "LayerNorm: eps is -1; it must be a number of at least 0": lambda: sn.LayerNorm(3, -1),
    "LayerNorm: dtype is 'int32'": lambda: sn.LayerNorm(3, dtype="int32"),
    "layer_norm: x is a list; wrap it": lambda: sn.LayerNorm(3)([1.0, 2.0, 3.0]),
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_one_clear_line(message):
    with pytest.raises(sn.ScratchnetError, match=message) as caught:
        FAULTS[message]()
    assert "\n" not in str(caught.value)


def test_the_state_is_torch_s_and_counts_batches(backend):
    layer = sn.BatchNorm1d(3)
    given = {
        "weight": np.ones(3, "f4"), "bias": np.zeros(3, "f4"), "running_mean": np.ones(3, "f4"),
        "running_var": np.full(3, 4, "f4"), "num_batches_tracked": np.array(7),
    }  # fmt: skip
    layer.load_state_dict(given)
    layer(to_device(np.arange(6, dtype="f4").reshape(2, 3)))
    state = layer.state_dict()
    assert list(state) == list(given)
    assert state["num_batches_tracked"] == 8
    assert state["num_batches_tracked"].dtype == np.int64
    layer.eval()(to_device(np.ones((1, 3), "f4")))
    assert layer.state_dict()["num_batches_tracked"] == 8


def test_an_empty_batch_keeps_its_shape(backend):
    for layer, shape in (
        (sn.LayerNorm(3), (0, 3)),
        (sn.RMSNorm(3), (0, 3)),
        (sn.GroupNorm(3, 6), (0, 6, 2)),
        (sn.BatchNorm1d(3).eval(), (0, 3)),
    ):
        x = sn.Variable(to_device(np.ones(shape, "f4")))
        y = layer(x)
        y.sum().backward()
        assert y.shape == x.grad.shape == shape


def test_small_numbers_of_float16_are_normalized(backend):
    x = np.array([[0.01, 0.02, -0.03]], "f2")  # torch.nn.functional.rms_norm gives the same
    found = host(sn.rms_norm(to_device(x), 3))
    np.testing.assert_allclose(found, np.array([[0.4629, 0.9258, -1.3887]], "f2"), rtol=1e-3)


def test_print_shows_the_settings():
    assert repr(sn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(sn.LayerNorm((2, 3))) == "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True)"
    assert repr(sn.RMSNorm(3)) == "RMSNorm((3,), eps=None, elementwise_affine=True)"
    assert repr(sn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"


def test_summary_explanation_and_drawing_take_layers_without_some_parameters(backend):
    net = sn.Sequential(
        sn.BatchNorm2d(4, affine=False), sn.GroupNorm(2, 4), sn.Flatten(), sn.LayerNorm(12, bias=False),
        sn.LayerNorm(12),
    )  # fmt: skip
    forward = {row.path: row.forward for row in sn.summary(net, (5, 4, 3, 1)).rows}
    assert forward["0"] == forward["3"] == forward["4"] == 8 * 60
    loss = net(sn.Variable(to_device(np.ones((5, 4, 3, 1), "f4")))).sum()
    assert len(sn.explain(loss).steps) > 5
    assert "Normalize" in sn.draw(loss).dot
