"""Recurrent cells, and their run over a sequence.

`rnn_cell`, `lstm_cell` and `gru_cell` are one step, written in differentiable functions: read these
first. The Functions RNN, LSTM and GRU run the same step over a whole sequence by a kernel, which is much
faster. Their second derivatives are those of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand, Sample, array_of
from scratchnet.core.sweep import sweep
from scratchnet.functions.activation import relu, sigmoid, tanh
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import at_least_float32
from scratchnet.functions.joining import split, stack
from scratchnet.functions.linear import matmul
from scratchnet.functions.shape import transpose

State = tuple[Any, ...]


def rnn_cell(x: Any, state: State, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> State:
    """Return the state of a recurrent cell after a step: h = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Source: Elman, Finding Structure in Time, 1990.

    Args:
        x: the input of the step, (n, inputs).
        state: (h,), where h is (n, hidden).
        w_ih: the weight of the input, (hidden, inputs).
        w_hh: the weight of the state, (hidden, hidden).
        b_ih: a bias, (hidden,).
        b_hh: a second bias, as PyTorch has it.
    """
    return (tanh(_affine(x, w_ih, b_ih) + _affine(state[0], w_hh, b_hh)),)


def relu_rnn_cell(x: Any, state: State, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> State:
    """Return the state of a recurrent cell with ReLU in place of tanh; see `rnn_cell`."""
    return (relu(_affine(x, w_ih, b_ih) + _affine(state[0], w_hh, b_hh)),)


def lstm_cell(x: Any, state: State, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> State:
    """Return the state (h, c) of an LSTM cell after a step.

    With (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh, the new state is c = σ(f) · c + σ(i) · tanh(g) and
    h = σ(o) · tanh(c). σ is the sigmoid.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Gers, Schmidhuber and Cummins,
    Learning to Forget, 2000.

    Args:
        x: the input of the step, (n, inputs).
        state: (h, c), each (n, hidden).
        w_ih: the weights of the input, (4 · hidden, inputs), in the order i, f, g, o.
        w_hh: the weights of the state, (4 · hidden, hidden).
        b_ih: a bias, (4 · hidden,).
        b_hh: a second bias, as PyTorch has it.
    """
    h, c = state
    i, f, g, o = split(_affine(x, w_ih, b_ih) + _affine(h, w_hh, b_hh), 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_cell(x: Any, state: State, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> State:
    """Return the state of a gated recurrent unit after a step.

    With (r', z', n') = W_ih x + b_ih and (r", z", n") = W_hh h + b_hh, the gates are r = σ(r' + r") and
    z = σ(z' + z"), and the new state is h = (1 - z) · n + z · h with n = tanh(n' + r · n").

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014. As in PyTorch,
    the reset gate r multiplies after the product with the weight.

    Args:
        x: the input of the step, (n, inputs).
        state: (h,), where h is (n, hidden).
        w_ih: the weights of the input, (3 · hidden, inputs), in the order r, z, n.
        w_hh: the weights of the state, (3 · hidden, hidden).
        b_ih: a bias, (3 · hidden,).
        b_hh: a second bias. Its part for n is inside of the product with r.
    """
    (h,) = state
    r_x, z_x, n_x = split(_affine(x, w_ih, b_ih), 3, axis=-1)
    r_h, z_h, n_h = split(_affine(h, w_hh, b_hh), 3, axis=-1)
    z = sigmoid(z_x + z_h)
    n = tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return (n + z * (h - n),)


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    return matmul(x, transpose(weight)) + bias


def _samples(gates: int) -> Sequence[Sample]:
    """Return operands for tests: three steps of two sequences, in both directions, and with a mask."""
    width, state = 5 * gates, [(2, 5)] * (2 if gates == 4 else 1)
    operands = [(3, 2, 4), (width, 4), (width, 5), (width,), (width,), *state]
    return (operands, {}), (operands, {"reverse": True})


class RNN(Function):
    """A recurrent cell with tanh, run over a sequence: h after each step.

    The operands are x (steps, n, inputs), the two weights and the two biases as in `rnn_cell`, and the
    state at the start.
    """

    rule = "the gradients of the cell at each step, from the last step to the first, added up"
    samples: ClassVar[Sequence[Sample]] = _samples(1)
    constants = ("saved",)
    cell: ClassVar[str] = "rnn"
    step: ClassVar[Callable[..., State]] = staticmethod(rnn_cell)

    def __init__(self, reverse: bool = False, mask: Array | None = None) -> None:
        """Set whether to begin with the last step, and a mask (steps, n), booleans.

        Where the mask is False, the state stays as it is.
        """
        self.reverse, self.mask = reverse, mask

    def forward(self, *operands: Array) -> Any:
        """Return h after each step, (steps, n, hidden); of an LSTM also c at the end."""
        x, *weights = map(at_least_float32, operands)
        y, last, self.saved = active().recurrence(
            self.cell, x, tuple(weights[4:]), tuple(weights[:4]), self.mask, self.reverse
        )
        results = tuple(each.astype(operands[0].dtype, copy=False) for each in (y, *last[1:]))
        self.keep(*operands, results[0])  # `saved` may share its memory: a change must be noticed
        return results if len(results) > 1 else results[0]

    def backward(self, grad: Any, *kept: Any) -> tuple[Any, ...]:
        """Return the gradients of all operands."""
        *operands, _ = kept
        grads = grad if isinstance(grad, tuple) else (grad,)
        if any(isinstance(each, Operand) for each in grads):
            return self._by_steps(grads, operands)
        grad, *to_last = map(at_least_float32, grads)
        x, *weights = map(at_least_float32, operands)
        state = tuple(weights[4:])
        to_x, to_weights, to_state = active().recurrence_backward(
            self.cell, grad, (xp.zeros_like(state[0]), *to_last), x, state, tuple(weights[:4]),
            self.mask, self.reverse, self.saved, self.needs_grad[0],
        )  # fmt: skip
        return to_x, *to_weights, *to_state

    def _by_steps(self, grads: tuple[Any, ...], operands: list[Any]) -> tuple[Any, ...]:
        """Return the gradients by one step after the other, in differentiable functions."""
        inner = [each * 1 for each in operands]  # the sweep ends here, and does not go on behind them
        x, *parameters = inner[:5]
        state: State = tuple(inner[5:])
        states: dict[int, State] = {}
        for t in range(len(x))[:: -1 if self.reverse else 1]:
            new = self.step(x[t], state, *parameters)
            if self.mask is not None:
                valid = self.mask[t][:, None]
                new = tuple(where(valid, a, b) for a, b in zip(new, state, strict=True))
            states[t] = state = new
        results = stack([states[t][0] for t in range(len(x))]), *state[1:]
        total = sum((y * grad).sum() for y, grad in zip(results, grads, strict=True))
        variable: Any = Operand.result_type
        places = [each.edge if isinstance(each, Operand) else None for each in inner]
        ends = [each for each in places if each is not None]
        seed = variable(xp.ones_like(array_of(total)), requires_grad=False)
        found = sweep(total, seed, retain_graph=True, create_graph=True, targets=ends)
        return tuple(None if each is None else found.get(each) for each in places)


class ReLURNN(RNN):
    """A recurrent cell with ReLU, run over a sequence; see RNN."""

    rule = RNN.rule
    cell, step = "relu_rnn", staticmethod(relu_rnn_cell)


class LSTM(RNN):
    """An LSTM, run over a sequence: h after each step, and c at the end. See RNN and `lstm_cell`."""

    rule, samples = RNN.rule, _samples(4)
    cell, step = "lstm", staticmethod(lstm_cell)


class GRU(RNN):
    """A gated recurrent unit, run over a sequence: h after each step. See RNN and `gru_cell`."""

    rule, samples = RNN.rule, _samples(3)
    cell, step = "gru", staticmethod(gru_cell)
