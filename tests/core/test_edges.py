"""Edge cases of numbers, shapes, types and memory: the right result, or an error that names it."""

import numpy as np
import pytest
from arrays import host, variable
from expressions import BINARY, UNARY
from rounding import Rounded, assert_within, sum_error, train_two_layers, two_layers

import backends
import scratchnet as sn
from backends import to_device, xp


def network(inputs=6, hidden=5, classes=3):
    return sn.Linear(inputs, hidden, 0, activation=sn.relu) >> sn.Linear(hidden, classes, 1)


def trained(x, labels, net=None, epochs=2, batch_size=8, **options):
    """Return a learner after some epochs on these arrays, of the host or of the device."""
    loader = sn.ArrayDataLoader(
        to_device(x),
        to_device(labels),
        batch_size,
        shuffle=False,
        dtype=x.dtype if x.dtype.kind == "f" else None,
    )
    net = network(x.shape[1]) if net is None else net
    metrics = sn.MetricsCollector(loader, loader, sn.softmax_loss, metrics=[])
    learner = sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics, **options)
    learner.fit(epochs, None)
    return learner


@pytest.fixture
def samples(rng):
    """Return forty rows of six, and labels of three classes."""
    return rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)


def parameters_of(learner):
    return [host(each) for each in learner.net.parameters()]


def exactly_trained(x, labels, dtype="float32", epochs=2, hidden=5):
    """Return the parameters of `trained`, with their largest error for any order of additions."""
    parameters = [host(each) for each in network(x.shape[1], hidden).parameters()]
    batches = [(x[at : at + 8], labels[at : at + 8]) for at in range(0, len(x), 8)]
    return train_two_layers(parameters, batches * epochs, 0.1, dtype)


def assert_trained(learner, expected):
    for found, each in zip(parameters_of(learner), expected, strict=True):
        assert_within(found, each.value, each.error)


# Memory.


def _read_only(array):
    host = array.copy()
    host.flags.writeable = False
    return to_device(host)


LAYOUTS = {
    "by columns": lambda array: to_device(array.T.copy()).T,
    "with gaps": lambda array: to_device(array.repeat(3, axis=-1))[..., ::3],
    "backwards": lambda array: to_device(np.flip(array).copy())[(slice(None, None, -1),) * array.ndim],
    "read-only": _read_only,
}

OPERATIONS = {name: (f, [(4, 5)]) for name, f in UNARY.items()} | {
    name: (f, [(4, 5), (4, 5)]) for name, f in BINARY.items()
}
OPERATIONS |= {
    "softmax": (sn.softmax, [(4, 5)]),
    "log_softmax": (lambda x: sn.log_softmax(x, 0), [(4, 5)]),
    "index": (lambda x: x[[0, 0, 2], 1:], [(4, 5)]),
    "matmul": (lambda a, b: a @ b, [(4, 5), (5, 3)]),
    "affine": (sn.functions.Affine(), [(4, 5), (3, 5), (3,)]),
    "affine and relu": (sn.functions.Affine(True), [(4, 5), (3, 5), (3,)]),
    "softmax_loss": (lambda x: sn.softmax_loss(x, [0, 4, 1, 1]), [(4, 5)]),
    "plain_softmax_loss": (lambda x: sn.plain_softmax_loss(x, [0, 4, 1, 1]), [(4, 5)]),
}


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operands_of_any_layout(backend, rng, name, layout):
    operation, shapes = OPERATIONS[name]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    results = []
    for place in (to_device, LAYOUTS[layout]):
        operands = [sn.Variable(place(array)) for array in arrays]
        y = operation(*operands)
        y.backward(to_device(np.cos(np.arange(y.size)).reshape(y.shape)))
        results.append([host(y), *(host(each.grad) for each in operands)])
        for operand, array in zip(operands, arrays, strict=True):
            np.testing.assert_array_equal(host(operand), array)
    for plain, placed in zip(*results, strict=True):  # no sum of more than 20 terms or larger than 100
        atol = 2 * sum_error(20, 100, "float64")
        np.testing.assert_allclose(placed, plain, rtol=1e-12, atol=atol)


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_and_labels_of_any_layout(backend, samples, layout):
    x, labels = samples
    placed = LAYOUTS[layout](labels[:, None].repeat(2, axis=1)).astype(np.int64)[:, 1]
    expected = exactly_trained(x, labels)
    assert_trained(trained(x, labels), expected)
    assert_trained(trained(LAYOUTS[layout](x).astype(np.float32), placed), expected)


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
@pytest.mark.parametrize("layout", ["by columns", "with gaps", "backwards"])
def test_parameters_of_any_layout(backend, rng, layout):
    x, labels = rng.standard_normal((24, 160)), rng.integers(0, 3, 24)
    expected = exactly_trained(x, labels, "float64", 1, 128)
    for place in (to_device, LAYOUTS[layout]):
        net = network(160, 128)
        for each in net.parameters():
            each.data = place(host(each).astype(np.float64))
        before = [each.data for each in net.parameters()]
        learner = trained(x, labels, net, 1)
        assert all(each.data is array for each, array in zip(net.parameters(), before, strict=True))
        assert_trained(learner, expected)


@pytest.mark.guarantee("A read-only parameter is an error, and nothing is updated in part.")
def test_a_read_only_parameter_is_named_and_nothing_is_updated(rng):
    net = network(160, 128)
    last = net.parameters()[-1]
    last.data.flags.writeable = False
    before = net.state_dict()
    message = r"parameter 3 of shape \(3,\) is read-only; .*copy"
    with pytest.raises(backends.ReadOnlyError, match=message):
        trained(rng.standard_normal((8, 160)).astype(np.float32), rng.integers(0, 3, 8), net)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    first = sn.Variable(np.broadcast_to(np.float32(1), (2, 3)))
    (first * first).sum().backward()
    with pytest.raises(backends.ReadOnlyError, match=r"parameter 0 of shape \(2, 3\)"):
        sn.SGD([first], 0.1).step()


# Shapes.

NOTHING, ROWLESS = sn.ShapeError, (0, 3)
OF_SIZE_0 = {
    "exp": (lambda x: x.exp(), ROWLESS), "log": (lambda x: x.log(), ROWLESS),
    "tanh": (lambda x: x.tanh(), ROWLESS), "sigmoid": (sn.sigmoid, ROWLESS),
    "relu": (sn.relu, ROWLESS), "threshold": (lambda x: sn.threshold(x, 0.5), ROWLESS),
    "neg": (lambda x: -x, ROWLESS), "power": (lambda x: x**2, ROWLESS),
    "exponent": (lambda x: 2**x, ROWLESS), "add": (lambda x: x + x[:, :1], ROWLESS),
    "sub": (lambda x: 1 - x, ROWLESS), "mul": (lambda x: x * x, ROWLESS),
    "div": (lambda x: x / (x + 1), ROWLESS), "transpose": (lambda x: x.T, (3, 0)),
    "reshape": (lambda x: x.reshape(3, 0, 2), (3, 0, 2)), "slice": (lambda x: x[:, 1:], (0, 2)),
    "index": (lambda x: x[[], [0]], (0,)), "sum": (lambda x: x.sum(), ()),
    "sum of columns": (lambda x: x.sum(axis=0), (3,)), "sum of rows": (lambda x: x.sum(axis=1), (0,)),
    "mean": (lambda x: x.mean(), NOTHING), "mean of columns": (lambda x: x.mean(axis=0), NOTHING),
    "mean of rows": (lambda x: x.mean(axis=1), (0,)), "max": (lambda x: x.max(), NOTHING),
    "max of columns": (lambda x: x.max(axis=0), NOTHING), "max of rows": (lambda x: x.max(axis=1), (0,)),
    "softmax": (sn.softmax, ROWLESS), "softmax of columns": (lambda x: sn.softmax(x, 0), ROWLESS),
    "log_softmax": (sn.log_softmax, ROWLESS),
    "log_softmax of columns": (lambda x: sn.log_softmax(x, 0), ROWLESS),
    "matmul": (lambda x: x @ x.T, (0, 0)), "matmul over nothing": (lambda x: x.T @ x, (3, 3)),
    "linear": (sn.Linear(3, 2, 0), (0, 2)), "linear and relu": (sn.Linear(3, 2, 0, sn.relu), (0, 2)),
    "softmax_loss": (lambda x: sn.softmax_loss(x, to_device(np.zeros(0, int))), NOTHING),
}  # fmt: skip


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
@pytest.mark.parametrize("name", OF_SIZE_0)
def test_an_array_of_size_0(backend, name):
    function, expected = OF_SIZE_0[name]
    if isinstance(function, sn.Module):
        function = sn.Linear(3, 2, 0, function.activation)  # its weights on this backend
    x = variable(np.zeros(ROWLESS, np.float32))
    if expected is NOTHING:
        with pytest.raises(sn.ShapeError, match=r"\(0, 3\)"):
            function(x)
        return
    y = function(x)
    y.backward(to_device(np.ones(y.shape, np.float32)))
    assert (y.shape, x.grad.shape) == (expected, ROWLESS)
    assert y.dtype == x.grad.dtype == np.float32
    assert not np.any(host(y))


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
def test_one_sample_of_one_class_teaches_nothing(backend):
    net = network(4, 3, classes=1)
    before = [host(each).copy() for each in net.parameters()]
    learner = trained(np.ones((1, 4), np.float32), np.zeros(1, int), net)
    assert learner.history["train_loss"] == [0, 0]
    for a, b in zip(before, parameters_of(learner), strict=True):
        np.testing.assert_array_equal(a, b)


# Types.


@pytest.mark.guarantee("float64 stays float64.")
def test_a_network_in_float64_stays_in_float64(backend, samples):
    x, labels = samples
    net = network()
    for each in net.parameters():
        each.data = each.data.astype(np.float64)
    loss = sn.softmax_loss(net(variable(x.astype(np.float64))), to_device(labels))
    loss.backward()
    assert {each.dtype for each in [loss, *net.gradients(), sn.softmax(loss.reshape(1, 1))]} == {
        np.dtype(np.float64)
    }
    learner = trained(x.astype(np.float64), labels, net)
    assert {each.dtype for each in net.parameters()} == {np.dtype(np.float64)}
    for epoch, found in enumerate(learner.history["train_loss"]):
        parameters = exactly_trained(x.astype(np.float64), labels, "float64", epoch + 1)
        expected, _ = two_layers(parameters, Rounded(x, "float64"))[-1].softmax_loss(labels)
        assert_within(found, expected.value, expected.error)


@pytest.mark.guarantee("Labels and images of any dtype give the right result or a named error.")
@pytest.mark.filterwarnings("ignore::scratchnet.CaptureWarning")  # mixed types are cuBLAS's
@pytest.mark.parametrize("kind", ["uint8", "bool", "int16"])
def test_images_of_whole_numbers(backend, rng, kind):
    pixels, labels = rng.integers(0, 2, (40, 6)).astype(kind), rng.integers(0, 3, 40)
    layer = sn.Linear(6, 5, 0, activation=sn.relu)
    y = layer(to_device(pixels))
    assert y.dtype == np.float32
    as_floats = layer(to_device(pixels.astype(np.float32)))
    sizes = pixels @ np.abs(host(layer.weight)).T
    assert_within(host(y), host(as_floats), 2 * sum_error(7, sizes, "float32"))
    learner, expected = trained(pixels, labels), exactly_trained(pixels, labels)
    assert {each.dtype for each in parameters_of(learner)} == {np.dtype("float32")}
    assert_trained(learner, expected)
    assert_trained(trained(pixels.astype(np.float32), labels), expected)


@pytest.mark.guarantee("Functions accept any memory layout, read-only arrays and arrays of size 0.")
@pytest.mark.parametrize("kind", [*"bBhHiIlLqQ", ">i4", ">u8"])
def test_labels_of_every_integer_type(backend, rng, kind):
    logits, labels = rng.standard_normal((5, 4)), np.array([3, 0, 1, 2, 3])
    results = []
    for target in (labels, labels.astype(kind)):
        for loss in (sn.softmax_loss, sn.plain_softmax_loss):
            x = variable(logits)
            result = loss(x, to_device(target))
            result.backward()
            results.append([*host(x.grad).ravel(), host(result).item()])
    np.testing.assert_allclose(results, results[:1] * 4, rtol=1e-12, atol=1e-15)


@pytest.mark.guarantee("Labels and images of any dtype give the right result or a named error.")
@pytest.mark.parametrize("kind", ["bool", "float32", "complex64"])
def test_labels_that_are_no_integers(backend, kind):
    labels = to_device(np.array([1, 0]).astype(kind))
    for loss in (sn.softmax_loss, sn.plain_softmax_loss):
        with pytest.raises(sn.OperandError, match=f"(integers|numbers), not {kind}"):
            loss(variable(np.ones((2, 3))), labels)


@pytest.mark.guarantee("Labels and images of any dtype give the right result or a named error.")
@pytest.mark.parametrize("kind", ["uint8", "int64", "bool"])
def test_the_softmax_of_whole_numbers_would_wrap_around(backend, kind):
    x = to_device(np.array([[1, 0]]).astype(kind))
    for function, name in ((sn.softmax, "Softmax"), (sn.log_softmax, "LogSoftmax")):
        with pytest.raises(sn.OperandError, match=rf"^{name}: .* {kind}; .*astype"):
            function(x)


# Numbers.


@pytest.mark.guarantee("NaN or infinity ends a run with an error, and the last checkpoint stays.")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_training_on_what_is_not_finite_names_epoch_and_batch(backend, samples, number):
    x, labels = samples
    spoilt = x.copy()
    spoilt[17, 2] = number
    with pytest.raises(sn.DataError, match=rf"inputs has {number} in row 17, column 2"):
        trained(spoilt, labels)
    learner = trained(x, labels)
    learner.train.inputs[17, 2] = number
    with pytest.raises(sn.NonFiniteLossError, match=r"nan at epoch 2, batch 2 of 5; .* data"):
        learner.fit(1, None)


@pytest.mark.guarantee("Labels and images of any dtype give the right result or a named error.")
@pytest.mark.parametrize("label", [3, 255])
def test_training_on_a_label_that_there_is_not(backend, samples, label):
    x, labels = samples
    labels = labels.astype(np.uint8)
    labels[17] = label
    if backend == "numpy":
        error, message = backends.LabelError, f"label {label} in row 1 is not one of the 3 classes"
    else:  # where an error would stop the host at each step
        error, message = sn.NonFiniteLossError, "nan at epoch 0, batch 2 of 5"
    with pytest.raises(error, match=message):
        trained(x, labels)


@pytest.mark.guarantee("A class that is excluded by a logit of -inf adds nothing to the loss.")
@pytest.mark.parametrize("loss", [sn.softmax_loss, sn.plain_softmax_loss])
def test_a_class_excluded_by_minus_infinity(backend, rng, loss):
    logits, labels = rng.standard_normal((5, 4)), to_device(np.array([0, 2, 1, 1, 0]))
    mask = to_device(np.array([0, 0, 0, -np.inf]))
    x, without = variable(logits), variable(logits[:, :3])
    masked, plain = loss(x + mask, labels), loss(without, labels)
    (masked + plain).backward()
    np.testing.assert_allclose(host(masked), host(plain), rtol=1e-14)
    np.testing.assert_allclose(host(x.grad)[:, :3], host(without.grad), rtol=1e-12, atol=1e-16)
    assert not host(x.grad)[:, 3].any()
    impossible = loss(x + mask, to_device(np.array([0, 3, 1, 1, 0])))
    assert host(impossible) == np.inf


@pytest.mark.guarantee("A class that is excluded by a logit of -inf adds nothing to the loss.")
def test_a_network_learns_though_a_class_is_excluded(backend, samples):
    x, labels = samples
    mask = np.array([[0, 0, -np.inf]], np.float32)

    class Masked(sn.Module):
        capturable = True

        def __init__(self):
            self.net, self.mask = network(), to_device(mask)

        def forward(self, x):
            return self.net(x) + self.mask

    learner = trained(x, labels % 2, Masked(), epochs=4)
    losses = learner.history["train_loss"]
    assert losses[-1] < losses[0] < np.log(2) + 0.5
    assert all(np.isfinite(each).all() for each in parameters_of(learner))
    with pytest.raises(sn.NonFiniteLossError, match="inf at epoch 0, batch 0 of 5"):
        trained(x, labels, Masked())


def test_infinity_and_nan_pass_through_the_relu_and_the_layer(backend):
    numbers = np.array([[-np.inf, -1, 0, np.inf, np.nan]])
    x = variable(numbers)
    y = sn.relu(x)
    y.backward(xp.ones((1, 5)))
    np.testing.assert_array_equal(host(y), [[0, 0, 0, np.inf, np.nan]])
    np.testing.assert_array_equal(host(x.grad), [[0, 0, 0, 1, 0]])


def test_an_operand_may_be_a_subclass_of_the_array():
    class Sub(np.ndarray):
        pass

    y = sn.Variable([1.0, 2.0]) * np.full(2, 3.0).view(Sub)
    assert (type(y.data), y.name) == (np.ndarray, None)
    assert y.data.tolist() == [3, 6]
