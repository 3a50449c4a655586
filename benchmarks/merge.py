"""Several records of one machine as one: of each thing, the newest measurement stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.compare import RecordError, key
from benchmarks.figures import Figure

_TABLES = "facts", "results", "parts"


def merged(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One record of all. Its head is that of the newest.

    Args:
        records: of `make gpu`, in any order.

    Raises:
        RecordError: they are of several machines, or of none, or a quick one is among whole ones.
    """
    machines = sorted({record["machine"] for record in records})
    if len(machines) != 1:
        raise RecordError(
            f"these records are of several machines: {', '.join(machines)}; merge those of one"
        )
    if not machines[0]:
        raise RecordError(
            "this run found no GPU, so there is nothing to merge; run make gpu on a machine with one"
        )
    if any(record.get("quick") for record in records):
        raise RecordError(f"a quick record of {machines[0]} is for trying the command; merge whole ones")
    in_order = sorted(records, key=lambda record: record.get("date", ""))
    content = {name: each for record in in_order for name, each in record.items()}
    for table in _TABLES:
        content[table] = _newest([item for record in records for item in record.get(table, {}).items()])
    content["figures"] = _figures([each for record in records for each in record["figures"]])
    return content


def _newest(items: list[tuple[Any, dict[str, Any]]]) -> dict[Any, dict[str, Any]]:
    """The newest of each name, in the order in which the names first came."""
    return {name: max((each for other, each in items if other == name), key=_when) for name, _ in items}


def _figures(figures: list[Figure]) -> list[Figure]:
    """The newest of each figure; a failure only where nothing was measured since."""
    newest = _newest([(key(each), each) for each in figures])
    measured = [each for each in newest.values() if "median" in each]
    return [
        each
        for each in newest.values()
        if "median" in each
        or not any(_same(each, other) and _when(other) >= _when(each) for other in measured)
    ]


def _same(one: Figure, other: Figure) -> bool:
    """Whether they are of the same thing; what failed does not know more than its name."""
    return (one.get("group"), one["what"]) == (other.get("group"), other["what"])


def _when(each: dict[str, Any]) -> str:
    return str(each.get("measured", ""))
