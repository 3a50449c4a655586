"""The cells of recurrent layers, each one step, and what they share with the layers.

State names, initial values and results are those of torch.nn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from backends import xp
from backends.errors import kind_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import recurrent
from scratchnet.functions.shape import check_floating, shape_of
from scratchnet.layers.arguments import floating, generator, parameter, size
from scratchnet.layers.initializers import uniform
from scratchnet.layers.module import Module


class Recurrent(Module):
    """What recurrent layers and cells share: their sizes, parameters and checks.

    A subclass sets the number of its gates, and the names of the arrays in its state.
    """

    gates: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ("h",)
    input_size: int
    hidden_size: int
    bias: bool

    def _set_sizes(self, input_size: int, hidden_size: int, bias: bool) -> None:
        name = type(self).__name__
        self.input_size = size(name, "input_size", input_size)
        self.hidden_size = size(name, "hidden_size", hidden_size)
        self.bias = bool(bias)

    def _settings(self, defaults: dict[str, Any]) -> str:
        """Return the sizes, and the settings that differ from these defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        for what, default in defaults.items():
            if getattr(self, what, default) != default:
                text += f", {what}={getattr(self, what)!r}"
        return text

    def _draw(self, suffix: str, inputs: int, rng: Any, dtype: Any) -> None:
        """Draw two weights and two biases, uniformly between ±1 / √hidden_size, as in PyTorch."""
        width, bound = self.gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (width, inputs), "weight_hh": (width, self.hidden_size),
        }  # fmt: skip
        if self.bias:
            shapes |= {"bias_ih": (width,), "bias_hh": (width,)}
        for what, shape in shapes.items():
            where, drawn = f"{type(self).__name__}: {what}{suffix}", uniform(-bound, bound)
            setattr(self, what + suffix, parameter(where, drawn, shape, rng, dtype))

    def _drawn(self, suffix: str) -> tuple[Any, ...]:
        """Return the two weights and the two biases. Without biases, these are zeros."""
        w_ih, w_hh = (getattr(self, what + suffix) for what in ("weight_ih", "weight_hh"))
        if self.bias:
            return w_ih, w_hh, getattr(self, f"bias_ih{suffix}"), getattr(self, f"bias_hh{suffix}")
        zeros = xp.zeros(w_ih.shape[0], w_ih.dtype)
        return w_ih, w_hh, zeros, zeros

    def _check(self, x: Any, ndims: tuple[int, int], axes: str) -> None:
        """Raise an error unless x is floating, with one of these numbers of axes, of the right size."""
        name = type(self).__name__
        shape = shape_of(name, "x", x)
        if len(shape) not in ndims or shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has shape {shape}, but this layer expects ({axes}, {self.input_size}); "
                "reshape the input, or create the layer with another input_size"
            )
        if x.dtype.kind != "f":
            raise OperandError(
                f"{name}: input has dtype {x.dtype}; it must be floating; for indices put an Embedding "
                "before this layer"
            )

    def _given(self, state: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Any, ...]:
        """Return the state as a tuple of arrays or Variables; zeros of this shape if it is None.

        Raises:
            OperandError: it is something other than this layer's state, or not floating.
            ShapeError: an array has another shape.
        """
        name, count = type(self).__name__, len(self.states)
        if state is None:
            return (xp.zeros(shape, dtype),) * count
        given = (state,) if count == 1 else state
        wanted = "an array" if count == 1 else f"the tuple ({', '.join(self.states)})"
        is_state = isinstance(given, (tuple, list)) and len(given) == count
        if not (is_state and all(hasattr(each, "shape") for each in given)):
            raise OperandError(f"{name}: state is {kind_of(state)}; give {wanted}, or None for zeros")
        for what, each in zip(self.states, given, strict=True):
            if each.shape != shape:
                raise ShapeError(
                    f"{name}: {what} has shape {each.shape}, but it must have shape {shape}"
                )
            check_floating(name, what, each)
        return tuple(given)


class _Cell(Recurrent):
    """One step of a recurrent layer."""

    step: Callable[..., tuple[Any, ...]]

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *,
        rng: Any = None, dtype: Any = "float32",
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self._set_sizes(input_size, hidden_size, bias)
        self._draw("", self.input_size, generator(name, rng), floating(name, dtype))

    def extra_repr(self) -> str:
        """Return the sizes, and the settings that differ from their defaults, as `print` shows them."""
        return self._settings({"bias": True, "nonlinearity": "tanh"})

    def forward(self, x: Any, state: Any = None) -> Any:
        """Return the state after a step.

        Args:
            x: a Variable or an array of shape (n, input_size), or (input_size,).
            state: the state before the step; None means zeros.

        Raises:
            ShapeError: x or the state has another shape.
            OperandError: x is not floating, or the state is something else.
        """
        self._check(x, (1, 2), "n")
        given = self._given(state, (*x.shape[:-1], self.hidden_size), x.dtype)
        new = self.step(x, given, *self._drawn(""))
        return new[0] if len(new) == 1 else new


class RNNCell(_Cell):
    """One step of an RNN: h = tanh(W_ih x + b_ih + W_hh h + b_hh).

        h = cell(x, h)  # x is (n, input_size), h is (n, hidden_size)

    Args:
        input_size: the size of the input's last axis.
        hidden_size: the size of the state's last axis.
        bias: whether the cell has biases.
        nonlinearity: "tanh" or "relu".
        rng: a generator or a seed from which the cell draws the parameters; None uses a random seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight_ih: a Variable of shape (hidden_size, input_size).
        weight_hh: a Variable of shape (hidden_size, hidden_size).
        bias_ih: a Variable of shape (hidden_size,); not there without biases.
        bias_hh: as `bias_ih`.

    Raises:
        SettingError: a size is not a positive integer, or another setting is out of its range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", *,
        rng: Any = None, dtype: Any = "float32",
    ) -> None:  # fmt: skip
        self.nonlinearity = nonlinearity
        self.step = of_nonlinearity("RNNCell", nonlinearity).step
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)


class LSTMCell(_Cell):
    """One step of an LSTM; see `scratchnet.functions.recurrent.lstm_cell` for the formulas.

        h, c = cell(x, (h, c))  # x is (n, input_size), h and c are (n, hidden_size)

    Arguments, attributes and errors are those of `RNNCell`, without `nonlinearity`. The parameters have
    4 · hidden_size rows: for the input gate, the forget gate, the candidate and the output gate.
    """

    gates, states = 4, ("h", "c")
    step = staticmethod(recurrent.lstm_cell)


class GRUCell(_Cell):
    """One step of a GRU; see `scratchnet.functions.recurrent.gru_cell` for the formulas.

        h = cell(x, h)  # x is (n, input_size), h is (n, hidden_size)

    Arguments, attributes and errors are those of `RNNCell`, without `nonlinearity`. The parameters have
    3 · hidden_size rows: for the reset gate, the update gate and the candidate.
    """

    gates = 3
    step = staticmethod(recurrent.gru_cell)


def of_nonlinearity(name: str, nonlinearity: str) -> type[recurrent.RNN]:
    """Return the Function of an RNN with this nonlinearity.

    Raises:
        SettingError: it is neither "tanh" nor "relu". `name` is the layer, for the message.
    """
    kinds = {"tanh": recurrent.RNN, "relu": recurrent.ReLURNN}
    if not isinstance(nonlinearity, str) or nonlinearity not in kinds:
        raise SettingError(f'{name}: nonlinearity is {nonlinearity!r}; it must be "tanh" or "relu"')
    return kinds[nonlinearity]
