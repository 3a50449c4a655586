"""A matplotlib Figure that needs no display, and that a notebook shows."""

from __future__ import annotations

from io import BytesIO

from matplotlib import figure


class Figure(figure.Figure):
    """As matplotlib's, which a notebook shows only once pyplot has been at work there."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
