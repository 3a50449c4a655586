"""`scratchnet parity`: check that two backends compute the same."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

import backends
from scratchnet.cli.output import say

if TYPE_CHECKING:
    from scratchnet.verify.parity import Difference

_COLUMNS = 60


def parity(
    backend: Annotated[str | None, typer.Option(help="numpy, cupy or auto.")] = None,
    against: Annotated[str, typer.Option(help="Another backend, or float64.")] = "numpy",
) -> None:
    """Compare a backend with another, function by function; exit 1 if a difference is too large."""
    from scratchnet.verify.parity import FLOAT64, ULP_ALLOWED, Parity

    if backend:
        backends.use(backend)
    held = Parity(against)
    if against == held.backend.name:
        _say_filled(f"{against} against itself would prove nothing; against {FLOAT64}, then")
    for each, dtype in ((held.backend, "float32"), (held.reference, held.dtype)):
        _say_filled(f"{each.name}, {dtype}: {each.describe()}")
    _say_filled(f"allowed: {ULP_ALLOWED}·√terms ULP of the largest value; of no terms, equal")
    say(f"{'':21}{'terms':>5}{'forward':>9}{'ULP':>7}{'backward':>9}{'ULP':>7}")
    rows = []
    for row in held.rows():
        rows.append(row)
        mark = " !" if row.fault else ""
        say(f"{row.case.name:21}{row.case.terms:5}{_cells(row.forward)}{_cells(row.backward)}{mark}")
    for row in rows:
        held.check(row)
    say(f"all {len(rows)} are within what is allowed")


def _cells(found: Difference | None) -> str:
    if found is None:
        return ""
    few = found.ulp < 10_000
    return f"{found.relative:9.1e}{found.ulp:7.1f}" if few else f"{found.relative:9.1e}{found.ulp:7.0e}"


def _say_filled(text: str) -> None:
    for line in wrap(text, _COLUMNS, subsequent_indent="  "):
        say(line)
