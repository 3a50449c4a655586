"""`scratchnet predict`: classify images with a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import backends
import scratchnet as sn
from scratchnet.cli.output import say
from scratchnet.errors import CheckpointError, DataError, NonFiniteLossError, SettingError

if TYPE_CHECKING:
    import numpy as np


def predict(
    model: Annotated[Path, typer.Argument(help="A model saved by scratchnet train --save.")],
    images: Annotated[
        Path | None,
        typer.Argument(help="Images as IDX or CSV, gzip or plain; by default the validation set."),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="numpy, cupy or auto.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder of the data set, or synthetic.")] = None,
    take: Annotated[int, typer.Option(help="Number of images to print.")] = 10,
) -> None:
    """Classify images with a saved model: the class, and how certain the model is."""
    import numpy as np

    from scratchnet.data.identity import class_names
    from scratchnet.training.recipe import load_classifier

    if take < 0:
        raise SettingError(f"--take {take}: it must be an integer from 0 on")
    if backend:
        backends.use(backend)
    trained = load_classifier(model)
    pixels, labels, source = _read(images, data)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # the line below says so
            found = sn.predict(trained.net, trained.images(pixels))
    except NonFiniteLossError as error:
        raise CheckpointError(
            f"{model}: its weights are too large to compute with; train it again"
        ) from error
    guesses = found.predicted
    names, own_names = class_names(trained.source), class_names(source)
    widest = max(map(len, names))
    say(f"model trained on {trained.source}; images: {source}{', validation' if images is None else ''}")
    for row in range(min(take, len(guesses))):
        guess = guesses[row]
        line = f"{row:6d}  {names[guess]:{widest}}  {found.probabilities[row, guess]:6.1%}"
        if labels is not None:
            right = "" if labels[row] == guess else f"  wrong: {own_names[labels[row]]}"
            line += right
        say(line)
    if labels is not None:
        say(f"accuracy {np.mean(guesses == labels):.4f} on {len(labels)} images")


def _read(images: Path | None, data: str | None) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Return pixels (n, 784), labels if there are any, and the name of the data."""
    from scratchnet.data.fashion_mnist import load_samples
    from scratchnet.data.readers import PIXELS, SIDE, read_csv, read_idx

    if images is None:
        samples, source = load_samples("valid", data)
        return samples.pixels.reshape(-1, PIXELS), samples.labels, source
    if ".csv" in images.name.lower():
        samples = read_csv(images)
        return samples.pixels.reshape(-1, PIXELS), samples.labels, str(images)
    pixels = read_idx(images, 3)
    if pixels.shape[1:] != (SIDE, SIDE) or not len(pixels):
        raise DataError(f"{images}: {pixels.shape} where images (n, 28, 28) were expected")
    return pixels.reshape(-1, PIXELS), None, str(images)
