"""The recurrent layers: a cell that runs over a sequence, in one direction or in both.

Several of these runs can be stacked. State names, initial values and results are those of torch.nn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends import Array, check
from backends.errors import kind_of
from scratchnet.core.function import Function, array_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import concatenate, dropout, expand_dims, recurrent, squeeze, stack, swapaxes
from scratchnet.functions.comparison import masked
from scratchnet.layers.arguments import floating, generator, probability, size
from scratchnet.layers.cells import Recurrent, of_nonlinearity
from scratchnet.layers.dropout import Dropout


class _Layer(Recurrent):
    """A cell that runs over a sequence."""

    function: Callable[..., Function]

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = True, dropout: float = 0.0, bidirectional: bool = False, *,
        return_state: bool = True, rng: Any = None, dtype: Any = "float32",
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self._set_sizes(input_size, hidden_size, bias)
        self.num_layers = size(name, "num_layers", num_layers)
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.return_state = bool(return_state)
        share, rng = probability(name, "dropout", dropout), generator(name, rng)
        if share and self.num_layers == 1:
            raise SettingError(
                f"{name}: dropout is {dropout!r}, but it acts between layers, and there is only one; "
                "set num_layers to at least 2, or put a Dropout behind this layer"
            )
        self._suffixes = [
            [f"_l{i}{end}" for end in ("", "_reverse")[: 1 + self.bidirectional]]
            for i in range(self.num_layers)
        ]
        inputs = self.input_size
        for suffixes in self._suffixes:
            for suffix in suffixes:
                self._draw(suffix, inputs, rng, floating(name, dtype))
            inputs = self.hidden_size * len(suffixes)
        self.dropout = Dropout(share, rng=rng)

    def extra_repr(self) -> str:
        """Return the sizes, and the settings that differ from their defaults, as `print` shows them."""
        return self._settings({
            "num_layers": 1, "nonlinearity": "tanh", "bias": True, "batch_first": True,
            "bidirectional": False, "return_state": True,
        })  # fmt: skip

    def forward(self, x: Any, state: Any = None, mask: Any = None) -> Any:
        """Run over a sequence.

        Args:
            x: a Variable or an array of shape (n, steps, input_size), or (steps, n, input_size) without
                `batch_first`. One sequence, (steps, input_size), is allowed too.
            state: the state before the first step, each array of shape (num_layers · directions, n,
                hidden_size), or without n for one sequence; None means zeros.
            mask: booleans of shape (n, steps), or (steps, n) without `batch_first`: True where a step is
                valid. At the others the state stays as it is, and the output is 0. None means True.

        Returns:
            The output, (n, steps, directions · hidden_size) in the order of x, and the state after the
                last step, of the shapes of `state`. With `return_state=False`, only the output.

        Raises:
            ShapeError: x, the state or the mask has another shape, or there are no steps.
            OperandError: x is not floating, the mask is not boolean, or the state is something else.
        """
        self._check(x, (2, 3), "n, steps" if self.batch_first else "steps, n")
        alone, steps_axis = x.ndim == 2, 1 if self.batch_first else 0
        if alone:
            x = expand_dims(x, 1 - steps_axis)
        if self.batch_first:
            x = swapaxes(x, 0, 1)
        steps, n = x.shape[:2]
        if not steps:
            raise ShapeError(f"{type(self).__name__}: the input has no steps; give at least one")
        mask = None if mask is None else self._mask(mask, steps, n, alone)
        runs = sum(map(len, self._suffixes))
        size_of_batch = () if alone else (n,)
        first = self._given(state, (runs, *size_of_batch, self.hidden_size), x.dtype)
        if alone:
            first = tuple(expand_dims(each, 1) for each in first)
        y, last = self._run(x, first, mask)
        if mask is not None:
            y = masked(y, mask[..., None])
        if self.batch_first:
            y = swapaxes(y, 0, 1)
        if alone:
            y, last = squeeze(y, 1 - steps_axis), tuple(squeeze(each, 1) for each in last)
        if not self.return_state:
            return y
        return y, last if len(last) > 1 else last[0]

    def _run(self, x: Any, first: tuple[Any, ...], mask: Array | None) -> tuple[Any, tuple[Any, ...]]:
        """Return the output of the last layer, and the state after the last step."""
        if mask is not None:
            x = masked(x, mask[..., None])  # what the padding holds, such as NaN, counts nowhere
        states: list[tuple[Any, ...]] = []
        for layer, suffixes in enumerate(self._suffixes):
            results = []
            x = self._dropped(x) if layer else x
            for reverse, suffix in enumerate(suffixes):
                start = [each[len(states)] for each in first]
                found = self.function(bool(reverse), mask).on(x, *self._drawn(suffix), *start)
                y, *others = found if isinstance(found, tuple) else (found,)
                states.append((y[0 if reverse else -1], *others))
                results.append(y)
            x = results[0] if len(results) == 1 else concatenate(results, axis=-1)
        return x, tuple(stack(each) for each in zip(*states, strict=True))

    def _dropped(self, x: Any) -> Any:
        """Apply dropout between two layers, where the samples are the second axis."""
        return dropout(x, self.dropout.p, self.training, self.dropout.generator, axis=1)

    def _mask(self, mask: Any, steps: int, n: int, alone: bool) -> Array:
        """Return the mask as an array (steps, n)."""
        name, mask = type(self).__name__, array_of(mask)
        wanted = (steps,) if alone else (n, steps) if self.batch_first else (steps, n)
        if not hasattr(mask, "shape"):
            raise OperandError(f"{name}: mask is {kind_of(mask)}; give a boolean array")
        if mask.shape != wanted:
            raise ShapeError(f"{name}: mask has shape {mask.shape}, but it must have shape {wanted}")
        if mask.dtype.kind != "b":
            raise OperandError(
                f"{name}: mask has dtype {mask.dtype}; it must be boolean, True where a step is valid"
            )
        check(name, "mask", mask)
        mask = mask.copy()  # the backward pass reads it too, and the caller may change its own
        if alone:
            return mask[:, None]
        return mask.T if self.batch_first else mask


class RNN(_Layer):
    """A recurrent layer: at each step h = tanh(W_ih x + b_ih + W_hh h + b_hh).

        layer = sn.RNN(8, 16, rng=0)
        y, h = layer(x)  # x is (n, steps, 8), y is (n, steps, 16), h is (1, n, 16)

    Source: Elman, Finding Structure in Time, 1990.

    Args:
        input_size: the size of the input's last axis.
        hidden_size: the size of the state's last axis.
        num_layers: the number of layers. Each one runs over the output of the layer before it.
        nonlinearity: "tanh" or "relu".
        bias: whether the layers have biases.
        batch_first: whether the input is (n, steps, input_size), and not (steps, n, input_size).
            PyTorch's default is False.
        dropout: the probability with which dropout acts on the output of each layer but the last.
        bidirectional: whether a second run goes from the last step to the first. The two outputs lie
            side by side.
        return_state: whether `forward` returns the state too. False is for a Sequential.
        rng: a generator or a seed for the parameters and the dropout; None uses a random seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight_ih_l0: a Variable of shape (hidden_size, input_size), and for the next layers
            `weight_ih_l1` …, of shape (hidden_size, directions · hidden_size). The name of the second
            direction ends with `_reverse`.
        weight_hh_l0: a Variable of shape (hidden_size, hidden_size), named in the same way.
        bias_ih_l0: a Variable of shape (hidden_size,); not there without biases.
        bias_hh_l0: as `bias_ih_l0`.

    Raises:
        SettingError: a size is not a positive integer, or another setting is out of its range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = True, dropout: float = 0.0, bidirectional: bool = False,
        *, return_state: bool = True, rng: Any = None, dtype: Any = "float32",
    ) -> None:  # fmt: skip
        self.nonlinearity = nonlinearity
        self.function = of_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            return_state=return_state, rng=rng, dtype=dtype,
        )  # fmt: skip


class LSTM(_Layer):
    """A layer of long short-term memory; see `scratchnet.functions.recurrent.lstm_cell`.

        layer = sn.LSTM(8, 16, rng=0)
        y, (h, c) = layer(x)  # x is (n, steps, 8), y is (n, steps, 16), h and c are (1, n, 16)

    Arguments, attributes and errors are those of `RNN`, without `nonlinearity`. The parameters have
    4 · hidden_size rows: for the input gate, the forget gate, the candidate and the output gate. The
    state is the tuple (h, c).

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """

    gates, states, function = 4, ("h", "c"), recurrent.LSTM


class GRU(_Layer):
    """A layer of gated recurrent units; see `scratchnet.functions.recurrent.gru_cell`.

        layer = sn.GRU(8, 16, rng=0)
        y, h = layer(x)  # x is (n, steps, 8), y is (n, steps, 16), h is (1, n, 16)

    Arguments, attributes and errors are those of `RNN`, without `nonlinearity`. The parameters have
    3 · hidden_size rows: for the reset gate, the update gate and the candidate.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    gates, function = 3, recurrent.GRU
