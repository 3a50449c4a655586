"""The training step, the epoch, the evaluation, and everything from the start to a trained model."""

import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import scratchnet as sn
from backends import active
from benchmarks.conftest import Measure, Recipe, check_accuracy
from benchmarks.contenders import Contender, known
from benchmarks.figures import figure
from benchmarks.peers import PEERS
from benchmarks.recipe import accuracy
from scratchnet.machine import cores

CALM = 0.4
"""The seconds until the threads of the last contender have stopped to spin; OpenMP's take 0.2 s."""


def test_step(measure: Measure, backend: str, recipe: Recipe, quick: bool) -> None:
    """Measure a step of 256 images through `Learner`, ten at a time."""
    learner, train, _ = recipe()
    learner.fit(1, None)
    check_accuracy(accuracy(learner.net, train), quick)
    batches = list(islice(train.in_order(), 10))
    measure(
        "training",
        "ten steps of 256 images",
        lambda: learner.train_on(batches),
        rounds=50,
        data=train.source,
    )


def test_evaluation(measure: Measure, backend: str, recipe: Recipe) -> None:
    """Measure loss and accuracy on both data sets, as after each epoch."""
    learner, train, valid = recipe()
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    number = train.num_samples + valid.num_samples
    what = f"evaluation of {number:,} images"
    evaluate = partial(metrics.evaluate, learner.net)
    measure("training", what, evaluate, rounds=20, data=train.source)


def test_epoch(benchmark: BenchmarkFixture, backend: str, recipe: Recipe, quick: bool) -> None:
    """Measure `Learner.fit`, an epoch per round, without evaluation, by its own clock."""
    learner, train, _ = recipe()
    rounds = 3 if quick else 20
    benchmark.pedantic(lambda: learner.fit(1, None), rounds=rounds, warmup_rounds=3)
    found = accuracy(learner.net, train)
    check_accuracy(found, quick)
    what, seconds = f"an epoch of {train.num_samples:,} images", learner.history["duration"][-rounds:]
    told = {"library": active().describe(), "data": train.source, "accuracy": found}
    benchmark.extra_info["figures"] = [figure("training", what, seconds, backend=backend, **told)]


def test_contenders(benchmark: BenchmarkFixture, folder: str | None, quick: bool) -> None:
    """Measure an epoch of each contender in turn, in processes with as many threads as cores."""
    if quick:
        pytest.skip("a quick run leaves the peers out")
    everybody = [Contender(name, folder, cores()) for name in known()]
    rounds, warmup = 15, 3
    turns = np.random.default_rng(0)

    def one_round() -> None:
        for place in turns.permutation(len(contenders)):
            sleep(CALM)
            contenders[place].passes.append(contenders[place].epoch())

    try:
        contenders = [each for each in everybody if each.start()]
        benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=warmup)
    finally:
        for each in everybody:
            each.stop()
    figures = []
    for each in everybody:
        if each.error:
            figures.append({"group": "epoch", "what": each.what, "error": each.error})
            continue
        check_accuracy(each.passes[-1].accuracy, quick)
        facts = {"data": each.data, "accuracy": each.passes[-1].accuracy, "threads": each.threads}
        seconds = [one.seconds for one in each.passes[warmup:]]
        figures.append(figure("epoch", each.what, seconds, **facts))
    benchmark.extra_info["figures"] = figures
    failed = [each.what for each in everybody if each.error and each.name not in PEERS]
    assert not failed, f"could not be measured: {', '.join(failed)}"


def test_from_the_start_to_a_trained_model(
    measure: Measure, backend: str, compiled: dict[str, str], quick: bool, tmp_path: Path
) -> None:
    """Measure the command `scratchnet train`: ten epochs, evaluation, picture, saved model."""
    options = ["--take", "3000", "--epochs", "2"] if quick else []
    command = [
        sys.executable, "-m", "scratchnet", "train", "--backend", backend, *options,
        "--plot", str(tmp_path / "curves.png"), "--save", str(tmp_path / "model.safetensors"),
    ]  # fmt: skip
    what = f"scratchnet train, {'two short' if quick else 'ten'} epochs, plot and model"
    last_lines: list[str] = []

    def train() -> None:
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled)
        last_lines.extend(line for line in done.stdout.splitlines() if line.startswith("epoch"))

    measure("start", what, train, rounds=5, warmup=1)
    check_accuracy(float(last_lines[-1].rpartition("/")[2]), quick)
