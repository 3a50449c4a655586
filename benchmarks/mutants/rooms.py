"""Which tests belong to which files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.mutants.mutate import Mutant, mutants


class Room(NamedTuple):
    """Files that belong together, and the tests that must see each fault in them."""

    files: tuple[str, ...]
    """Paths and folders in the repository. Without any, each mutant runs against all tests."""
    tests: tuple[str, ...]


_CORE = "anomaly", "function", "modes", "random", "stateful", "sweep"
_LOADERS = (
    "applied", "arrays", "batches", "cache", "cifar", "csv_file", "dataset", "fashion_mnist",
    "identity", "image_folder", "images", "intake", "loader", "mnist", "new_data", "npy",
    "open_data", "order", "parquet", "readers", "reading", "samples", "sources", "split", "table",
    "workers",
)  # fmt: skip
ROOMS = {
    "losses": Room(("scratchnet/losses",), ("tests/losses",)),
    "optimizers": Room(("scratchnet/optimizers",), ("tests/optimizers",)),
    "layers": Room(("scratchnet/layers",), ("tests/layers",)),
    "checkpoint": Room(
        (
            "scratchnet/files.py", "scratchnet/locked.py", "scratchnet/replacing.py",
            "scratchnet/training/checkpoint.py", "scratchnet/training/resume.py",
            "scratchnet/training/ownership.py", "scratchnet/training/reached.py",
            "scratchnet/training/recipe.py", "scratchnet/training/outside.py",
            "scratchnet/training/generators.py",
        ),
        (
            "tests/test_files.py", "tests/test_replacing.py", "tests/layers/test_state.py",
            "tests/training/test_resume.py", "tests/training/test_kept_state.py",
            "tests/training/test_what_is_not_kept.py",
            "tests/training/test_refused_checkpoints.py", "tests/training/test_whose_checkpoint.py",
            "tests/training/test_resumed_settings.py", "tests/training/test_one_writer.py",
            "tests/training/test_files_of_version_0_1.py", "tests/training/test_files_of_format_2.py",
            "tests/cli/test_models.py", "tests/cli/test_any_data.py",
        ),
    ),
    "core": Room(  # core/share.py belongs to training on several processes, which is no room here
        tuple(f"scratchnet/core/{name}.py" for name in _CORE),
        ("tests/core", "tests/layers/test_dropout.py"),
    ),
    "variable": Room(("scratchnet/variable.py",), ("tests/core", "tests/functions/test_functions.py")),
    "loaders": Room(
        (*(f"scratchnet/data/{name}.py" for name in _LOADERS), "scratchnet/data/streaming"),
        ("tests/data", "tests/training/test_any_batches.py", "tests/cli/test_any_data.py"),
    ),
    "functions": Room(
        ("scratchnet/functions",),
        ("tests/functions", "tests/core/test_faults.py", "tests/layers", "tests/losses"),
    ),
}  # fmt: skip


def possible(room: Room, root: Path) -> list[Mutant]:
    """Return every mutant of a room's files, in a fixed order."""
    found = []
    for name in room.files:
        path = root / name
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found += mutants(each.relative_to(root).as_posix(), each.read_bytes())
    return found
