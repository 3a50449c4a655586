"""The kernels of recurrent layers."""

from __future__ import annotations

from backends.plain.library import Library


class Recurrent(Library):
    """The kernels of recurrent layers: the plain twins."""
