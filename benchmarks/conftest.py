"""What the benchmarks share: options, backends, data, and the one way to measure a time."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import backends
import scratchnet as sn
from backends import synchronize
from benchmarks.figures import figure
from benchmarks.recipe import LEAST_ACCURACY, learner_on
from scratchnet.data.sources import SYNTHETIC, locate


class Measure(Protocol):
    """`measure(group, what, work, …)` measures the time of some work on the active backend."""

    def __call__(
        self,
        group: str,
        what: str,
        work: Callable[..., object],
        *,
        setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]] | None] | None = None,
        rounds: int = 100,
        warmup: int = 5,
        **facts: Any,
    ) -> None:
        """Measures `work`, including the device. `setup` returns its arguments, unmeasured."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options, which `python -m benchmarks` passes on."""
    parser.addoption("--quick", action="store_true", help="few rounds on little data, no peers")
    parser.addoption("--backend", action="append", help="only this backend; may be given again")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a benchmark that takes `backend` on each chosen backend; by default on each that works."""
    if "backend" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or backends.available()
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether this is a short run."""
    return bool(request.config.getoption("--quick"))


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The active backend's name."""
    with backends.use(request.param):
        yield request.param


@pytest.fixture
def measure(benchmark: BenchmarkFixture, quick: bool) -> Measure:
    """Measure rounds of one call each, after warming up, and keep them as a figure."""

    def take(
        group: str, what: str, work: Callable[..., object], *,
        setup: Any = None, rounds: int = 100, warmup: int = 5, **facts: Any,
    ) -> None:  # fmt: skip
        def waited(*arguments: Any) -> None:
            work(*arguments)
            synchronize()

        rounds, warmup = (min(rounds, 5), min(warmup, 2)) if quick else (rounds, warmup)
        benchmark.pedantic(waited, setup=setup, rounds=rounds, warmup_rounds=warmup)
        seconds = benchmark.stats.stats.data  # type: ignore[union-attr]  # None only before the run
        told = {"backend": backends.active().name, **facts}
        benchmark.extra_info["figures"] = [figure(group, what, seconds, **told)]

    return take


@pytest.fixture(scope="session")
def folder() -> str | None:
    """None if the real data set is here; otherwise the synthetic garments, which take the same time."""
    try:
        return None if locate(None, "valid") else SYNTHETIC
    except sn.DownloadError:
        return SYNTHETIC


@pytest.fixture
def compiled(tmp_path: Path) -> dict[str, str]:
    """An environment for new processes in which imported modules stay compiled, as usual."""
    usual = {name: each for name, each in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return usual | {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}


Recipe = Callable[[], tuple[sn.Learner, sn.FashionMnistDataLoader, sn.FashionMnistDataLoader]]


@pytest.fixture
def recipe(folder: str | None, quick: bool) -> Recipe:
    """Build the recipe on the active backend: 784-100-10, batch 256, SGD 0.1; and both loaders."""
    return lambda: make_recipe(folder, 10_000 if quick else None)


def make_recipe(
    folder: str | None, take: int | None
) -> tuple[sn.Learner, sn.FashionMnistDataLoader, sn.FashionMnistDataLoader]:
    """The recipe's learner and its loaders."""
    train = sn.FashionMnistDataLoader("train", 256, take, folder=folder)
    valid = sn.FashionMnistDataLoader("valid", 256, take, folder=folder)
    valid.zero_center(train.mean_image)
    return learner_on(train), train, valid


def check_accuracy(found: float, quick: bool) -> None:
    """Accept a figure only if the network has learned, as far as a short run can teach it.

    A network that has not learned has 0.1. On synthetic garments, a quick run reaches only about 0.4.
    """
    least = 0.3 if quick else LEAST_ACCURACY
    assert found > least, f"accuracy {found:.3f}: the network has not learnt, so its time does not count"
