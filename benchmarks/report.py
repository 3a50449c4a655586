"""Tables and charts from the recorded runs in benchmarks/results/.

`python -m benchmarks.report` makes those of the README, and those next to the records. `python -m
benchmarks.report --merge FILES` first merges records of one GPU, and its record in benchmarks/results/
if there is one, into benchmarks/results/<the GPU's name>.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.charts import draw_epochs, draw_scaling
from benchmarks.compare import RecordError, read, save
from benchmarks.figures import Figure, of_group, spread
from benchmarks.machine import file_name
from benchmarks.merge import merged
from benchmarks.scaling import crossovers, growth
from scratchnet.results.report.original import SECONDS as ORIGINAL_SECONDS
from scratchnet.results.words import duration

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
IN_REPOSITORY = (README.parent / "pyproject.toml").exists()
CHART, SCALING = "epochs.png", "scaling.png"
FUZZ, GUIDED, SOAK, LEARNING = "fuzz.json", "fuzz-guided.json", "soak.json", "learning.json"
LAYERS, DATA, PARALLEL = "layers.json", "data.json", "parallel.json"
MUTANTS, CROWDED = "mutants.json", "crowded.json"
"""Records of `benchmarks.fuzz`, `.soak`, `.learning` and others, next to those of the suite."""

Record: TypeAlias = dict[str, Any]
Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]

REAL = "Fashion-MNIST"

_MARKS = "<!-- epochs: made by `make bench` -->", "<!-- end of epochs -->"
_NO_GPU = "No GPU has been measured yet. Run `make gpu` on a machine with a GPU to fill this table."


def records() -> list[Record]:
    """Return all recorded runs of the suite and of `make gpu`.

    Raises:
        RecordError: a file is not a record.
    """
    others = FUZZ, GUIDED, SOAK, LEARNING, LAYERS, DATA, PARALLEL, MUTANTS, CROWDED
    paths = sorted(path for path in RESULTS.glob("*.json") if path.name not in others)
    return [read(path) for path in paths]


def write(recorded: list[Record]) -> None:
    """Make the README's tables and charts, and each machine's complete table."""
    README.write_text(with_tables(README.read_text(), recorded))
    write_markdown(recorded, RESULTS)


def keep(paths: Sequence[Path]) -> Path:
    """Merge records of one GPU with its existing record, and make all tables again.

    Nothing is written before it is certain that the tables and charts can be made.

    Raises:
        RecordError: one is not a record of `make gpu`, or is a quick one; they are of several GPUs; or a
            file cannot be read or written.
    """
    found = [read(path) for path in paths]
    for path, record in zip(paths, found, strict=True):
        _tried(path, [record])
    kept = RESULTS / f"{file_name(merged(found)['machine'])}.json"
    whole = _tried(kept, [*([read(kept)] if kept.exists() else []), *found])
    try:
        with_tables(README.read_text(), records())  # the records next to it can be read
        save(kept, whole)
        write(records())
    except OSError as error:
        raise RecordError(f"{error.filename}: {error.strerror}") from error
    return kept


def _tried(path: Path, found: Sequence[Record]) -> Record:
    """Return the merged record, after making its tables and charts once as a check."""
    try:
        whole = merged(found)
        with tempfile.TemporaryDirectory() as folder:
            write_markdown([whole], Path(folder))
            with_tables("", [whole])
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path}: is no whole record of make gpu ({why}); give one") from error
    return whole


def write_markdown(recorded: list[Record], folder: Path, suffix: str = "") -> None:
    """Write the table of each record as Markdown, and the charts of all."""
    for record in recorded:
        path = folder / f"{file_name(record['machine'])}{suffix}.md"
        rows = _markdown(table([*record["figures"], *failures(record)]))
        parts = f"# {record['machine']}", _facts(record), rows
        path.write_text("\n\n".join(parts) + "\n")
    draw_epochs(recorded, folder / CHART)
    draw_scaling(recorded, folder / SCALING)


def table(figures: Sequence[Figure]) -> Table:
    """Return every figure of a run, one per row."""
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


def failures(record: Record) -> list[Figure]:
    """Return what `make gpu` could not measure or found wrong, in the form of the suite's failures."""
    return [
        {"group": kind, "what": name, "error": " ".join(each["why"].split())}
        for kind, place in (("part", "parts"), ("attempt", "attempts"))
        for name, each in record.get(place, {}).items()
        if each["outcome"] not in ("done", "skipped")
    ]


def _more(each: Figure) -> str:
    """Return other remarks."""
    told = []
    if "threads" in each:
        told.append(f"{each['threads']} thread{'s' if each['threads'] > 1 else ''}")
    if "over_products" in each:
        told.append(f"{each['over_products'][1]:.3f} of the products")
    if "over_hand" in each:
        told.append(f"{each['over_hand'][1]:.3f} of by hand")
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
    """Return what the figures were measured on."""
    lines = [f"{record['date'][:10]}, {record['system']}"]
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
    """Return the README with its tables made from the records."""
    start, end = _MARKS
    before, _, rest = readme.partition(start)
    parts = [_epochs(recorded), _over_products(recorded), _scaling(recorded), _gpu(recorded)]
    tables = "\n\n".join(part for part in parts if part)
    return f"{before}{start}\n{tables}\n{end}{rest.partition(end)[2]}"


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
        for each in sorted(of_group(record, "epoch"), key=lambda each: -float(each["median"])):
            times = f"{ORIGINAL_SECONDS / each['median']:,.0f}"
            time = duration(each["median"]), spread(each)
            rows.append((each["what"], each["data"], record["machine"], *time, times))
    return _markdown((header, rows))


def _over_products(recorded: list[Record]) -> str:
    header = "an epoch", "BLAS threads", "machine", "median", "over its products", "over the one by hand"
    rows = []
    for record in recorded:
        for each in of_group(record, "floor"):
            facts = each["what"], str(each["threads"]), record["machine"], duration(each["median"])
            rows.append((*facts, _ratio(each["over_products"]), _ratio(each.get("over_hand"))))
    return _markdown((header, rows)) if rows else ""


def _ratio(quartiles: Any) -> str:
    """Return the median of a ratio, and the quartiles around it; empty if a record has no quartiles."""
    if not isinstance(quartiles, list):
        return ""
    low, middle, high = (f"{ratio:.2f}" for ratio in quartiles)
    return middle if low == high else f"{middle} ({low} – {high})"


def _scaling(recorded: list[Record]) -> str:
    lines = []
    for record in recorded:
        if points := of_group(record, "scaling"):
            lines += [f"- {line}" for line in growth(points)]
            lines += [f"- crossover by {axis}: {line}" for axis, line in crossovers(points).items()]
    return "\n".join(lines)


def _gpu(recorded: Sequence[Record]) -> str:
    """Return for each GPU whether it is right, and the measurements next to the predictions."""
    parts = []
    for record in recorded:
        results, predicted = record.get("results", {}), _predicted(record)
        told = [f"{record['machine']}: {', '.join(_proofs(results))}."] if _proofs(results) else []
        parts += told
        if predicted:
            header = f"on {record['machine']}", "predicted", "measured"
            parts.append(_markdown((header, predicted)))
    return "\n\n".join(parts) or _NO_GPU


def _proofs(results: dict[str, Any]) -> list[str]:
    """Return what was right, or wrong."""
    told = []
    if suite := results.get("suite"):
        ended = "" if suite["whole"] else " before the run was ended"
        told.append(f"{suite['passed']} tests passed, {suite['failed'] + suite['error']} failed{ended}")
    if curve := results.get("curve"):
        same = "the same bits again" if curve["repeats_identical"] else "**other bits again**"
        told.append(f"ten epochs in {duration(curve['ten_epochs_seconds'])}, {same}")
        told.append(f"train losses within {curve['largest_difference']:.1e} of NumPy's")
    return told


def _predicted(record: Record) -> list[tuple[str, str, str]]:
    """Return a row for each time and number that the model of the GPU path predicts."""
    rows = []
    for each in record["figures"]:
        if "predicted" in each and "median" in each:
            low, high = (duration(bound) for bound in each["predicted"])
            rows.append((each["what"], _range(low, high), duration(each["median"])))
    for name, fact in record.get("facts", {}).items():
        if "predicted" in fact:
            low, high = (f"{bound:g}" for bound in fact["predicted"])
            unit = f" {fact['unit']}".rstrip()
            rows.append((name, _range(low, high) + unit, f"{fact['value']:.3g}{unit}"))
    return rows


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"


def main(arguments: Sequence[str]) -> int:
    """Make the tables and charts. Return 0, or 2 if a record cannot be merged."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--merge", nargs="+", type=Path, metavar="FILE", help="records of one GPU")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.merge:
            print(f"merged into {keep(chosen.merge)}")
        else:
            write(records())
    except RecordError as error:
        print(f"benchmarks.report: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
