"""The curves of `LiveCurves`, drawn by uniplot and rich. They are imported when they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from uniplot import plot_to_string

from scratchnet.training.callbacks.bar import Bar
from scratchnet.training.history import kinds_of

if TYPE_CHECKING:
    from scratchnet.training.training import Training

_STYLES = {"train": ("cyan", "*"), "valid": ("magenta", "o"), "": ("yellow", "+")}
_HIGHEST = 20
_BESIDES = 4
"""Lines for the epoch's printed line, which may be wrapped, and for the bar."""
_FRAME = 4
"""Lines of a picture outside its canvas: two of the frame, the title, the axis."""
_NARROWEST, _LOWEST = 14, 2
"""The smallest panel: columns with the labels, and lines of its canvas."""
_COMFORTABLE = 26, 6
"""The same if there are more than two figures: more panels would be too small to read."""
_PLAIN = str.maketrans("┌┐└┘─│", "++++-|")


class _Style(NamedTuple):
    """Columns of a panel, lines of its canvas, epochs of the axis, and whether dots and colors work."""

    width: int
    height: int
    until: int
    smooth: bool


class Curves(Bar):
    """The curves above the bar, redrawn after an epoch or when the terminal changes."""

    def __init__(self, learner: Training, until: int, console: Console) -> None:
        self._until = until
        self._ended = False
        self._drawn_for: tuple[object, ...] = ()
        self._picture: list[RenderableType] = []
        super().__init__(learner, until, console, transient=False)

    def parts(self) -> Iterable[RenderableType]:
        """Return the picture, and the bar until the end."""
        history = self._learner.history
        wanted = len(history["duration"]), self._console.size
        if wanted != self._drawn_for:
            self._drawn_for = wanted
            self._picture = picture(history, self._until, self._console)
        yield from self._picture
        if not self._ended:
            yield from super().parts()

    def stop(self) -> None:
        """Leave the picture, and remove the bar."""
        self._ended = True
        super().stop()


def picture(
    history: Mapping[str, Sequence[float]], until: int, console: Console
) -> list[RenderableType]:
    """Return a panel for each figure, as many as fit, and the legend; nothing without room or epochs."""
    kinds = kinds_of(history)
    columns = max(min(len(kinds), (console.width - 1) // _COMFORTABLE[0]), 2)
    width = (console.width - columns + 1) // columns
    lines = console.height - _BESIDES - 1  # the legend
    rows = max(min(-(-len(kinds) // columns), lines // (_FRAME + _COMFORTABLE[1])), 1)
    height = min(lines // rows, _HIGHEST - 1) - _FRAME
    if width < _NARROWEST or height < _LOWEST or not history["duration"]:
        return []
    has_text, has_colours = console.encoding.startswith("utf"), bool(console.color_system)
    style = _Style(width, height, until, has_text and has_colours and not console.no_color)
    panels = [text for kind, names in kinds.items() if (text := _panel(history, kind, names, style))]
    legend = Text("   ").join(
        Text(f"{'━━' if style.smooth else 2 * marker} {name}", colour)
        for name, (colour, marker) in _STYLES.items()
        if name and any(name in names for names in kinds.values())
    )
    if not has_text:
        panels = [each.translate(_PLAIN) for each in panels]
    table = Table.grid(padding=(0, 1, 0, 0))
    for row in range(rows):
        table.add_row(*map(Text.from_ansi, panels[row * columns : (row + 1) * columns]))
    return [table, legend]


def _panel(
    history: Mapping[str, Sequence[float]], kind: str, names: Mapping[str, str], style: _Style
) -> str:
    """Return the curves of one kind, of their finite values; empty if there are none."""
    found = {}
    for name in sorted(names, key=[*_STYLES].index):
        series = enumerate(history[names[name]])
        points = [(epoch, value) for epoch, value in series if math.isfinite(value)]
        if points:
            found[name] = points
    if not found:
        return ""
    low, high = _limits([value for points in found.values() for _, value in points])
    labels = _ticks(low, high, max(style.height // 3, 2))
    width = max(style.width - 3 - max(map(len, labels.values())), 1)
    drawn = plot_to_string(
        xs=[[epoch for epoch, _ in points] for points in found.values()],
        ys=[[value for _, value in points] for points in found.values()],
        lines=True,
        title=kind[: style.width],
        height=style.height,
        width=width,
        x_min=0,
        x_max=max(style.until - 1, 1),
        y_min=low,
        y_max=high,
        x_labels=False,  # uniplot rounds 0.5 to a label of 0 or 1
        y_labels=False,
        x_gridlines=[],
        y_gridlines=[],
        color=[_STYLES[name][0] for name in found] if style.smooth else False,
        character_set="braille" if style.smooth else "ascii",
        force_ascii_characters=[_STYLES[name][1] for name in found],
    )
    lines = drawn.splitlines()
    for value, text in labels.items():
        lines[-2 - _place(value, low, high, style.height, 4 if style.smooth else 1)] += f" {text}"
    return "\n".join([*lines, _epochs(style.until - 1, width, 2 if style.smooth else 1)])


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that contains all values, with some space at both ends."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    margin = (high - low) / 20 if high - low > 1e-6 * largest else largest / 10 or 1.0
    return low - margin, high + margin


def _place(value: float, low: float, high: float, places: int, dots: int) -> int:
    """Return the character in which uniplot draws a value; each one has `dots` dots."""
    return round((places * dots - 1) * (value - low) / (high - low)) // dots


def _epochs(last: int, width: int, dots: int) -> str:
    """Return the line below the frame, which has one column more on each side."""
    line = ""
    for epoch, text in _ticks(0, last, max(width // (len(str(last)) + 3), 2), 1).items():
        begin = 1 + _place(epoch, 0, max(last, 1), width, dots) - len(text) // 2
        line = line.ljust(min(begin, width + 2 - len(text))) + text
    return line


def _ticks(low: float, high: float, most: int, least_step: float = 0.0) -> dict[float, str]:
    """Return multiples of 1, 2 or 5 times a power of ten from `low` to `high`, and the text of each.

    Args:
        low: the start of the axis.
        high: its end; the last number is here or just beyond.
        most: the largest number of ticks, at least 2. There are as many as this allows.
        least_step: the smallest difference between two ticks.
    """
    exponent = math.floor(math.log10(max((high - low) / most, least_step) or 1))
    for factor in (1, 2, 5, 10, 20):
        step = factor * 10.0**exponent
        first, last = math.ceil(low / step), math.floor(high / step)
        if step >= least_step and last - first < most:
            break
    numbers = [round(i * step, max(-exponent, 0)) for i in range(first, last + 1)]
    return {each: f"{each:.10g}" for each in numbers}
