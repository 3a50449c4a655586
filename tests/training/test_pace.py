"""A training run that other programs slow down says so, with what to set."""

import os
import sys
import warnings
from contextlib import ExitStack

import pytest
from processes import python, started
from small_training import learner

import scratchnet as sn
from scratchnet.machine import cores
from scratchnet.training import pace

BUSY = sys.executable, "-c", "while True: pass"
TRAINS = """
import numpy as np, time, scratchnet as sn
x = np.zeros((20_000, 256), np.float32)
loader = sn.ArrayDataLoader(x, np.zeros(len(x), int), 256)
net = sn.Linear(256, 256, 0) >> sn.Linear(256, 4, 0)
learner, end = sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss), time.time() + 8
learner.fit(1000, lambda _: time.time() > end and learner.stop())
"""


@pytest.mark.guarantee("A run that other programs slow down says so, with what to set.")
@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="needs Linux's waiting times")
def test_a_busy_machine_is_one_line_with_what_to_set():
    environment = {"OPENBLAS_NUM_THREADS": str(max(2, cores()))}
    with ExitStack() as others:
        for _ in range(2 * cores()):
            others.enter_context(started(*BUSY))
        done = python("-c", TRAINS, environment=environment)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "CrowdedWarning" in line]
    assert "other programs use the" in line
    assert "set OPENBLAS_NUM_THREADS=1" in line


@pytest.fixture
def clocks(monkeypatch):
    """Return a function of BLAS's threads that returns a function of the times: what is told then."""
    now = dict.fromkeys(("perf_counter", "waiting", "process_time"), 0.0)
    for name in now:
        monkeypatch.setattr(pace, name, lambda name=name: now[name])

    def begin(threads):
        monkeypatch.setattr(pace, "blas_threads", lambda: threads)
        measured = pace.Pace()

        def at(seconds, waited, used):
            now.update(perf_counter=seconds, waiting=waited, process_time=used)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                measured.note()
            return [each.category for each in caught]

        return at

    return begin


@pytest.mark.parametrize(
    ("seconds", "waited", "used", "threads", "told"),
    [
        (4.0, 3.0, 2.0, 2, 1),
        (4.0, 1.0, 2.0, 2, 0),  # it has hardly waited
        (4.0, 3.0, 4.0 * cores(), 2, 0),  # it has all cores: it waits for itself
        (4.0, 3.0, 2.0, 1, 0),  # one thread waits for none
        (0.5, 0.4, 0.2, 2, 0),  # too short to say
    ],
)
def test_only_other_programs_are_blamed_and_once(clocks, seconds, waited, used, threads, told):
    measured = clocks(threads)
    assert len(measured(seconds, waited, used) + measured(2 * seconds, 2 * waited, 2 * used)) == told


def test_a_calm_hour_does_not_hide_what_comes_after_it(clocks):
    measured = clocks(2)
    assert measured(3600.0, 0.0, 3600.0) == []
    assert measured(3604.0, 3.0, 3602.0) == [sn.CrowdedWarning]


def test_a_quick_epoch_asks_for_nothing(monkeypatch):
    monkeypatch.setattr(pace, "waiting", lambda: asked.append(1) or 0.0)
    asked = []
    learner().fit(20, None)
    assert len(asked) == 1
