"""Inside pytest: run chosen tests in a given order, and note what happened.

`MUTANTS_TESTS` names a JSON file with the names of the tests. `MUTANTS_NOTES` names the file for the
notes: the seconds of each test and the tests that failed. With `MUTANTS_LINES`, a folder of the library,
the notes also say which tests execute which line of its functions, and which tests start processes. The
lines of these are not seen. This makes the tests slower.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_MEMORY = 8 << 30
"""Bytes of address space. A mutant that never stops collecting must not take the machine's memory."""

_seconds: dict[str, float] = defaultdict(float)
_failed: list[str] = []
_tests: dict[tuple[str, int], dict[str, None]] = defaultdict(dict)
_processes: dict[str, None] = {}
_current = ""
_root = os.environ.get("MUTANTS_LINES", "")


def pytest_configure() -> None:
    """Limit the memory."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _root:
        sys.addaudithook(_hear)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the chosen tests, in their order."""
    if chosen := os.environ.get("MUTANTS_TESTS"):
        found = {item.nodeid: item for item in items}
        names = json.loads(Path(chosen).read_text())
        items[:] = [found[name] for name in names if name in found]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Follow the lines of one test."""
    global _current
    _current = item.nodeid
    if _root:
        threading.settrace(_enter)
        sys.settrace(_enter)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the notes."""
    lines = [[file, line, list(tests)] for (file, line), tests in _tests.items()]
    notes = {"seconds": _seconds, "failed": _failed, "lines": lines, "processes": list(_processes)}
    Path(os.environ["MUTANTS_NOTES"]).write_text(json.dumps(notes))


def _enter(frame: FrameType, event: str, _: Any) -> Any:
    """Follow only the library's own functions; what an import runs counts for every test."""
    code = frame.f_code
    if not code.co_filename.startswith(_root) or not code.co_flags & inspect.CO_OPTIMIZED:
        return None
    _note(frame, event, None)
    return _note


def _note(frame: FrameType, event: str, _: Any) -> Any:
    _tests[frame.f_code.co_filename, frame.f_lineno][_current] = None
    return _note


def _hear(event: str, _: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        _processes[_current] = None
