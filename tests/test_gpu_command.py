"""`make gpu`, tried where there is no GPU: whatever ends it, the record is whole and nothing runs on."""

import json
import os
import signal
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import LIMIT, started

from benchmarks import report
from benchmarks.compare import RecordError
from benchmarks.figures import figure
from benchmarks.gpu.__main__ import DEVICE, DEVICE_SECONDS, FIRST, PARTS, SANITIZERS, SECOND
from benchmarks.merge import merged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="`make gpu` runs on Linux alone")

STALLS = """
import os, subprocess, sys, time
if os.environ["STALLED"] in sys.orig_argv and "benchmarks.gpu" not in sys.orig_argv:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "sleep 1000 & exec sleep 1000"])
    open(os.environ["REACHED"], "w").close()
    time.sleep(1000)
"""
"""What Python runs at its start: a part begins with children of all kinds, and never ends."""
SANITIZER = """#!/bin/sh
while [ "$1" != "%s" ]; do shift; done
"$@"
"""


@pytest.fixture
def trial(tmp_path):
    """Start the command with a part that stalls; (process, path of the record, id of the trial)."""
    trials, errors = [], tmp_path / "errors"

    def start(part, stalled, *options):
        (tmp_path / "sitecustomize.py").write_text(STALLS)
        sanitizer = tmp_path / "compute-sanitizer"
        sanitizer.write_text(SANITIZER % sys.executable)
        sanitizer.chmod(0o755)
        out, own = tmp_path / "a" / "new" / "folder" / "record.json", uuid.uuid4().hex
        environment = {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *map(os.path.abspath, sys.path)]),
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "STALLED": stalled, "REACHED": str(tmp_path / "reached"), "TRIAL": own,
        }  # fmt: skip
        only = [] if part == DEVICE else ["--only", part]
        command = [sys.executable, "-m", "benchmarks.gpu", "--backend", "strict", "--quick", *only]
        process = stack.enter_context(
            started(
                *command, "--out", str(out), *options, environment=environment, stdout=told, stderr=told
            )
        )
        trials.append(own)
        return process, out, own

    with ExitStack() as stack, errors.open("w") as told:
        yield start
    for own in trials:
        for each in alive(own):
            os.kill(each, signal.SIGKILL)


def alive(own):
    """The processes of a trial, wherever they have gone: all have its id in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"TRIAL={own}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            pass  # another user's, or it has ended meanwhile
    return found


def wait_for(path, process):
    """Wait until the file is there; the process ends by itself at its limit."""
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("part", [DEVICE, *PARTS])
def test_killed_in_a_part_it_leaves_a_whole_record_and_no_process(trial, tmp_path, part):
    process, out, own = trial(part, "pytest" if part == "suite" else part)
    wait_for(tmp_path / "reached", process)
    assert len(alive(own)) >= 4
    before = json.loads(out.read_text())
    assert before["parts"][part]["outcome"] == "running"
    process.terminate()
    assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert alive(own) == []
    record = json.loads(out.read_text())
    assert record["parts"][part]["outcome"] == "failed"
    assert record["parts"][part]["why"] == "the run was ended before it was done"
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


def test_both_commands_fit_their_time():
    assert DEVICE_SECONDS + sum(FIRST.values()) <= 420
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
    assert all(each["median"] > 0 for each in record["figures"] if "barrier" not in each["what"])
    errors = [each["value"] for name, each in record["facts"].items() if "error of float32" in name]
    assert len(errors) >= 10
    assert max(errors) < 1e-6
    assert len(record["results"]["parity"]["ulp"]) == 5
    assert "error of float32" in out.with_name("record-smoke.log").read_text()


def test_without_a_gpu_it_is_a_line_and_the_record_says_why(trial, tmp_path):
    process, out, _ = trial(DEVICE, "none", "--backend", "abacus")
    assert process.wait(LIMIT) == 2
    why = "unknown backend 'abacus'; known are numpy, cupy"
    assert f"\nmake gpu: {why}" in (tmp_path / "errors").read_text()
    assert json.loads(out.read_text())["parts"][DEVICE]["why"].startswith(why)


def record(what, seconds, measured, **more):
    made = figure("epoch", what, [seconds] * 3, data="Fashion-MNIST") | {"measured": measured}
    facts = {"clusters of forward_backward at once": {"value": seconds, "predicted": [16, 16],
                                                      "unit": "", "measured": measured}}  # fmt: skip
    head = {"machine": "NVIDIA H100", "system": "Linux", "date": measured, "quick": False}
    return head | {"figures": [made], "facts": facts, "results": {}, "parts": {}} | more


def test_merged_the_newest_of_each_figure_stays():
    failed = {"group": "epoch", "what": "ours", "error": "broken", "measured": "2026-01-01"}
    newer, older = record("ours", 3.0, "2026-01-03"), record("ours", 2.0, "2026-01-02")
    other = record("theirs", 9.0, "2026-01-01")
    other["figures"].append(failed)
    found = merged([newer, other, older])
    assert {each["what"]: each.get("median") for each in found["figures"]} == {"ours": 3, "theirs": 9}
    assert found["facts"]["clusters of forward_backward at once"]["value"] == 3.0
    assert found["date"] == "2026-01-03"
    since = merged([newer, other | {"figures": [failed | {"measured": "2026-01-04"}]}])
    assert [each.get("error") for each in since["figures"]] == [None, "broken"]


@pytest.mark.parametrize(
    ("other", "told"),
    [({"machine": "NVIDIA H200"}, "of several machines"), ({"quick": True}, "merge whole ones")],
)
def test_what_cannot_be_merged_is_told(other, told):
    with pytest.raises(RecordError, match=told):
        merged([record("ours", 1.0, "2026"), record("ours", 1.0, "2026", **other)])


def test_a_run_that_found_no_gpu_is_not_merged():
    with pytest.raises(RecordError, match="found no GPU"):
        merged([record("ours", 1.0, "2026", machine="")])


def test_records_are_merged_into_the_gpu_s_own_and_the_readme_shows_it(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(report.README.read_text())
    monkeypatch.setattr(report, "README", readme)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    kept = tmp_path / "results" / "nvidia-h100.json"
    for place, (what, seconds) in enumerate([("ours", 3.0), ("theirs", 9.0)]):
        path = tmp_path / f"{place}.json"
        path.write_text(json.dumps(record(what, seconds, f"2026-01-0{place + 1}")))
        assert report.main(["--merge", str(path)]) == 0
    assert len(json.loads(kept.read_text())["figures"]) == 2
    text = readme.read_text()
    assert "| ours | Fashion-MNIST | NVIDIA H100 | 3.00 s |" in text
    assert "| clusters of forward_backward at once | 16 | 9 |" in text
    assert (tmp_path / "results" / "epochs.png").exists()
    (tmp_path / "none.json").write_text("[]")
    assert report.main(["--merge", str(tmp_path / "none.json")]) == 2
    assert "is no record of a run" in capsys.readouterr().err
