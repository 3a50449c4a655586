"""The recurrent layers and cells: PyTorch's numbers, masks, state, dropout, captures and messages."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import Backend, active, to_device

ROOM = "recurrent"
LAYERS = {
    "RNN": ("RNN", {}),
    "RNN with ReLU": ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    "RNN, both ways": ("RNN", {"num_layers": 2, "bidirectional": True}),
    "LSTM": ("LSTM", {}),
    "LSTM without bias": ("LSTM", {"bias": False, "bidirectional": True}),
    "LSTM, both ways": ("LSTM", {"num_layers": 2, "bidirectional": True}),
    "LSTM, steps first": ("LSTM", {"batch_first": False}),
    "GRU": ("GRU", {}),
    "GRU without bias": ("GRU", {"bias": False}),
    "GRU, both ways": ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": False}),
}
CELLS = {
    "RNNCell": ("RNNCell", {}),
    "RNNCell with ReLU": ("RNNCell", {"nonlinearity": "relu", "bias": False}),
    "LSTMCell": ("LSTMCell", {}),
    "GRUCell": ("GRUCell", {}),
}
MASKED = {
    f"{name}, of several lengths": name for name in ("RNN", "LSTM", "GRU, both ways", "LSTM, both ways")
}
CASES = [*LAYERS, *CELLS, *MASKED, "ten steps"]
LENGTHS = [4, 1, 3]


def drawn(case):
    """The parameters, an input of three sequences with four steps, and the state at the start."""
    name, settings = (LAYERS | CELLS)[MASKED.get(case, case)]
    rng = np.random.default_rng(sum(map(ord, case)))
    layer = getattr(sn, name)(3, 4, **settings, rng=0, dtype="float64")
    parameters = {path: rng.uniform(-1, 1, each.shape) for path, each in layer.named_parameters()}
    steps = () if case in CELLS else (3, 4) if settings.get("batch_first", True) else (4, 3)
    runs = (
        ()
        if case in CELLS
        else (settings.get("num_layers", 1) * (1 + settings.get("bidirectional", 0)),)
    )
    x = rng.standard_normal((*(steps or (3,)), 3))
    state = [rng.standard_normal((*runs, 3, 4)) for _ in range(1 + ("LSTM" in name))]
    return parameters, x, state


def flat(result):
    """The arrays of a result, which may be nested tuples."""
    return [a for each in result for a in flat(each)] if isinstance(result, tuple) else [result]


def described(y, first, second, names):
    found = {f"result {i}": each for i, each in enumerate(y)}
    found |= {f"gradient at {name}": each for name, each in zip(names, first, strict=True)}
    return found | {f"second at {name}": each for name, each in zip(names, second, strict=True)}


def by_pytorch(torch, case):
    if case == "ten steps":
        return training_by_pytorch(torch)
    name, settings = (LAYERS | CELLS)[MASKED.get(case, case)]
    first = {} if case in CELLS else {"batch_first": settings.get("batch_first", True)}
    layer = getattr(torch.nn, name)(3, 4, **(settings | first)).double()
    parameters, x, state = drawn(case)
    layer.load_state_dict({path: torch.tensor(each) for path, each in parameters.items()})
    x, *state = (torch.tensor(each, requires_grad=True) for each in (x, *state))
    given = x
    if case in MASKED:
        given = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, first["batch_first"], False)
    y = layer(given, tuple(state) if len(state) > 1 else state[0])
    if case in MASKED:
        y = torch.nn.utils.rnn.pad_packed_sequence(y[0], first["batch_first"])[0], y[1]
    y = flat(y)
    inputs = {
        "x": x,
        **{f"state {i}": each for i, each in enumerate(state)},
        **dict(layer.named_parameters()),
    }
    loss = sum((each**2).sum() for each in y)
    once = torch.autograd.grad(loss, list(inputs.values()), create_graph=True)
    twice = torch.autograd.grad(sum((each**2).sum() for each in once), list(inputs.values()))
    return {name: each.detach().numpy() for name, each in described(y, once, twice, inputs).items()}


def ours(case, dtype="float64", fill=0.0):
    name, settings = (LAYERS | CELLS)[MASKED.get(case, case)]
    layer = getattr(sn, name)(3, 4, **settings, rng=0, dtype=dtype)
    parameters, x, state = drawn(case)
    layer.load_state_dict({path: each.astype(dtype) for path, each in parameters.items()})
    more = {}
    if case in MASKED:
        valid = np.arange(4) < np.array(LENGTHS)[:, None]
        valid = valid if settings.get("batch_first", True) else valid.T
        x[~valid] += fill
        more = {"mask": to_device(valid)}
    x, *state = (variable(each.astype(dtype)) for each in (x, *state))
    y = flat(layer(x, tuple(state) if len(state) > 1 else state[0], **more))
    inputs = {
        "x": x,
        **{f"state {i}": each for i, each in enumerate(state)},
        **dict(layer.named_parameters()),
    }
    loss = sum((each**2).sum() for each in y)
    once = sn.grad(loss, list(inputs.values()), retain_graph=True)
    of_graph = sn.grad(loss, list(inputs.values()), create_graph=True)
    for kernel, steps in zip(once, of_graph, strict=True):
        np.testing.assert_allclose(host(kernel), host(steps), rtol=1e-9, atol=1e-9)
    twice = sn.grad(sum((each**2).sum() for each in of_graph), list(inputs.values()))
    return {name: host(each) for name, each in described(y, once, twice, inputs).items()}


@pytest.mark.parametrize("case", [*LAYERS, *CELLS, *MASKED])
def test_a_layer_computes_what_pytorch_computes(backend, case):
    assert_pytorch(ROOM, case, ours(case), rtol=1e-9)


@pytest.mark.parametrize("case", MASKED)
def test_what_the_padding_holds_counts_nowhere(backend, case):
    plain, of_nan = ours(case), ours(case, fill=np.nan)
    for name, each in plain.items():
        np.testing.assert_array_equal(each, of_nan[name], err_msg=name)


def test_a_mask_may_leave_out_any_step(backend):
    """A sequence with gaps gives what the sequence without them gives."""
    rng = np.random.default_rng(0)
    x, valid = rng.standard_normal((2, 5, 3)), np.array([[1, 0, 1, 1, 0]] * 2, bool)
    for name in ("RNN", "LSTM", "GRU"):
        layer = getattr(sn, name)(3, 4, bidirectional=True, rng=0, dtype="float64")
        y, state = layer(variable(x), mask=to_device(valid))
        closed, last = layer(variable(x[:, [0, 2, 3]]))
        np.testing.assert_allclose(host(y)[:, [0, 2, 3]], host(closed), rtol=1e-12)
        assert not host(y)[:, [1, 4]].any()
        for one, two in zip(flat(state), flat(last), strict=True):
            np.testing.assert_allclose(host(one), host(two), rtol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_layer_is_its_cell_step_after_step(backend, name):
    layer, cell = getattr(sn, name)(3, 4, rng=0), getattr(sn, f"{name}Cell")(3, 4, rng=1)
    cell.load_state_dict({path[: -len("_l0")]: each for path, each in layer.state_dict().items()})
    x, state = to_device(np.random.default_rng(0).standard_normal((2, 6, 3)).astype("f4")), None
    y, last = layer(x)
    for t in range(6):
        state = cell(x[:, t], state)
        np.testing.assert_allclose(host(flat(state)[0]), host(y)[:, t], rtol=1e-5, atol=1e-6)
    alone = flat(cell(x[0, 0]))  # one row, without a batch
    assert [each.shape for each in alone] == [(4,)] * len(alone)
    np.testing.assert_allclose(host(alone[0]), host(y)[0, 0], rtol=1e-5, atol=1e-6)
    for one, two in zip(flat(state), flat(last), strict=True):
        np.testing.assert_allclose(host(one), host(two)[0], rtol=1e-5, atol=1e-6)


def test_one_sequence_alone_and_without_the_state(backend):
    rng = np.random.default_rng(0)
    for name, settings in (
        ("LSTM", {}),
        ("GRU", {"batch_first": False}),
        ("RNN", {"bidirectional": True}),
    ):
        layer = getattr(sn, name)(3, 4, rng=0, **settings)
        x = to_device(rng.standard_normal((5, 3)).astype("f4"))
        y, state = layer(x)
        many, states = layer(x[None] if layer.batch_first else x[:, None])
        np.testing.assert_array_equal(host(y), host(many).reshape(y.shape))
        for one, two in zip(flat(state), flat(states), strict=True):
            assert one.shape == (two.shape[0], 4)
            np.testing.assert_array_equal(host(one), host(two)[:, 0])
        again, _ = layer(x, state, to_device(np.ones(5, bool)))
        assert (host(again) != host(y)).any()
    net = sn.Sequential(sn.GRU(3, 4, return_state=False, rng=0), sn.Linear(4, 2, 0))
    assert net(to_device(np.ones((2, 5, 3), "f4"))).shape == (2, 5, 2)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_batch_may_be_empty(backend, name):
    layer, x = getattr(sn, name)(3, 4, bidirectional=True, rng=0), variable(np.ones((0, 5, 3), "f4"))
    y, state = layer(x)
    assert y.shape == (0, 5, 8)
    assert {each.shape for each in flat(state)} == {(2, 0, 4)}
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not any(host(each).any() for each in layer.gradients())


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_change_between_forward_and_backward_gives_no_wrong_gradient(backend, name):
    layer, x = getattr(sn, name)(3, 4, rng=0), variable(np.ones((2, 5, 3), "f4"))
    mask, found = to_device(np.arange(5) < np.array([[5], [2]])), []
    for of_mask in (mask.copy(), mask):
        loss = layer(x, mask=of_mask)[0].sum()
        mask[...] = True  # the layer has its own mask
        found.append([host(each) for each in sn.grad(loss, [x, *layer.parameters()])])
        mask[...] = to_device(np.arange(5) < np.array([[5], [2]]))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    y, _ = layer(x)
    loss = (2 * y).sum()
    with sn.no_grad():
        y[...] = 0
    with pytest.raises(sn.StaleGraphError, match=f"was changed after {name} used it"):
        loss.backward()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("case", ["RNN, both ways", "LSTM, both ways", "GRU"])
def test_narrow_types_are_close_to_float64(backend, case, dtype):
    wide, narrow = ours(case), {}
    name, settings = LAYERS[case]
    layer = getattr(sn, name)(3, 4, **settings, rng=0, dtype=dtype)
    parameters, x, state = drawn(case)
    layer.load_state_dict({path: each.astype(dtype) for path, each in parameters.items()})
    x, *state = (variable(each.astype(dtype)) for each in (x, *state))
    for i, each in enumerate(flat(layer(x, tuple(state) if len(state) > 1 else state[0]))):
        assert each.dtype == dtype
        narrow[f"result {i}"] = host(each)
    for name, each in narrow.items():
        np.testing.assert_allclose(each, wide[name], atol=64 * np.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(("of_x", "of_weights"), [("f4", "f8"), ("f8", "f4"), ("f2", "f4")])
def test_mixed_types_give_the_wider_one_as_in_a_cell(backend, name, of_x, of_weights):
    x = np.random.default_rng(0).standard_normal((2, 1, 3)).astype(of_x)
    layer, cell = (getattr(sn, f"{name}{end}")(3, 4, rng=0, dtype=of_weights) for end in ("", "Cell"))
    (y, *_), (h, *_) = flat(layer(to_device(x))), flat(cell(to_device(x[:, 0])))
    assert y.dtype == h.dtype == np.result_type(of_x, of_weights)
    np.testing.assert_allclose(host(y)[:, 0], host(h), rtol=1e-5 if "f4" in of_x + of_weights else 1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "relu_rnn"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_kernel_and_its_twin_agree(backend, cell, masked, reverse):
    rng, states = np.random.default_rng(0), 2 if cell == "lstm" else 1
    width = 6 * {"lstm": 4, "gru": 3}.get(cell, 1)
    shapes = (5, 3, 4), (width, 4), (width, 6), (width,), (width,)
    x, *weights = (to_device(rng.standard_normal(each)) for each in shapes)
    grad, *start = (to_device(rng.standard_normal(each)) for each in ((5, 3, 6), *[(3, 6)] * 2 * states))
    state, to_state = tuple(start[:states]), tuple(start[states:])
    how = tuple(weights), to_device(rng.random((5, 3)) < 0.6) if masked else None, reverse
    found = []
    for kernels in (type(active()), Backend):
        y, last, saved = kernels.recurrence(active(), cell, x, state, *how)
        back = kernels.recurrence_backward(active(), cell, grad, to_state, x, state, *how, saved, True)
        found.append([host(each) for each in flat((y, last, back))])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


def start_of_training():
    rng = np.random.default_rng(3)
    shapes = {
        "0.weight_ih_l0": (24, 4), "0.weight_hh_l0": (24, 6), "0.bias_ih_l0": (24,),
        "0.bias_hh_l0": (24,), "1.weight": (2, 6), "1.bias": (2,),
    }  # fmt: skip
    state = {name: rng.standard_normal(shape) / 2 for name, shape in shapes.items()}
    return state, rng.standard_normal((10, 8, 5, 4)), rng.standard_normal((10, 8, 5, 2))


def training_by_pytorch(torch):
    net = torch.nn.ModuleList([torch.nn.LSTM(4, 6, batch_first=True), torch.nn.Linear(6, 2)]).double()
    state, inputs, targets = start_of_training()
    net.load_state_dict({name: torch.tensor(each) for name, each in state.items()})
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for x, t in zip(torch.tensor(inputs), torch.tensor(targets), strict=True):
        adam.zero_grad()
        ((net[1](net[0](x)[0]) - t) ** 2).mean().backward()
        adam.step()
    return {name: each.numpy() for name, each in net.state_dict().items()}


def test_ten_steps_of_training(backend):
    net = sn.Sequential(
        sn.LSTM(4, 6, return_state=False, dtype="float64"), sn.Linear(6, 2, dtype="float64")
    )
    state, inputs, targets = start_of_training()
    net.load_state_dict(state)
    adam = sn.Adam(net.parameters(), 0.01)
    for x, t in zip(inputs, targets, strict=True):
        adam.zero_grad()
        sn.mse_loss(net(variable(x)), to_device(t)).backward()
        adam.step()
    assert_pytorch(ROOM, "ten steps", net.state_dict(), rtol=1e-9)


def learner(capture):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5, 3)).astype("f4"), rng.integers(0, 2, 40).astype("u1")
    data = sn.ArrayDataLoader(to_device(x), to_device(y), 10, seed=2)
    net = sn.Sequential(
        sn.GRU(3, 4, 2, dropout=0.5, return_state=False, rng=0),
        sn.LSTM(4, 4, bidirectional=True, return_state=False, rng=1), sn.Flatten(),
        sn.Linear(40, 2, 2),
    )  # fmt: skip
    metrics = sn.MetricsCollector(data, data, sn.softmax_loss, capture)
    found = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics, capture)
    found.fit(3, None)
    return found


def test_a_captured_epoch_has_the_bits_of_single_steps(backend):
    captured, steps = learner(active().captures), learner(False)
    if active().captures:
        assert captured.replay.how.startswith("one launch")
    for name, each in steps.net.state_dict().items():
        np.testing.assert_array_equal(each, captured.net.state_dict()[name], err_msg=name)
    assert len(set(steps.history["train_loss"])) == 3


def test_dropout_acts_between_layers_in_training_only(backend):
    layer = sn.LSTM(3, 8, 2, dropout=0.5, rng=0)
    x = to_device(np.ones((2, 4, 3), "f4"))
    one, two = (host(layer(x)[0]) for _ in range(2))
    assert (one != two).any()
    assert (one != 0).all()  # the last layer's output is not dropped
    layer.eval()
    np.testing.assert_array_equal(host(layer(x)[0]), host(layer(x)[0]))
    assert list(layer.generators()) == ["dropout.generator"]


def test_the_names_and_initial_values_are_torch_s():
    layer = sn.GRU(5, 6, 2, bidirectional=True, rng=0)
    assert list(layer.state_dict())[:8] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse",
        "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse",
    ]  # fmt: skip
    assert layer.weight_ih_l1.shape == (18, 12)
    drawn = np.concatenate([each.reshape(-1) for each in layer.state_dict().values()])
    assert 0.95 / np.sqrt(6) < np.abs(drawn).max() <= 1 / np.sqrt(6)
    assert repr(layer).startswith("GRU(5, 6, num_layers=2, bidirectional=True")
    assert repr(sn.RNN(5, 6, nonlinearity="relu")).startswith("RNN(5, 6, nonlinearity='relu'")
    assert repr(sn.RNNCell(5, 6, False, "relu")) == "RNNCell(5, 6, bias=False, nonlinearity='relu')"


def ones(*shape, dtype="float32"):
    return to_device(np.ones(shape, dtype))


@pytest.mark.parametrize("kind", [sn.RNN, sn.LSTM, sn.GRU])
def test_an_empty_batch_keeps_its_shape(backend, kind):
    layer, x = kind(3, 5, return_state=False, rng=0), variable(np.ones((0, 4, 3)))
    y = layer(x)
    y.sum().backward()
    assert y.shape == (0, 4, 5)
    assert x.grad.shape == (0, 4, 3)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: sn.LSTM(3, 4)(ones(2, 5, 4)), r"LSTM: input has shape \(2, 5, 4\), .*\(n, steps, 3\)"),
        (lambda: sn.GRU(3, 4, batch_first=False)(ones(3)), r"\(3,\), .*\(steps, n, 3\)"),
        (lambda: sn.LSTM(3, 4)(ones(2, 5, 3, dtype="int64")), "dtype int64; .*Embedding"),
        (lambda: sn.LSTM(3, 4)([[1.0]]), "LSTM: x is a list"),
        (lambda: sn.RNN(3, 4)(ones(2, 0, 3)), "RNN: the input has no steps"),
        (lambda: sn.LSTM(3, 4)(ones(2, 5, 3), ones(1, 2, 4)), r"the tuple \(h, c\)"),
        (
            lambda: sn.LSTM(3, 4)(ones(2, 5, 3), (ones(1, 2, 4), ones(2, 4))),
            r"LSTM: c has shape \(2, 4\), but it must have shape \(1, 2, 4\)",
        ),
        (lambda: sn.GRU(3, 4)(ones(2, 5, 3), ones(1, 5, 4)), r"h has shape \(1, 5, 4\).*\(1, 2, 4\)"),
        (
            lambda: sn.GRU(3, 4)(ones(2, 5, 3), mask=ones(5, 2, dtype="bool")),
            r"GRU: mask has shape \(5, 2\), but it must have shape \(2, 5\)",
        ),
        (lambda: sn.GRU(3, 4)(ones(2, 5, 3), mask=ones(2, 5)), "float32; it must be boolean"),
        (lambda: sn.GRUCell(3, 4)(ones(2, 4)), r"GRUCell: input has shape \(2, 4\), .*\(n, 3\)"),
        (lambda: sn.LSTMCell(3, 4)(ones(2, 3), ones(2, 4)), r"LSTMCell: state is .*\(h, c\)"),
        (lambda: sn.LSTM(0, 4), "LSTM: input_size is 0; it must be a positive integer"),
        (lambda: sn.LSTM(3, 4, 2, dropout=1.5), "LSTM: dropout is 1.5; it must be a number from 0 to 1"),
        (lambda: sn.GRU(3, 4, dropout=0.5), "GRU: dropout is 0.5, but it acts between layers"),
        (lambda: sn.RNN(3, 4, nonlinearity="gelu"), "RNN: nonlinearity is 'gelu'; it must be"),
        (lambda: sn.RNN(3, 4, nonlinearity=["relu"]), r"RNN: nonlinearity is \['relu'\]; it must be"),
        (
            lambda: sn.GRU(3, 4)(ones(2, 5, 3), ones(1, 2, 4, dtype="int64")),
            "GRU: h has dtype int64; it must be floating",
        ),
        (lambda: sn.LSTM(3, 4, dtype="int64"), "LSTM: dtype is 'int64'"),
    ],
)
def test_a_fault_is_one_clear_line(work, message):
    with pytest.raises(sn.ScratchnetError, match=message) as caught:
        work()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_pytorch_still_gives_the_stored_results(case):
    assert_still_stored(ROOM, case, by_pytorch, rtol=1e-9)
