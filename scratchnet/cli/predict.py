"""`scratchnet predict`: what a saved model says about images or rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import backends
import scratchnet as sn
from scratchnet.cli.output import say
from scratchnet.errors import CheckpointError, NonFiniteLossError, SettingError

if TYPE_CHECKING:
    from scratchnet.data.new_data import NewData


def predict(
    model: Annotated[Path, typer.Argument(help="A model saved by scratchnet train --save.")],
    samples: Annotated[
        Path | None,
        typer.Argument(
            help="Images as IDX, CSV, a picture or a folder, or a table; by default the validation set."
        ),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="numpy, cupy or auto.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder or file of the data set, or synthetic.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which set of a folder of EMNIST.")] = None,
    take: Annotated[int, typer.Option(help="Number of samples to print.")] = 10,
) -> None:
    """Print what a saved model predicts, how certain it is, and how often it is right."""
    import numpy as np

    from scratchnet.data.new_data import open_new_data
    from scratchnet.training.trained import load_model

    if take < 0:
        raise SettingError(f"--take {take}: it must be an integer from 0 on")
    if samples and (data or split):
        option = "--data" if data else "--split"
        raise SettingError(f"{option}: the samples are {samples}; leave the option out")
    if backend:
        backends.use(backend)
    trained = load_model(model)
    given = open_new_data(trained.reading, samples, data, split)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # the line below says so
            found = sn.predict(trained.net, given.loader, task=trained.reading.task)
    except NonFiniteLossError as error:
        raise CheckpointError(
            f"{model}: its weights are too large to compute with; train it again"
        ) from error
    say(f"model trained on {trained.source}; {trained.reading.things}: {given.source}")
    for line in _lines(found, given, take):
        say(line)
    if found.has_targets:
        say(f"{_figures(found)} on {len(found)} {trained.reading.things}")


def _lines(found: sn.Predictions, given: NewData, take: int) -> Iterator[str]:
    """Yield a line for each of the first samples: the prediction, how certain it is, and the truth."""
    own, widest = given.class_names, max(map(len, found.class_names), default=0)
    for row in range(min(take, len(found))):
        name, word = given.names[row] if given.names else f"{row:6d}", found.words(row)
        truth = found.words(row, target=True) if found.has_targets else word
        if (chance := found.chance(row)) is not None:
            word = f"{word:{widest}}  {chance:6.1%}"
        if found.task == "classification" and own and found.has_targets:
            truth = own[found.targets[row]]
        if found.task == "regression":
            yield f"{name}  {word}" + (f"  true: {truth}" if found.has_targets else "")
        else:
            wrong = found.has_targets and found.wrong[row]
            yield f"{name}  {word}" + (f"  wrong: {truth}" if wrong else "")


def _figures(found: sn.Predictions) -> str:
    """Return how good the predictions are, as text."""
    predicted, targets = found.predicted, found.targets
    if found.task == "regression":
        error, share = (
            sn.metrics.mean_absolute_error(predicted, targets),
            sn.metrics.r2(predicted, targets),
        )
        return f"mean absolute error {error:.4g}, R² {share:.4f}"
    if found.task == "multilabel":
        return f"accuracy by label {(predicted == targets).mean():.4f}"
    return f"accuracy {(~found.wrong).mean():.4f}"
