"""All commands, and the one place where an error becomes a line and an exit code."""

import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import typer

from backends import BackendError
from backends.errors import one_line
from scratchnet.cli.bench import bench
from scratchnet.cli.data import data
from scratchnet.cli.doctor import doctor
from scratchnet.cli.output import Ended, Interrupted, end_unread, ignore_ctrl_c, prepare, say_beside
from scratchnet.cli.parity import parity
from scratchnet.cli.predict import predict
from scratchnet.cli.train import train
from scratchnet.errors import ParityError, ScratchnetError
from scratchnet.training.parallel.launch import is_first
from scratchnet.version import __version__

_AFTER_RANK_0 = 1.0  # seconds: at the first failure, some launchers end all ranks, also before the line
_INTERRUPTED = 130  # what a shell reports after Ctrl-C, and typer returns for it

app = typer.Typer(
    help="A neural network from scratch, on NumPy and CuPy behind one name.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(train)
app.command()(predict)
app.add_typer(data, name="data")
app.command()(doctor)
app.command()(bench)
app.command()(parity)


def _version(asked: bool) -> None:
    if asked:
        print(f"scratchnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """A neural network from scratch, on NumPy and CuPy behind one name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 1 if backends differ, 2 for an error, 130 for Ctrl-C.

    If the reader of its output goes away, as in `scratchnet doctor | head -1`, SIGPIPE ends the process.
    After Ctrl-C, the end of a command ignores another one, which would only break into Python's own end.
    """
    prepare()
    warnings.showwarning = _one_line
    if arguments is None:
        return _run(sys.argv[1:])
    former = signal.getsignal(signal.SIGINT)
    try:
        return _run(list(arguments))
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, former)


def _run(words: list[str]) -> int:
    if not is_first():
        from scratchnet.files import set_writes_here  # imported here, because it needs NumPy

        set_writes_here(False)
        if words[:1] != ["train"] or "--help" in words:
            return 0  # rank 0 does all other commands alone
    if shutil.get_terminal_size().columns < 60:
        app.rich_markup_mode = None  # its tables would cut off the names of options
    try:
        code = app(words, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # Typer makes the one of the other
        return end_unread()
    except ParityError as error:
        return _fail(str(error), 1)
    except (ScratchnetError, BackendError) as error:
        return _fail(str(error), 2)
    except Ended as error:
        return error.code
    except Interrupted as error:
        return _fail(str(error), _INTERRUPTED)
    except MemoryError as error:
        return _fail(f"out of memory: {error}; try a smaller --hidden, --batch-size or --take", 2)
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}", 2)
    except typer.Abort:
        code = _INTERRUPTED
    except Exception as error:
        # Typer's own errors say what was wrong with the arguments. Their class depends on its version.
        if not hasattr(error, "format_message"):
            raise
        return _fail(error.format_message(), 2)
    if code == _INTERRUPTED:
        ignore_ctrl_c()
        return _fail("interrupted; nothing more was saved", code)
    return code or 0


def _fail(message: str, code: int) -> int:
    from scratchnet.files import writes_here  # imported here, because it needs NumPy

    line = one_line(message)
    if not writes_here():
        with suppress(KeyboardInterrupt):
            time.sleep(_AFTER_RANK_0)
    elif line:
        say_beside(line)
    return code


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say_beside(f"warning: {one_line(message)}")
