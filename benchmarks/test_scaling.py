"""The epoch against batch size, hidden width and number of samples: see `scaling`."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import scaling
from benchmarks.figures import Figure


def test_scaling(benchmark: BenchmarkFixture, backend: str, folder: str | None, quick: bool) -> None:
    """Measure all points, one after the other. Each is a figure."""
    found: list[Figure] = []
    data = scaling.load(folder, 4000 if quick else None)
    axes, rounds = (scaling.QUICK, 2) if quick else (scaling.AXES, 5)
    benchmark.pedantic(lambda: found.extend(scaling.points(data, axes, rounds)), rounds=1)
    benchmark.extra_info["figures"] = found
    if not found:
        pytest.fail("no point was measured")
