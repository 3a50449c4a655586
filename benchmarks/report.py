"""Tables and charts, made from the recorded runs in benchmarks/results/.

`python -m benchmarks.report` makes the README's, and those beside the records, anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.figures import Figure, spread
from benchmarks.machine import file_name
from benchmarks.scaling import AXES, crossings_of, crossovers, growth
from scratchnet.duration import duration
from scratchnet.report.original import SECONDS as ORIGINAL_SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
IN_REPOSITORY = (README.parent / "pyproject.toml").exists()
CHART, SCALING = "epochs.png", "scaling.png"
FUZZ, SOAK = "fuzz.json", "soak.json"
"""What `benchmarks.fuzz` and `benchmarks.soak` keep, beside the records of the suite."""

Record: TypeAlias = dict[str, Any]
Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]

REAL = "Fashion-MNIST"

_MARKS = "<!-- epochs: made by `make bench` -->", "<!-- end of epochs -->"
_NO_GPU = "No GPU has been measured yet: `make gpu` on one fills this table."


def records() -> list[Record]:
    """All recorded runs of the suite and of `make gpu`."""
    paths = sorted(path for path in RESULTS.glob("*.json") if path.name not in (FUZZ, SOAK))
    return [json.loads(path.read_text()) for path in paths]


def write(recorded: list[Record]) -> None:
    """The README's tables, the charts in it, and each machine's whole table."""
    README.write_text(with_tables(README.read_text(), recorded))
    write_markdown(recorded, RESULTS)


def write_markdown(recorded: list[Record], folder: Path, suffix: str = "") -> None:
    """The table of each record as Markdown, and the charts of all."""
    for record in recorded:
        path = folder / f"{file_name(record['machine'])}{suffix}.md"
        parts = f"# {record['machine']}", _facts(record), _markdown(table(record["figures"]))
        path.write_text("\n\n".join(parts) + "\n")
    draw_epochs(recorded, folder / CHART)
    draw_scaling(recorded, folder / SCALING)


def table(figures: Sequence[Figure]) -> Table:
    """Every figure of a run, a row each."""
    header = "group", "what", "backend", "median", "quartiles", "rounds", ""
    rows = []
    for each in figures:
        if "median" not in each:
            rows.append(
                (each.get("group", ""), each["what"], "", "failed", each.get("error", ""), "", "")
            )
            continue
        facts = each["group"], each["what"], each.get("backend", "")
        rows.append((*facts, duration(each["median"]), spread(each), str(each["rounds"]), _more(each)))
    return header, rows


def _more(each: Figure) -> str:
    """What else is worth a word."""
    told = []
    if "threads" in each:
        told.append(f"{each['threads']} thread{'s' if each['threads'] > 1 else ''}")
    if "over_products" in each:
        told.append(f"{each['over_products'][1]:.3f} of the products")
    if "over_hand" in each:
        told.append(f"{each['over_hand']:.3f} of by hand")
    if "floor" in each:
        told.append(f"{each['median'] / each['floor']:.2f} of the products")
    if each["group"] == "epoch":
        told.append(f"{ORIGINAL_SECONDS / each['median']:,.0f} times the original")
    if each.get("data", REAL) != REAL:
        told.append(each["data"])
    if "accuracy" in each:
        told.append(f"accuracy {each['accuracy']:.3f}")
    if "peak" in each:
        told.append(f"peak {each['peak'] / 1e6:.0f} MB, grown by {each['growth'] / 1e6:.1f} MB")
    return ", ".join(told)


def _facts(record: Record) -> str:
    """What the figures were measured on."""
    lines = [f"{record['date']}, {record['system']}"]
    if libraries := record.get("libraries"):
        lines.append(", ".join(f"{name} {version}" for name, version in libraries.items()))
    lines += record.get("blas", [])
    if settings := record.get("settings"):
        lines.append(", ".join(f"{name}={value}" for name, value in settings.items()))
    return "; ".join(lines) + "."


def _markdown(content: Table) -> str:
    header, rows = content
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# The README.


def with_tables(readme: str, recorded: list[Record]) -> str:
    """The README with its tables made from the records."""
    start, end = _MARKS
    before, _, rest = readme.partition(start)
    parts = [_epochs(recorded), _over_products(recorded), _scaling(recorded), _gpu(recorded)]
    tables = "\n\n".join(part for part in parts if part)
    return f"{before}{start}\n{tables}\n{end}{rest.partition(end)[2]}"


def _of(record: Record, group: str) -> list[Figure]:
    return [each for each in record["figures"] if each.get("group") == group and "median" in each]


def _epochs(recorded: list[Record]) -> str:
    header = "an epoch", "data", "machine", "median", "quartiles", "times the original"
    original = (
        "the original, Scala on ND4J",
        "Fashion-MNIST",
        "unknown",
        duration(ORIGINAL_SECONDS),
        "",
        "1",
    )
    rows = [original]
    for record in recorded:
        for each in sorted(_of(record, "epoch"), key=lambda each: -float(each["median"])):
            times = f"{ORIGINAL_SECONDS / each['median']:,.0f}"
            time = duration(each["median"]), spread(each)
            rows.append((each["what"], each["data"], record["machine"], *time, times))
    return _markdown((header, rows))


def _over_products(recorded: list[Record]) -> str:
    header = "an epoch", "BLAS threads", "machine", "median", "over its products", "quartiles"
    rows = []
    for record in recorded:
        for each in _of(record, "floor"):
            low, middle, high = (f"{ratio:.2f}" for ratio in each["over_products"])
            facts = each["what"], str(each["threads"]), record["machine"], duration(each["median"])
            rows.append((*facts, middle, f"{low} – {high}"))
    return _markdown((header, rows)) if rows else ""


def _scaling(recorded: list[Record]) -> str:
    lines = []
    for record in recorded:
        if points := _of(record, "scaling"):
            lines += [f"- {line}" for line in growth(points)]
            lines += [f"- crossover by {axis}: {line}" for axis, line in crossovers(points).items()]
    return "\n".join(lines)


def _gpu(recorded: list[Record]) -> str:
    """How far the losses are from NumPy's, and the total time, for each GPU measured."""
    header = (
        "on a GPU", "largest difference of a train loss from NumPy's", "repeats", "a trained model",
    )  # fmt: skip
    rows = []
    for record in recorded:
        if curve := record.get("curve"):
            same = "bit-identical" if curve["repeats_identical"] else "**not identical**"
            facts = f"{curve['largest_difference']:.1e}", same, duration(curve["ten_epochs_seconds"])
            rows.append((record["machine"], *facts))
    return _markdown((header, rows)) if rows else _NO_GPU


# The charts.


def draw_epochs(recorded: list[Record], path: Path) -> None:
    """A bar for each epoch that was measured, on a logarithmic scale, and the original's as a line."""
    from matplotlib.figure import Figure as Canvas

    found = [(record["machine"], each) for record in recorded for each in _of(record, "epoch")]
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
    """The epoch along each axis, a line for each machine and backend, its products dashed."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import LogLocator

    lines: dict[tuple[str, str], list[Figure]] = {}
    for record in recorded:
        for each in _of(record, "scaling"):
            lines.setdefault((each["backend"], record["machine"]), []).append(each)
    if not lines:
        return
    crossings: dict[str, list[float]] = {axis: [] for axis in AXES}
    for record in recorded:
        for axis, crossing in crossings_of(_of(record, "scaling")).items():
            crossings[axis] += [crossing] if crossing else []
    canvas = Canvas(figsize=(10, 3.9), layout="constrained")
    panels: Sequence[Axes] = canvas.subplots(1, len(AXES))
    for panel, axis in zip(panels, AXES, strict=True):
        for colour, ((backend, machine), points) in enumerate(lines.items()):
            here = sorted((each for each in points if each["axis"] == axis), key=lambda each: each["at"])
            at = [each["at"] for each in here]
            style: dict[str, Any] = {"color": f"C{colour}", "markersize": 4}
            label = f"{backend}, {machine}"
            panel.plot(at, [1000 * each["median"] for each in here], "o-", label=label, **style)
            if here and "floor" in here[0]:
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


def _short(what: str) -> str:
    """What a bar is called: without the library under it."""
    return ", ".join(what.split(", ")[:2])


if __name__ == "__main__":
    write(records())
