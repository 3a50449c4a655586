"""The kernels of recurrent layers: one pass over the steps of a sequence, and the pass back.

A cell computes its new state from the old one, from `x`, the part of its gates that depends on the
input, and from `hidden`, the part that depends on the state. Sigmoids of gates are computed as
(tanh(a / 2) + 1) / 2. The absolute error is about one ULP of 1, which is small enough for a gate.

Sources: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Gers, Schmidhuber and Cummins,
Learning to Forget, 2000; Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
The GRU multiplies by its reset gate after the product with the weight, as PyTorch's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from backends.plain.library import Array, Library

State: TypeAlias = tuple[Array, ...]
"""The state of a cell: (h,), or (h, c) of an LSTM. Each is (n, hidden)."""
Weights: TypeAlias = tuple[Array, Array, Array, Array]
"""The weight of x, (gates · hidden, inputs), that of h, (gates · hidden, hidden), and their biases."""


class Cell(NamedTuple):
    """A kind of cell.

    Attributes:
        gates: the number of gates; x and hidden have (n, gates · hidden size).
        states: the number of arrays in its state.
        forward: maps xp, x, hidden and the state to the new state and what `backward` needs.
        backward: maps xp, the gradients at the new state, what `forward` kept, and the old state to the
            gradients at x, at hidden, and at the old state. The last do not include the way through
            hidden.
    """

    gates: int
    states: int
    forward: Callable[..., tuple[State, Any]]
    backward: Callable[..., tuple[Array, Array, State]]


class Recurrent(Library):
    """The kernels of recurrent layers: the plain twins."""

    affine: Callable[..., Array]
    affine_backward: Callable[..., tuple[Array | None, Array | None, Array | None]]

    def recurrence(
        self, cell: str, x: Array, state: State, weights: Weights, mask: Array | None, reverse: bool
    ) -> tuple[Array, State, Any]:
        """Run a cell over all steps of a sequence.

        Args:
            cell: a name in `CELLS`.
            x: (steps, n, inputs).
            state: the state before the first step.
            weights: those of x and h, and their biases.
            mask: (steps, n), booleans. Where it is False, the state stays as it is. None means True.
            reverse: whether to begin with the last step.

        Returns:
            h after each step, (steps, n, hidden), in the order of x; the state at the end; and what
            `recurrence_backward` needs.
        """
        xp, forward, (w_ih, w_hh, b_ih, b_hh) = self.xp, CELLS[cell].forward, weights
        gates = self.affine(x.reshape(-1, x.shape[2]), w_ih, b_ih).reshape(*x.shape[:2], len(w_ih))
        states: list[Any] = [None] * len(x)
        kept: list[Any] = [None] * len(x)
        for t in in_order(len(x), reverse):
            new, kept[t] = forward(xp, gates[t], self.affine(state[0], w_hh, b_hh), state)
            if mask is not None:
                valid = mask[t][:, None]
                new = tuple(xp.where(valid, a, b) for a, b in zip(new, state, strict=True))
            states[t] = state = new
        return xp.stack([each[0] for each in states]), state, (states, kept)

    def recurrence_backward(
        self, cell: str, grad: Array, to_state: State, x: Array, state: State, weights: Weights,
        mask: Array | None, reverse: bool, saved: Any, needs_x: bool,
    ) -> tuple[Array | None, Weights, State]:  # fmt: skip
        """Return the gradients of `recurrence` at x, at the weights, and at the state at the start.

        Args:
            cell: as for `recurrence`.
            grad: the gradient at h after each step, (steps, n, hidden).
            to_state: the gradients at the state at the end.
            x: as for `recurrence`.
            state: as for `recurrence`.
            weights: as for `recurrence`.
            mask: as for `recurrence`.
            reverse: as for `recurrence`.
            saved: the last result of `recurrence`. It stays unchanged.
            needs_x: whether the gradient at x is needed. It is None if not.
        """
        xp, backward, (states, kept) = self.xp, CELLS[cell].backward, saved
        w_ih, w_hh, _, _ = weights
        order = in_order(len(x), reverse)
        to_gates: list[Any] = [None] * len(x)
        to_hidden: list[Any] = [None] * len(x)
        before = dict(zip(order, [state, *(states[t] for t in order)], strict=False))
        for t in reversed(order):
            to_new: Sequence[Array] = (to_state[0] + grad[t], *to_state[1:])
            if mask is not None:
                valid = mask[t][:, None]
                to_old = [self.masked(each, ~valid) for each in to_new]
                to_new = [self.masked(each, valid) for each in to_new]
            to_gates[t], to_hidden[t], (to_h, *others) = backward(xp, to_new, kept[t], before[t])
            to_state = (to_h + self.matmul(to_hidden[t], w_hh), *others)
            if mask is not None:
                to_state = tuple(a + b for a, b in zip(to_state, to_old, strict=True))
        rows, inputs = xp.concatenate(to_gates), x.reshape(-1, x.shape[2])
        to_x, to_w_ih, to_b_ih = self.affine_backward(rows, inputs, w_ih, None, (needs_x, True, True))
        hidden = xp.concatenate([before[t][0] for t in range(len(x))])
        _, to_w_hh, to_b_hh = self.affine_backward(
            xp.concatenate(to_hidden), hidden, w_hh, None, (False, True, True)
        )
        to_x = None if to_x is None else to_x.reshape(x.shape)
        return to_x, (to_w_ih, to_w_hh, to_b_ih, to_b_hh), to_state


def in_order(steps: int, reverse: bool) -> range:
    """Return the indices of the steps, from the last one on if `reverse`."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _sigmoid(xp: Any, a: Array) -> Array:
    return (xp.tanh(a / 2) + 1) / 2


def _rnn(xp: Any, x: Array, hidden: Array, _: State) -> tuple[State, Any]:
    h = xp.tanh(x + hidden)
    return (h,), h


def _rnn_backward(xp: Any, to_new: State, h: Array, _: State) -> tuple[Array, Array, State]:
    to_gate = to_new[0] * (1 - h * h)
    return to_gate, to_gate, (xp.zeros_like(h),)


def _relu_rnn(xp: Any, x: Array, hidden: Array, _: State) -> tuple[State, Any]:
    h = xp.maximum(x + hidden, 0)
    return (h,), h


def _relu_rnn_backward(xp: Any, to_new: State, h: Array, _: State) -> tuple[Array, Array, State]:
    to_gate = xp.where(h > 0, to_new[0], 0)
    return to_gate, to_gate, (xp.zeros_like(h),)


def _lstm(xp: Any, x: Array, hidden: Array, state: State) -> tuple[State, Any]:
    i, f, g, o = xp.split(x + hidden, 4, axis=1)
    i, f, g, o = _sigmoid(xp, i), _sigmoid(xp, f), xp.tanh(g), _sigmoid(xp, o)
    c = f * state[1] + i * g
    tanh_c = xp.tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def _lstm_backward(xp: Any, to_new: State, kept: Any, state: State) -> tuple[Array, Array, State]:
    (to_h, to_c), (i, f, g, o, tanh_c) = to_new, kept
    to_c = to_c + to_h * o * (1 - tanh_c * tanh_c)
    to_i, to_f, to_g = to_c * g * i * (1 - i), to_c * state[1] * f * (1 - f), to_c * i * (1 - g * g)
    to_gates = xp.concatenate((to_i, to_f, to_g, to_h * tanh_c * o * (1 - o)), axis=1)
    return to_gates, to_gates, (xp.zeros_like(to_h), to_c * f)


def _gru(xp: Any, x: Array, hidden: Array, state: State) -> tuple[State, Any]:
    (x_r, x_z, x_n), (r, z, hidden_n) = xp.split(x, 3, axis=1), xp.split(hidden, 3, axis=1)
    r, z = _sigmoid(xp, x_r + r), _sigmoid(xp, x_z + z)
    n = xp.tanh(x_n + r * hidden_n)
    return ((1 - z) * n + z * state[0],), (r, z, n, hidden_n)


def _gru_backward(xp: Any, to_new: State, kept: Any, state: State) -> tuple[Array, Array, State]:
    (to_h,), (r, z, n, hidden_n) = to_new, kept
    to_n = to_h * (1 - z) * (1 - n * n)
    to_z = to_h * (state[0] - n) * z * (1 - z)
    to_r = to_n * hidden_n * r * (1 - r)
    to_x = xp.concatenate((to_r, to_z, to_n), axis=1)
    return to_x, xp.concatenate((to_r, to_z, to_n * r), axis=1), (to_h * z,)


CELLS = {
    "rnn": Cell(1, 1, _rnn, _rnn_backward),
    "relu_rnn": Cell(1, 1, _relu_rnn, _relu_rnn_backward),
    "lstm": Cell(4, 2, _lstm, _lstm_backward),
    "gru": Cell(3, 1, _gru, _gru_backward),
}
"""The kinds of cells, by name."""
