"""Merge several records of one GPU: the newest measurement of each thing stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from benchmarks.compare import RecordError, key

_TABLES = "facts", "results", "parts", "attempts"


def merged(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one record of all. Its head is that of the newest.

    A measurement that a signal ended replaces nothing.

    Args:
        records: of `make gpu`, in any order.

    Raises:
        KeyError: one is not of `make gpu`; other errors are possible for such a record too.
        RecordError: they are of several machines, or of none, or a quick one is among complete ones.
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
    in_order = sorted(records, key=lambda record: str(record["date"]))
    content = {name: each for record in in_order for name, each in record.items()}
    for table in _TABLES:
        content[table] = _best([item for record in records for item in record[table].items()])
    figures = [(key(each), each) for record in records for each in record["figures"]]
    return content | {"figures": list(_best(figures).values())}


def _best(items: list[tuple[Any, dict[str, Any]]]) -> dict[Any, dict[str, Any]]:
    """Return one of each name, sorted: the newest complete one, otherwise the newest."""
    best = dict(sorted(items, key=lambda item: _rank(item[1])))  # the last of each name stays
    return dict(sorted(best.items(), key=lambda item: repr(item[0])))


def _rank(each: dict[str, Any]) -> tuple[bool, datetime]:
    came_to_its_end = each.get("outcome", "done") in ("done", "failed") and each.get("whole", True)
    return came_to_its_end, datetime.fromisoformat(each["measured"])
