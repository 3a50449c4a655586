"""Collect the content of a report from a learner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

import numpy as np

from backends import active
from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.data.identity import FASHION_MNIST
from scratchnet.data.loader import DataLoader
from scratchnet.data.pictures import has_pictures
from scratchnet.errors import OperandError, SettingError
from scratchnet.layers import Module
from scratchnet.results.plots.weights import COLOURS, bound, first_layer_images, strongest
from scratchnet.results.report import original
from scratchnet.results.report.answers import Answers, answers
from scratchnet.results.report.now import measured_now
from scratchnet.results.report.pictures import Chart, chart, png
from scratchnet.results.report.settings import layers_of, notices, other_work, same_recipe, tables
from scratchnet.results.words import counted, figure
from scratchnet.training.history import larger_is_better
from scratchnet.training.learner import Learner
from scratchnet.training.metrics import EpochMetrics, MetricsCollector
from scratchnet.training.predict import predict

_UNITS = 100
_SCALE = 64  # colors in the bar next to the weights
_SETS = {"train": "training", "valid": "validation"}


class Epoch(NamedTuple):
    """A row of the table of epochs."""

    seconds: float
    metrics: EpochMetrics
    original: Mapping[str, float]
    """The original's figures, by the same names; empty if there are none."""


class Result(NamedTuple):
    """A figure of the network as it is now."""

    name: str
    value: str
    note: str


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
    headline: str
    source: str
    layers: str
    backend: str
    thing: str
    """What a sample is called."""
    measured_set: str
    """The data set that the answers are about: "validation", or "training" if there is no other."""
    notices: list[str]
    results: list[Result]
    measures: dict[str, str]
    """What was measured: the name in the history, and in words."""
    epochs: list[Epoch]
    seconds: float
    """The median duration of the epochs."""
    compared: bool
    """Whether the data are those of the original's recipe, so that its times are shown."""
    other_work: list[str]
    same_recipe: bool
    charts: list[Chart]
    answers: Answers | None
    weights: Weights | None
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
    history, train, valid = learner.history, learner.train, metrics.valid
    if not history["duration"]:
        raise SettingError("write_report: no epoch was trained yet; call fit first")
    same = same_recipe(learner, train)
    originals = original.EPOCHS if same else ()
    rows_of = zip(*(history[name] for name in metrics.measures), strict=True)
    measured = [EpochMetrics(zip(metrics.measures, row, strict=True)) for row in rows_of]
    now = measured_now(learner.net, metrics, measured)
    shown: DataLoader = valid if valid is not None else train
    thing = "image" if has_pictures(shown) else "sample"
    told = notices(learner, train, valid, thing)
    if now.notice and not learner.batches_done:  # otherwise the page says so already
        told.append(now.notice)
    theirs: list[dict[str, float]] = [each._asdict() for each in originals[: len(measured)]]
    beside = theirs + [{}] * (len(measured) - len(theirs))
    found = answers(predict(learner.net, shown, learner.loss), shown)
    results = list(_results(now.metrics, metrics, thing))
    return Report(
        made=datetime.now(UTC),
        headline=_headline(results),
        source=train.source or "data of no name",
        layers=layers_of(learner.net),
        backend=f"{active().name} on {active().device_name}",
        thing=thing,
        measured_set="training" if valid is None else "validation",
        notices=told,
        results=results,
        measures={name: _words(name) for name in metrics.measures},
        epochs=list(map(Epoch, history["duration"], measured, beside)),
        seconds=median(history["duration"]),
        compared=isinstance(train, FashionMnistDataLoader) or train.source == FASHION_MNIST,
        other_work=other_work(learner, train),
        same_recipe=same,
        charts=_charts(history, metrics.measures, theirs),
        answers=found,
        weights=_weights(learner.net) if thing == "image" else None,
        tables=tables(learner, train, valid, thing, found.task if found else ""),
    )


def _words(measure: str) -> str:
    """Return the name of a figure in words: "validation loss"."""
    which, _, name = measure.partition("_")
    return f"{_SETS[which]} {name.replace('_', ' ')}"


def _results(now: EpochMetrics, metrics: MetricsCollector, thing: str) -> list[Result]:
    """Return the metrics, then the loss, each of validation first."""
    found = []
    loaders = {"valid": metrics.valid, "train": metrics.train}
    for name in (*metrics.functions, "loss"):
        for which, loader in loaders.items():
            value = now.get(f"{which}_{name}")
            if value is None or loader is None:
                continue
            note = "mean of the set" if name == "loss" else f"of {counted(loader.num_samples, thing)}"
            share = name.endswith(("accuracy", "top_k")) and 0 <= value <= 1
            text = f"{100 * value:.2f} %" if share else figure(value)
            found.append(Result(_words(f"{which}_{name}").capitalize(), text, note))
    return found


def _headline(results: Sequence[Result]) -> str:
    """Return the first figure for the title of the page."""
    first = results[0]
    if first.value.endswith("%"):
        return f"{first.value} right"
    return f"{first.name} {first.value}"


def _charts(
    history: Mapping[str, Sequence[float]],
    measures: Sequence[str],
    originals: Sequence[Mapping[str, float]],
) -> list[Chart]:
    """Return a chart of each figure, with both data sets."""
    charts = []
    for name in dict.fromkeys(each.partition("_")[2] for each in measures):
        series = {words: history.get(f"{which}_{name}", ()) for which, words in _SETS.items()}
        if originals:
            series["original"] = [each[f"train_{name}"] for each in originals]
        shown = {words: line for words, line in series.items() if len(line)}
        bounded = larger_is_better(name) and max(map(max, shown.values())) <= 1
        title = name.replace("_", " ")
        charts.append(chart(title[:1].upper() + title[1:], shown, most=1 if bounded else math.inf))
    return charts


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
