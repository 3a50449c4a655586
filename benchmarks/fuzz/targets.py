"""The readers under test: from paths to arrays by name."""

import warnings
from pathlib import Path

import numpy as np

from benchmarks.fuzz import trainings
from scratchnet.data import cache
from scratchnet.data.readers import Samples, read_csv, read_idx_pair
from scratchnet.errors import OtherVersionWarning
from scratchnet.training.checkpoint import read
from scratchnet.training.resume import state_of
from scratchnet.training.trained import load_model

Arrays = dict[str, np.ndarray]


def idx(images: Path, labels: Path) -> Arrays:
    """Read a pair of IDX files."""
    return _arrays(read_idx_pair(images, labels))


def csv(path: Path) -> Arrays:
    """Read a CSV file."""
    return _arrays(read_csv(path))


def _arrays(samples: Samples) -> Arrays:
    """Return the images as rows, as the files have them."""
    return {"pixels": samples.pixels.reshape(len(samples.labels), -1), "labels": samples.labels}


def checkpoint(path: Path) -> Arrays:
    """Read any saved arrays."""
    return read(path)[0]


def classifier(path: Path) -> Arrays:
    """Load a trained classifier."""
    trained = load_model(path)
    return trained.net.state_dict() | {"mean_image": trained.reading.mean}


def cached(images: Path, labels: Path, entry: Path) -> Arrays:
    """Read a pair of good IDX files through a cache whose entry may be wrong."""
    cache._WORTH_IT = 0
    place = cache.entry_of(read_idx_pair, images, labels)
    assert place is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    entry.replace(place)
    return _arrays(cache.cached(read_idx_pair, images, labels))


def training(path: Path) -> Arrays:
    """Resume a training run."""
    learner = trainings.learner()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", OtherVersionWarning
        )  # a file whose version was changed to another valid one is right
        learner.resume(path)
    return {
        f"{part}.{name}": each
        for part, entries in state_of(learner).items()
        for name, each in entries.items() if isinstance(each, np.ndarray)
    }  # fmt: skip


READERS = {
    "idx": idx, "csv": csv, "checkpoint": checkpoint, "classifier": classifier, "cache": cached,
    "training": training,
}  # fmt: skip
