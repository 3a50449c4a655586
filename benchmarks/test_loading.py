"""What comes before training: the import, and reading the data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import scratchnet as sn
from benchmarks.conftest import Measure
from benchmarks.figures import figure
from scratchnet.data.fashion_mnist import load_samples


def _images(folder: str | None, form: str, here: Path, quick: bool) -> Path | str | None:
    """Return a folder that holds the training set in that format."""
    if form == "IDX":
        return folder
    samples, _ = load_samples("train", folder)
    rows = slice(0, 2000 if quick else None)
    table = np.column_stack([samples.labels[rows], samples.pixels[rows].reshape(-1, 784)])
    header = ",".join(["label", *(f"pixel{i}" for i in range(1, 785))])
    np.savetxt(here / "fashion-mnist_train.csv", table, "%d", ",", header=header, comments="")
    return here


@pytest.mark.parametrize("times", ["first", "again"])
@pytest.mark.parametrize("form", ["IDX", "CSV"])
def test_loading(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str | None, quick: bool,
    form: str, times: str,
) -> None:  # fmt: skip
    """Measure the training loader from the files, parsed or from the cache."""
    if folder is not None:
        pytest.skip("there are no files: the garments are drawn by code")
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    images, number = _images(folder, form, tmp_path, quick), 0

    def load() -> None:
        sn.FashionMnistDataLoader("train", 256, folder=images)

    def forget() -> None:
        nonlocal number
        number += 1
        monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / f"cache{number}"))

    how = "parsed" if times == "first" else "from the cache"
    what = f"training images from {form}, {how}"
    short = {"samples": 2000} if quick and form == "CSV" else {}
    measure(
        "loading", what, load, setup=forget if times == "first" else None, rounds=5, warmup=1, **short
    )


_NAMES = "; ".join(
    f"scratchnet.{name}"
    for name in ("Variable", "Linear", "Sequential", "SGD", "softmax_loss", "Learner", "DataLoader")
)
"""Names are imported when they are first used. A training run uses these."""


def test_import(benchmark: BenchmarkFixture, compiled: dict[str, str], quick: bool) -> None:
    """Measure what a training script imports, and `import numpy`, in turn, each in a new process."""
    seconds: dict[str, list[float]] = {"numpy": [], "scratchnet": []}

    def both() -> None:
        for module, taken in seconds.items():
            names = _NAMES if module == "scratchnet" else ""
            clock = "from time import perf_counter as now; t = now()"
            code = f"{clock}; import {module}; {names or module}; print(now() - t)"
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=compiled)
            taken.append(float(done.stdout))

    both()
    for taken in seconds.values():
        taken.clear()
    benchmark.pedantic(both, rounds=3 if quick else 15)
    benchmark.extra_info["figures"] = [
        figure("import", f"import {module}", taken) for module, taken in seconds.items()
    ]
