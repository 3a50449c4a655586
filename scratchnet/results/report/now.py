"""Measure the network as it is now, and compare with the end of the last epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scratchnet.layers import Module
from scratchnet.training.metrics import EpochMetrics, MetricsCollector

_RELATIVE, _ABSOLUTE = 1e-4, 1e-6  # rounding between the losses of single steps and of one launch


class Now(NamedTuple):
    """The results of a report."""

    metrics: EpochMetrics
    notice: str
    """Which network they belong to; empty if it is unchanged since the last epoch."""


def measured_now(net: Module, metrics: MetricsCollector, epochs: list[EpochMetrics]) -> Now:
    """Measure the network again: it may have got back its best parameters, or other ones.

    Args:
        net: the network.
        metrics: the collector, for its loaders and its loss.
        epochs: the measurements after each epoch.
    """
    found = MetricsCollector(
        metrics.train, metrics.valid, metrics.loss, capture=False, metrics=metrics.functions
    ).evaluate(net)
    last = len(epochs) - 1
    same = [
        epoch
        for epoch, each in enumerate(epochs)
        if all(
            np.isclose(found[name], each[name], _RELATIVE, _ABSOLUTE) for name in found if "loss" in name
        )
    ]
    if last in same:
        return Now(epochs[last], "")
    told = (
        f"The network is that of epoch {same[-1]}, not of the last one, {last}"
        if same
        else "The network or its data were changed after the last epoch"
    )
    rest = "all but curves and epochs is of the network as it is now"
    return Now(epochs[same[-1]] if same else found, f"{told}: {rest}.")
