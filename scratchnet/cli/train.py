"""`scratchnet train`: a network for Fashion-MNIST or your own data, from data to results."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import backends
import scratchnet as sn
from scratchnet.cli.output import Ended, say, say_beside
from scratchnet.errors import DownloadError, SettingError

if TYPE_CHECKING:
    from scratchnet.data.open_data import Choice, Opened
    from scratchnet.training.parallel.data_parallel import data_parallel
    from scratchnet.training.parallel.launch import Launched
    from scratchnet.training.recipe import Recipe

_MOST_HIDDEN, _LARGEST_SIZE, _MOST_WEIGHTS = 1_000_000, 10_000, 1_000_000_000


def train(
    model: Annotated[
        str, typer.Option(help="mlp has one hidden layer, as the original; cnn convolves images.")
    ] = "mlp",
    backend: Annotated[str | None, typer.Option(help="numpy, cupy or auto.")] = None,
    epochs: Annotated[int, typer.Option(help="Number of epochs.")] = 10,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples per step; by default it follows the model and the data.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate; by default it follows the model and the data.")
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(help="Units of the hidden layer; 100 for mlp, 128 for cnn.")
    ] = None,
    take: Annotated[int | None, typer.Option(help="Use only this many samples of each set.")] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the weights and of the order of the samples.")
    ] = 231,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Folder or file of data, or synthetic; by default Fashion-MNIST."
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="What to predict in a table; repeat it. CIFAR-100: coarse."),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="What to learn from in a table; repeat it. By default all else."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification, binary, multilabel or regression; guessed by default."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which set of a folder of EMNIST.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Resize image files to this height and width.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Save the curves as .png or .svg.")] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write a page about the training run to this folder."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Save the model as .safetensors.")] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Let results replace files that scratchnet did not write.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Save the training run to this file after each epoch.")
    ] = None,
    every: Annotated[int, typer.Option(help="Number of epochs between two checkpoints.")] = 1,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint.")] = False,
    live: Annotated[bool, typer.Option(help="Draw loss and accuracy after each epoch.")] = False,
    ranks: Annotated[
        int | None, typer.Option(help="Train in this number of processes, which mpiexec starts.")
    ] = None,
    shards: Annotated[
        int | None, typer.Option(help="Parts of a batch; any number of ranks that divides it fits.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which a rank that does not come ends all.")
    ] = 60.0,
    *,
    context: typer.Context,
) -> None:
    """Train a network: on Fashion-MNIST by default, else on images in files or on a table."""
    import numpy as np

    from scratchnet.cli.going_on import (
        command_to_go_on,
        ending_gently,
        go_on,
        options_of,
        settings_to_resume,
    )
    from scratchnet.cli.ranks import by_some, place_of_this
    from scratchnet.cli.results import Results
    from scratchnet.data.open_data import Choice, form_of
    from scratchnet.training.recipe import RECIPES, network, objective, recipe_for
    from scratchnet.training.trained import TrainedModel

    tell = partial(say, and_go_on=any((plot, report, save, checkpoint)))
    place = place_of_this(ranks, shards, timeout)
    results = Results(plot, report, save, checkpoint, overwrite)
    if place is None:
        results.check()
    settings: dict[str, Any] = {
        "model": model, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "hidden": hidden, "take": take, "seed": seed, "feature": feature,
        "target": target, "task": task, "split": split, "size": size,
    }  # fmt: skip

    def complete_settings() -> tuple[Choice, Recipe]:
        if model not in RECIPES:
            raise SettingError(f"--model {model}: there is none; give {' or '.join(RECIPES)}")
        if resume:
            settings.update(settings_to_resume(checkpoint, settings, context))
        elif checkpoint and checkpoint.exists():
            raise SettingError(
                f"{checkpoint}: exists already; add --resume to continue from it, or remove it"
            )
        choice = Choice(*(settings[name] for name in Choice._fields))
        recipe = recipe_for(settings["model"], form_of(data, choice))
        for name in ("batch_size", "learning_rate", "hidden"):
            if settings[name] is None:
                settings[name] = getattr(recipe, name)
        _check(settings, every)
        return choice, recipe

    complete = None if place else complete_settings()
    going_on = command_to_go_on(context, place)
    if ranks is not None and ranks > 1:
        from scratchnet.training.parallel.start import start

        words = options_of(context, [name for name in context.params if name != "ranks"])
        raise Ended(start(ranks, ["train", *words], lambda: _hint(checkpoint, going_on)))
    with sn.data_parallel(shards, timeout) as group:
        if place:
            by_some(group, group.rank == 0, "checks the files", results.check)
            complete = by_some(group, True, "reads the settings", complete_settings)
        assert complete
        choice, recipe = complete
        shown = sn.LiveCurves() if live else sn.ProgressBar()
        if backend:
            backends.use(backend)
        active = backends.active()
        opened = _opened(group, place, data, settings, choice)
        training, reading = opened.train, opened.reading
        _check_weights(settings, math.prod(reading.shape))
        net = network(recipe, reading, settings["hidden"], settings["seed"], training)
        loss, measured = objective(reading.task, net)
        metrics = sn.MetricsCollector(training, opened.valid, loss, metrics=measured)
        tell(
            f"{training.source}, {training.num_samples} training and {opened.valid.num_samples} "
            f"validation {reading.things}; "
            f"{recipe.layers(settings['hidden'], reading.shape, reading.outputs)}, "
            f"batch {settings['batch_size']}, learning rate {settings['learning_rate']:g}, "
            f"seed {settings['seed']}, backend {active.name}"
        )
        for line in opened.facts:
            tell(line)
        optimizer = recipe.optimizer(net.parameters(), settings["learning_rate"])
        learner = sn.Learner(training, net, optimizer, loss, metrics)
        if resume and checkpoint:
            go_on(learner, checkpoint, settings["epochs"], tell)
        learner.settings = settings
        # The one line about a loss that is not finite says enough: no warnings before it.
        quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        with quiet, ending_gently(learner, checkpoint, going_on, group) as last:
            learner.fit(settings["epochs"] - learner.epochs, tell, checkpoint, every, [shown, last])
        epochs, seconds = settings["epochs"], sum(learner.history["duration"])
        how = f"; the last as {learner.replay.how}" if active.captures else ""
        many = "s" if epochs > 1 else ""
        tell(f"{epochs} epoch{many} trained in {seconds:.2f} s on {training.source}{how}")

        trained = TrainedModel(net, settings["model"], reading, training.source)
        write = partial(results.write, learner, trained, tell)
        by_some(group, group.rank == 0, "writes the results", write)


def _check(settings: dict[str, Any], every: int) -> None:
    """Check every setting before any data are read. Each error names the option."""
    names = "epochs", "batch_size", "hidden"
    positive = {name.replace("_", "-"): settings[name] for name in names} | {"every": every}
    positive |= {name: settings[name] for name in ("take", "size") if settings[name] is not None}
    for option, value in positive.items():
        if value < 1:
            raise SettingError(f"--{option} {value}: it must be a positive integer")
    hidden, seed, learning_rate = (settings[name] for name in ("hidden", "seed", "learning_rate"))
    if hidden > _MOST_HIDDEN:
        raise SettingError(f"--hidden {hidden}: it can be {_MOST_HIDDEN} at most")
    if (size := settings["size"]) is not None and size > _LARGEST_SIZE:
        raise SettingError(f"--size {size}: it can be {_LARGEST_SIZE} at most")
    if seed < 0:
        raise SettingError(f"--seed {seed}: it must be an integer from 0 on")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise SettingError(f"--learning-rate {learning_rate:g}: it must be a positive number")


def _check_weights(settings: dict[str, Any], inputs: int) -> None:
    """Check that the weights of the first dense layer can fit into memory."""
    hidden = settings["hidden"]
    if settings["model"] == "mlp" and inputs * hidden > _MOST_WEIGHTS:
        raise SettingError(
            f"--hidden {hidden}: with {inputs} inputs these are more than {_MOST_WEIGHTS:,} weights; "
            "give a smaller --hidden or --size"
        )


def _opened(
    group: data_parallel,
    place: Launched | None,
    data: str | None,
    settings: dict[str, Any],
    choice: Choice,
) -> Opened:
    """Open the data; synthetic garments if no data were named and Fashion-MNIST is not to be had.

    The first rank of each machine opens them before the others. It may download them, and keeps what it
    has read for the others.
    """
    from scratchnet.cli.ranks import by_some
    from scratchnet.data.open_data import open_data
    from scratchnet.data.sources import SYNTHETIC
    from scratchnet.files import writes_here

    numbers = settings["batch_size"], settings["take"], settings["seed"]
    is_first = place is None or place.local_rank == 0
    try:
        opened = by_some(group, is_first, "reads data", lambda: open_data(data, *numbers, choice))
    except DownloadError as error:
        if writes_here():
            say_beside(f"{error}; training on synthetic garments instead")
        data, opened = SYNTHETIC, None
    again = by_some(group, opened is None, "reads data", lambda: open_data(data, *numbers, choice))
    found = opened or again
    assert found
    return found


def _hint(checkpoint: Path | None, command: str) -> str:
    return f"; go on with: {command}" if checkpoint and checkpoint.exists() else ""
