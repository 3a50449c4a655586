"""Collect the content of a report from a learner."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from statistics import median
from typing import NamedTuple

import numpy as np

from backends import active
from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.data.loader import DataLoader
from scratchnet.errors import OperandError, SettingError
from scratchnet.layers import Module
from scratchnet.results.plots.confusion import shares
from scratchnet.results.plots.images import percent
from scratchnet.results.plots.weights import COLOURS, bound, first_layer_images, strongest
from scratchnet.results.report import original
from scratchnet.results.report.now import measured_now
from scratchnet.results.report.pictures import Chart, chart, png
from scratchnet.results.report.settings import layers_of, notices, other_work, same_recipe, tables
from scratchnet.training.learner import Learner
from scratchnet.training.metrics import EpochMetrics, MetricsCollector
from scratchnet.training.predict import predict
from scratchnet.training.predictions import Predictions

_WORST, _UNITS = 24, 100
_SCALE = 64  # colors in the bar next to the weights


class Epoch(NamedTuple):
    """A row of the table of epochs."""

    seconds: float
    metrics: EpochMetrics
    original: original.OriginalEpoch | None


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


class Mistake(NamedTuple):
    """An image that was classified wrongly."""

    number: int
    image: str
    """A data URI; empty if the loader has no pixels."""
    label: str
    predicted: str
    probability: str


class Weights(NamedTuple):
    """The first layer's weights as images."""

    images: list[tuple[int, str]]
    """The unit's number and its data URI."""
    units: int
    bound: float
    scale: str
    """The colors from -bound to bound, a data URI."""


class Report(NamedTuple):
    """Everything that the page shows."""

    made: datetime
    source: str
    layers: str
    backend: str
    notices: list[str]
    results: EpochMetrics
    """The metrics of the network as it is now."""
    epochs: list[Epoch]
    seconds: float
    """The median duration of the epochs."""
    other_work: list[str]
    same_recipe: bool
    charts: list[Chart]
    classes: list[ClassResult]
    weights: Weights | None
    mistakes: list[Mistake]
    wrong: int
    """The number of mistakes."""
    samples: tuple[int, int]
    """For training and validation."""
    tables: dict[str, dict[str, str]]


def gather(learner: Learner) -> Report:
    """Collect the content from the learner, as it is now.

    Raises:
        OperandError: this is not a Learner, or its evaluator is not a MetricsCollector.
        SettingError: no epoch was trained yet.
    """
    metrics = getattr(learner, "evaluator", None)
    if not isinstance(learner, Learner) or not isinstance(metrics, MetricsCollector):
        raise OperandError("write_report: give a Learner whose evaluator is a MetricsCollector")
    history = learner.history
    train, valid = metrics.train, metrics.valid
    assert train is not None and valid is not None
    if not history["duration"]:
        raise SettingError("write_report: no epoch was trained yet; call fit first")
    same = same_recipe(learner, train)
    originals = original.EPOCHS if same else ()
    rows_of = zip(*(history[name] for name in metrics.measures), strict=True)
    measured = [EpochMetrics(zip(metrics.measures, row, strict=True)) for row in rows_of]
    now = measured_now(learner.net, metrics, measured)
    told = notices(learner, train, valid)
    if now.notice and not learner.batches_done:  # otherwise the page says so already
        told.append(now.notice)
    rows = zip_longest(history["duration"], measured, originals[: len(history["duration"])])
    found = predict(learner.net, valid)
    return Report(
        made=datetime.now(UTC),
        source=train.source or "data of no name",
        layers=layers_of(learner.net),
        backend=f"{active().name} on {active().device_name}",
        notices=told,
        results=now.metrics,
        epochs=[Epoch(*row) for row in rows],
        seconds=median(history["duration"]),
        other_work=other_work(learner, train),
        same_recipe=same,
        charts=_charts(history, originals),
        classes=list(_classes(found)),
        weights=_weights(learner.net),
        mistakes=list(_mistakes(found, valid)),
        wrong=int((found.predicted != found.labels).sum()),
        samples=(train.num_samples, valid.num_samples),
        tables=tables(learner, train, valid),
    )


def _charts(
    history: dict[str, list[float]], originals: tuple[original.OriginalEpoch, ...]
) -> list[Chart]:
    charts = []
    for what in ("loss", "accuracy"):
        names = "training", "validation", "original"
        theirs = [getattr(each, f"train_{what}") for each in originals]
        series = history[f"train_{what}"], history[f"valid_{what}"], theirs
        shown = {name: line for name, line in zip(names, series, strict=True) if line}
        charts.append(chart(what.title(), shown, most=1 if what == "accuracy" else math.inf))
    return charts


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


def _weights(net: Module) -> Weights | None:
    """Return the weights as images; None if the first layer does not read images."""
    try:
        images = first_layer_images(net)
    except OperandError:
        return None
    units = strongest(images, _UNITS)
    limit = bound(images[units])
    shown = [(int(unit), png(images[unit], COLOURS, -limit, limit)) for unit in units]
    scale = png(np.linspace(-limit, limit, _SCALE)[None], COLOURS, -limit, limit)
    return Weights(shown, len(images), limit, scale)


def _mistakes(found: Predictions, valid: DataLoader) -> Iterator[Mistake]:
    worst, names = found.worst(_WORST), found.class_names
    pictures = [""] * len(worst)
    if isinstance(valid, FashionMnistDataLoader):
        pictures = [png(each, "gray", 0, 255) for each in valid.pixels(worst)]
    for number, picture in zip(worst.tolist(), pictures, strict=True):
        label, seen = names[found.labels[number]], int(found.predicted[number])
        chance = percent(float(found.probabilities[number, seen]))
        yield Mistake(number, picture, label, names[seen], chance)
