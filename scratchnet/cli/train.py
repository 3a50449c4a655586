"""`scratchnet train`: a network for Fashion-MNIST, from data to results."""

import math
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import backends
import scratchnet as sn
from scratchnet.cli.output import say
from scratchnet.errors import DownloadError, SettingError

_MOST_HIDDEN = 1_000_000


def train(
    model: Annotated[
        str, typer.Option(help="mlp is the original's network, with SGD; cnn convolves, with Adam.")
    ] = "mlp",
    backend: Annotated[str | None, typer.Option(help="numpy, cupy or auto.")] = None,
    epochs: Annotated[int, typer.Option(help="Number of epochs.")] = 10,
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step; 256 for mlp, 128 for cnn.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate; 0.1 for mlp, 0.001 for cnn.")
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(help="Units of the hidden layer; 100 for mlp, 128 for cnn.")
    ] = None,
    take: Annotated[int | None, typer.Option(help="Use only this many images of each set.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order of the images.")] = 231,
    data: Annotated[str | None, typer.Option(help="Folder of the data set, or synthetic.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Save the curves as .png or .svg.")] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write a page about the training run to this folder."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Save the model as .safetensors.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Save the training run to this file after each epoch.")
    ] = None,
    every: Annotated[int, typer.Option(help="Number of epochs between two checkpoints.")] = 1,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint.")] = False,
    live: Annotated[bool, typer.Option(help="Draw loss and accuracy after each epoch.")] = False,
    *,
    context: typer.Context,
) -> None:
    """Train a network on Fashion-MNIST: 784-100-10, as the original does, or a convolutional one."""
    from scratchnet.cli.going_on import command_to_go_on, ending_gently, go_on, settings_to_resume
    from scratchnet.results.plots import check_plot_path
    from scratchnet.results.report import check_report_folder
    from scratchnet.training.recipe import RECIPES, TrainedClassifier, save_classifier

    if plot:
        check_plot_path(plot)
    page = None if report is None else check_report_folder(report)
    for file in (save, checkpoint):
        if file and not file.parent.is_dir():
            raise SettingError(f"{file}: there is no folder {file.parent}; make it first")
        if file and file.is_dir():
            raise SettingError(f"{file}: is a folder; name a file in it")
    files = [os.path.realpath(each) for each in (plot, save, checkpoint, report, page) if each]
    if len(set(files)) < len(files):
        raise SettingError("--plot, --save, --checkpoint and --report name the same file; name another")
    if model not in RECIPES:
        raise SettingError(f"--model {model}: there is none; give {' or '.join(RECIPES)}")
    recipe = RECIPES[model]
    settings: dict[str, Any] = {
        "model": model, "epochs": epochs,
        "batch_size": recipe.batch_size if batch_size is None else batch_size,
        "learning_rate": recipe.learning_rate if learning_rate is None else learning_rate,
        "hidden": recipe.hidden if hidden is None else hidden, "take": take, "seed": seed,
    }  # fmt: skip
    if resume:
        settings |= settings_to_resume(checkpoint, settings, context)
    elif checkpoint and checkpoint.exists():
        raise SettingError(
            f"{checkpoint}: exists already; add --resume to continue from it, or remove it"
        )
    model, epochs, batch_size, learning_rate, hidden, take, seed = settings.values()
    recipe = RECIPES[model]
    _check(epochs, batch_size, learning_rate, hidden, take, seed, every)
    shown = sn.LiveCurves() if live else sn.ProgressBar()
    if backend:
        backends.use(backend)
    active = backends.active()
    training, validation = _loaders(batch_size, take, seed, data)
    net = recipe.net(hidden, seed)
    metrics = sn.MetricsCollector(training, validation, sn.softmax_loss)
    say(
        f"{training.source}, {training.num_samples} training and {validation.num_samples} "
        f"validation images; {recipe.layers.format(hidden)}, batch {batch_size}, "
        f"learning rate {learning_rate:g}, seed {seed}, backend {active.name}"
    )
    learner = sn.Learner(
        training, net, recipe.optimizer(net.parameters(), learning_rate), sn.softmax_loss, metrics
    )
    if resume and checkpoint:
        go_on(learner, checkpoint, epochs)
    learner.settings = settings
    with ending_gently(learner, checkpoint, command_to_go_on(context)) as last:
        learner.fit(epochs - learner.epochs, say, checkpoint, every, [shown, last])
    seconds = sum(learner.history["duration"])
    how = f"; the last as {learner.replay.how}" if active.captures else ""
    say(
        f"{epochs} epoch{'s' if epochs > 1 else ''} trained in {seconds:.2f} s on {training.source}{how}"
    )
    if save:
        mean = backends.to_host(training.mean_image)
        save_classifier(save, TrainedClassifier(net, mean, training.source))
        say(f"model saved to {save}")
    if plot:
        sn.plot_metrics(metrics, plot)
        say(f"curves saved to {plot}")
    if report:
        say(f"report written to {sn.write_report(report, learner)}")


def _check(
    epochs: int,
    batch_size: int,
    learning_rate: float,
    hidden: int,
    take: int | None,
    seed: int,
    every: int,
) -> None:
    """Check every setting before any data are read. Each error names the option."""
    positive = {"epochs": epochs, "batch-size": batch_size, "hidden": hidden, "every": every}
    for option, value in positive.items():
        if value < 1:
            raise SettingError(f"--{option} {value}: it must be a positive integer")
    if hidden > _MOST_HIDDEN:
        raise SettingError(f"--hidden {hidden}: it can be {_MOST_HIDDEN} at most")
    if take is not None and take < 1:
        raise SettingError(f"--take {take}: it must be a positive integer")
    if seed < 0:
        raise SettingError(f"--seed {seed}: it must be an integer from 0 on")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise SettingError(f"--learning-rate {learning_rate:g}: it must be a positive number")


def _loaders(
    batch_size: int, take: int | None, seed: int, data: str | None
) -> "tuple[sn.FashionMnistDataLoader, sn.FashionMnistDataLoader]":
    """Return both loaders, centered; with synthetic garments if the real ones cannot be downloaded."""
    from scratchnet.data.sources import SYNTHETIC, locate

    try:
        locate(data, "valid")  # before the time it takes to read the training files
        training = sn.FashionMnistDataLoader("train", batch_size, take, seed, data)
    except DownloadError as error:
        print(f"scratchnet: {error}; training on synthetic garments instead", file=sys.stderr)
        data = SYNTHETIC
        training = sn.FashionMnistDataLoader("train", batch_size, take, seed, data)
    validation = sn.FashionMnistDataLoader("valid", batch_size, take, seed, data)
    validation.zero_center(training.mean_image)
    return training, validation
