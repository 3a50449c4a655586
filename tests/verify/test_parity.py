"""Two backends are compared function by function, and a fault in one is found and named."""

import inspect
import math

import numpy as np
import pytest

import backends
import scratchnet as sn
from backends import Backend
from backends.numpy.backend import NumPyBackend
from backends.plain.library import Library
from scratchnet import functions
from scratchnet.errors import ParityError
from scratchnet.verify.cases import cases
from scratchnet.verify.parity import Parity, difference


@pytest.mark.guarantee("Every backend computes what NumPy and float64 compute, within rounding.")
@pytest.mark.parametrize("against", ["numpy", "float64"])
def test_a_backend_computes_what_numpy_and_what_float64_computes(backend, against):
    parity = Parity(against)
    assert parity.reference.name == ("numpy" if (backend, against) == ("strict", "numpy") else "plain")
    for row in parity.rows():
        parity.check(row)


@pytest.mark.guarantee("`scratchnet parity` finds a wrong kernel of any public function.")
def test_every_function_has_its_row():
    names = {case.name for case in cases()}
    classes = {
        name
        for name, each in vars(functions).items()
        if inspect.isclass(each) and issubclass(each, sn.Function)
    }
    assert classes - {"Dot"} <= names


def off_by_a_ten_thousandth(result):
    return tuple(map(off_by_a_ten_thousandth, result)) if type(result) is tuple else result * 1.0001


def wrong_at_the_end(result):
    result[-1][..., -1:] += 0.01
    return result


def nan_at_the_start(result):
    result[0][..., :1] = np.nan
    return result


def in_another_order(result):
    return result[::-1]


def wrong_maximum(result):
    maxima, places = result
    return maxima * 1.0001, places


def wrong_first(result):
    return result[0] * 1.0001, *result[1:]


FAULTS = [
    ("matmul", off_by_a_ten_thousandth, "MatMul: result"),
    ("sum", off_by_a_ten_thousandth, "Add: gradient at operand 1"),
    ("erf", off_by_a_ten_thousandth, "Erf: result"),
    ("erfc", wrong_at_the_end, "GELU: gradient"),
    ("gelu", off_by_a_ten_thousandth, "GELU: result"),
    ("threshold", off_by_a_ten_thousandth, "ReLU: result"),
    ("threshold", nan_at_the_start, "ReLU: result"),
    ("masked", off_by_a_ten_thousandth, "ReLU: gradient"),
    ("affine", off_by_a_ten_thousandth, "Affine: result"),
    ("affine", nan_at_the_start, "Affine: result"),
    ("affine_backward", off_by_a_ten_thousandth, "Affine: gradient at operand"),
    ("affine_backward", wrong_at_the_end, "Affine: gradient at operand 2"),
    ("affine_backward", nan_at_the_start, "Affine: gradient at operand 0"),
    ("softmax_cross_entropy", off_by_a_ten_thousandth, "SoftmaxCrossEntropy: loss"),
    ("softmax_cross_entropy", wrong_at_the_end, "SoftmaxCrossEntropy: gradient at the logits"),
    ("norm", off_by_a_ten_thousandth, "clip_grad_norm: "),
    ("clip_norm", off_by_a_ten_thousandth, "clip_grad_norm: norm"),
    ("normalize", off_by_a_ten_thousandth, "Normalize: result"),
    ("normalize", nan_at_the_start, "Normalize: result"),
    ("normalize_backward", off_by_a_ten_thousandth, "Normalize: gradient at operand"),
    ("normalize_backward", wrong_at_the_end, "Normalize: gradient at operand 2"),
    ("random_bits", in_another_order, "Dropout: result"),
    ("conv2d", off_by_a_ten_thousandth, "Conv2d: result"),
    ("conv_transpose2d", off_by_a_ten_thousandth, "Conv2d: gradient at operand 0"),
    ("conv2d_weight", off_by_a_ten_thousandth, "Conv2d: gradient at operand 1"),
    ("max_pool2d", wrong_maximum, "MaxPool2d: result"),
    ("embedding", off_by_a_ten_thousandth, "Embedding: result"),
    ("max_unpool2d", off_by_a_ten_thousandth, "MaxPool2dAt: gradient at operand 0"),
    ("max_pool2d_at", off_by_a_ten_thousandth, "MaxPool2dAt: result"),
    ("recurrence", wrong_first, "LSTM: result"),
    ("recurrence_backward", wrong_first, "LSTM: gradient at operand"),
    ("two_layer_epoch", off_by_a_ten_thousandth, "two_layer_epoch: losses"),
    ("two_layer_evaluation", wrong_at_the_end, "two_layer_evaluation: accuracies"),
]


IN_PLACE = {"sgd_update", "update", "clip_values", "take_rows", "scatter_add"}


def first_line(function):
    return function.__code__.co_firstlineno


def first_fault(backend):
    with backends.use(backend):
        parity = Parity("numpy")
    faulty = next(row for row in parity.rows() if row.fault)
    with pytest.raises(ParityError) as caught:
        parity.check(faulty)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.guarantee("`scratchnet parity` finds a wrong kernel of any public function.")
@pytest.mark.parametrize(("kernel", "fault", "named"), FAULTS)
def test_a_fault_in_a_kernel_s_result_is_named(kernel, fault, named):
    def kernel_with_a_fault(self, *arguments, **settings):
        return fault(getattr(NumPyBackend, kernel)(self, *arguments, **settings))

    faulty = {"name": "faulty", "fuses": lambda *_: True, kernel: kernel_with_a_fault}
    message = first_fault(type("Faulty", (NumPyBackend,), faulty)())
    assert message.startswith(named)
    assert "between faulty and numpy" in message
    assert ("inf ULP" in message) == (fault is nan_at_the_start)


@pytest.mark.guarantee("`scratchnet parity` finds a wrong kernel of any public function.")
def test_a_fault_in_what_a_kernel_changes_in_place_is_named():
    class Faulty(NumPyBackend):
        name = "faulty"

        def sgd_update(self, parameters, gradients, learning_rate):
            super().sgd_update(parameters[:-1], gradients[:-1], learning_rate)

    assert first_fault(Faulty()).startswith("SGD: parameter 3")

    class Other(NumPyBackend):
        name = "faulty"

        def take_rows(self, source, order, out):
            super().take_rows(source, order[::-1], out)

    assert first_fault(Other()).startswith("take_rows: rows")

    class Third(NumPyBackend):
        name = "faulty"

        def update(self, rule, settings, rate, targets):
            super().update(rule, settings, rate, targets)
            targets[-1].parameter[...] += 0.01

        def clip_values(self, gradients, limit):
            super().clip_values(gradients[1:], limit)

    assert first_fault(Third()).startswith("SGD with momentum: parameter 3")
    Third.update = NumPyBackend.update
    assert first_fault(Third()).startswith("clip_grad_value: gradient 0")

    class Another(NumPyBackend):
        name = "faulty"

        def scatter_add(self, target, index, values):
            super().scatter_add(target, index[:-1], values[:-1])

    assert first_fault(Another()).startswith("GetItem: gradient at operand 0")


def test_a_share_that_draws_the_numbers_of_the_first_elements_is_named():
    class Faulty(NumPyBackend):
        name = "faulty"

        def random_bits(self, key, draws, count, first=0):
            return super().random_bits(key, draws, count)

    assert first_fault(Faulty()).startswith("random_bits: bits")


def test_every_kernel_has_been_given_a_fault():
    computing = {
        name for room in Backend.__mro__[:-1]
        for name, each in vars(room).items()
        if inspect.isfunction(each) and not name.startswith("_")
        and (room is not Library or first_line(each) > first_line(Library.lay_out))
    } - {"fuses"}  # fmt: skip
    assert computing == {kernel for kernel, _, _ in FAULTS} | IN_PLACE


@pytest.mark.guarantee("`scratchnet parity` finds a wrong kernel of any public function.")
@pytest.mark.parametrize(
    ("found", "exact", "ulp"),
    [
        ([1, 2], [1, 2], 0),
        ([1, 2 + 2**-22], [1, 2], 1),
        ([2**-23, 2], [0, 2], 0.5),  # relative to the largest, not to 0
        ([np.nan, 2], [1, 2], math.inf),
        ([1, 2], [np.nan, 2], math.inf),
        ([np.nan, 2], [np.nan, 2], 0),
        ([np.nan, 2], [np.inf, 2], math.inf),
        ([np.inf, 2], [np.inf, 2], 0),
        ([np.inf, 2], [-np.inf, 2], math.inf),
        ([1e-9, 0], [0, 0], math.inf),
        ([[1, 2]], [1, 2], math.inf),
        ([], [], 0),
    ],
)
def test_how_far_two_arrays_are_apart(found, exact, ulp):
    exact = np.asarray(exact, np.float64)
    assert difference("it", np.asarray(found, np.float32), exact).ulp == ulp
    assert difference("it", np.asarray(found, np.float64), exact).ulp == math.inf  # not float32
