"""Many epochs leave nothing behind, and a planted leak is found."""

import sys
import threading
import warnings

import numpy as np
import pytest

import scratchnet as sn
from backends import to_device
from benchmarks.soak import faults, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own account of a process")
MOST_GROWTH = 20_000


def soaked(also=lambda loss: None, epochs=60):
    """Return what is wrong after some epochs of a small network. `also` gets each of its losses."""

    def loss(logits, labels):
        found = sn.softmax_loss(logits, labels)
        also(found)
        return found

    loss.capturable = True
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((64, 20)).astype(np.float32), rng.integers(0, 3, 64)
    loader = sn.ArrayDataLoader(to_device(images), to_device(labels), 32)
    net = sn.Linear(20, 3, rng=0)
    metrics = sn.MetricsCollector(loader, loader, loss)
    learner = sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), loss, metrics)
    return faults(soak(learner, epochs), MOST_GROWTH)


@pytest.mark.guarantee("Training leaves nothing behind: no memory, no open file, no thread.")
def test_many_epochs_leave_nothing_behind(backend):
    assert soaked() == []


@pytest.mark.guarantee("Training leaves nothing behind: no memory, no open file, no thread.")
def test_arrays_kept_alive_are_seen():
    kept = []
    (fault,) = soaked(lambda loss: kept.append(loss.creator and loss.creator.kept))
    assert "memory grows" in fault


@pytest.mark.guarantee("Training leaves nothing behind: no memory, no open file, no thread.")
def test_a_file_left_open_is_seen(tmp_path):
    files = []
    found = soaked(lambda loss: files.append((tmp_path / "log").open("w")), epochs=20)
    assert any("open files are left" in fault for fault in found)
    for file in files:
        file.close()


def test_a_thread_left_running_is_seen():
    def leave(loss):
        threads.append(threading.Thread(target=done.wait, args=(60,)))
        threads[-1].start()

    done, threads = threading.Event(), []
    try:
        assert any("threads are left" in fault for fault in soaked(leave, epochs=12))
    finally:
        done.set()
        for thread in threads:
            thread.join(60)


def test_a_warning_is_an_error():
    with pytest.raises(UserWarning, match="planted"):
        soaked(lambda loss: warnings.warn("planted", UserWarning, stacklevel=1))
