"""The README's tables and chart, made from the recorded runs in benchmarks/results/.

`python -m benchmarks.report` makes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
CHART = RESULTS / "epochs.png"
ORIGINAL_SECONDS = 4.3
"""An epoch of the original, as its text tells; on unknown hardware."""

_MARKS = "<!-- epochs: made by `make bench` -->", "<!-- end of epochs -->"
_NO_GPU = "No GPU has been measured yet: `make gpu` on one fills this table."


def records() -> list[dict[str, Any]]:
    """All recorded runs."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def write(recorded: list[dict[str, Any]]) -> None:
    """The README's tables, and the chart."""
    README.write_text(with_tables(README.read_text(), recorded))
    draw(recorded, CHART)


def with_tables(readme: str, recorded: list[dict[str, Any]]) -> str:
    """The README with its tables made from the records."""
    start, end = _MARKS
    before, _, rest = readme.partition(start)
    tables = "\n\n".join([_epochs(recorded), _over_floor(recorded), _gpu(recorded)])
    return f"{before}{start}\n{tables}\n{end}{rest.partition(end)[2]}"


def _epochs(recorded: list[dict[str, Any]]) -> str:
    lines = [
        "| what | data | machine | an epoch, median (quartiles) | times the original |",
        "|---|---|---|---|---|",
        f"| the original, Scala on ND4J | Fashion-MNIST | unknown | {_ms(ORIGINAL_SECONDS)} | 1 |",
    ]
    for record in recorded:
        for run in record["runs"]:
            if "epoch_seconds" in run:
                what = run.get("what") or f"scratchnet, {run['backend']}"
                seconds = run["epoch_seconds"]
                spread = " – ".join(map(_ms, run.get("quartiles", [])))
                time = _ms(seconds) + (f" ({spread})" if spread else "")
                times = f"{ORIGINAL_SECONDS / seconds:,.0f}"
                lines.append(f"| {what} | {run['data']} | {record['machine']} | {time} | {times} |")
    return "\n".join(lines)


def _over_floor(recorded: list[dict[str, Any]]) -> str:
    lines = [
        "| a step over its products | BLAS threads | the products | scratchnet | written by hand |",
        "|---|---|---|---|---|",
    ]
    for record in recorded:
        for run in record["runs"]:
            if "epoch_over_floor" in run:
                ours, by_hand = run["epoch_over_floor"], run["hand_written_over_floor"]
                products = f"{run['microseconds_a_step']['matrix products']} µs"
                row = f"{record['machine']} | {run['blas_threads']} | {products}"
                lines.append(f"| {row} | {ours:.2f} | {by_hand:.2f} |")
    return "\n".join(lines)


def _gpu(recorded: list[dict[str, Any]]) -> str:
    """How far the losses are from NumPy's, and the total time, for each GPU measured."""
    lines = [
        "| on a GPU | largest difference of a train loss from NumPy's | repeats | a trained model |",
        "|---|---|---|---|",
    ]
    for record in recorded:
        if curve := record.get("curve"):
            same = "bit-identical" if curve["repeats_identical"] else "**not identical**"
            total = f"{curve['ten_epochs_seconds']:.2f} s"
            lines.append(
                f"| {record['machine']} | {curve['largest_difference']:.1e} | {same} | {total} |"
            )
    return "\n".join(lines) if len(lines) > 2 else _NO_GPU


def _ms(seconds: float) -> str:
    ms = 1000 * seconds
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:,.0f} ms"


def draw(recorded: list[dict[str, Any]], path: Path) -> None:
    """A bar for each epoch that was measured, on a logarithmic scale, and the original's as a line."""
    from matplotlib.figure import Figure

    bars = [
        (f"{run.get('what') or 'scratchnet, ' + run['backend'].split(',')[0]}\n{record['machine']}", run)
        for record in recorded
        for run in record["runs"]
        if "epoch_seconds" in run
    ]
    bars.sort(key=lambda bar: -bar[1]["epoch_seconds"])
    figure = Figure(figsize=(8, 1.4 + 0.5 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    seconds = [run["epoch_seconds"] for _, run in bars]
    colours = ["tab:blue" if label.startswith("scratchnet") else "tab:gray" for label, _ in bars]
    axes.barh(range(len(bars)), [1000 * each for each in seconds], color=colours)
    for place, each in enumerate(seconds):
        axes.text(1100 * each, place, _ms(each), va="center")
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1000 * ORIGINAL_SECONDS, color="black", linestyle="--")
    axes.text(900 * ORIGINAL_SECONDS, -0.65, "the original, 4.3 s", ha="right", va="center")
    axes.set_ylim(len(bars) - 0.4, -1)
    axes.set_xlim(min([1.0, *(500 * each for each in seconds)]), 10_000 * ORIGINAL_SECONDS / 4.3)
    axes.set_xlabel("an epoch of 60,000 images, in milliseconds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    write(records())
