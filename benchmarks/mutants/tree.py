"""A copy of the repository in a temporary folder, in which tests run while a fault is planted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from benchmarks.gpu.processes import descendants, kill_descendants
from benchmarks.mutants.mutate import Mutant

_COPIED = "backends", "benchmarks", "scratchnet", "tests", "pyproject.toml"
_IGNORED = shutil.ignore_patterns("__pycache__", "results")
_PASSED, _NOTHING_TO_RUN = 0, 5


class Outcome(NamedTuple):
    """How a run of tests ended."""

    how: str
    """passed, failed, or timed out."""
    notes: dict[str, Any]
    """Those of `plugin`; empty if the process died."""
    seconds: float
    output: str


class Tree:
    """The copy.

    Args:
        root: the repository, which stays as it is.
        folder: an empty folder for the copy and for notes.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder.resolve() / "tree"
        self._notes, self._chosen = folder / "notes.json", folder / "chosen.json"
        self._output, self._kernels = folder / "output.txt", folder / "kernels"
        self._kernels.mkdir()
        for name in _COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, self.root / name, ignore=_IGNORED)
            else:
                shutil.copy(root / name, self.root / name)

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """Plant a fault for as long as the `with` block runs."""
        path = self.root / mutant.file
        source = path.read_bytes()
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_bytes(mutant.apply(source))
        try:
            yield
        finally:
            path.write_bytes(source)

    def run(
        self,
        tests: Sequence[str],
        limit: float,
        chosen: Sequence[str] | None = None,
        lines: bool = False,
    ) -> Outcome:
        """Run tests, until the first failure unless `lines` are asked for.

        Args:
            tests: files and folders.
            limit: the seconds after which the processes are killed.
            chosen: the names of tests in these files, in the order in which they run; None for all.
            lines: note which tests execute which line.
        """
        environment = os.environ | {
            "PYTHONPATH": str(self.root), "OPENBLAS_NUM_THREADS": "1", "MUTANTS_NOTES": str(self._notes),
            "SCRATCHNET_HOST_CUDA": str(self._kernels),
        }  # fmt: skip
        if chosen is not None:
            self._chosen.write_text(json.dumps(chosen))
            environment["MUTANTS_TESTS"] = str(self._chosen)
        if lines:
            environment["MUTANTS_LINES"] = str(self.root / "scratchnet")
        else:  # a cached file could be that of the last mutant, which was as long and as old
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-p", "benchmarks.mutants.plugin", *([] if lines else ["-x"]), *tests,
        ]  # fmt: skip
        self._notes.unlink(missing_ok=True)
        others, start, how = descendants(os.getpid()), monotonic(), ""
        with self._output.open("w") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                how = "timed out"
            finally:
                kill_descendants(others)  # first, because the children of a dead process are not found
                process.wait()
        if not how:
            how = "passed" if process.returncode in (_PASSED, _NOTHING_TO_RUN) else "failed"
        notes = json.loads(self._notes.read_text()) if self._notes.exists() else {}
        return Outcome(how, notes, monotonic() - start, self._output.read_text(errors="replace"))
