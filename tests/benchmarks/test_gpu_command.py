"""`make gpu` without a GPU: however it ends, the record is complete and no process keeps running."""

import json
import os
import signal
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from processes import LIMIT, python, run, started

import backends
from benchmarks.gpu.__main__ import DEVICE, DEVICE_SECONDS, FIRST, PARTS, SANITIZERS, SECOND
from benchmarks.gpu.record import Record
from benchmarks.gpu.smoke import _CLOSE, _error, _launches
from benchmarks.gpu.telling import Telling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="`make gpu` runs on Linux alone")

STALLS = """
import os, signal, subprocess, sys, time
kill, calls, at = os.kill, [], int(os.environ["SIGNAL_AT_KILL"])
def signalled(process, number):
    calls.append(number)
    if len(calls) == at:
        kill(os.getpid(), signal.SIGTERM)
    kill(process, number)
if "benchmarks.gpu" in sys.orig_argv:
    os.kill = signalled
if os.environ["STALLED"] in sys.orig_argv and "benchmarks.gpu" not in sys.orig_argv:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "sleep 1000 & exec sleep 1000"])
    open(os.environ["REACHED"], "w").close()
    time.sleep(1000)
"""
"""Code that Python runs at its start: a part starts children of all kinds, and never ends.

The command itself may get a signal while it kills a part, at the first or a later call of `os.kill`.
"""
SANITIZER = """#!/bin/sh
while [ "$1" != "%s" ]; do shift; done
"$@"
"""


@pytest.fixture
def trial(tmp_path):
    """Start the command with a part that stalls. Return process, record path, and trial id."""
    trials, errors = [], tmp_path / "errors"

    def start(part, stalled, *options, signal_at_kill=0, stdout=None):
        (tmp_path / "sitecustomize.py").write_text(STALLS)
        sanitizer = tmp_path / "compute-sanitizer"
        sanitizer.write_text(SANITIZER % sys.executable)
        sanitizer.chmod(0o755)
        out, own = tmp_path / "a" / "new" / "folder" / "record.json", uuid.uuid4().hex
        environment = {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *map(os.path.abspath, sys.path)]),
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "STALLED": stalled, "REACHED": str(tmp_path / "reached"), "TRIAL": own,
            "SIGNAL_AT_KILL": str(signal_at_kill),
        }  # fmt: skip
        only = [] if part == DEVICE else ["--only", part]
        command = [sys.executable, "-m", "benchmarks.gpu", "--backend", "strict", "--quick", *only]
        process = stack.enter_context(
            started(*command, "--out", str(out), *options,
                    environment=environment, stdout=stdout or told, stderr=told)
        )  # fmt: skip
        trials.append(own)
        return process, out, own

    with ExitStack() as stack, errors.open("w") as told:
        yield start
    for own in trials:
        for each in alive(own):
            os.kill(each, signal.SIGKILL)


def alive(own):
    """Return all processes of a trial. Each has the trial's id in its environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"TRIAL={own}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            pass  # another user's, or it has ended in the meantime
    return found


def wait_until(happened, process):
    """Wait until `happened()` is true. At its limit the process is killed, which ends the test."""
    while not happened():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("part", [DEVICE, *PARTS])
def test_killed_in_a_part_it_leaves_a_whole_record_and_no_process(trial, tmp_path, part):
    process, out, own = trial(part, "pytest" if part == "suite" else part)
    wait_until((tmp_path / "reached").exists, process)
    # Five: the command, the part, and the three that the part has started.
    wait_until(lambda: len(alive(own)) >= 5, process)
    before = json.loads(out.read_text())
    assert before["parts"][part]["outcome"] == "running"
    process.terminate()
    assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert alive(own) == []
    record = json.loads(out.read_text())
    assert record["parts"][part]["outcome"] == "ended"
    assert (record["machine"] == "strict stand-in") == (part != DEVICE)
    assert [each.name for each in out.parent.glob(".*")] == []


def test_a_part_that_hangs_costs_its_limit_and_no_other(trial, tmp_path):
    process, out, own = trial("curve", "curve", "--limit", "1")
    assert process.wait(LIMIT) == 1
    record = json.loads(out.read_text())
    assert record["parts"]["curve"] | {"measured": "", "seconds": 0} == {
        "outcome": "failed", "why": "not done after 1 s", "measured": "", "seconds": 0,
    }  # fmt: skip
    assert alive(own) == []


@pytest.mark.parametrize("call", [1, 2])
def test_a_signal_while_it_cleans_up_leaves_no_process(trial, tmp_path, call):
    process, out, own = trial("curve", "curve", "--limit", "1", signal_at_kill=call)
    assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert alive(own) == []
    assert json.loads(out.read_text())["parts"]["curve"]["outcome"] in ("failed", "ended")


def test_it_goes_on_when_nobody_reads_what_it_prints(trial):
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "wb") as closed:
        process, out, _ = trial("torch", "none", stdout=closed)
        assert process.wait(LIMIT) == 0
    assert set(json.loads(out.read_text())["parts"]) == {DEVICE, "torch"}


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("record.json", "is there already"), ("", "is there already"), ("folder", "is there already"),
        ("record.json/within.json", "File exists"), ("loop", "is there already"),
        ("link", "is there already"),
    ],
)  # fmt: skip
def test_what_is_at_its_path_is_left_alone(trial, tmp_path, out, told):
    record, errors = tmp_path / "record.json", tmp_path / "errors"
    record.write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    path = str(tmp_path / out) if out else ""
    process, *_ = trial("smoke", "none", "--out", path)
    assert process.wait(LIMIT) == 2
    assert errors.read_text().startswith(f"make gpu: {path or '.'}: {told}")
    assert errors.read_text().count("\n") == 1
    assert record.read_text() == "precious"
    assert list(tmp_path.glob(".*")) + list((tmp_path / "folder").iterdir()) == []


def test_no_log_is_replaced(trial, tmp_path):
    log = tmp_path / "new-smoke.log"
    log.write_text("precious")
    process, *_ = trial("smoke", "none", "--out", str(tmp_path / "new.json"))
    assert process.wait(LIMIT) == 2
    assert f"{log}: is there already" in (tmp_path / "errors").read_text()
    assert log.read_text() == "precious"


@pytest.mark.parametrize("limit", ["nan", "-1", "0", "inf", "soon"])
def test_a_limit_is_a_time(trial, tmp_path, limit):
    process, *_ = trial("smoke", "none", "--limit", limit)
    assert process.wait(LIMIT) == 2
    assert f"{limit!r} is no number of seconds above 0" in (tmp_path / "errors").read_text()


def test_it_starts_without_the_packages_that_only_the_suite_of_benchmarks_needs():
    missing = "import sys; sys.modules.update(cpuinfo=None, threadpoolctl=None)"
    done = python("-c", f"{missing}; import benchmarks.gpu.__main__, benchmarks.report")
    assert (done.returncode, done.stderr) == (0, "")


def test_both_commands_fit_their_time():
    assert DEVICE_SECONDS + sum(FIRST.values()) <= 440
    assert DEVICE_SECONDS + sum(SECOND.values()) <= 590
    assert set(SANITIZERS) < set(SECOND)


def test_a_quick_run_finds_what_the_model_predicts(trial):
    process, out, _ = trial("smoke", "none", "--limit", "300", "--only", "smoke", "micro")
    assert process.wait(LIMIT) == 0
    record = json.loads(out.read_text())
    assert {name: each["outcome"] for name, each in record["parts"].items()} == {
        DEVICE: "done", "smoke": "done", "micro": "done",
    }  # fmt: skip
    predicted = {each["what"] for each in record["figures"] if "predicted" in each}
    assert {"update alone, a step", "gathering the images of an epoch"} < predicted
    assert all(each["median"] > 0 for each in record["figures"])
    assert {"launches", "products", "parity"} < set(record["attempts"])
    assert {each["outcome"] for each in record["attempts"].values()} == {"done"}
    errors = [each["value"] for name, each in record["facts"].items() if "error of float32" in name]
    assert len(errors) >= 10
    assert max(errors) < 1e-6
    assert len(record["results"]["parity"]["ulp"]) == 5
    assert "error of float32" in out.with_name("record-smoke.log").read_text()


def test_sums_over_one_device_and_over_two_are_measured(trial):
    pytest.importorskip("mpi4py")
    process, out, _ = trial("devices", "none", "--limit", "120")
    assert process.wait(LIMIT) == 0
    record = json.loads(out.read_text())
    assert record["parts"]["devices"]["outcome"] == "done"
    named = {f"a sum of {size} over {devices}{how}" for size in ("318 kB", "25 MB")
             for devices in ("1 device", "2 devices") for how in ("", " beside other work")}  # fmt: skip
    assert named < set(record["attempts"])
    assert {f"{each}, as a node" for each in named} < {each["what"] for each in record["figures"]}


def test_an_error_costs_one_thing_and_stands_in_the_record(tmp_path):
    tell, record = Telling(tmp_path / "messages"), Record(tmp_path / "record.json", machine="a GPU")
    found = {"launches": (False, True), "memory": (True, True), "step": (True, False)}
    for what, (works, right) in found.items():
        with tell.attempt(what):
            assert works, "no room"
            tell.check(right, "a step is wrong")
    record.take(map(json.loads, tell.path.read_text().splitlines()))
    attempts = json.loads(record.path.read_text())["attempts"]
    assert [each["outcome"] for each in attempts.values()] == ["failed", "done", "failed"]
    assert attempts["launches"]["why"].startswith("launches: AssertionError: no room")
    assert attempts["step"]["why"] == "a step is wrong"
    assert len(tell.failures) == 2


def test_a_kernel_that_gives_nan_is_wrong(monkeypatch):
    kernel, arguments = next(each for each in _launches(quick=True) if each[0] == "affine_backward")
    assert _error(kernel, arguments) < _CLOSE
    affine_backward = backends.active().affine_backward

    def spoiled(*told):
        first, *others = affine_backward(*told)
        return first, *(each * np.nan for each in others)

    monkeypatch.setattr(backends.active(), kernel, spoiled)
    assert np.isnan(_error(kernel, arguments))


def test_what_it_has_not_started_lives_on(tmp_path):
    """Test a child that the shell leaves to it, like the `tee` of `> >(tee log)`."""
    out, told = tmp_path / "record.json", tmp_path / "told"
    command = f'"{sys.executable}" -m benchmarks.gpu --backend numpy --quick --only torch --out "{out}"'
    done = run("bash", "-c", f'exec 3> >(cat > "{told}"); exec {command} >&3')
    assert done.returncode == 2
    assert "device_facts" in told.read_text()
    assert f"exit code 1; see {out.stem}-device.log" in done.stderr


def test_without_a_gpu_it_is_a_line_and_the_record_says_why(trial, tmp_path):
    process, out, _ = trial(DEVICE, "none", "--backend", "abacus")
    assert process.wait(LIMIT) == 2
    why = "unknown backend 'abacus'; known are numpy, cupy"
    assert f"\nmake gpu: {why}" in (tmp_path / "errors").read_text()
    assert json.loads(out.read_text())["parts"][DEVICE]["why"].startswith(why)
