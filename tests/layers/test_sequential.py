"""Sequential as a list, and the small stages: Residual, Identity and Flatten."""

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn


def stages(count=4):
    return [sn.Linear(3, 3, seed) for seed in range(count)]


CHANGES = {
    "append": lambda net, new: net.append(new[0]),
    "extend": lambda net, new: net.extend(new),
    "insert": lambda net, new: net.insert(1, new[0]),
    "insert before the last": lambda net, new: net.insert(-1, new[0]),
    "insert far behind": lambda net, new: net.insert(99, new[0]),
    "set": lambda net, new: net.__setitem__(2, new[0]),
    "set from the end": lambda net, new: net.__setitem__(-1, new[0]),
    "set a slice": lambda net, new: net.__setitem__(slice(1, 2), new),
    "set every second": lambda net, new: net.__setitem__(slice(0, 4, 2), new),
    "delete": lambda net, new: net.__delitem__(1),
    "delete from the end": lambda net, new: net.__delitem__(-1),
    "delete a slice": lambda net, new: net.__delitem__(slice(1, 3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_that_of_a_list_and_the_paths_follow(change):
    old, new = stages(), [sn.relu, sn.Linear(3, 3, 9)]
    net, expected = sn.Sequential(*old), list(old)
    CHANGES[change](net, new)
    CHANGES[change](expected, new)
    assert list(net) == expected
    assert len(net) == len(expected)
    paths = [
        f"{i}.{n}" for i, each in enumerate(expected) if each is not sn.relu for n in ("weight", "bias")
    ]
    assert list(net.state_dict()) == paths
    x = y = variable(np.ones((2, 3), "f4"))
    for each in expected:
        y = each(y)
    np.testing.assert_array_equal(host(net(x)), host(y))


def test_methods_return_the_network_and_a_slice_shares_the_modules():
    old = stages()
    net = sn.Sequential().append(old[0]).extend(old[1:3]).insert(3, old[3])
    assert list(net) == old
    assert net[-1] is old[3]
    part = net[1:3]
    assert type(part) is sn.Sequential
    assert list(part) == old[1:3]
    assert [*part.parameters()] == [*old[1].parameters(), *old[2].parameters()]
    assert old[0] in net
    assert old[0] not in part
    assert sn.Linear(3, 3, 0) not in net
    assert sn.Sequential()
    assert list(reversed(net)) == old[::-1]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda net: net[4], "there is no stage 4; this network has 4 stages"),
        (lambda net: net[-5], "there is no stage -5"),
        (lambda net: net["a"], "there is no stage 'a'"),
        (lambda net: net.__delitem__(4), "there is no stage 4"),
        (lambda net: net.__setitem__(4, sn.relu), "there is no stage 4"),
        (lambda net: net.append(3), "stage 4 is an int"),
        (lambda net: net.__setitem__(1, sn.Linear), "stage 1 is .*cannot be applied"),
        (lambda net: net.extend([sn.relu, 3]), "stage 5 is an int"),
        (lambda net: net.extend(3), "an int is not a list of stages"),
    ],
)
def test_a_fault_leaves_the_network_as_it_was(work, message):
    old = stages()
    net = sn.Sequential(*old)
    with pytest.raises(sn.ScratchnetError, match=message):
        work(net)
    assert list(net) == old


@pytest.mark.parametrize("after", [sn.Linear(4, 2, 0), sn.relu, sn.GRU(4, 2), sn.LayerNorm(4)])
def test_a_tuple_that_the_next_stage_does_not_take_is_one_clear_line(after):
    x = np.ones((2, 3, 4), "f4")
    for layer, name in ((sn.LSTM(4, 4), "LSTM"), (sn.MultiheadAttention(4, 2), "Multihead")):
        with pytest.raises(sn.OperandError, match=rf"Sequential: stage 0 \({name}.*return_state=False"):
            (layer >> after)(x)
    assert (sn.LSTM(4, 4) >> (lambda y: y[0]) >> after)(x) is not None
    with pytest.raises(sn.OperandError, match="x is a tuple; wrap it"):
        sn.Sequential(sn.Linear(4, 2))((x, x))


def test_residual(backend):
    inner = sn.Linear(3, 3, 0)
    block = sn.Residual(inner, sn.relu)
    x = variable(np.arange(-3.0, 3, dtype="f4").reshape(2, 3))
    np.testing.assert_array_equal(host(block(x)), host(x) + np.maximum(host(inner(x)), 0))
    assert list(block.state_dict()) == ["body.0.weight", "body.0.bias"]
    with pytest.raises(sn.ShapeError, match=r"input has shape \(2, 3\), but the stages return \(2, 1\)"):
        sn.Residual(sn.Linear(3, 1, 0))(x)


def test_identity_returns_its_input():
    x = variable([1.0])
    assert sn.Identity()(x) is x


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ((), (2, 3, 4), (2, 12)),
        ((), (2, 3), (2, 3)),
        ((), (0, 3, 4), (0, 12)),
        ((0,), (2, 3, 4), (24,)),
        ((0, 1), (2, 3, 4), (6, 4)),
        ((-2, -1), (2, 3, 4), (2, 12)),
        ((1, 2), (2, 3, 4, 5), (2, 12, 5)),
    ],
)
def test_flatten(backend, axes, shape, expected):
    x = variable(np.arange(np.prod(shape), dtype="f4").reshape(shape))
    np.testing.assert_array_equal(host(sn.Flatten(*axes)(x)), host(x).reshape(expected))


def test_flatten_s_faults():
    x = variable(np.ones((2, 3, 4), "f4"))
    with pytest.raises(sn.ShapeError, match="Flatten: there is no axis 3 of 3"):
        sn.Flatten(3)(x)
    with pytest.raises(sn.ShapeError, match=r"start_axis 2 comes after end_axis 1 in shape \(2, 3, 4\)"):
        sn.Flatten(2, 1)(x)
    with pytest.raises(sn.SettingError, match="Flatten: start_axis is 'a'; it must be an integer"):
        sn.Flatten("a")
    assert repr(sn.Flatten()) == "Flatten(start_axis=1, end_axis=-1)"
