"""What a network answered for a data set, for the page: by class, by label, by output; its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from scratchnet.data.loader import DataLoader
from scratchnet.data.pictures import has_pictures, pixels_of
from scratchnet.errors import OperandError
from scratchnet.metrics import mean_absolute_error, mean_squared_error, r2
from scratchnet.results.plots.confusion import by_label, shares, shortened
from scratchnet.results.plots.images import chance_of
from scratchnet.results.plots.regression import columns_of, plot_predictions
from scratchnet.results.report.pictures import embedded, png
from scratchnet.results.words import figure
from scratchnet.training.predictions import Predictions

_WORST = 24
_MOST_CLASSES = 100


class Cell(NamedTuple):
    """A cell of the confusion matrix."""

    images: int
    strength: float
    """The strength of its color, from 0 to 1."""


class ClassResult(NamedTuple):
    """How well one class is recognized."""

    name: str
    cells: list[Cell]
    """One entry per column."""
    images: int
    right: int
    accuracy: float
    """NaN if the class has no image."""
    mistake: str
    """The class that it is most often confused with; empty if it never is."""
    mistaken: int
    """How often."""


class LabelResult(NamedTuple):
    """How well one of several labels is recognized."""

    name: str
    accuracy: float
    found: int
    missed: int
    false: int
    without: int
    """How often it was rightly not given."""


class OutputResult(NamedTuple):
    """How near one of several numbers comes to the true one, as text."""

    name: str
    mean_absolute_error: str
    root_mean_squared_error: str
    r2: str


class Mistake(NamedTuple):
    """A sample for which the network was wrong."""

    number: int
    image: str
    """A data URI; empty if the sample is not an image."""
    label: str
    predicted: str
    probability: str
    """Empty if there is none."""


class Answers(NamedTuple):
    """The part of a report that is about single predictions. What a task does not have is empty."""

    task: str
    unit: str
    """What is counted: an image, a sample, or a position in it."""
    classes: list[ClassResult]
    labels: list[LabelResult]
    outputs: list[OutputResult]
    scatter: str
    """Predicted against true numbers, a data URI."""
    mistakes: list[Mistake]
    wrong: int
    """The number of samples that are wrong."""
    left_out: str
    """A sentence about tables that the page leaves out; empty if it leaves out none."""


def answers(found: Any, loader: DataLoader) -> Answers | None:
    """Return what the page shows of predictions; None of several outputs, or without targets."""
    if not isinstance(found, Predictions) or not found.has_targets:
        return None
    task, many = found.task, len(found.class_names) > _MOST_CLASSES
    by_class = task in ("classification", "binary") and not many
    return Answers(
        task=task,
        unit=found.thing if found.predicted.ndim == 1 else "position",
        classes=list(_classes(found)) if by_class else [],
        labels=list(_labels(found)) if task == "multilabel" and not many else [],
        outputs=list(_outputs(found)) if task == "regression" else [],
        scatter=_scatter(found) if task == "regression" else "",
        mistakes=list(_mistakes(found, loader)),
        wrong=int(found.wrong.sum()),
        left_out=f"Tables by class are left out, of {len(found.class_names):,} classes." if many else "",
    )


def _classes(found: Predictions) -> Iterator[ClassResult]:
    counts, names = found.confusion_matrix(), found.class_names
    strength = np.where(np.eye(len(counts), dtype=bool), *shares(counts))
    for row, accuracy in enumerate(found.class_accuracy().tolist()):
        cells = [Cell(*each) for each in zip(counts[row].tolist(), strength[row].tolist(), strict=True)]
        wrong = counts[row].copy()
        wrong[row] = 0
        most = int(wrong.argmax())
        mistake, mistaken = names[most] if wrong[most] else "", int(wrong[most])
        images, right = int(counts[row].sum()), cells[row].images
        yield ClassResult(names[row], cells, images, right, accuracy, mistake, mistaken)


def _labels(found: Predictions) -> Iterator[LabelResult]:
    table = by_label(found.confusion_matrix()).tolist()
    for name, accuracy, row in zip(found.class_names, found.class_accuracy(), table, strict=True):
        yield LabelResult(name, float(accuracy), *row)


def _outputs(found: Predictions) -> Iterator[OutputResult]:
    for name, predicted, true in columns_of(found):
        if not len(true):
            continue
        squared = float(mean_squared_error(predicted, true))
        figures = mean_absolute_error(predicted, true), squared**0.5, r2(predicted, true)
        yield OutputResult(name.removesuffix(": ") or "output", *(figure(float(f)) for f in figures))


def _scatter(found: Predictions) -> str:
    file = BytesIO()
    plot_predictions(found).savefig(file, format="png")
    return embedded(file)


def _mistakes(found: Predictions, loader: DataLoader) -> Iterator[Mistake]:
    worst = found.worst(_WORST)
    pictures = [""] * len(worst)
    if len(worst) and has_pictures(loader):
        try:
            pictures = [png(each, "gray", 0, 255) for each in pixels_of(loader, worst)]
        except OperandError:  # samples that only look like images
            pictures = [""] * len(worst)
    for number, picture in zip(worst.tolist(), pictures, strict=True):
        label, seen = (shortened(found.words(number, target), 60) for target in (True, False))
        yield Mistake(number, picture, label, seen, chance_of(found, number).removeprefix(", "))
