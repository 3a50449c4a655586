"""A matplotlib Figure that needs no display, and that a notebook shows."""

from __future__ import annotations

from io import BytesIO

from matplotlib import figure


class Figure(figure.Figure):
    """A matplotlib Figure that a notebook shows even if pyplot was not used there."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
