"""What the benchmarks share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import backends
import scratchnet as sn
from scratchnet.data.sources import DownloadError


def data_folder() -> str | None:
    """None where the real data set can be had, else the synthetic garments: as fast, and named."""
    try:
        sn.FashionMnistDataLoader("valid", 256)
    except DownloadError:
        return "synthetic"
    return None


@pytest.fixture(params=["numpy", "cupy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The active backend's name; a skip with its own words where it cannot run."""
    try:
        with backends.use(request.param):
            yield request.param
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def folder() -> str | Path | None:
    """Where the data come from."""
    return data_folder()


@pytest.fixture
def learner(backend: str, folder: str | None) -> sn.Learner:
    """The recipe: 784-100-10, batch 256, SGD 0.1, 60,000 images."""
    train = sn.FashionMnistDataLoader("train", 256, folder=folder)
    net = sn.Classifier(rng=np.random.default_rng(231))
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
