"""Start the ranks of `scratchnet train --ranks`, and stay their parent.

`mpiexec` starts a shell for each rank, and the shell starts Python. So a rank that is killed leaves a
note of its signal before `mpiexec` ends the others, with any MPI. The ranks write to the terminal itself
or to named pipes. So what `mpiexec` prints is its own; it is shown only if no rank has run.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import scratchnet
from scratchnet.errors import SettingError
from scratchnet.training.parallel.launch import LAUNCHER

_INTERRUPTED = 130  # the exit code of `scratchnet` after Ctrl-C
_LOOK = 0.05  # seconds between two looks at the ranks
_GRACE = 5.0  # seconds in which all end after one has failed
_AFTER_ABORT = 1.0  # seconds in which all end after one has ended them

# A code above 128 is that of a signal. The shell dies of it too, or mpiexec would not end the others.
_SHELL = f"""
exec 2>/dev/null
rank=${{OMPI_COMM_WORLD_RANK-${{PMI_RANK-$PMIX_RANK}}}}
(exec "$@" >>"$SCRATCHNET_OUT" 2>>"$SCRATCHNET_ERR")
code=$?
cd "${{{LAUNCHER}#*:}}" && echo $code >new-$rank && mv new-$rank code-$rank
[ $code -gt 128 ] && [ $code -ne {_INTERRUPTED} ] && kill -$((code - 128)) $$
exit $code
"""

_OVER_THE_BAR = "\r\x1b[2K\x1b[?25h"  # a killed bar is still there, and has hidden the cursor
_WORD_OF_MPICH = re.compile(rb"Abort\(\d+\) on node \d+ [^\n]*application called MPI_Abort[^\n]*\n?")
_SAID = re.compile(rb"^scratchnet: (?!warning|ending after)", re.MULTILINE)
_SAID_ALL = re.compile(rb"^scratchnet: rank [^\n]*all ranks end", re.MULTILINE)


def start(ranks: int, arguments: Sequence[str], going_on: Callable[[], str]) -> int:
    """Run `scratchnet` with these arguments in several processes of this machine.

    Ctrl-C is passed on to each of them. If a rank is killed, one line on standard error names it.

    Args:
        ranks: the number of processes, at least 2.
        arguments: the command and its options, without `--ranks`.
        going_on: returns the end of the line about a killed rank: how to go on. It may be empty.

    Returns:
        The exit code of the ranks. After a failure it is not 0.

    Raises:
        SettingError: mpi4py or mpiexec is not installed.
        OSError: standard output cannot be written to.
    """
    if find_spec("mpi4py") is None:
        raise SettingError(f'--ranks {ranks}: needs mpi4py: pip install "scratchnet[mpi]"')
    command, environment = _launcher(ranks)
    with tempfile.TemporaryDirectory(prefix="scratchnet-") as notes:
        job = _Job(ranks, [*command, "-n", str(ranks)], environment, Path(notes), arguments)
        with _signals_passed_to(job):
            job.run()
        code, line = job.outcome(going_on)
    if line:
        over_the_bar = _OVER_THE_BAR if sys.stderr and sys.stderr.isatty() else ""
        print(f"{over_the_bar}scratchnet: {line}", file=sys.stderr, flush=True)
    if job.ended_by:
        signal.signal(job.ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), job.ended_by)
    return code


class _Job:
    """The processes, and the notes that they leave.

    Attributes:
        ended_by: the signal that is to end all of them; 0 if there is none.
        interrupted: how often Ctrl-C has come.
    """

    def __init__(
        self,
        ranks: int,
        command: list[str],
        environment: dict[str, str],
        notes: Path,
        arguments: Sequence[str],
    ) -> None:
        self._ranks, self._notes, self._output = ranks, notes, _Output()
        self.ended_by, self.interrupted, self._told = 0, 0, dict[int, int]()
        environment = {**os.environ, **environment, LAUNCHER: f"{os.getpid()}:{notes}"}
        options: dict[str, Any] = {}
        if os.name != "nt":
            environment |= self._output.places(notes)
            command = [*command, "sh", "-c", _SHELL, "scratchnet"]
            # In a session of its own: with Ctrl-C from the terminal, some would kill the ranks.
            options = {"start_new_session": True, "stderr": subprocess.STDOUT}
        # Where Python would find another package in the present folder, it does not look there.
        safe = [] if Path(scratchnet.__file__).parents[1] == Path.cwd() else ["-P"]
        command = [*command, sys.executable, *safe, "-m", "scratchnet", *arguments]
        with (notes / "launcher").open("wb") as its_own:
            options["stdout"] = its_own if os.name != "nt" else None
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, **options
            )

    def run(self) -> None:
        """Pass on what the ranks write, until all have ended."""
        begin = None
        try:
            while self._process.poll() is None and not self.ended_by:
                self._output.pass_on(_LOOK)
                self._interrupt()
                if begin is None and self._failed():
                    begin = time.monotonic()
                grace = _AFTER_ABORT if self._output.said_all else _GRACE
                if begin is not None and time.monotonic() - begin > grace:
                    # It failed before it had joined the others, or mpiexec leaves a stopped one behind.
                    self._send(signal.SIGKILL)
                    break
        finally:
            self._process.terminate()
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.returncode < 0:  # a killed Open MPI leaves some behind
                self._send(signal.SIGKILL)
        self._output.finish()

    def interrupt(self) -> None:
        """Pass Ctrl-C on to the ranks, also to those that have not noted their number yet."""
        self.interrupted += 1
        self._interrupt()

    def outcome(self, going_on: Callable[[], str]) -> tuple[int, str]:
        """Return the exit code, and a line if no rank has said what happened; otherwise ""."""
        if self.ended_by:
            return 128 + self.ended_by, ""
        failed, code = self._failed(), self._process.returncode
        rank, first = failed[0] if failed else (0, 0)
        if self._output.said_all:
            return first or abs(code) or 1, ""
        if first > 128 and first != _INTERRUPTED:
            name = signal.Signals(first - 128).name
            how = f"rank {rank} was killed by signal {first - 128} ({name})"
            return first, f"{how}; all ranks end{going_on()}"
        if failed and not first:
            return 1, f"rank {rank} ended in the middle of its work; all ranks end{going_on()}"
        if not failed and code == 0:
            return 0, ""
        if self._output.said or os.name == "nt":
            return first or abs(code), ""
        if first == _INTERRUPTED:
            return first, "interrupted; nothing more was saved"
        if failed:
            return first, f"rank {rank} ended with exit code {first}; all ranks end{going_on()}"
        if code < 0:
            how = f"mpiexec was killed by signal {-code} ({signal.Signals(-code).name})"
            return 128 - code, f"{how}; all ranks end{going_on()}"
        its_own = (self._notes / "launcher").read_text(errors="replace")
        print(its_own, end="", file=sys.stderr, flush=True)
        return code, f"mpiexec ended with exit code {code}"

    def _failed(self) -> list[tuple[int, int]]:
        """Return the ranks that have failed, from the first on, each with its exit code."""
        found = []
        left = {path.name.partition("-")[2] for path in self._notes.glob("left-*")}
        for path in self._notes.glob("code-*"):
            rank, code = path.name.partition("-")[2], int(path.read_text())
            if code or rank not in left:
                found.append((path.stat().st_mtime_ns, -code, int(rank)))
        return [(rank, -code) for _, code, rank in sorted(found)]

    def _interrupt(self) -> None:
        if not self.interrupted or os.name == "nt":  # on Windows they share the console
            return
        self._send(signal.SIGINT, {each for each, n in self._told.items() if n == self.interrupted})

    def _send(self, number: int, but: Container[int] = ()) -> None:
        """Send a signal to the ranks that run, except some."""
        ended = {path.name.partition("-")[2] for path in self._notes.glob("code-*")}
        for path in self._notes.glob("process-*"):
            _, rank, process = path.name.split("-")
            if rank not in ended and int(process) not in but:
                self._told[int(process)] = self.interrupted
                with suppress(ProcessLookupError):
                    os.kill(int(process), number)


class _Output:
    """What the ranks write: passed on from named pipes, or written to the terminal by themselves.

    Attributes:
        said: whether a rank has printed a line that is no warning.
        said_all: whether a rank has printed the line with which it ends all.
    """

    def __init__(self) -> None:
        self.said = self.said_all = False
        self._streams: dict[int, TextIO | None] = {}

    def places(self, folder: Path) -> dict[str, str]:
        """Return the variables that name the places where the ranks write."""
        places = {}
        for name, stream in (("SCRATCHNET_OUT", sys.stdout), ("SCRATCHNET_ERR", sys.stderr)):
            if stream is sys.stdout and stream and stream.isatty():
                places[name] = os.ttyname(stream.fileno())  # rank 0 draws there
                continue
            places[name] = str(folder / name)
            os.mkfifo(places[name])
            # Open for writing too, so that it does not end with the first rank.
            self._streams[os.open(places[name], os.O_RDWR | os.O_NONBLOCK)] = stream
        return places

    def pass_on(self, seconds: float) -> bool:
        """Wait for output, and write it. Return whether there was some."""
        if not self._streams:
            time.sleep(seconds)
        pipes = select.select(list(self._streams), [], [], seconds)[0] if self._streams else []
        for pipe in pipes:
            content, stream = os.read(pipe, 1 << 16), self._streams[pipe]
            if stream is sys.stderr:
                content = _WORD_OF_MPICH.sub(b"", content)
                self.said |= bool(_SAID.search(content))
                self.said_all |= bool(_SAID_ALL.search(content))
                if stream and stream.isatty():
                    content = _SAID_ALL.sub(_OVER_THE_BAR.encode() + rb"\g<0>", content)
            if stream:
                stream.flush()
                stream.buffer.write(content)
                stream.buffer.flush()
        return bool(pipes)

    def finish(self) -> None:
        """Write the rest, and close the pipes."""
        while self.pass_on(0):
            pass
        for pipe in self._streams:
            os.close(pipe)


def _launcher(ranks: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts processes, without their number, and its variables."""
    beside = Path(sys.executable).parent
    places = [str(beside), str(beside.parent / "Library" / "bin"), os.environ.get("PATH", "")]
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join(places))
    if mpiexec is None:
        raise SettingError(f'--ranks {ranks}: there is no mpiexec: pip install "scratchnet[mpi]"')
    try:
        asked = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingError(f"--ranks {ranks}: {mpiexec} cannot be run: {error}") from error
    if "Open MPI" in asked.stdout or "OpenRTE" in asked.stdout:
        environment = {"MPI4PY_MPIABI": "openmpi"}  # of those that mpi4py finds
        environment |= {"OMPI_MCA_opal_signal": ""}  # or a rank prints its stack at a signal
        if os.geteuid() == 0:
            environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        options = ["--host", f"localhost:{ranks}", "--bind-to", "none"]
        return [mpiexec, *options, "--mca", "mpi_yield_when_idle", "1"], environment
    if "HYDRA" in asked.stdout:
        return [mpiexec, "-launcher", "fork", "-hosts", "localhost"], {}
    return [mpiexec], {}


@contextmanager
def _signals_passed_to(job: _Job) -> Iterator[None]:
    """Pass Ctrl-C on to the ranks, and let SIGTERM and SIGHUP end all of them. Ignored ones stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        job.ended_by = number

    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers: dict[int, Any] = dict.fromkeys(ends, end)
    handlers[signal.SIGINT] = lambda *_: job.interrupt()
    former = {each: signal.getsignal(each) for each in handlers}
    try:
        for each, handler in handlers.items():
            if former[each] is not signal.SIG_IGN:
                signal.signal(each, handler)
        yield
    finally:
        if job.interrupted:  # what is left is the end; `scratchnet.cli.main` restores the handler
            former[signal.SIGINT] = signal.SIG_IGN
        for each, handler in former.items():
            signal.signal(each, handler)
