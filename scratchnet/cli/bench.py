"""`scratchnet bench`: the benchmark suite, from the command line."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from scratchnet.errors import SettingError


def bench(
    quick: Annotated[
        bool, typer.Option(help="Few rounds on little data, without JAX and PyTorch.")
    ] = False,
    backend: Annotated[
        list[str] | None, typer.Option(help="Only this backend; repeat the option for several.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Compare with a recorded run (a JSON file).")
    ] = None,
    crossover: Annotated[
        bool, typer.Option(help="Only the scaling, and where a GPU is faster.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the record, table and chart.")] = None,
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments for pytest, after --.")
    ] = None,
) -> None:
    """Measure functions, layers, steps, epochs, loading and scaling, next to JAX and PyTorch."""
    for module in ("pytest", "pytest_benchmark"):
        if find_spec(module) is None:
            raise SettingError(f'{module} is not installed; fix: pip install "scratchnet[bench]"')
    if find_spec("benchmarks") is None or find_spec("benchmarks.suite") is None:
        raise SettingError(
            "the benchmark suite is a part of the repository, not of the installed package; clone the "
            'repository and run there: pip install -e ".[bench]" && scratchnet bench'
        )
    # The package may not import the benchmarks: import them here, by name.
    suite = import_module("benchmarks.suite")
    try:
        code = suite.run(quick, backend or (), compare, crossover, out, pytest_arguments or ())
    except suite.RecordError as error:
        raise SettingError(str(error)) from error
    raise typer.Exit(code)
