"""A copy of the repository in a temporary folder, in which tests run while a fault is planted."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.processes import descendants, kill_descendants
from benchmarks.mutants.exchange import pairs
from benchmarks.mutants.mutate import Mutant

_COPIED = "backends", "benchmarks", "scratchnet", "tests", "pyproject.toml"
_IGNORED = shutil.ignore_patterns("__pycache__")
_TIMED_OUT = str(-signal.SIGALRM).encode()
_PASSED = b"0", b"5"  # 5: there was no test to run


class Outcome(NamedTuple):
    """How a run of tests ended."""

    how: str
    """passed, failed, or timed out."""
    notes: dict[str, Any]
    """Those of `plugin`; empty if the process died."""
    output: str


class Tree:
    """The copy.

    Args:
        root: the repository, which stays as it is.
        folder: an empty folder for the copy and for notes.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder.resolve() / "tree"
        self._notes, self._output = folder / "notes.json", folder / "output.txt"
        self._kernels = folder / "kernels"
        self._kernels.mkdir()
        for name in _COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, self.root / name, ignore=_IGNORED)
            else:
                shutil.copy(root / name, self.root / name)

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[tuple[str, str, str] | None]:
        """Plant a fault in the file, for as long as the `with` block runs.

        Yields:
            What `exchange.pairs` takes; None if the fault is in code that the import runs.
        """
        path = self.root / mutant.file
        source = path.read_bytes()
        Path(cache_from_source(str(path))).unlink(missing_ok=True)  # it could be taken for this one's
        path.write_bytes(mutant.apply(source))
        given = source.decode(), mutant.apply(source).decode(), str(path)
        try:
            yield None if pairs(*given) is None else given
        finally:
            path.write_bytes(source)

    @contextmanager
    def tests(self, names: Sequence[str], patience: float) -> Iterator[Tests]:
        """Collect these files and folders in at most so many seconds, and yield what runs them."""
        asked, told = os.pipe(), os.pipe()
        environment = os.environ | {
            "PYTHONPATH": str(self.root), "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "SCRATCHNET_HOST_CUDA": str(self._kernels), "MUTANTS_ASKED": str(asked[0]),
            "MUTANTS_TOLD": str(told[1]), "MUTANTS_PATIENCE": str(math.ceil(patience)),
            "MUTANTS_LIBRARY": str(self.root / "scratchnet"),
        }  # fmt: skip
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-p", "benchmarks.mutants.plugin", *names,
        ]  # fmt: skip
        others = descendants(os.getpid())
        with self._output.open("w") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, pass_fds=(asked[0], told[1]),
            )  # fmt: skip
        os.close(asked[0])
        os.close(told[1])
        try:
            yield Tests(asked[1], told[0], self._notes, self._output)
        finally:
            kill_descendants(others)
            process.wait()
            os.close(asked[1])
            os.close(told[0])


class Tests:
    """Collected tests, which run in a child process for each request.

    Args:
        asked: the file descriptor for requests.
        told: the file descriptor of the replies.
        notes: a file for the notes.
        output: the file with what the tests print.
    """

    def __init__(self, asked: int, told: int, notes: Path, output: Path) -> None:
        self._asked, self._told, self._notes, self._output = asked, told, notes, output

    def run(
        self,
        chosen: Mapping[str, float],
        exchanged: tuple[str, str, str] | None = None,
        lines: bool = False,
    ) -> Outcome:
        """Run tests, until the first failure unless all are asked for.

        Args:
            chosen: the names of the tests, in the order in which they run, with the seconds after which
                each is killed; all if there is none.
            exchanged: what `exchange.pairs` takes, to plant a fault in what is imported already.
            lines: note which tests execute which line of the library's functions.
        """
        self._notes.unlink(missing_ok=True)
        request = {"tests": chosen, "exchanged": exchanged, "notes": str(self._notes)}
        if not lines:
            request["lines"] = ""
        code = b""
        with suppress(BrokenPipeError), open(self._asked, "wb", closefd=False) as asked:
            asked.write(json.dumps(request).encode() + b"\n")
            asked.flush()
            code = os.read(self._told, 100).strip()  # empty if the collecting failed
        how = "passed" if code in _PASSED else "timed out" if code == _TIMED_OUT else "failed"
        notes = json.loads(self._notes.read_text()) if self._notes.exists() else {}
        return Outcome(how, notes, self._output.read_text(errors="replace")[-3000:])
