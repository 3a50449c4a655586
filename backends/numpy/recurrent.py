"""The kernels of recurrent layers, on the CPU.

The steps are done in blocks whose gates stay in the cache, and each step works in place. The gates of a
cell lie side by side, and one `tanh` computes all of them: σ(a) is (tanh(a / 2) + 1) / 2, so the weights
of the sigmoids are halved in advance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backends.plain.library import Array
from backends.plain.recurrent import Recurrent, State, Weights, in_order

_BLOCK = 1 << 17
"""A block has about so many elements of gates, or one step."""


class NumPyRecurrent(Recurrent):
    """The kernels of recurrent layers, with few passes over memory. An RNN runs by its plain twin."""

    def recurrence(
        self, cell: str, x: Array, state: State, weights: Weights, mask: Array | None, reverse: bool
    ) -> tuple[Array, State, Any]:
        """As the plain twin, in place."""
        if cell not in _STEPS:
            return super().recurrence(cell, x, state, weights, mask, reverse)
        steps, n, _ = x.shape
        w_ih, w_hh, b_ih, b_hh = _halved(cell, weights)
        gates = np.empty((steps, n, len(w_ih)), w_ih.dtype)
        kept, hidden = np.empty((steps, *state[0].shape), gates.dtype), np.empty_like(gates[0])
        first, last = (steps, 0) if reverse else (0, steps)
        states = [np.empty((steps + 1, *each.shape), gates.dtype) for each in state]
        for each, given in zip(states, state, strict=True):
            each[first] = given
        only_x = cell == "gru"  # the other cells add both biases in one place
        for block, order in _blocks(gates, reverse):
            np.matmul(_rows(x[block]), w_ih.T, out=_rows(gates[block]))
            gates[block] += b_ih if only_x else b_ih + b_hh
            for t in order:
                before, after = _around(states, t, reverse)
                np.matmul(before[0], w_hh.T, out=hidden)
                if only_x:
                    hidden += b_hh
                _STEPS[cell](gates[t], hidden, before, after, kept[t])
                if mask is not None:
                    for a, b in zip(after, before, strict=True):
                        np.copyto(a, b, where=~mask[t][:, None])
        results = states[0][:-1] if reverse else states[0][1:]
        return results, tuple(each[last].copy() for each in states), (gates, states, kept)

    def recurrence_backward(
        self, cell: str, grad: Array, to_state: State, x: Array, state: State, weights: Weights,
        mask: Array | None, reverse: bool, saved: Any, needs_x: bool,
    ) -> tuple[Array | None, Weights, State]:  # fmt: skip
        """As the plain twin, in place. Each block adds to the gradients of the weights."""
        if cell not in _STEPS:
            return super().recurrence_backward(
                cell, grad, to_state, x, state, weights, mask, reverse, saved, needs_x
            )
        (gates, states, kept), (w_ih, w_hh, _, _) = saved, weights
        to = [np.array(each, gates.dtype) for each in to_state]
        to_x = np.empty(x.shape, gates.dtype) if needs_x else None
        totals: list[Any] = []
        through, spare = np.empty_like(to[0]), np.empty_like(to[0])
        for block, order in _blocks(gates, not reverse):
            to_gates = np.empty_like(gates[block])
            to_hidden = np.empty_like(to_gates) if cell == "gru" else to_gates
            for t in order:
                to[0] += grad[t]
                if mask is not None:
                    valid = mask[t][:, None]
                    to_old = [self.masked(each, ~valid) for each in to]
                    to = [self.masked(each, valid) for each in to]
                at = t - block.start
                before, _ = _around(states, t, reverse)
                _STEPS_BACK[cell](gates[t], to_gates[at], to_hidden[at], to, before, kept[t], spare)
                to[0] += np.matmul(to_hidden[at], w_hh, out=through)
                if mask is not None:
                    for a, b in zip(to, to_old, strict=True):
                        a += b
            needs = needs_x, True, True
            part, *of_x = self.affine_backward(_rows(to_gates), _rows(x[block]), w_ih, None, needs)
            if to_x is not None and part is not None:
                to_x[block] = part.reshape(to_x[block].shape)
            hidden = states[0][1:][block] if reverse else states[0][block]
            needs = False, True, cell == "gru"
            _, *of_h = self.affine_backward(_rows(to_hidden), _rows(hidden), w_hh, None, needs)
            found = [of_x[0], of_h[0], of_x[1], of_x[1] if of_h[1] is None else of_h[1]]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
        return to_x, tuple(totals), tuple(to)


def _blocks(gates: Array, reverse: bool) -> Iterator[tuple[slice, range]]:
    """Yield blocks of steps: where they lie, and the order of their steps."""
    order, count = in_order(len(gates), reverse), max(1, _BLOCK // max(1, gates[0].size))
    for start in range(0, len(gates), count):
        part = order[start : start + count]
        yield slice(min(part), max(part) + 1), part


def _rows(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1])


def _around(states: list[Array], t: int, reverse: bool) -> tuple[list[Array], list[Array]]:
    """Return the state before step t, and that after it."""
    old, new = (t + 1, t) if reverse else (t, t + 1)
    return [each[old] for each in states], [each[new] for each in states]


def _halved(cell: str, weights: Weights) -> Weights:
    """Return the weights with the rows of all sigmoids halved, which is exact."""
    size = weights[1].shape[1]
    scale = np.repeat(np.array(_SCALES[cell], weights[0].dtype), size)
    w_ih, w_hh, b_ih, b_hh = weights
    return w_ih * scale[:, None], w_hh * scale[:, None], b_ih * scale, b_hh * scale


def _parts(gates: Array, size: int) -> list[Array]:
    return [gates[:, start : start + size] for start in range(0, gates.shape[1], size)]


def _to_sigmoid(a: Array) -> None:
    """Turn tanh(x / 2) into the sigmoid of x, in place."""
    a *= 0.5
    a += 0.5


def _lstm(a: Array, hidden: Array, old: list[Array], new: list[Array], tanh_c: Array) -> None:
    """Compute the gates in place in `a`, and the new state and tanh(c)."""
    (_, c), (h, new_c), size = old, new, tanh_c.shape[1]
    a += hidden
    np.tanh(a, out=a)
    _to_sigmoid(a[:, : 2 * size])
    _to_sigmoid(a[:, 3 * size :])
    i, f, g, o = _parts(a, size)
    np.multiply(f, c, out=new_c)
    new_c += np.multiply(i, g, out=h)
    np.tanh(new_c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def _lstm_backward(
    a: Array, to_x: Array, _: Array, to: list[Array], old: list[Array], tanh_c: Array, spare: Array
) -> None:
    """Compute the gradient at the gates in `to_x`, and that at the old state in place in `to`."""
    size = spare.shape[1]
    (i, f, g, o), (to_i, to_f, to_g, to_o), (to_h, to_c) = _parts(a, size), _parts(to_x, size), to
    np.multiply(a, a, out=to_x)
    for part in (slice(2 * size), slice(3 * size, None)):
        np.subtract(a[:, part], to_x[:, part], out=to_x[:, part])  # y - y², the slope of a sigmoid
    np.subtract(1, to_g, out=to_g)  # 1 - y², that of tanh
    np.multiply(tanh_c, tanh_c, out=spare)
    np.subtract(1, spare, out=spare)
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


def _gru(a: Array, hidden: Array, old: list[Array], new: list[Array], kept: Array) -> None:
    """Compute the gates in place in `a`, and the new state; keep the third part of hidden."""
    (h,), size = new, kept.shape[1]
    gates, (r, z, n) = a[:, : 2 * size], _parts(a, size)
    gates += hidden[:, : 2 * size]
    np.tanh(gates, out=gates)
    _to_sigmoid(gates)
    kept[...] = hidden[:, 2 * size :]
    n += np.multiply(r, kept, out=h)
    np.tanh(n, out=n)
    np.subtract(old[0], n, out=h)
    h *= z
    h += n


def _gru_backward(
    a: Array, to_x: Array, to_hidden: Array, to: list[Array], old: list[Array], kept: Array, spare: Array
) -> None:
    """Compute the gradients at x and hidden, and that at the old state in place in `to`."""
    (to_h,), size = to, spare.shape[1]
    gates, to_gates = a[:, : 2 * size], to_x[:, : 2 * size]
    (r, z, n), (to_r, to_z, to_n) = _parts(a, size), _parts(to_x, size)
    np.multiply(a, a, out=to_x)
    np.subtract(gates, to_gates, out=to_gates)
    np.subtract(1, to_n, out=to_n)
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


_SCALES = {"lstm": (0.5, 0.5, 1, 0.5), "gru": (0.5, 0.5, 1)}
_STEPS = {"lstm": _lstm, "gru": _gru}
_STEPS_BACK = {"lstm": _lstm_backward, "gru": _gru_backward}
