"""The counts of `summary`, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import StringIO
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from scratchnet.inspect.words import clean

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_LEAST_LAYER = 12
_NEXT_PREFIX = 999.5
_HEADINGS = ("layer", "class", "output", "parameters", "forward", "backward", "kept")


@dataclass(frozen=True)
class Row:
    """A module's call, or a Function between modules.

    Attributes:
        path: the path of the module, or of the one that applied the Function; empty for the network
            itself.
        kind: the class of the module or the Function.
        outputs: the shapes of its results.
        trainable, frozen: the numbers of parameters that it uses and that no row above uses.
        forward, backward: FLOPs.
        kept: bytes that it keeps from forward to backward, and that no row above keeps.
        unknown: Functions in it whose FLOPs are not known and not counted.
    """

    path: str
    kind: str
    outputs: tuple[tuple[int, ...], ...]
    trainable: int
    frozen: int
    forward: int
    backward: int
    kept: int
    unknown: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """All parameters that it uses and that no row above uses."""
        return self.trainable + self.frozen

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the table, one for each heading."""
        frozen = f" ({self.frozen:,} frozen)" if self.frozen else ""
        return (
            clean(self.path),
            clean(self.kind),
            ", ".join(map(str, self.outputs)),
            (f"{self.parameters:,}" if self.parameters else "–") + frozen,
            self._flops(self.forward),
            self._flops(self.backward),
            _metric(self.kept, "B"),
        )

    def _flops(self, number: int) -> str:
        least = "≥ " if self.unknown else ""
        return "?" if least and not number else least + _metric(number)


@dataclass(frozen=True)
class Summary:
    """The counts of a network. Printed, in a notebook and in rich, it is a table.

    Attributes:
        name: the network's class.
        input_shape: the shape of the batch.
        rows: in the order in which they ran.
        parameters: the number of parameters, trained or frozen; each Variable counts once.
        trainable: the number of parameters that are trained.
        unused: the paths of parameters that the step did not use.
        parameter_bytes: the bytes of the parameters.
        gradient_bytes: the bytes of their gradients.
        input_bytes: the bytes of the input and the labels.
    """

    name: str
    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    unused: tuple[str, ...]
    parameter_bytes: int
    gradient_bytes: int
    input_bytes: int

    @property
    def frozen(self) -> int:
        """The number of parameters that are not trained."""
        return self.parameters - self.trainable

    @property
    def forward_flops(self) -> int:
        """Operations of the forward pass."""
        return sum(row.forward for row in self.rows)

    @property
    def backward_flops(self) -> int:
        """Operations of the backward pass."""
        return sum(row.backward for row in self.rows)

    @property
    def flops(self) -> int:
        """Operations of forward and backward. If `unknown` names Functions, there are more."""
        return self.forward_flops + self.backward_flops

    @property
    def kept_bytes(self) -> int:
        """Bytes that the graph keeps from forward to backward."""
        return sum(row.kept for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes of parameters, gradients, input, and of what the graph keeps."""
        return self.parameter_bytes + self.gradient_bytes + self.input_bytes + self.kept_bytes

    @property
    def unknown(self) -> tuple[str, ...]:
        """The Functions whose operations are not known and not counted."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.unknown))

    def totals(self) -> Iterator[tuple[str, str]]:
        """Return the lines below the table: a name and a text."""
        frozen = f", {self.frozen:,} of them frozen" if self.frozen else ""
        least = "at least " if self.unknown else ""
        yield "parameters", f"{self.parameters:,}{frozen}"
        yield (
            "FLOPs",
            f"{least}{_metric(self.flops)} a step: forward {_metric(self.forward_flops)}, "
            f"backward {_metric(self.backward_flops)}",
        )
        yield (
            "bytes",
            f"{_metric(self.bytes, 'B')}: parameters {_metric(self.parameter_bytes, 'B')}, "
            f"gradients {_metric(self.gradient_bytes, 'B')}, input {_metric(self.input_bytes, 'B')}, "
            f"kept for backward {_metric(self.kept_bytes, 'B')}",
        )
        if self.unknown:
            yield "not counted", f"the FLOPs of {clean(', '.join(self.unknown))}"
        if self.unused:
            yield "not met", clean(", ".join(self.unused))

    @property
    def title(self) -> str:
        """Return the network and its input."""
        return f"{clean(self.name)} on a batch of shape {self.input_shape}"

    def __str__(self) -> str:
        """Return the table, as wide as the terminal."""
        from rich.console import Console

        console = Console(file=StringIO(), width=get_terminal_size().columns, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    __repr__ = __str__

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Return a table, or a list if it is too narrow for one. No number is cut."""
        from rich.text import Text

        rows = [row.cells() for row in self.rows]
        widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
        yield Text(self.title, style="bold")
        gaps = 2 * (len(widths) - 1)
        if min(widths[0], _LEAST_LAYER) + sum(widths[1:]) + gaps <= options.max_width:
            yield Text("")
            yield _table(rows)
        else:
            for cells in rows:
                yield Text("")
                yield Text(" ".join(cells[:2]).strip())
                yield _pairs(zip(_HEADINGS[2:], cells[2:], strict=True), indent=2)
        yield Text("")
        yield _pairs(self.totals())

    def _repr_html_(self) -> str:
        """Return the table, in the colors of the page around it."""
        head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
        rows = (f"<td>{'</td><td>'.join(map(escape, row.cells()))}</td>" for row in self.rows)
        body = "".join(f"<tr>{cells}</tr>" for cells in rows)
        totals = "".join(f"<p><b>{name}</b> {escape(text)}</p>" for name, text in self.totals())
        return (
            f'<div class="sn-summary">{_STYLE}<p><b>{escape(self.title)}</b></p>'
            f"<table><tr>{head}</tr>{body}</table>{totals}</div>"
        )


_STYLE = """<style>
.sn-summary { overflow-x: auto; line-height: 1.4 }
.sn-summary table { border-collapse: collapse; margin: .4em 0; font-size: inherit }
.sn-summary tr { background: none !important; border-bottom: 1px solid rgba(128, 128, 128, .35) }
.sn-summary :is(th, td) { padding: .2em .8em; text-align: right; white-space: nowrap; color: inherit }
.sn-summary :is(th, td):nth-child(-n+2) { text-align: left }
.sn-summary :is(th, td):first-child { padding-left: 0 }
.sn-summary p { margin: .2em 0; max-width: 45em }
</style>"""


def _table(rows: list[tuple[str, ...]]) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(_HEADINGS[0], overflow="fold")
    table.add_column(_HEADINGS[1], no_wrap=True)
    for heading in _HEADINGS[2:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _pairs(pairs: Iterator[tuple[str, str]], indent: int = 0) -> RenderableType:
    """Return lines with a name and a text."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(Text(name), Text(text))
    return Padding(grid, (0, 0, 0, indent), expand=False)


def _metric(number: float, unit: str = "") -> str:
    """Return three digits, and the unit with its prefix: `40.2 M`, `318 kB`, `60`."""
    prefixes = iter(("", "k", "M", "G", "T", "P", "E"))
    prefix = next(prefixes)
    while number >= _NEXT_PREFIX:
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.3g} {prefix}{unit}".strip()
