"""The memory of a process that trains: its peak, and whether it grows."""

import json
import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import check_accuracy
from benchmarks.figures import figure

MB = 1_000_000
MOST_TIMES_THE_DATA, MOST_BESIDE = 1.3, 150 * MB
MOST_GROWTH = 3 * MB

TRAINING = """
import json, sys
from time import perf_counter
import scratchnet as sn
from benchmarks.memory import memory

folder, take, epochs = json.loads(sys.argv[1])
train = sn.FashionMnistDataLoader("train", 256, take, folder=folder)
valid = sn.FashionMnistDataLoader("valid", 256, take, folder=folder)
valid.zero_center(train.mean_image)
net = sn.Classifier(rng=0)
metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
learner = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics)

start = perf_counter()
learner.fit(10, None)
after_ten = memory("VmRSS")
learner.fit(epochs - 10, None)
print(json.dumps({
    "seconds": perf_counter() - start, "peak": memory("VmHWM"),
    "growth": memory("VmRSS") - after_ten, "bytes": train.inputs.nbytes + valid.inputs.nbytes,
    "accuracy": learner.history["train_accuracy"][-1],
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own account of memory")
def test_memory_of_training(benchmark: BenchmarkFixture, folder: str | None, quick: bool) -> None:
    """Check the peak, 1.3 times the float32 data plus 150 MB, and no growth after ten epochs."""
    told = json.dumps([folder, 5000 if quick else None, 20 if quick else 100])
    command = [sys.executable, "-c", TRAINING, told]
    found: dict[str, float] = {}

    def train() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.update(json.loads(done.stdout))

    benchmark.pedantic(train, rounds=1)
    what = f"{20 if quick else 100} epochs and their evaluations"
    seconds = found.pop("seconds")
    benchmark.extra_info["figures"] = [figure("memory", what, [seconds], **found)]
    check_accuracy(found["accuracy"], quick)
    assert found["growth"] <= MOST_GROWTH, "the process grows"
    if not quick:
        assert found["peak"] <= MOST_TIMES_THE_DATA * found["bytes"] + MOST_BESIDE, "its peak"
