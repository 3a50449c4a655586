"""Attention layers: PyTorch's numbers, training, capture, dropout, states and messages."""

import copy
import pickle
from inspect import signature

import numpy as np
import pytest
from arrays import host
from oracle import assert_pytorch, assert_still_stored

import backends
import scratchnet as sn
from backends import active, to_device

ROOM = "layers_attention"
LATER = np.triu(np.ones((3, 3), bool), 1)
PADDING = np.array([[False, False, True], [True, False, False]])
SCORES = np.random.default_rng(5).standard_normal((3, 3))
OTHER = (2, 5, 8), (2, 5, 8)
X = (2, 3, 8)

ATTENTION = {
    "self-attention": ({}, [X], {}),
    "causal": ({}, [X], {"is_causal": True}),
    "masked": ({}, [X], {"attn_mask": LATER.T}),
    "padding": ({}, [X], {"key_padding_mask": PADDING, "average_attn_weights": False}),
    "both": ({}, [X], {"key_padding_mask": PADDING, "attn_mask": np.eye(3)[[1, 2, 0]] > 0}),
    "numbers": ({}, [X], {"attn_mask": SCORES}),
    "numbers twice": ({}, [X], {"attn_mask": SCORES, "key_padding_mask": PADDING * -2.5}),
    "a mask of each head": (
        {},
        [X],
        {"attn_mask": np.stack([LATER, LATER.T, LATER * 0, LATER] * 2) > 0},
    ),
    "a query without keys": (
        {},
        [X],
        {"attn_mask": LATER.T | np.eye(3, dtype=bool), "need_weights": False},
    ),
    "of a memory": ({}, [X, *OTHER], {"key_padding_mask": np.arange(10).reshape(2, 5) % 3 == 1}),
    "kdim and vdim": ({"kdim": 5, "vdim": 6}, [X, (2, 4, 5), (2, 4, 6)], {}),
    "kdim without bias": ({"kdim": 5, "bias": False}, [X, (2, 4, 5), (2, 4, 8)], {}),
    "without bias": ({"bias": False}, [X], {}),
    "length first": ({"batch_first": False}, [(3, 2, 8)], {"key_padding_mask": PADDING}),
    "of a memory, length first": ({"batch_first": False}, [(3, 2, 8), (5, 2, 8), (5, 2, 8)], {}),
    "no batch": ({}, [(3, 8)], {"key_padding_mask": PADDING[0]}),
    "no batch, each head": ({}, [(3, 8), (4, 8), (4, 8)], {"average_attn_weights": False}),
}
ENCODERS = {
    "encoder": ({}, [X], {}),
    "causal encoder": ({}, [X], {"is_causal": True}),
    "padded encoder": ({}, [X], {"src_mask": LATER.T & ~LATER, "src_key_padding_mask": PADDING}),
    "norm first": ({"norm_first": True, "layer_norm_eps": 1e-3}, [X], {"src_key_padding_mask": PADDING}),
    "gelu": ({"activation": "gelu"}, [X], {"src_mask": SCORES}),
    "encoder without bias": ({"bias": False, "norm_first": True}, [X], {}),
    "encoder, length first": ({"batch_first": False}, [(3, 2, 8)], {}),
    "encoder, no batch": ({}, [(3, 8)], {}),
}  # fmt: skip
LAYERS = ATTENTION | ENCODERS
CASES = [*LAYERS, "ten steps"]


def made(library, case, **settings):
    if case in ATTENTION:
        return library.MultiheadAttention(8, 4, **{"batch_first": True} | LAYERS[case][0] | settings)
    given = {"batch_first": True} | LAYERS[case][0] | settings
    return library.TransformerEncoderLayer(8, 4, 12, dropout=0.0, **given)


def drawn(case, state):
    """A state, the inputs, and the numbers from which the gradient at the result comes."""
    rng = np.random.default_rng(sum(map(ord, case)))
    values = {name: rng.standard_normal(each.shape) / 2 for name, each in sorted(state.items())}
    return values, [rng.standard_normal(shape) for shape in LAYERS[case][1]]


def results(out, inputs, parameters, variable, grad):
    """Result, weights, and the gradients that they give; second ones at the query and a weight."""
    out, weights = out if isinstance(out, tuple) else (out, None)
    total = (out * variable(np.cos(np.arange(out[..., 0].shape[-1] * 8.0).reshape(-1, 8)))).sum()
    found = {"y": out}
    if weights is not None:
        found["weights"] = weights
        total = total + (weights * weights).sum()
    first = grad(total, [*inputs, *parameters.values()], create_graph=True)
    second = grad((first[0] * first[0]).sum(), [inputs[0], next(iter(parameters.values()))])
    names = [*(f"input {i}" for i in range(len(inputs))), *parameters]
    found |= {f"gradient of {n}": each for n, each in zip(names, first, strict=True)}
    found |= {"second of x": second[0], "second of a weight": second[1]}
    return {name: each for name, each in found.items() if each is not None}


def by_pytorch(torch, case):
    if case == "ten steps":
        return training_by_pytorch(torch)
    layer = made(torch.nn, case).double()
    state, arrays = drawn(case, layer.state_dict())
    layer.load_state_dict({name: torch.tensor(each) for name, each in state.items()})
    inputs = [torch.tensor(each, requires_grad=True) for each in arrays]
    given = inputs * 3 if len(inputs) == 1 and case in ATTENTION else inputs
    options = {
        name: torch.tensor(each) if isinstance(each, np.ndarray) else each
        for name, each in LAYERS[case][2].items()
    }
    if options.pop("is_causal", False):
        options["attn_mask" if case in ATTENTION else "src_mask"] = torch.tensor(LATER)

    def grad(output, inputs, **how):
        found = torch.autograd.grad(output, inputs, allow_unused=True, **how)
        return [each if each is None or each.any() else None for each in found]

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        out = layer(*given, **options)
        found = results(out, inputs, dict(layer.named_parameters()), torch.tensor, grad)
    return {name: each.detach().numpy() for name, each in found.items()}


def ours(case, dtype="float64"):
    layer = made(sn, case, dtype=dtype)
    state, arrays = drawn(case, layer.state_dict())
    layer.load_state_dict(state)

    def variable(array):
        return sn.Variable(to_device(array.astype(dtype) if array.dtype.kind == "f" else array))

    def grad(output, inputs, **how):
        found = sn.grad(output, inputs, **how)
        return [each if each is not None and host(each).any() else None for each in found]

    inputs = [variable(each) for each in arrays]
    options = {
        name: variable(each).data if isinstance(each, np.ndarray) else each
        for name, each in LAYERS[case][2].items()
    }
    out = layer(*inputs, **options)
    found = results(out, inputs, dict(layer.named_parameters()), variable, grad)
    return {name: host(each) for name, each in found.items()}


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_pytorch_computes(backend, case):
    assert_pytorch(ROOM, case, ours(case), rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("case", ["both", "numbers twice", "kdim and vdim", "gelu"])
def test_smaller_dtypes(backend, case, dtype):
    wide, found = ours(case), ours(case, dtype)
    for name in ("y", "gradient of input 0"):
        assert found[name].dtype == dtype
        atol = 100 * np.finfo(dtype).eps * np.abs(wide[name]).max()
        np.testing.assert_allclose(found[name], wide[name], atol=atol, err_msg=name)


def start_of_training(shapes):
    rng = np.random.default_rng(1)
    state = {name: rng.standard_normal(each.shape) / 2 for name, each in sorted(shapes.items())}
    return state, rng.standard_normal((10, *X)), rng.standard_normal((10, *X))


def training_by_pytorch(torch):
    layer = made(torch.nn, "encoder").double()
    state, inputs, targets = start_of_training(layer.state_dict())
    layer.load_state_dict({name: torch.tensor(each) for name, each in state.items()})
    sgd = torch.optim.SGD(layer.parameters(), 0.1)
    for x, t in zip(torch.tensor(inputs), torch.tensor(targets), strict=True):
        sgd.zero_grad()
        ((layer(x, src_mask=torch.tensor(LATER)) - t) ** 2).mean().backward()
        sgd.step()
    return {name: each.numpy() for name, each in layer.state_dict().items()}


def test_ten_steps_of_training(backend):
    layer = made(sn, "encoder", dtype="float64")
    state, inputs, targets = start_of_training(layer.state_dict())
    layer.load_state_dict(state)
    sgd = sn.SGD(layer.parameters(), 0.1)
    for x, t in zip(inputs, targets, strict=True):
        layer.zero_grad()
        sn.mse_loss(layer(to_device(x), is_causal=True), to_device(t)).backward()
        sgd.step()
    assert_pytorch(ROOM, "ten steps", layer.state_dict(), rtol=1e-9)


@pytest.mark.parametrize("norm_first", [False, True])
def test_causal_is_the_mask_of_later_positions(backend, norm_first):
    layer = sn.TransformerEncoderLayer(8, 2, 16, 0.0, norm_first=norm_first, rng=0)
    x = to_device(np.random.default_rng(0).standard_normal((2, 3, 8)).astype("float32"))
    masked = host(layer(x, src_mask=to_device(LATER)))
    np.testing.assert_array_equal(host(layer(x, is_causal=True)), masked)
    assert not np.array_equal(host(layer(x)), masked)


def test_states_have_the_names_and_shapes_of_torch_s(backend):
    def shapes(layer):
        return {name: each.shape for name, each in layer.state_dict().items()}

    joined = {"out_proj.weight": (8, 8), "out_proj.bias": (8,)}
    packed = {"in_proj_weight": (24, 8), "in_proj_bias": (24,)} | joined
    assert shapes(sn.MultiheadAttention(8, 2)) == packed
    assert shapes(sn.MultiheadAttention(8, 2, kdim=5)) == {
        "q_proj_weight": (8, 8), "k_proj_weight": (8, 5), "v_proj_weight": (8, 8), "in_proj_bias": (24,),
    } | joined  # fmt: skip
    assert shapes(sn.MultiheadAttention(8, 2, bias=False)) == {
        "in_proj_weight": (24, 8), "out_proj.weight": (8, 8),
    }  # fmt: skip
    assert shapes(sn.TransformerEncoderLayer(8, 2, 12)) == {
        **{f"self_attn.{name}": shape for name, shape in packed.items()},
        "linear1.weight": (12, 8), "linear1.bias": (12,), "linear2.weight": (8, 12),
        "linear2.bias": (8,), "norm1.weight": (8,), "norm1.bias": (8,), "norm2.weight": (8,),
        "norm2.bias": (8,),
    }  # fmt: skip
    assert shapes(sn.SinusoidalPositions(8)) == {}


def test_initial_values_are_torch_s(backend):
    state = sn.MultiheadAttention(64, 4, rng=1).state_dict()
    separate = sn.MultiheadAttention(64, 4, kdim=32, rng=1).state_dict()
    for values, bound in (
        (state["in_proj_weight"], (6 / 256) ** 0.5),
        (state["out_proj.weight"], 1 / 8),
        (separate["k_proj_weight"], (6 / 96) ** 0.5),
    ):
        assert bound * 0.99 < np.abs(values).max() <= bound
        assert abs(values.std() * 3**0.5 - bound) < bound * 0.03
    assert not state["in_proj_bias"].any()
    assert not state["out_proj.bias"].any()
    again = sn.MultiheadAttention(64, 4, rng=1).state_dict()
    np.testing.assert_array_equal(state["in_proj_weight"], again["in_proj_weight"])


@pytest.mark.parametrize("d_model", [8, 7, 1])
def test_positions_are_sines_and_cosines(backend, d_model):
    x = np.random.default_rng(2).standard_normal((2, 30, d_model))
    y = host(sn.SinusoidalPositions(d_model, 30)(to_device(x)))
    for place in range(d_model):
        angle = np.arange(30) / 10000 ** ((place - place % 2) / d_model)
        added = np.cos(angle) if place % 2 else np.sin(angle)
        np.testing.assert_allclose((y - x)[:, :, place], np.tile(added, (2, 1)), atol=1e-14)
    layer = sn.SinusoidalPositions(d_model)
    assert layer(to_device(x.astype("float16"))).dtype == np.float16
    np.testing.assert_allclose(host(layer(to_device(x[0]))), y[0], atol=0)


def test_the_weights_are_those_of_the_dropout_and_each_step_draws_others(backend):
    x = to_device(np.random.default_rng(3).standard_normal((4, 9, 8)).astype("f4"))

    def steps():
        layer = sn.MultiheadAttention(8, 2, 0.5, rng=4)
        return layer, [[host(each) for each in layer(x, average_attn_weights=False)] for _ in range(2)]

    layer, (first, second) = steps()
    _, (same, _) = steps()
    np.testing.assert_array_equal(first[0], same[0])
    assert (first[0] != second[0]).any()
    whole = host(layer.eval()(x, average_attn_weights=False)[1])
    np.testing.assert_allclose(first[1], np.where(first[1] == 0, 0, 2 * whole), rtol=1e-6)
    assert (first[1] == 0).mean() == pytest.approx(0.5, abs=0.1)
    assert (whole > 0).all()


def test_an_encoder_layer_drops_at_its_four_places(backend):
    layer = sn.TransformerEncoderLayer(8, 2, 12, 0.5, rng=1)
    layer(to_device(np.ones(X, "f4")))
    drawn = {name: each.state["draws"] for name, each in layer.generators().items()}
    names = "self_attn.dropout", "dropout", "dropout1", "dropout2"
    assert drawn == {f"{name}.generator": 1 for name in names}
    assert len({each.key for each in layer.generators().values()}) == 4


def test_key_and_value_are_the_query_or_the_key_by_default(backend):
    layer = sn.MultiheadAttention(8, 2, rng=1)
    x, memory = (to_device(np.random.default_rng(i).standard_normal((2, 4, 8))) for i in (1, 2))
    for short, full in (((x,), (x, x.copy(), x.copy())), ((x, memory), (x, memory, memory.copy()))):
        for one, two in zip(layer(*short), layer(*full), strict=True):
            np.testing.assert_allclose(host(one), host(two), rtol=1e-5, atol=1e-6)
    assert layer(x, need_weights=False)[1] is None


def test_a_query_without_keys_has_weights_of_zero_and_finite_gradients(backend):
    layer = sn.MultiheadAttention(8, 2, rng=1)
    x = sn.Variable(to_device(np.random.default_rng(1).standard_normal(X).astype("f4")))
    out, weights = layer(x, key_padding_mask=to_device(PADDING | [[True], [False]]))
    assert not host(weights)[0].any()
    np.testing.assert_array_equal(host(out)[0], 0)
    out.sum().backward()
    assert not host(x.grad)[0].any()
    assert all(np.isfinite(host(each)).all() for each in layer.gradients())


class Causal(sn.Module):
    """A classifier of sequences, as a user writes it."""

    capturable = True

    def __init__(self):
        self.positions = sn.SinusoidalPositions(8, 10, dropout=0.1, rng=1)
        self.layer = sn.TransformerEncoderLayer(8, 2, 12, rng=2)
        self.attention = sn.MultiheadAttention(8, 2, 0.1, rng=3)
        self.last = sn.Linear(8, 3, 4)

    def forward(self, x):
        x = self.layer(self.positions(x), is_causal=True)
        out, _ = self.attention(x[:, -1:], x, key_padding_mask=x.data[:, :, 0] > 1.5)
        return self.last(out[:, 0])


def trained(capture, epochs=2):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5, 8)).astype("f4"), rng.integers(0, 3, 40)
    data, net = sn.ArrayDataLoader(to_device(x), to_device(y), 10, seed=2), Causal()
    metrics = sn.MetricsCollector(data, data, sn.softmax_loss, capture)
    adam = sn.Adam(net.parameters(), 1e-2)
    learner = sn.Learner(data, net, adam, sn.softmax_loss, metrics, capture)
    learner.fit(epochs, None)
    return learner


def test_a_captured_epoch_has_the_bits_of_single_steps(backend):
    captured, steps = trained(active().captures, 4), trained(False, 4)
    if active().captures:
        assert captured.replay.how == "one launch"
    for name, each in captured.net.state_dict().items():
        np.testing.assert_array_equal(each, steps.net.state_dict()[name], err_msg=name)
    losses = captured.history["train_loss"]
    assert list(losses) == list(steps.history["train_loss"])
    assert losses[-1] < losses[0]


def test_a_copy_and_a_pickle_compute_the_same():
    net, x = Causal(), np.random.default_rng(1).standard_normal((2, 5, 8)).astype("f4")
    twins = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    in_training, in_eval = net(x), net.eval()(x)
    for twin in twins:
        np.testing.assert_array_equal(twin(x).data, in_training.data)
        np.testing.assert_array_equal(twin.eval()(x).data, in_eval.data)


def test_summary_explanation_and_drawing(backend):
    net = sn.TransformerEncoderLayer(8, 2, 12, rng=0) >> sn.SinusoidalPositions(8)
    rows = {row.path: row for row in sn.summary(net, (2, 3, 8)).rows}
    assert rows["0.linear1"].forward == 2 * 6 * 8 * 12 + 2 * 6 * 12
    assert sn.summary(sn.MultiheadAttention(8, 2), (2, 3, 8)).parameters == 4 * 8 * 8 + 4 * 8
    loss = net(sn.Variable(to_device(np.ones(X, "f4")))).sum()
    assert "MaskedSoftmax" in str(sn.explain(loss))
    assert "Unstack" in sn.draw(loss).dot


def test_print_shows_the_settings():
    assert repr(sn.MultiheadAttention(8, 2, kdim=5, batch_first=False)).startswith(
        "MultiheadAttention(8, 2, kdim=5, batch_first=False\n"
    )
    assert "SinusoidalPositions(8, max_len=50" in repr(sn.SinusoidalPositions(8, 50))
    assert "TransformerEncoderLayer(8, 2, norm_first=True" in repr(
        sn.TransformerEncoderLayer(8, 2, norm_first=True)
    )


def ones(*shape, dtype="f4"):
    return np.ones(shape, dtype)


def attention(*inputs, **options):
    return sn.MultiheadAttention(8, 2)(*inputs, **options)


FAULTS = {
    "MultiheadAttention: num_heads=3 does not divide embed_dim=8; use a number of heads that does": (
        lambda: sn.MultiheadAttention(8, 3)),
    "TransformerEncoderLayer: nhead=3 does not divide d_model=8": (
        lambda: sn.TransformerEncoderLayer(8, 3)),
    "TransformerEncoderLayer: activation is 'rleu'; give a function, 'relu' or 'gelu'": (
        lambda: sn.TransformerEncoderLayer(8, 2, activation="rleu")),
    "TransformerEncoderLayer: activation is 3; give a function": (
        lambda: sn.TransformerEncoderLayer(8, 2, activation=3)),
    "TransformerEncoderLayer: dropout is 2; it must be a number from 0 to 1": (
        lambda: sn.TransformerEncoderLayer(8, 2, dropout=2)),
    "MultiheadAttention: embed_dim is 0; it must be a positive integer": (
        lambda: sn.MultiheadAttention(0, 2)),
    "MultiheadAttention: dtype is 'int8'": lambda: sn.MultiheadAttention(8, 2, dtype="int8"),
    "TransformerEncoderLayer: layer_norm_eps is -1; it must be a number of at least 0": (
        lambda: sn.TransformerEncoderLayer(8, 2, layer_norm_eps=-1)),
    "SinusoidalPositions: rng is 'x'; give a NumPy generator": (
        lambda: sn.SinusoidalPositions(8, rng="x")),
    "SinusoidalPositions: max_len is 0": lambda: sn.SinusoidalPositions(8, 0),
    r"query has shape \(2, 3, 7\), but this layer expects \(n, length, 8\) or \(length, 8\)": (
        lambda: attention(ones(2, 3, 7))),
    r"key has shape \(2, 3, 8\), but this layer expects \(length, n, 5\)": (
        lambda: sn.MultiheadAttention(8, 2, kdim=5, batch_first=False)(ones(2, 3, 8))),
    r"query, key and value have shapes \(2, 3, 8\), \(4, 5, 8\) and \(4, 5, 8\); give the same batch": (
        lambda: attention(ones(2, 3, 8), ones(4, 5, 8))),
    r"\(2, 3, 8\), \(2, 5, 8\) and \(2, 4, 8\); .* as many keys as values": (
        lambda: attention(ones(2, 3, 8), ones(2, 5, 8), ones(2, 4, 8))),
    r"key_padding_mask has shape \(3, 2\), but the scores have .*2, 2, 3, 3\), .* shape \(2, 3\)": (
        lambda: attention(ones(2, 3, 8), key_padding_mask=ones(3, 2))),
    r"attn_mask has shape \(2, 3, 3\), but the scores .* shape \(3, 3\) or \(4, 3, 3\)": (
        lambda: attention(ones(2, 3, 8), attn_mask=ones(2, 3, 3))),
    "MultiheadAttention: attn_mask has dtype int64; it must be boolean": (
        lambda: attention(ones(2, 3, 8), attn_mask=ones(3, 3, dtype="i8"))),
    "MultiheadAttention: key_padding_mask is a list": (
        lambda: attention(ones(2, 3, 8), key_padding_mask=[[True]])),
    "MultiheadAttention: query is a list; wrap it": lambda: attention([1.0]),
    "TransformerEncoderLayer: src has dtype int64; it must be floating": (
        lambda: sn.TransformerEncoderLayer(8, 2)(ones(2, 3, 8, dtype="i8"))),
    r"TransformerEncoderLayer: src has shape \(2, 3, 7\), but this layer expects \(n, length, 8\)": (
        lambda: sn.TransformerEncoderLayer(8, 2)(ones(2, 3, 7))),
    r"SinusoidalPositions: input has shape \(2, 3, 7\), but this layer expects \(n, length, 8\)": (
        lambda: sn.SinusoidalPositions(8)(ones(2, 3, 7))),
    r"input has shape \(2, 3, 8\), 3 positions, but max_len is 2; create the layer with a larger": (
        lambda: sn.SinusoidalPositions(8, 2)(ones(2, 3, 8))),
}  # fmt: skip


OF_THE_HOST = {
    "SinusoidalPositions: x is a numpy ndarray": lambda: sn.SinusoidalPositions(8)(ones(2, 3, 8)),
    "MultiheadAttention: attn_mask is a numpy ndarray": (
        lambda: attention(to_device(ones(2, 3, 8)), attn_mask=ones(3, 3, dtype="?"), is_causal=True)),
    "GRU: mask is a numpy ndarray": (
        lambda: sn.GRU(8, 2)(to_device(ones(2, 3, 8)), mask=ones(2, 3, dtype="?"))),
    "SinusoidalPositions: the table is a numpy ndarray": (
        lambda: on_the_host(sn.SinusoidalPositions, 8)(to_device(ones(2, 3, 8)))),
    "Philox: its counter `draws` is a numpy ndarray": (
        lambda: on_the_host(sn.Dropout, 0.5)(to_device(ones(2, 3)))),
}  # fmt: skip


def on_the_host(layer, *settings):
    with backends.use("numpy"):
        return layer(*settings)


@pytest.mark.parametrize("message", OF_THE_HOST)
def test_an_array_of_another_backend_is_one_clear_line(message):
    with (
        backends.use("strict"),
        pytest.raises(backends.WrongArrayError, match=f"{message}.* the active backend is strict"),
    ):
        OF_THE_HOST[message]()


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_one_clear_line(message):
    with pytest.raises(sn.ScratchnetError, match=message) as caught:
        FAULTS[message]()
    assert "\n" not in str(caught.value)


def test_masks_of_truth_and_of_numbers_are_one_mask(backend):
    layer = sn.MultiheadAttention(8, 2, rng=0)
    x = to_device(np.random.default_rng(0).standard_normal((2, 3, 8)))
    padding = np.array([[False, False, True], [False, True, False]])
    masks = {"key_padding_mask": to_device(padding), "attn_mask": to_device(SCORES)}
    several, _ = layer(x, **masks, is_causal=True)
    whole = np.where(LATER | padding[:, None], -np.inf, SCORES).repeat(2, axis=0)
    one, _ = layer(x, attn_mask=to_device(whole))
    np.testing.assert_allclose(host(several), host(one), rtol=1e-6)


@pytest.mark.parametrize("layer", [sn.TransformerEncoderLayer])
def test_the_usual_settings_are_pytorch_s(layer):
    usual = {name: each.default for name, each in signature(layer).parameters.items()}
    assert (usual["dim_feedforward"], usual["dropout"], usual["layer_norm_eps"]) == (2048, 0.1, 1e-5)
    assert (usual["activation"], usual["norm_first"], usual["bias"]) == (sn.relu, False, True)
