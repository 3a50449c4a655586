"""The kernels of recurrent layers, on the CPU."""

from __future__ import annotations

from backends.plain.recurrent import Recurrent


class NumPyRecurrent(Recurrent):
    """The kernels of recurrent layers, with few passes over memory."""
