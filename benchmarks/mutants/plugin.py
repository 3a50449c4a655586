"""Inside pytest: collect tests once, then run some of them for each request, in a child process.

A request is a line of JSON on the file descriptor `MUTANTS_ASKED`: the tests to run, in their order,
with the seconds that each may take; the file for the notes; whether to note the lines; and the source of
a module before and after a fault. The exit code of the child is written to the file descriptor
`MUTANTS_TOLD`. It is minus SIGALRM if a test took too long. `MUTANTS_PATIENCE` is the number of seconds
for collecting.

The notes hold the seconds of each test that ran, and the tests that failed. With `lines`, they also say
which tests execute which line of the library's functions; "" stands for imports and for collecting. They
list the tests that start processes, as the lines that these execute are not seen.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import resource
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from benchmarks.gpu.processes import adopt_orphans, kill_descendants
from benchmarks.mutants.exchange import exchange, pairs

_MEMORY = 8 << 30
"""Bytes of address space. A mutant that never stops collecting must not take the machine's memory."""

_MOST_CALLS, _MOST_LINES = 100, 5_000
"""Calls and lines of a function that are followed in a test, which may run them 100,000 times."""

_known: dict[int, tuple[CodeType, bool]] = {}  # by identity, because the hash of code is slow
_calls: dict[int, int] = defaultdict(int)
_steps: dict[int, int] = defaultdict(int)
_skipped: list[str] = []
_seconds: dict[str, float] = defaultdict(float)
_failed: list[str] = []
_tests: dict[tuple[str, int], dict[str, None]] = defaultdict(dict)
_processes: dict[str, None] = {}
_request: dict[str, Any] = {}
_current = ""


def pytest_configure() -> None:
    """Limit the memory, and the time for collecting; hear Ctrl-C also after `nohup … &`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(int(os.environ["MUTANTS_PATIENCE"]))
    _request["lines"] = os.environ["MUTANTS_LIBRARY"]
    sys.settrace(_enter)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Handle the requests. Each one runs in a child process, where pytest continues with its tests."""
    signal.alarm(0)
    sys.settrace(None)
    adopt_orphans()
    items = {item.nodeid: item for item in session.items}
    told = int(os.environ["MUTANTS_TOLD"])
    with open(int(os.environ["MUTANTS_ASKED"])) as asked:
        for line in asked:
            child = os.fork()
            if not child:
                _request.update(json.loads(line))
                session.items = [items[name] for name in _request["tests"] or items if name in items]
                if not _request["tests"]:
                    session.config.option.maxfail = 0
                if _request["lines"]:
                    sys.addaudithook(_hear)
                if _request["exchanged"]:
                    exchange(pairs(*_request["exchanged"]) or [])
                return None
            while (ended := os.waitpid(-1, 0))[0] != child:
                pass  # an orphan of the tests
            kill_descendants(())
            os.write(told, f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Follow the lines of one test."""
    global _current
    _current = item.nodeid
    _calls.clear()
    _steps.clear()
    signal.alarm(math.ceil(_request["tests"].get(_current, 0)))
    if _request["lines"]:
        threading.settrace(_enter)
        sys.settrace(_enter)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        sys.settrace(None)
        threading.settrace(None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.append(report.nodeid)
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the notes."""
    if "notes" in _request:
        for name in _skipped:
            _seconds.pop(name, None)
        lines = [[file, line, list(tests)] for (file, line), tests in _tests.items()]
        notes = {"seconds": _seconds, "failed": _failed, "lines": lines, "processes": list(_processes)}
        Path(_request["notes"]).write_text(json.dumps(notes))


def _enter(frame: FrameType, event: str, _: Any) -> Any:
    """Follow only the library's own functions; what an import runs counts for every test."""
    code = frame.f_code
    name = id(code)
    if name not in _known:
        ours = code.co_filename.startswith(_request["lines"]) and code.co_flags & inspect.CO_OPTIMIZED
        _known[name] = code, bool(ours)
    if not _known[name][1]:
        return None
    _calls[name] += 1
    if _calls[name] > _MOST_CALLS:
        return None
    return _note(frame, event, None)


def _note(frame: FrameType, event: str, _: Any) -> Any:
    code = frame.f_code
    _tests[code.co_filename, frame.f_lineno][_current] = None
    _steps[id(code)] += 1
    if _steps[id(code)] > _MOST_LINES:
        frame.f_trace_lines = False
    return _note


def _hear(event: str, _: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        _processes[_current] = None
