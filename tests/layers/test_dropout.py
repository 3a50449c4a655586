"""Dropout and its random numbers: the same on every backend, in a capture and after a resume."""

import copy
import pickle

import numpy as np
import pytest
from arrays import host

import backends
import scratchnet as sn
from backends import Backend, active, to_device
from scratchnet.core.share import share
from scratchnet.training.parallel.rows import Rows

KEY = 0x243F6A8885A308D3, 0xFFFFFFFFFFFFFFFF


def numpy_s(key, draws, count):
    """The 32-bit numbers of NumPy's own generator."""
    counter = np.array([0, draws, 0, 0], np.uint64)
    philox = np.random.Philox(key=np.array(key, np.uint64), counter=counter)
    return philox.random_raw(-(-count // 2)).view(np.uint32)[:count]


@pytest.mark.parametrize("draws", [0, 5, 2**64 - 1])
@pytest.mark.parametrize("count", [0, 1, 8, 1001])
def test_the_bits_are_those_of_numpy_s_philox(backend, draws, count):
    expected = numpy_s(KEY, draws, count)
    counter = backends.xp.full((), draws, backends.xp.uint64)
    for kernel in (type(active()).random_bits, Backend.random_bits):
        found = host(kernel(active(), KEY, counter, count))
        assert found.dtype == np.uint32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("first", [1, 7, 8, 9, 1000, 2**32 - 3, 2**35 + 5])
@pytest.mark.parametrize("count", [0, 1, 8, 21])
def test_a_share_draws_the_numbers_of_its_own_elements(backend, first, count):
    if first < 2000:
        expected = numpy_s(KEY, 5, first + count)[first:]
    else:  # NumPy's counter can begin at any block
        philox = np.random.Philox(key=np.array(KEY, np.uint64), counter=[first // 8, 5, 0, 0])
        expected = philox.random_raw(16).view(np.uint32)[first % 8 :][:count]
    counter = backends.xp.full((), 5, backends.xp.uint64)
    for kernel in (type(active()).random_bits, Backend.random_bits):
        np.testing.assert_array_equal(host(kernel(active(), KEY, counter, count, first)), expected)


@pytest.mark.parametrize(("shape", "axis"), [((7, 3), 0), ((14, 3), 0), ((2, 7), 1), ((3, 7, 2), 1)])
def test_the_shares_of_a_batch_draw_together_what_the_whole_batch_draws(backend, shape, axis):
    whole, mine = sn.Philox(3), sn.Philox(3)
    each = shape[axis] // 7
    for _ in range(2):
        expected, state = host(whole.bits(shape, axis)), mine.state
        for start, end in ((0, 2), (2, 3), (3, 7)):
            mine.state = state
            token = share.set(Rows(start, end - start, 7))
            found = mine.bits((*shape[:axis], each * (end - start), *shape[axis + 1 :]), axis)
            share.reset(token)
            np.testing.assert_array_equal(
                host(found), expected.take(range(each * start, each * end), axis)
            )


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_shares_of_a_batch_drop_in_an_encoder_what_the_whole_batch_drops(backend, batch_first):
    layer = sn.TransformerEncoderLayer(8, 2, 16, 0.5, batch_first=batch_first, rng=0)
    x = to_device(np.random.default_rng(0).standard_normal((4, 4, 8)).astype("f4"))
    twin, rows = copy.deepcopy(layer), np.s_[1:3] if batch_first else np.s_[:, 1:3]
    token = share.set(Rows(1, 2, 4))
    mine = host(twin(x[rows]))
    share.reset(token)
    np.testing.assert_allclose(mine, host(layer(x))[rows], rtol=1e-5, atol=1e-6)


def test_each_draw_is_a_new_one_and_a_state_puts_it_back(backend):
    generator = sn.Philox(3)
    memory = generator.draws
    first, state, second = host(generator.bits((2, 3))), generator.state, host(generator.bits((2, 3)))
    np.testing.assert_array_equal(first.reshape(-1), numpy_s(generator.key, 0, 6))
    np.testing.assert_array_equal(second.reshape(-1), numpy_s(generator.key, 1, 6))
    for other in (sn.Philox(4), copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        other.state = state
        np.testing.assert_array_equal(host(other.bits((2, 3))), second)
        assert other.draws is not generator.draws
    generator.state = state
    assert generator.draws is memory  # a captured step reads this address
    assert sn.Philox(3).key == generator.key == sn.Philox(np.random.default_rng(3)).key
    assert generator.key == (1579948266424812280, 4368382809143759861)  # in every version
    assert sn.Philox(None).key != sn.Philox(None).key


def drawn(seed, p=0.3, shape=(6, 5), layer="Dropout"):
    return host(getattr(sn, layer)(p, rng=seed)(to_device(np.ones(shape, "f4"))))


def test_the_mask_is_the_same_on_every_backend_and_another_for_another_seed(backend):
    found = drawn(7)
    with backends.use("numpy"):
        np.testing.assert_array_equal(found, drawn(7))
        assert (found != drawn(8)).any()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_and_the_mean(backend, p):
    """Within five standard errors."""
    n = 40_000
    y = drawn(1, p, (n,))
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    pairs = (kept[1:] == kept[:-1]).mean()
    assert abs(pairs - (p * p + (1 - p) ** 2)) < 5 * np.sqrt(0.25 / n)


def test_the_bounds_are_exact(backend):
    x = to_device(np.array([1.0, np.inf, -2.0], "f4"))
    np.testing.assert_array_equal(host(sn.dropout(x, 0, rng=1)), host(x))
    np.testing.assert_array_equal(host(sn.dropout(x, 1, rng=1)), [0, 0, 0])
    np.testing.assert_array_equal(host(sn.Dropout(1, rng=1)(x)), [0, 0, 0])
    layer = sn.Dropout(0.5, rng=1).eval()
    assert layer(x) is x


def test_the_gradient_is_that_of_what_stays(backend):
    x = sn.Variable(to_device(np.arange(1.0, 41).reshape(4, 10)))
    y = sn.dropout(x, 0.25, rng=2)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), (host(y) != 0) / 0.75)
    for dtype in ("float16", "float32", "float64"):
        assert sn.dropout(to_device(np.ones(3, dtype)), 0.5, rng=1).dtype == dtype


def test_dropout2d_drops_whole_channels(backend):
    y = drawn(3, 0.5, (20, 30, 2, 3), "Dropout2d")
    first = y[:, :, :1, :1]
    np.testing.assert_array_equal(y, np.broadcast_to(first, y.shape))
    assert 240 < (first != 0).sum() < 360
    with pytest.raises(sn.ShapeError, match=r"dropout2d: input has shape \(2, 3\)"):
        sn.dropout2d(np.ones((2, 3)), rng=1)


def test_without_a_generator_it_draws_from_numpy_s_global_one():
    x, former = np.ones(50), np.random.get_state()
    try:
        np.random.seed(1)
        first = sn.dropout(x)
        assert (sn.dropout(x) != first).any()
        np.random.seed(1)
        np.testing.assert_array_equal(sn.dropout(x), first)
    finally:
        np.random.set_state(former)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: sn.Dropout(1.5), "Dropout: p is 1.5; it must be a number from 0 to 1"),
        (lambda: sn.Dropout2d(-1), "Dropout2d: p is -1"),
        (lambda: sn.Dropout(rng="a"), "Dropout: rng is 'a'"),
        (lambda: sn.dropout(np.ones(3), "half"), "dropout: p is 'half'"),
        (lambda: sn.dropout([1.0]), "dropout: x is a list"),
        (lambda: sn.dropout(np.ones(3, int)), "dropout: x has dtype int64; it must be floating"),
    ],
)
def test_a_fault_is_one_clear_line(work, message):
    with pytest.raises(sn.ScratchnetError, match=message):
        work()


def test_the_state_dict_is_torch_s_and_empty():
    net = sn.Sequential(sn.Linear(2, 2, 0), sn.Dropout(0.5, rng=1))
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    assert list(net.generators()) == ["1.generator"]
    assert repr(net[1]) == "Dropout(p=0.5)"


# In training: with a capture, after a resume, and looked at.


def net():
    return (
        sn.Linear(12, 16, 0) >> sn.BatchNorm1d(16) >> sn.relu >> sn.Dropout(0.5, rng=5)
        >> sn.Linear(16, 3, 1)
    )  # fmt: skip


def learner(capture, epochs=0, batch=25):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((100, 12)).astype("f4"), rng.integers(0, 3, 100).astype("u1")
    data = sn.ArrayDataLoader(to_device(x), to_device(y), batch, seed=2, shuffle="batches")
    made, loss = net(), sn.softmax_loss
    metrics = sn.MetricsCollector(data, data, loss, capture)
    found = sn.Learner(data, made, sn.SGD(made.parameters(), 0.05), loss, metrics, capture)
    found.fit(epochs, None)
    return found


def states(found):
    generators = {path: each.state for path, each in found.net.generators().items()}
    return found.net.state_dict(), generators, list(found.history["train_loss"])


def same(one, two):
    for name, each in one[0].items():
        np.testing.assert_array_equal(each, two[0][name], err_msg=name)
    assert one[1:] == two[1:]


def test_a_captured_epoch_has_the_bits_of_single_steps(backend):
    captured, steps = learner(active().captures, 4), learner(False, 4)
    if active().captures:
        assert captured.replay.how.startswith("one launch")
    same(states(captured), states(steps))
    assert steps.net.generators()["3.generator"].state["draws"] == 4 * 4
    losses = steps.history["train_loss"]
    assert len(set(losses)) == 4


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(backend, tmp_path, epochs):
    whole = learner("auto", 5)
    stopped = learner("auto", epochs)
    stopped.save(tmp_path / "checkpoint.safetensors")
    again = learner("auto")
    again.resume(tmp_path / "checkpoint.safetensors")
    again.fit(5 - epochs, None)
    same(states(whole), states(again))


class Noise(sn.Function):
    """A user's Function that draws forward and backward."""

    def __init__(self):
        self.generator = sn.Philox(1)

    def forward(self, x):
        return x * (self.generator.bits(x.shape) >= 7)

    def backward(self, grad):
        return grad * (self.generator.bits(grad.shape) >= 7)


def test_a_look_at_the_network_changes_nothing(backend):
    looked, other = learner(False, 1), learner(False, 1)
    x = to_device(np.ones((4, 12), "f4"))
    sn.summary(looked.net, (4, 12))
    sn.explain(looked.net(x).sum())
    other.net(x)
    noise = Noise()
    before = noise.generator.state
    sn.explain(noise(sn.Variable(x)).sum())
    assert noise.generator.state["draws"] == before["draws"] + 1
    looked.fit(1, None)
    other.fit(1, None)
    same(states(looked), states(other))
