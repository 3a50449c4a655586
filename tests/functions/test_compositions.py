"""What is made of other Functions: the same as NumPy's function, and differentiable twice."""

import math
import re

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import WrongArrayError, active, to_device

X, ZEROS = (3, 4), np.array([[0.0, 2, 3, 1], [0, 0, 1, 2], [1, 2, 3, 4]])
TABLE = [
    ("prod", [X], {}), ("prod", [X], {"axis": 0}),
    ("prod", [(2, 5, 3)], {"axis": (0, 1), "keepdims": True}),
    ("prod", [(0, 2)], {"axis": 0}), ("prod", [()], {}), ("prod", [ZEROS], {"axis": 1}),
    ("var", [X], {}), ("var", [X], {"axis": 1, "ddof": 1}),
    ("var", [X], {"axis": (0, 1), "keepdims": True}),
    ("std", [X], {"axis": 0}), ("std", [X], {"ddof": 1}),
    ("cumsum", [X], {}), ("cumsum", [X], {"axis": 1}), ("cumsum", [()], {}),
    ("ravel", [X], {}), ("ravel", [()], {}),
    ("squeeze", [(1, 3, 1)], {}), ("squeeze", [(1, 3, 1)], {"axis": -1}),
    ("expand_dims", [X], {"axis": 1}),
    ("expand_dims", [X], {"axis": (0, -1)}), ("expand_dims", [()], {"axis": 0}),
    ("tile", [X], {"reps": 2}), ("tile", [X], {"reps": (2, 1, 3)}), ("tile", [(3,)], {"reps": ()}),
    ("tile", [(2, 3, 1)], {"reps": (2,)}), ("tile", [X], {"reps": 0}),
    ("swapaxes", [(2, 3, 4)], {"axis1": 0, "axis2": -1}),
    ("moveaxis", [(2, 3, 4)], {"source": 0, "destination": -1}),
    ("moveaxis", [(2, 3, 4, 5)], {"source": (0, 3), "destination": (2, 0)}),
    ("flip", [X], {}), ("flip", [X], {"axis": -1}), ("flip", [X], {"axis": (0, 1)}),
    ("repeat", [X], {"repeats": 2}), ("repeat", [X], {"repeats": [1, 0, 2], "axis": 0}),
    ("take", [X], {"indices": [5, -1, 5]}), ("take", [X], {"indices": [[0, 2], [2, 2]], "axis": 1}),
    ("take", [X], {"indices": 1, "axis": 0}), ("take", [X], {"indices": [], "axis": 1}),
    ("take_along_axis", [X], {"indices": np.array([[0, 1], [3, 3], [2, 0]]), "axis": 1}),
    ("take_along_axis", [X], {"indices": np.array([[2, 0, 1, 1]]), "axis": 0}),
    ("take_along_axis", [X], {"indices": np.array([3, 3, -1]), "axis": None}),
    ("pad", [X], {"pad_width": 1}), ("pad", [X], {"pad_width": (2, 0), "constant_values": -3.0}),
    ("pad", [X], {"pad_width": ((0, 1), (2, 3)), "mode": "edge"}),
    ("pad", [X], {"pad_width": 2, "mode": "reflect"}),
    ("pad", [X], {"pad_width": 3, "mode": "symmetric"}),
    ("pad", [X], {"pad_width": ((5, 0), (0, 6)), "mode": "wrap"}),
    ("tril", [X], {}), ("tril", [(2, 4, 3)], {"k": -1}), ("triu", [X], {"k": 1}), ("triu", [(0, 2)], {}),
    ("diagonal", [X], {}), ("diagonal", [X], {"offset": 2}), ("diagonal", [X], {"offset": -5}),
    ("diagonal", [(2, 3, 4)], {"offset": -1, "axis1": 2, "axis2": 0}), ("trace", [X], {}),
    ("trace", [(2, 3, 4)], {"offset": 1, "axis1": 1, "axis2": 2}),
    ("outer", [X, (2,)], {}), ("outer", [(), (3,)], {}), ("outer", [(3,), ()], {}),
    ("tensordot", [(2, 3, 4), (3, 4, 5)], {}), ("tensordot", [(2, 3), (4, 2)], {"axes": ([0], [1])}),
    ("tensordot", [(2, 3), (4,)], {"axes": 0}), ("tensordot", [(2, 3), (3, 4)], {"axes": (1, 0)}),
]  # fmt: skip


def drawn(operands):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(each) if isinstance(each, tuple) else each for each in operands]


@pytest.mark.parametrize(("name", "operands", "settings"), TABLE, ids=str)
def test_it_is_numpy_s_and_differentiable_twice(backend, name, operands, settings):
    operands = drawn(operands)
    expected = getattr(np, name)(*operands, **settings)
    moved = {
        key: to_device(value) if isinstance(value, np.ndarray) else value
        for key, value in settings.items()
    }
    found = getattr(sn, name)(*map(variable, operands), **moved)
    assert isinstance(found, sn.Variable)
    np.testing.assert_allclose(host(found), expected, rtol=1e-12, atol=1e-15)
    arrays = getattr(sn, name)(*map(to_device, operands), **moved)
    assert isinstance(arrays, active().array_type)
    assert sn.gradcheck(lambda *given: getattr(sn, name)(*given, **moved), *operands)
    assert sn.gradgradcheck(lambda *given: getattr(sn, name)(*given, **moved), *operands)
    if hasattr(sn.Variable, name) and len(operands) == 1:
        np.testing.assert_array_equal(host(getattr(variable(operands[0]), name)(**moved)), host(found))


@pytest.mark.parametrize("shape", [(5,), (3, 4)], ids=str)
@pytest.mark.parametrize("order", [None, 1, 2, 3.5, 0.5, -1, math.inf, -math.inf, np.int64(2)], ids=str)
def test_the_norm_of_vectors(backend, rng, order, shape):
    x = rng.standard_normal(shape)
    expected = np.linalg.norm(x, order, axis=0)
    np.testing.assert_allclose(host(sn.norm(variable(x), order, 0)), expected, rtol=1e-12)
    assert sn.gradcheck(lambda v: sn.norm(v, order, 0, keepdims=True), x)
    assert sn.gradgradcheck(lambda v: sn.norm(v, order, 0), x)


def test_a_norm_of_matrices_is_refused_but_for_the_root_of_squares(backend, rng):
    x = rng.standard_normal((3, 4))
    np.testing.assert_allclose(host(sn.norm(variable(x))), np.linalg.norm(x))
    for axis in (None, (0, 1)):
        with pytest.raises(sn.SettingError, match="norms of matrices"):
            sn.norm(variable(x), 1, axis)


ORDERS = [None, 0.5, 1, 3, -1, math.inf]
OF_ZEROS = [sn.std, *(lambda v, order=order: sn.norm(v, order) for order in ORDERS)]


@pytest.mark.parametrize("function", OF_ZEROS)
def test_the_gradient_of_a_norm_of_zeros_is_0(backend, function):
    x = variable(np.zeros(4, np.float32))
    function(x).backward()
    np.testing.assert_array_equal(host(x.grad), 0)


@pytest.mark.parametrize("axis", [0, -1, None])
def test_joining_and_splitting_undo_each_other(backend, rng, axis):
    x = rng.standard_normal((4, 6))
    if axis is not None:
        parts = sn.split(variable(x), 2, axis)
        assert len(parts) == 2
        np.testing.assert_array_equal(host(sn.concatenate(parts, axis)), x)
        (same,) = sn.split(variable(x), 1, axis)
        np.testing.assert_array_equal(host(same), x)
        cut = sn.split(variable(x), [1, 3], axis)
        for found, expected in zip(cut, np.split(x, [1, 3], axis), strict=True):
            np.testing.assert_array_equal(host(found), expected)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    joined = sn.concatenate([variable(a), to_device(b)], axis)
    np.testing.assert_array_equal(host(joined), np.concatenate([a, b], axis))
    assert sn.gradgradcheck(lambda a, b: sn.concatenate([a, a * b, b], axis), a, b)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_stack_is_numpy_s(backend, rng, axis):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    np.testing.assert_array_equal(
        host(sn.stack([variable(a), variable(b)], axis)), np.stack([a, b], axis)
    )
    assert sn.gradcheck(lambda a, b: sn.stack([a, b], axis), a, b)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_places_of_extremes_are_arrays_of_integers(backend, rng, name, axis):
    x = rng.standard_normal(X)
    for found in (getattr(sn, name)(variable(x), axis), getattr(variable(x), name)(axis)):
        assert isinstance(found, active().array_type)
        np.testing.assert_array_equal(host(found), getattr(np, name)(x, axis))
    assert host(getattr(sn, name)(to_device(x), -1, keepdims=True)).shape == (3, 1)


def test_a_variable_of_one_element_is_a_number(backend):
    x = variable([2.75])
    assert (x.item(), float(x), int(x), bool(x), f"{x:.1f}") == (2.75, 2.75, 2, True, "2.8")
    assert +x is x


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "var", "std"])
def test_without_an_axis_all_elements_are_reduced(backend, rng, name):
    x = rng.standard_normal((2, 3))
    np.testing.assert_allclose(host(getattr(sn, name)(variable(x))), getattr(np, name)(x))


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "min", "prod", "var", "std", "norm", "logsumexp", "softmax"]
)
def test_a_0d_array_has_an_axis_to_go_along_as_in_numpy(backend, name, axis):
    x = variable(2.0)
    y = getattr(sn, name)(x, axis=axis)
    assert y.shape == ()
    y.backward()
    expected = {"var": 0, "std": 0, "softmax": 1}.get(name, 2)
    assert y.item() == expected
    assert x.grad.shape == ()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda x: sn.sum(x, 5), sn.ShapeError, "no axis 5"),
        (lambda x: sn.sum(x, (0, -2)), sn.ShapeError, "contains an axis twice"),
        (lambda x: sn.sum(x, 0.5), sn.OperandError, "must be an integer"),
        (lambda x: sn.squeeze(x, 0), sn.ShapeError, "must have size 1"),
        (lambda x: sn.var(x, axis=0, ddof=3), sn.ShapeError, "ddof=3"),
        (lambda x: sn.moveaxis(x, (0, 1), 0), sn.ShapeError, "2 axes cannot go to 1"),
        (lambda x: sn.concatenate([]), sn.OperandError, "at least one"),
        (lambda x: sn.concatenate([x, [1.0]]), sn.OperandError, "wrap it"),
        (lambda x: sn.concatenate([x, x[:, :2]]), sn.ShapeError, "do not fit"),
        (lambda x: sn.stack([x, x[0]]), sn.ShapeError, "differ"),
        (lambda x: sn.split(x, 2), sn.ShapeError, "3 elements cannot be divided into 2"),
        (lambda x: sn.take(x, [0.5]), sn.OperandError, "must hold integers"),
        (lambda x: sn.take_along_axis(x, [1], 0), sn.ShapeError, "same number of axes"),
        (lambda x: sn.repeat(x, [1, 2], 0), sn.ShapeError, "fit 3 elements"),
        (lambda x: sn.pad(x, -1), sn.SettingError, "negative"),
        (lambda x: sn.pad(x, 1, constant_values=(1, 2)), sn.SettingError, "give one number"),
        (lambda x: sn.pad(x, 1, "mean"), sn.SettingError, "edge, reflect"),
        (lambda x: sn.pad(x, ((1, 1),) * 3), sn.ShapeError, "does not fit"),
        (lambda x: sn.tril(x[0]), sn.ShapeError, "no rows and columns"),
        (lambda x: sn.einsum("ij,jk->ik", x), sn.OperandError, "for 2 operands, but the call has 1"),
        (lambda x: sn.einsum("ijk->i", x), sn.ShapeError, "does not fit"),
        (lambda x: sn.einsum("ij,jk->ik", x, x), sn.ShapeError, "do not fit"),
        (lambda x: sn.tensordot(x, x, 1), sn.ShapeError, "do not fit"),
        (lambda x: sn.norm(x, 0), sn.SettingError, "ord"),
        (lambda x: x.item(), sn.ShapeError, "12 elements and is not a single number"),
        (lambda x: sn.norm([1.0]), sn.OperandError, "wrap it"),
        (lambda x: sn.argmax(x[:, :0], 1), sn.ShapeError, "no elements to choose from"),
        (lambda x: x[5], sn.IndexingError, "GetItem: shape .3, 4.: index 5 is out of"),
        (lambda x: sn.take(x, [99]), sn.IndexingError, "index 99 is out of"),
        (lambda x: x[0, 0, 0], sn.IndexingError, "too many indices"),
        (lambda x: x.reshape(5), sn.ShapeError, "Reshape: shape .3, 4.: cannot reshape"),
        (lambda x: sn.softplus(x, 0), sn.SettingError, "beta"),
        (lambda x: sn.hardtanh(x, 1, -1), sn.SettingError, "larger than max_val"),
        (lambda x: sn.squeeze([1.0]), sn.OperandError, "wrap it"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_in_one_line(backend, call, error, says):
    with pytest.raises(error, match=says) as caught:
        call(variable(np.ones((3, 4))))
    assert "\n" not in str(caught.value)


def test_the_gradient_of_a_norm_where_one_element_is_0(backend):
    for order, expected in ((0.5, [0, 1]), (-1, [0, 0]), (3, [0, 1])):
        x = variable([0.0, 2.0])
        sn.norm(x, order).backward()
        np.testing.assert_allclose(host(x.grad), expected)


@pytest.mark.parametrize("order", [0.5, 2, 3, -1, -2, math.inf, -math.inf])
@pytest.mark.parametrize("values", [[0, 0], [0, 2], [3, 4], [math.inf, 1], [math.inf, math.inf]])
@pytest.mark.filterwarnings("ignore:divide by zero")  # NumPy's
def test_norms_of_zeros_and_infinities_are_numpy_s(backend, order, values):
    found = host(sn.norm(variable(np.array(values, float)), order))
    np.testing.assert_allclose(found, np.linalg.norm(values, order))


def test_results_never_share_memory_that_numpy_s_would_not(backend):
    x = variable(np.ones((1, 2)))
    for y in (sn.prod(x, axis=0), sn.pad(x, 0, "edge"), sn.pad(x, 0)):
        with sn.no_grad():
            y *= 7
    np.testing.assert_array_equal(host(x), 1)


@pytest.mark.parametrize("name", ["tril", "triu", "prod", "cumsum", "sum", "max", "flip"])
@pytest.mark.parametrize("dtype", ["int32", "uint64", "bool"])
def test_integers_have_numpy_s_types(name, dtype):
    x = np.array([[1, 0], [1, 1]], dtype)
    found, expected = getattr(sn, name)(x), getattr(np, name)(x)
    np.testing.assert_array_equal(found, expected)
    if not (name == "prod" and dtype == "bool"):
        assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    "call",
    [
        lambda x: sn.repeat(x, 2, (0, 1)),
        lambda x: sn.softmax(x, None),
        lambda x: sn.split(x, 1, (0, 1)),
        lambda x: sn.cumsum(x, (0, 1)),
    ],
)
def test_one_axis_is_one_integer(backend, call):
    with pytest.raises(sn.OperandError, match="give one integer"):
        call(variable(np.ones((2, 3))))


def test_a_condition_or_labels_that_change_after_forward_are_noticed(backend):
    x, mask = variable([1.0, 2.0]), variable(np.array([True, False]))
    y = sn.where(mask, x, 0.0).sum()
    with sn.no_grad():
        mask[...] = False
    with pytest.raises(sn.StaleGraphError):
        y.backward()
    index = variable(np.array([1, 1]))
    z = x[index].sum()
    with sn.no_grad():
        index[...] = 0
    z.backward()
    np.testing.assert_array_equal(host(x.grad), [0, 2])  # the index at forward


EINSUMS = [
    ("a,a", [(1,), (3,)]), ("bi,bi->i", [(1, 2), (4, 2)]), ("ij,ij->j", [(3, 1), (3, 2)]),
    (",i->i", [(), (3,)]),
]  # fmt: skip


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS)
def test_the_gradient_of_an_einsum_that_broadcasts_a_summed_label(backend, rng, subscripts, shapes):
    arrays = [rng.standard_normal(shape) for shape in shapes]
    assert sn.gradcheck(lambda *each: sn.einsum(subscripts, *each), *arrays)
    assert sn.gradgradcheck(lambda *each: sn.einsum(subscripts, *each), *arrays)
    np.testing.assert_allclose(
        host(sn.einsum(subscripts, *map(variable, arrays))), np.einsum(subscripts, *arrays)
    )


def test_einsum_takes_numbers(backend):
    assert host(sn.einsum(",i->i", 2.0, variable(np.float32([1, 2])))).tolist() == [2, 4]


def test_a_product_on_the_way_may_be_too_large_for_half_precision(backend):
    large, small = (variable(np.eye(4, dtype=np.float16) * each) for each in (256, 0.5))
    found = host(sn.einsum("ij,jk,kl->il", large, large, small))
    np.testing.assert_array_equal(found, 2**15 * np.eye(4))


def test_roll_by_a_list(backend, rng):
    x = rng.standard_normal((3, 4))
    v = variable(x)
    y = sn.roll(v, [1, 2], axis=(0, 1))
    np.testing.assert_array_equal(host(y), np.roll(x, [1, 2], (0, 1)))
    (y * y).sum().backward()
    np.testing.assert_allclose(host(v.grad), 2 * x)


def test_integers_may_come_from_any_sequence(backend, rng):
    x = rng.standard_normal((4, 3))
    v = variable(x)
    for part, expected in zip(sn.split(v, range(1, 4)), np.split(x, range(1, 4)), strict=True):
        np.testing.assert_array_equal(host(part), expected)
    np.testing.assert_array_equal(host(sn.repeat(v, range(4), 0)), np.repeat(x, range(4), 0))
    np.testing.assert_array_equal(host(sn.roll(v, (), ())), x)


@pytest.mark.parametrize("copy", [lambda x: x.flatten(), lambda x: sn.tile(x, 1)])
def test_a_copy_does_not_share_memory(backend, copy):
    x = variable(np.zeros((2, 2)))
    with sn.no_grad():
        y = copy(x)
        y += 1
    assert host(x).sum() == 0


MISUSE = {
    "swapaxes: a 0-d array has no axes": lambda x: sn.swapaxes(x.sum(), 0, 0),
    "swapaxes: an operand is a list": lambda x: sn.swapaxes([[1.0]], 0, 1),
    "argmax: the axis is": lambda x: x.argmax(axis=(0, 1)),
    "tensordot: axes is": lambda x: sn.tensordot(x, x, 1.5),
    "split: indices_or_sections is": lambda x: sn.split(x, [0.5]),
    "pad: mode edge needs elements": lambda x: sn.pad(x[:0], 1, "edge"),
    "pad: pad_width is": lambda x: sn.pad(x, 1.5),
    "pad: constant_values: ": lambda x: sn.pad(x.astype("int8"), 1, constant_values=300),
    "repeat: repeats is": lambda x: sn.repeat(x, 1.5),
    "tril: k is": lambda x: sn.tril(x, 1.5),
    "triu: k is": lambda x: sn.triu(x, "a"),
    "tril: k is (0, 1);": lambda x: sn.tril(x, (0, 1)),
    "tile: reps is": lambda x: sn.tile(x, -1),
    "roll: shift is": lambda x: sn.roll(x, "a"),
    "expand_dims: axis is": lambda x: sn.expand_dims(x, None),
    "Mul: ": lambda x: x * 10**400,
}


@pytest.mark.parametrize("message", MISUSE)
def test_misuse_is_named_for_the_function_that_was_called(backend, message):
    with pytest.raises(sn.ScratchnetError, match=re.escape(message)) as caught:
        MISUSE[message](variable(np.ones((2, 3), "float32")))
    assert "\n" not in str(caught.value)


def test_a_masked_array_is_not_split():
    with pytest.raises(WrongArrayError, match="its mask would be lost"):
        sn.split(np.ma.ones(2), 2)
