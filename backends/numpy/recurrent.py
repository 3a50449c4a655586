"""The kernels of recurrent layers, on the CPU.

Each step works in place on a few small arrays, which stay in the cache. The gates of a cell lie side by
side, and one `tanh` computes all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backends.plain.library import Array
from backends.plain.recurrent import Recurrent, State, in_order


class NumPyRecurrent(Recurrent):
    """The kernels of recurrent layers, with few passes over memory. An RNN runs by its plain twin."""

    def recurrence(
        self, cell: str, x: Array, state: State, weight: Array, bias: Array | None,
        mask: Array | None, reverse: bool,
    ) -> tuple[Array, State, Any]:  # fmt: skip
        """As the plain twin, in place."""
        if cell not in _STEPS:
            return super().recurrence(cell, x, state, weight, bias, mask, reverse)
        steps, n, width = x.shape
        first, last = (steps, 0) if reverse else (0, steps)
        states = [np.empty((steps + 1, *each.shape), x.dtype) for each in state]
        for each, given in zip(states, state, strict=True):
            each[first] = given
        kept = np.empty((steps, *state[0].shape), x.dtype)
        hidden, spare = np.empty((n, width), x.dtype), np.empty_like(state[0])
        for t in in_order(steps, reverse):
            old, new = (t + 1, t) if reverse else (t, t + 1)
            np.matmul(states[0][old], weight.T, out=hidden)
            if bias is not None:
                hidden += bias
            before, after = [each[old] for each in states], [each[new] for each in states]
            _STEPS[cell](x[t], hidden, before, after, kept[t], spare)
            if mask is not None:
                for a, b in zip(after, before, strict=True):
                    np.copyto(a, b, where=~mask[t][:, None])
        results = states[0][:-1] if reverse else states[0][1:]
        return results, tuple(each[last].copy() for each in states), (x, states, kept)

    def recurrence_backward(
        self, cell: str, grad: Array, to_state: State, state: State, weight: Array,
        mask: Array | None, reverse: bool, saved: Any, needs_bias: bool,
    ) -> tuple[Array, Array, Array | None, State]:  # fmt: skip
        """As the plain twin, in place."""
        if cell not in _STEPS_BACK:
            return super().recurrence_backward(
                cell, grad, to_state, state, weight, mask, reverse, saved, needs_bias
            )
        gates, states, kept = saved
        to_x = np.empty_like(gates)
        to_hidden = np.empty_like(gates) if cell == "gru" else to_x
        to_states = [np.array(each, gates.dtype) for each in to_state]
        through, spare = np.empty_like(to_states[0]), np.empty_like(to_states[0])
        for t in in_order(len(gates), not reverse):
            to_states[0] += grad[t]
            if mask is not None:
                valid = mask[t][:, None]
                to_old = [self.masked(each, ~valid) for each in to_states]
                to_states = [self.masked(each, valid) for each in to_states]
            before = [each[t + 1 if reverse else t] for each in states]
            _STEPS_BACK[cell](gates[t], to_x[t], to_hidden[t], to_states, before, kept[t], spare)
            to_states[0] += np.matmul(to_hidden[t], weight, out=through)
            if mask is not None:
                for a, b in zip(to_states, to_old, strict=True):
                    a += b
        rows = to_hidden.reshape(-1, to_hidden.shape[-1])
        hidden = (states[0][1:] if reverse else states[0][:-1]).reshape(len(rows), -1)
        to_bias = self.sum(rows, axis=0) if needs_bias else None
        return to_x, rows.T @ hidden, to_bias, tuple(to_states)


def _parts(gates: Array, size: int) -> list[Array]:
    return [gates[:, start : start + size] for start in range(0, gates.shape[1], size)]


def _half(a: Array) -> None:
    a *= 0.5


def _sigmoid(a: Array) -> None:
    """Return the sigmoid of x, in place, if a is tanh(x / 2)."""
    a *= 0.5
    a += 0.5


def _lstm(
    a: Array, hidden: Array, old: list[Array], new: list[Array], tanh_c: Array, spare: Array
) -> None:
    """Compute the gates in place in `a`, and the new state and tanh(c)."""
    size = spare.shape[1]
    a += hidden
    _half(a[:, : 2 * size])
    _half(a[:, 3 * size :])
    np.tanh(a, out=a)
    _sigmoid(a[:, : 2 * size])
    _sigmoid(a[:, 3 * size :])
    (i, f, g, o), (_, c), (h, new_c) = _parts(a, size), old, new
    np.multiply(f, c, out=new_c)
    new_c += np.multiply(i, g, out=spare)
    np.tanh(new_c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def _lstm_backward(
    a: Array, to_x: Array, _: Array, to: list[Array], old: list[Array], tanh_c: Array, spare: Array
) -> None:
    """Compute the gradient at the gates in `to_x`, and that at the old state in place in `to`."""
    size = spare.shape[1]
    (i, f, g, o), (to_i, to_f, to_g, to_o), (to_h, to_c) = _parts(a, size), _parts(to_x, size), to
    np.multiply(a, a, out=to_x)
    np.subtract(a, to_x, out=to_x)  # y − y², the slope of a sigmoid
    np.subtract(1, np.multiply(g, g, out=to_g), out=to_g)
    np.subtract(1, np.multiply(tanh_c, tanh_c, out=spare), out=spare)
    spare *= o
    spare *= to_h
    to_c += spare
    to_i *= g
    to_f *= old[1]
    to_g *= i
    to_o *= tanh_c
    to_o *= to_h
    to_x[:, : 3 * size].reshape(len(a), 3, size)[...] *= to_c[:, None]
    to_c *= f
    to_h[...] = 0


def _gru(a: Array, hidden: Array, old: list[Array], new: list[Array], kept: Array, spare: Array) -> None:
    """Compute the gates in place in `a`, and the new state; keep the third part of hidden."""
    size = spare.shape[1]
    gates, (r, z, n) = a[:, : 2 * size], _parts(a, size)
    gates += hidden[:, : 2 * size]
    _half(gates)
    np.tanh(gates, out=gates)
    _sigmoid(gates)
    kept[...] = hidden[:, 2 * size :]
    n += np.multiply(r, kept, out=spare)
    np.tanh(n, out=n)
    h = np.subtract(old[0], n, out=new[0])
    h *= z
    h += n


def _gru_backward(
    a: Array, to_x: Array, to_hidden: Array, to: list[Array], old: list[Array], kept: Array, spare: Array
) -> None:
    """Compute the gradients at x and hidden, and that at the old state in place in `to`."""
    size = spare.shape[1]
    gates, to_gates = a[:, : 2 * size], to_x[:, : 2 * size]
    (r, z, n), (to_r, to_z, to_n), (to_h,) = _parts(a, size), _parts(to_x, size), to
    np.subtract(gates, np.multiply(gates, gates, out=to_gates), out=to_gates)
    np.subtract(1, np.multiply(n, n, out=to_n), out=to_n)
    to_n *= to_h
    to_n *= np.subtract(1, z, out=spare)
    np.subtract(old[0], n, out=spare)
    spare *= to_h
    to_z *= spare
    to_r *= kept
    to_r *= to_n
    to_hidden[:, : 2 * size] = to_gates
    np.multiply(to_n, r, out=to_hidden[:, 2 * size :])
    to_h *= z


_STEPS = {"lstm": _lstm, "gru": _gru}
_STEPS_BACK = {"lstm": _lstm_backward, "gru": _gru_backward}
