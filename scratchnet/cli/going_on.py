"""What `scratchnet train` does with a checkpoint: resume from one, and save one at Ctrl-C."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

import typer

from scratchnet.cli.output import Interrupted, ignore_ctrl_c
from scratchnet.errors import CheckpointError, SettingError
from scratchnet.files import writes_here
from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.learner import Learner
from scratchnet.training.parallel.data_parallel import data_parallel
from scratchnet.training.parallel.launch import LAUNCHER, Launched
from scratchnet.training.recipe import RECIPES
from scratchnet.training.resume import made_by, read_training

_MAY_CHANGE = "epochs"
_KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,), "epochs": (int,), "batch_size": (int,), "learning_rate": (float,), "hidden": (int,),
    "take": (int, NoneType), "seed": (int,), "feature": (list, NoneType),
    "target": (list, NoneType), "task": (str, NoneType),
    "split": (str, NoneType), "size": (int, NoneType),
}  # fmt: skip
_NOT_IN_VERSION_0_1 = {
    "model": "mlp", "feature": None, "target": None, "task": None, "split": None, "size": None
}  # fmt: skip
_TOLD = "scratchnet: ending after this batch; Ctrl-C again ends at once"


def settings_to_resume(
    checkpoint: Path | None, given: Mapping[str, Any], context: typer.Context
) -> dict[str, Any]:
    """Return the settings in the checkpoint. Only the number of epochs may differ now.

    Raises:
        SettingError: no checkpoint is named, or an option contradicts it.
        CheckpointError: it cannot be read, or another program made it.
    """
    if checkpoint is None:
        raise SettingError("--resume: needs the checkpoint to continue from; name it: --checkpoint FILE")
    settings = _NOT_IN_VERSION_0_1 | read_training(checkpoint).settings
    fits = settings.keys() == _KINDS.keys() and all(
        type(settings[name]) in kinds for name, kinds in _KINDS.items()
    )
    columns = [*(settings["feature"] or ()), *(settings["target"] or ())] if fits else []
    if not (fits and settings["model"] in RECIPES and all(isinstance(each, str) for each in columns)):
        raise CheckpointError(f"{checkpoint}: was not made by scratchnet train; resume it with Learner")
    for name, theirs in settings.items():
        said = _said(name, context)
        if said and name != _MAY_CHANGE and given[name] != theirs:
            option = f"--{name.replace('_', '-')}"
            raise SettingError(
                f"{option} {given[name]}: {checkpoint} was made with {theirs}; leave the option out to "
                "continue with it, or name another checkpoint to start a new run"
            )
        if said and name == _MAY_CHANGE:
            settings[name] = given[name]
    return settings


def go_on(learner: Learner, checkpoint: Path, epochs: int, tell: Callable[[str], None]) -> None:
    """Resume the learner from the checkpoint, and print where it is and what has changed since.

    Raises:
        SettingError: the checkpoint has more epochs than asked for.
    """
    saved = learner.resume(checkpoint)
    if epochs < learner.epochs + (learner.batches_done > 0):
        raise SettingError(f"--epochs {epochs}: {checkpoint} is at {_place(learner)} already; give more")
    tell(f"going on from {checkpoint}: {_place(learner)}")
    now = made_by()
    now.pop("scratchnet")  # resume has warned about that
    changed = [name for name in now if saved.made_by.get(name) != now[name]]
    if changed:
        former = ", ".join(f"{name} {saved.made_by.get(name)}" for name in changed)
        tell(f"it was made with {former}: the last digits may differ from a run that was never stopped")


def command_to_go_on(context: typer.Context, place: Launched | None) -> str:
    """Return the command line without the options that the checkpoint holds.

    Args:
        context: of the command.
        place: of this process, if there are several.
    """
    words = ["scratchnet", "train"]
    if place and LAUNCHER in os.environ:
        words += ["--ranks", str(place.size)]
    elif place:
        words = ["srun" if place.launcher == "Slurm" else "mpiexec", "-n", str(place.size), *words]
    names = "ranks", "timeout", "backend", "data", "plot", "report", "save", "checkpoint", "every"
    return shlex.join([*words, *options_of(context, names), "--resume"])


def options_of(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Return those of these options that were given, as words of a command line."""
    words = []
    for name in names:
        value = context.params[name]
        if _said(name, context) and value is not False:
            values = value if isinstance(value, list) else [value]
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [w for each in values for w in (option, str(each))]
    return words


class _AtClose(Callback):
    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def close(self) -> None:
        self._work()


@contextmanager
def ending_gently(
    learner: Learner, checkpoint: Path | None, command: str, group: data_parallel
) -> Iterator[Callback]:
    """With a checkpoint, let Ctrl-C end the run after the current batch, and save it.

    A second Ctrl-C ends at once. Of several ranks, all end after the same batch, also if only one has
    heard of Ctrl-C.

    Yields:
        The last callback for `fit`. Callbacks are closed from the last to the first. So this one prints
            the line about Ctrl-C while the bar is still there. If it were printed while the bar
            disappears, a part of the bar would stay.

    Raises:
        Interrupted: afterwards, with the command that continues.
    """
    former = signal.getsignal(signal.SIGINT)
    main_thread = threading.current_thread() is threading.main_thread()
    if checkpoint is None or former is not signal.default_int_handler or not main_thread:
        yield Callback()
        return
    interrupted = False
    told = threading.Event()

    def tell() -> None:
        told.wait()
        if interrupted and writes_here() and sys.stderr:
            over_the_echo = "\r" if sys.stderr.isatty() else ""
            print(over_the_echo + _TOLD, file=sys.stderr, flush=True)

    # In a thread, because the handler may have interrupted a print; as a print, so that the bar moves.
    teller = threading.Thread(target=tell)
    teller.start()

    def first(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, former)
        learner.stop()
        told.set()

    def wait_for_the_teller() -> None:
        told.set()
        teller.join()

    signal.signal(signal.SIGINT, first)
    try:
        yield _AtClose(wait_for_the_teller)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if interrupted else former)
        wait_for_the_teller()
    if group.group.any(interrupted, "the end"):
        ignore_ctrl_c()
        raise Interrupted(f"interrupted at {_place(learner)}; nothing is lost; go on with: {command}")


def _said(option: str, context: typer.Context) -> bool:
    """Whether the option was given on the command line."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _place(learner: Learner) -> str:
    batches = f", batch {learner.batches_done} of {len(learner.train)}" if learner.batches_done else ""
    return f"epoch {learner.epochs}{batches}"
