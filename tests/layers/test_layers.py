"""Modules, the loss and the optimizer."""

import importlib.util

import numpy as np
import pytest
from arrays import host, variable
from rounding import sum_error

import backends
import scratchnet as sn
from backends import to_device


class Base(sn.Module):
    scale = None

    def __init__(self, rng):
        self.first = sn.Linear(4, 3, rng)


class Net(Base):
    def __init__(self, rng):
        super().__init__(rng)
        self.stack = [sn.Linear(3, 3, rng), (sn.Linear(3, 2, rng),)]
        self.heads = {"a": sn.Linear(2, 2, rng), "again": self.first}
        self.gain = sn.Variable(2.0)
        self.parent = self
        self.number = 3

    def forward(self, x):
        self.hidden = x >> self.first >> sn.relu
        return (self.hidden >> self.stack[0] >> self.stack[1][0] >> self.heads["a"]) * self.gain


NAMES = ["first.weight", "first.bias", "stack.0.weight", "stack.0.bias", "stack.1.0.weight",
         "stack.1.0.bias", "heads.a.weight", "heads.a.bias", "gain"]  # fmt: skip


def test_parameters_are_found_each_once_in_definition_order(backend, rng):
    net = Net(0)
    assert [name for name, _ in net.named_parameters()] == NAMES
    net(variable(rng.standard_normal((5, 4)).astype(np.float32))).sum().backward()
    with sn.no_grad():
        net(variable(rng.standard_normal((5, 4))))  # net.hidden is a result, not a parameter
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert all(g.shape == p.shape for g, p in zip(net.gradients(), net.parameters(), strict=True))
    net.zero_grad()
    assert net.gradients() == [None] * len(NAMES)


def test_a_function_may_count_its_calls(backend):
    class Counting(sn.Function):
        def __init__(self):
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * 2

        def backward(self, grad):
            return grad * 2

    loss = sn.Sequential(Counting())(variable([1.0, 2.0])).sum()
    made = loss.creator.edges[0].creator
    assert "Counting" in sn.draw(loss).dot
    assert sn.explain(loss).steps[1].module == "Sequential"
    assert made.calls == 1


def test_parameters_of_a_class_and_its_base_count_too():
    class Shared(sn.Module):
        offset = sn.Variable([1.0])

    class Own(Shared):
        def __init__(self):
            self.weight = sn.Variable([2.0])

    assert [name for name, _ in Own().named_parameters()] == ["offset", "weight"]


def test_train_and_eval_reach_every_module():
    net = Net(0)
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())


def test_chains_of_modules_and_functions(backend, rng):
    one, two = sn.Linear(4, 3, 0), sn.Linear(3, 2, 1)
    x = variable(rng.standard_normal((5, 4)).astype(np.float32))
    expected = host(two(sn.relu(one(x))))
    for net in (
        sn.Sequential(one, sn.relu, two),
        one >> sn.relu >> two,
        sn.Sequential(one, sn.functions.ReLU(), two),
    ):
        np.testing.assert_array_equal(host(x >> net), expected)
        assert len(net) == 3
        assert len(net.parameters()) == 4
    np.testing.assert_array_equal(host(x >> one >> sn.relu >> two), expected)
    assert len(sn.relu >> two) == 2
    np.testing.assert_array_equal(host(x.data >> one), host(one(x)))
    with pytest.raises(sn.OperandError, match="stage 1"):
        sn.Sequential(one, 3)


def test_a_state_round_trips_and_a_wrong_one_changes_nothing(backend, tmp_path):
    net, other = Net(0), Net(1)
    path = tmp_path / "net.safetensors"
    sn.save(path, net.state_dict(), {"made by": "a test"})
    with backends.use("strict" if backend == "numpy" else "numpy"):
        elsewhere = Net(2)
        elsewhere.load_state_dict(sn.load(path))
        carried = elsewhere.state_dict()
    other.load_state_dict(carried)
    assert sn.load_metadata(path) == {"made by": "a test"}
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    state = net.state_dict()
    state["gain"] += 1
    faults = {
        "no value for first.bias": {k: v for k, v in state.items() if k != "first.bias"},
        "extra is not a parameter": state | {"extra": np.zeros(1)},
        r"first.weight has shape \(3, 5\), but the network's has \(3, 4\)": state
        | {"first.weight": np.zeros((3, 5), np.float32)},
    }
    faults["first.bias holds <U1"] = state | {"first.bias": np.array([["a", "b", "c"]])}
    faults["first.bias has shape"] = state | {"first.bias": [[1.0]]}
    before = net.state_dict()
    for message, fault in faults.items():
        with pytest.raises(sn.CheckpointError, match=message):
            net.load_state_dict(fault)
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


@pytest.mark.guarantee("A read-only parameter is an error, and nothing is updated in part.")
def test_a_state_is_loaded_whole_or_not_at_all(rng):
    net, other = (sn.Linear(3, 2, seed) >> sn.Linear(2, 2, seed) for seed in (0, 1))
    net[1].weight.data.flags.writeable = False
    before = net.state_dict()
    with pytest.raises(sn.CheckpointError, match=r"1\.weight cannot be written to"):
        net.load_state_dict(other.state_dict())
    for path, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[path])


def test_files_that_are_no_saved_model(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a model")
    for path, message in [
        (tmp_path / "none", "no such file"),
        (tmp_path, "is a folder, a pipe or a device"),
        (damaged, "damaged"),
    ]:
        with pytest.raises(sn.CheckpointError, match=message):
            sn.load(path)
    for state, metadata in [({"a": np.array(["text"])}, {}), ({}, {"epochs": 10})]:
        with pytest.raises(sn.CheckpointError, match="only arrays of numbers and text"):
            sn.save(tmp_path / "net", state, metadata)
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (tmp_path / "bf16").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    if importlib.util.find_spec("ml_dtypes") is None:  # with it, NumPy knows bfloat16
        with pytest.raises(sn.CheckpointError, match="dtype"):
            sn.load(tmp_path / "bf16")
    with pytest.raises(sn.CheckpointError, match="cannot be written"):
        sn.save(tmp_path / "none" / "net.safetensors", {})


ONE = np.ones(1)


@pytest.mark.parametrize(
    ("state", "metadata", "message"),
    [
        ({"__metadata__": ONE}, None, "__metadata__ is the text in the file; give another name"),
        ([1], None, "a list cannot be saved; give a dict of arrays by name"),
        (sn.Linear(2, 2, 0), None, "a Linear cannot be saved"),
        ({"a\ud800": ONE}, None, r"'a\\ud800' cannot be written as UTF-8"),
        ({1: ONE}, None, "a name is 1; the names of arrays must be text"),
        ({"a": [[1], [1, 2]]}, None, "only arrays of numbers"),
        ({"a": ONE}, {1: "a"}, "a name is 1; the names of text must be text"),
        ({"a": ONE}, ["a"], "a list cannot be saved; give a dict of text by name"),
        ({"a": ONE}, {"a": np.ones((2, 2))}, "only arrays of numbers and text"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, state, metadata, message):
    with pytest.raises(sn.CheckpointError, match=message) as caught:
        sn.save(tmp_path / "net", state, metadata)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def softmax_by_hand(logits, labels):
    """Return loss and gradient in float64, from the definition."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    gradient = p.copy()
    gradient[rows, labels] -= 1
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = -(shifted[rows, labels] - np.log(e.sum(axis=1))).mean()
    return loss, gradient / len(labels)


@pytest.mark.parametrize("scale", [1, 30, 1e4])
@pytest.mark.parametrize("shape", [(256, 10), (1, 2), (3, 1)], ids=str)
def test_the_loss_against_float64(backend, rng, shape, scale):
    logits = (rng.standard_normal(shape) * scale).astype(np.float32)
    labels = rng.integers(0, shape[1], shape[0])
    loss, gradient = softmax_by_hand(logits.astype(np.float64), labels)
    for target in (labels, labels[:, None], labels.astype(np.uint8)):
        for f in (sn.softmax_loss, sn.plain_softmax_loss):
            x = variable(logits)
            result = f(x, to_device(target))
            (result * 3).backward()
            assert result.shape == ()
            assert result.dtype == x.grad.dtype == np.float32
            # Nothing cancels in log(sum) + |difference|, but in 1 - p and log(1 + the others) it does.
            rows, classes = shape
            small = sum_error(classes + 10, 1, "float32")
            rtol = sum_error(rows + classes + 10, 1, "float32")
            np.testing.assert_allclose(host(result), loss, rtol=rtol, atol=small)
            # A difference rounds by at most u times itself. Below -104, exp is 0 in float32.
            rtol = sum_error(104 + classes + 10, 1, "float32")
            np.testing.assert_allclose(host(x.grad), 3 * gradient, rtol=rtol, atol=3 * small / rows)


def test_the_loss_s_gradient_and_a_target_as_variable_or_list(backend, rng):
    labels = rng.integers(0, 4, 5)
    assert sn.gradcheck(lambda x: sn.softmax_loss(x, to_device(labels)), rng.standard_normal((5, 4)))
    logits = variable(rng.standard_normal((5, 4)))
    of_list = sn.softmax_loss(logits, labels.tolist())
    assert of_list.item() == sn.softmax_loss(logits, sn.Variable(to_device(labels))).item()


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        ((5, 4), np.zeros(3, int), sn.ShapeError, r"\(5, 4\).*\(3,\)"),
        ((5, 4), np.zeros((5, 2), int), sn.ShapeError, r"\(5, 4\).*\(5, 2\)"),
        ((4,), np.zeros(4, int), sn.ShapeError, r"\(4,\)"),
        ((0, 4), np.zeros(0, int), sn.ShapeError, "empty batch"),
        ((5, 4), np.zeros(5, ">i8"), None, ""),
        ((5, 4), np.zeros(5), sn.OperandError, "integers, not float64"),
    ],
)
def test_targets_that_do_not_fit_the_logits(backend, logits, target, error, message):
    if error is None:
        assert sn.softmax_loss(variable(np.ones(logits)), to_device(target)).item() > 0
        return
    with pytest.raises(error, match=message):
        sn.softmax_loss(variable(np.ones(logits)), to_device(target))


def test_the_loss_s_own_function_looks_at_its_operands_too(backend):
    logits = variable(np.ones((2, 3)))
    with pytest.raises(sn.ShapeError, match=r"\(2, 3\).*\(1,\)"):
        sn.functions.SoftmaxCrossEntropy()(logits, to_device(np.array([1])))
    with pytest.raises(sn.OperandError, match="integers, not float64"):
        sn.functions.SoftmaxCrossEntropy()(logits, to_device(np.array([0.9, 1.9])))


def test_the_loss_in_half_precision(backend):
    x = variable(np.zeros((256, 300), np.float16))
    sn.softmax_loss(x, to_device(np.zeros(256, int))).backward()  # 256 * 300 is not a float16
    assert x.grad.dtype == np.float16
    np.testing.assert_allclose(host(x.grad)[0, :2], [-299 / 300 / 256, 1 / 300 / 256], rtol=1e-2)


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_out_of_range_is_never_silent(backend, label):
    logits, labels = variable(np.ones((3, 4))), to_device(np.array([0, label, 1]))
    if backend == "numpy":
        with pytest.raises(backends.LabelError, match=f"label {label} in row 1"):
            sn.softmax_loss(logits, labels)
    else:
        assert np.isnan(sn.softmax_loss(logits, labels).item())
    assert np.isnan(sn.plain_softmax_loss(logits, labels).item())


def test_sgd_steps_against_the_gradient(backend):
    a, b, unused = variable([1.0, 2.0]), variable([[3.0]]), variable([7.0])
    optimizer = sn.SGD([a, b, unused], 0.5)
    before = a.data
    ((a * a).sum() + b.sum()).backward()
    optimizer.step()
    np.testing.assert_array_equal(host(a), [0, 0])
    np.testing.assert_array_equal(host(b), [[2.5]])
    np.testing.assert_array_equal(host(unused), [7])
    assert a.data is before
    optimizer.zero_grad()
    assert a.grad is None
    optimizer.learning_rate = 2.0
    b.sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(host(b), [[0.5]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: sn.SGD([], 0.1), sn.SettingError, "no parameters"),
        (lambda p: sn.SGD([p, p], 0.1), sn.SettingError, "twice"),
        (lambda p: sn.SGD([np.ones(1)], 0.1), sn.OperandError, "is not a parameter"),
        (lambda p: sn.SGD(variable([[1.0]]), 0.1), sn.OperandError, "is a Variable; give a list"),
        (lambda p: sn.SGD(sn.Linear(1, 1), 0.1), sn.OperandError, "is a Linear; give a list"),
        (lambda p: sn.SGD([p * 2], 0.1), sn.OperandError, "is the result"),
        (lambda p: sn.SGD([p], "0.1"), sn.SettingError, "learning_rate is '0.1'"),
        (lambda p: sn.SGD([p], 0), sn.SettingError, "learning_rate is 0"),
        (lambda p: sn.SGD([p], float("nan")), sn.SettingError, "learning_rate"),
    ],
)
def test_settings_and_inputs_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make(sn.Variable(1))


def test_a_state_lies_as_every_reader_expects_and_a_weight_as_the_kernels_like(backend):
    layer = sn.Linear(5, 3, 0)
    assert all(each.flags.c_contiguous for each in layer.state_dict().values())
    if backend == "numpy":
        assert layer.weight.data.flags.f_contiguous


@pytest.mark.parametrize("kind", ["int8", "int64", "bool"])
def test_an_update_by_a_gradient_of_whole_numbers(backend, kind):
    p = variable(np.ones(3, np.float32))
    p.grad = to_device(np.array([1, 1, 0]).astype(kind))
    sn.SGD([p], 0.1).step()
    np.testing.assert_allclose(host(p), [0.9, 0.9, 1], rtol=1e-6)


def test_a_threshold_for_each_column(backend):
    x = variable(np.zeros((2, 3), np.float32))
    if backend == "numpy":
        assert host(sn.threshold(x, np.array([-1.0, 0, 1], np.float32))).tolist() == [[0, 0, 1]] * 2
    assert not np.signbit(host(sn.relu(sn.threshold(x, -0.0) - 1))).any()


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "Linear": (2, 3), "Conv1d": (2, 3, 1), "Conv2d": (2, 3, 1), "ConvTranspose2d": (2, 3, 1),
        "BatchNorm1d": (2,), "BatchNorm2d": (2,), "LayerNorm": (2,), "GroupNorm": (1, 2),
        "RMSNorm": (2,),
        "Embedding": (2, 3), "RNN": (2, 3), "LSTM": (2, 3), "GRU": (2, 3), "RNNCell": (2, 3),
        "LSTMCell": (2, 3), "GRUCell": (2, 3), "MultiheadAttention": (4, 2),
        "TransformerEncoderLayer": (4, 2),
    }.items(),
)  # fmt: skip
def test_every_layer_with_parameters_takes_a_seed_and_a_dtype(backend, name, arguments):
    one, two = (getattr(sn, name)(*arguments, rng=3, dtype="float64") for _ in range(2))
    assert one.parameters()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert a.dtype == "float64"
        np.testing.assert_array_equal(host(a), host(b))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_network_is_converted_whole(backend, dtype):
    net = sn.Sequential(sn.Linear(3, 4, 0), sn.BatchNorm1d(4), sn.relu, sn.GRUCell(4, 2, rng=1))
    before = net.state_dict()
    x = to_device(np.ones((2, 3), dtype))
    assert net.astype(dtype) is net
    after = net.state_dict()
    assert after["1.num_batches_tracked"].dtype == np.int64
    for path, array in before.items():
        expected = array.astype(dtype) if array.dtype.kind == "f" else array
        np.testing.assert_array_equal(after[path], expected)
        assert after[path].dtype == expected.dtype
    y = net(x)
    y.backward(to_device(np.ones((2, 2), dtype)))
    assert {y.dtype, *(each.grad.dtype for each in net.parameters())} == {np.dtype(dtype)}
    with pytest.raises(sn.SettingError, match="dtype is 'int64'"):
        net.astype("int64")


NAMED = [
    sn.Linear(2, 3, 0), sn.Conv2d(1, 2, 3, rng=0), sn.BatchNorm2d(3), sn.LayerNorm(3), sn.RMSNorm(3),
    sn.GroupNorm(1, 2), sn.LSTM(2, 3, rng=0), sn.Embedding(3, 2, rng=0),
    sn.MultiheadAttention(4, 2, rng=0),
]  # fmt: skip


@pytest.mark.parametrize("layer", NAMED, ids=lambda layer: type(layer).__name__)
def test_parameters_are_named_like_their_attributes(layer):
    assert [each.name for _, each in layer.named_parameters()] == [
        path.rpartition(".")[2] for path, _ in layer.named_parameters()
    ]
