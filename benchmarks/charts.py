"""The charts of the recorded runs: the epoch of each contender, how it grows, and how networks learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, of_group
from benchmarks.scaling import AXES, crossings_of
from scratchnet.results.report.original import SECONDS as ORIGINAL_SECONDS
from scratchnet.results.words import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]

_NAMES = {"cnn": "CNN", "lstm": "LSTM", "transformer": "Transformer"}


def draw_epochs(recorded: list[Record], path: Path) -> None:
    """Draw a bar for each measured epoch, on a logarithmic scale, and the original's as a line."""
    from matplotlib.figure import Figure as Canvas

    found = [(record["machine"], each) for record in recorded for each in of_group(record, "epoch")]
    if not found:
        return
    found.sort(key=lambda one: -float(one[1]["median"]))
    canvas = Canvas(figsize=(8, 1.6 + 0.55 * len(found)), layout="constrained")
    axes = canvas.add_subplot()
    for place, (_, each) in enumerate(found):
        seconds = each["median"]
        ours = each["what"].startswith("scratchnet")
        axes.barh(place, 1000 * seconds, color="tab:blue" if ours else "tab:gray", height=0.7)
        axes.text(1080 * seconds, place, duration(seconds), va="center")
    axes.set_yticks(
        range(len(found)), [f"{_short(each['what'])}\n{name}" for name, each in found], fontsize=8
    )
    axes.set_ylim(len(found) - 0.4, -1)
    axes.set_xscale("log")
    axes.set_xlim(min([10.0, *(500 * each["median"] for _, each in found)]), 10_000)
    axes.axvline(1000 * ORIGINAL_SECONDS, color="black", linestyle="--")
    axes.text(930 * ORIGINAL_SECONDS, -0.7, "the original, 4.3 s", ha="right", va="center")
    axes.set_xlabel("an epoch of 60,000 images, in milliseconds")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path, dpi=110)


def draw_scaling(recorded: list[Record], path: Path) -> None:
    """Draw the epoch along each axis, one line per machine and backend. Its products are dashed."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import LogLocator

    lines: dict[tuple[str, str], list[Figure]] = {}
    for record in recorded:
        for each in of_group(record, "scaling"):
            lines.setdefault((each["backend"], record["machine"]), []).append(each)
    if not lines:
        return
    crossings: dict[str, list[float]] = {axis: [] for axis in AXES}
    for record in recorded:
        for axis, crossing in crossings_of(of_group(record, "scaling")).items():
            crossings[axis] += [crossing] if crossing else []
    canvas = Canvas(figsize=(10, 3.9), layout="constrained")
    measured = {each["axis"] for points in lines.values() for each in points}
    shown = [axis for axis in AXES if axis in measured]
    panels: Sequence[Axes] = canvas.subplots(1, len(shown), squeeze=False)[0]
    for panel, axis in zip(panels, shown, strict=True):
        for colour, ((backend, machine), points) in enumerate(lines.items()):
            here = sorted((each for each in points if each["axis"] == axis), key=lambda each: each["at"])
            if not here:
                continue
            at = [each["at"] for each in here]
            style: dict[str, Any] = {"color": f"C{colour}", "markersize": 4}
            label = f"{backend}, {machine}"
            panel.plot(at, [1000 * each["median"] for each in here], "o-", label=label, **style)
            if "floor" in here[0]:
                floors = [1000 * each["floor"] for each in here]
                panel.plot(at, floors, "--", label="its matrix products", **style)
        for begin in crossings[axis]:
            panel.axvline(begin, color="black", linestyle=":", label="from here on the GPU wins")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(AXES[axis][:: 2 if len(AXES[axis]) > 7 else 3])
        panel.minorticks_off()
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel(axis)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("an epoch, in milliseconds")
    named = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    handles, labels = list(named.values()), list(named)
    canvas.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    canvas.savefig(path, dpi=110)


def draw_learning(record: Record, path: Path) -> None:
    """Draw how each network of a record of `benchmarks.learning` learned."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(4.2 * len(record), 3.9), layout="constrained")
    panels: Sequence[Axes] = canvas.subplots(1, len(record), squeeze=False)[0]
    for panel, (name, learned) in zip(panels, record.items(), strict=True):
        if "history" in learned:
            _accuracies(panel, learned)
        else:
            _losses(panel, learned)
        panel.set_title(f"{_NAMES[name]}, {learned['data']}", fontsize=10)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path, dpi=110)


def _accuracies(panel: Axes, learned: Record) -> None:
    """Draw the accuracy of each epoch, and the goal."""
    for kind, label in (("train", "training images"), ("valid", "validation images")):
        series = learned["history"][f"{kind}_accuracy"]
        panel.plot(range(1, 1 + len(series)), series, "o-", markersize=4, label=label)
    goal = learned["goal"]
    panel.axhline(goal, color="black", linestyle="--", linewidth=1, label=f"the goal, {goal:g}")
    panel.set_xticks(range(1, 1 + len(series)))
    panel.set_xlabel("epoch")
    panel.set_ylabel("accuracy")


def _losses(panel: Axes, learned: Record) -> None:
    """Draw the losses, PyTorch's as wider lines below them, and those of two models that count."""
    curve = learned["curve"]
    for colour, (kind, label) in enumerate((("train", "training"), ("valid", "validation"))):
        style: dict[str, Any] = {"color": f"C{colour}"}
        if "pytorch" in curve:
            theirs = curve["pytorch"][f"{kind}_loss"]
            panel.plot(curve["step"], theirs, **style, linewidth=5, alpha=0.3, label=f"{label}, PyTorch")
        panel.plot(curve["step"], curve["scratchnet"][f"{kind}_loss"], **style, label=label)
    for what, dashes in (("characters", ":"), ("pairs", "--")):
        loss, label = learned["by_counting"][what], f"counting {what}"
        panel.axhline(loss, color="black", linestyle=dashes, linewidth=1, label=label)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("step")
    panel.set_ylabel("loss of the next character, in nats")


def _short(what: str) -> str:
    """Return the label of a bar, without the libraries below it."""
    return ", ".join(what.split(", ")[:2])
