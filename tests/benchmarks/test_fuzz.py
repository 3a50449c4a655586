"""The quick form of `python -m benchmarks.fuzz`, and a check that it finds each kind of fault."""

import json
import tracemalloc
import warnings
from collections import Counter

import numpy as np
import pytest

import scratchnet as sn
from benchmarks.fuzz import __main__ as long_form
from benchmarks.fuzz import run, targets, worker
from benchmarks.fuzz.inputs import READERS, draw
from benchmarks.fuzz.judge import Verdict, judge


@pytest.mark.guarantee("A file is read correctly, or refused in one line that names it.")
@pytest.mark.parametrize("reader", READERS)
def test_a_file_is_read_right_or_refused_by_name(reader):
    outcomes, faults = run.fuzz(reader, seed=1, first=0, last=120)
    assert faults == []
    assert outcomes.keys() == {"read", "refused"}
    assert min(outcomes.values()) > 2
    assert outcomes.total() == 120


def test_an_input_is_made_again_by_its_number():
    for reader in READERS:
        assert draw(reader, 3, 7) == draw(reader, 3, 7)
        assert draw(reader, 3, 7) != draw(reader, 3, 8)


@pytest.mark.parametrize("reader", READERS)
def test_reader_and_judge_agree_on_what_nobody_has_touched(reader, tmp_path, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(targets.cache, "_WORTH_IT", 0)
    wanted = "as it is, left, plain" if reader != "cache" else "left"
    draws = (draw(reader, 0, number) for number in range(1000))
    good = [each for each in draws if each.how.endswith(wanted)][:8]
    read = 0
    for given in good:
        verdict = judge(reader, given.files)
        assert worker.check(targets.READERS[reader], given, verdict, tmp_path)[0] in worker.GOOD
        read += verdict.must
    assert read >= 4


def with_error(text):
    def read(path):
        raise sn.DataError(text.format(path=path))

    return read


def lookup(path):
    return {}["no such key"]


def leave(path):
    raise SystemExit(0)


def warn(path):
    warnings.warn("look out", stacklevel=1)
    return {"x": np.zeros(3, np.uint8)}


def swallow(path):
    np.zeros(200 << 20, np.uint8)
    return {"x": np.zeros(3, np.uint8)}


def give(array, name="x"):
    return lambda path: {name: array}


RIGHT = np.zeros(3, np.uint8)
GOOD, BAD = Verdict({"x": RIGHT}, True, 100), Verdict(None, False, 100)
PLANTED = [
    (give(RIGHT), GOOD, "read"),
    (with_error("{path}: is bad"), BAD, "refused"),
    (with_error("{path}: is bad"), GOOD, "good file refused"),
    (with_error("{path}: is\nbad"), BAD, "not one line"),
    (with_error("it is bad"), BAD, "no file named"),
    (lookup, BAD, "other exception"),
    (leave, GOOD, "other exception"),
    (warn, GOOD, "warning"),
    (swallow, GOOD, "memory"),
    (give(RIGHT), BAD, "bad file read"),
    (give(RIGHT + 1), GOOD, "wrong arrays"),
    (give(RIGHT[:2]), GOOD, "wrong arrays"),
    (give(RIGHT.astype(np.int8)), GOOD, "wrong arrays"),
    (give(RIGHT, "y"), GOOD, "wrong arrays"),
]


@pytest.mark.parametrize(("read", "verdict", "outcome"), PLANTED)
def test_each_kind_of_fault_is_seen(read, verdict, outcome, tmp_path):
    tracemalloc.start()
    try:
        given = draw("csv", 0, 0)
        assert worker.check(read, given, verdict, tmp_path)[0] == outcome
    finally:
        tracemalloc.stop()


def test_a_crash_a_hang_and_memory_that_python_does_not_see_are_seen_and_gone_on_behind(
    tmp_path, monkeypatch
):
    (tmp_path / "planted.py").write_text(
        "import __main__, ctypes, mmap, os, sys, time\n"
        "__main__.SECONDS = 0.5 if 'checkpoint' in sys.argv else 60\n"
        "def crash(path): ctypes.string_at(0)\n"
        "def hang(path): time.sleep(30)\n"
        "def swallow(path):\n"
        "    memory = mmap.mmap(-1, 200 << 20)\n"
        "    for place in range(0, 200 << 20, 4096): memory[place] = 1\n"
        "    return {}\n"
        "def vanish(images, labels): os._exit(0)\n"
        "READERS = {'csv': crash, 'checkpoint': hang, 'classifier': swallow, 'idx': vanish}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for reader, outcome in [("csv", "crash"), ("checkpoint", "hang"), ("idx", "crash")]:
        outcomes, faults = run.fuzz(reader, 0, 10, 12, "planted")
        assert outcomes == {outcome: 2}
        assert [fault.number for fault in faults] == [10, 11]
    outcomes, faults = run.fuzz("classifier", 0, 0, 1, "planted")
    assert outcomes == {"memory": 1}
    assert faults[0].how == draw("classifier", 0, 0).how


def test_a_worker_that_does_not_start_is_no_success(capfd):
    with pytest.raises(RuntimeError, match="the worker on csv failed"):
        run.fuzz("csv", 0, 0, 1, "no_such_module")
    assert "no_such_module" in capfd.readouterr().err


@pytest.mark.guarantee("A file is read correctly, or refused in one line that names it.")
@pytest.mark.parametrize("faulty", [None, "csv"])
def test_the_long_form_takes_every_reader_and_ends_with_1_at_a_fault(
    tmp_path, monkeypatch, capsys, faulty
):
    def fuzz(reader, seed, first, last):
        asked.append((reader, seed, first, last))
        faults = [run.Fault(reader, first, "crash", "cut", "exit code -11")] * (reader == faulty)
        return Counter({"read": last - first - len(faults), "crash": len(faults)}), faults

    asked, out = [], tmp_path / "record.json"
    monkeypatch.setattr(long_form, "fuzz", fuzz)
    monkeypatch.setattr(
        "sys.argv", ["fuzz", "--inputs", "100", "--seed", "3", "--first", "7", "--out", str(out)]
    )
    assert long_form.main() == (1 if faulty else 0)
    assert asked == [(reader, 3, 7, 24) for reader in READERS]
    record = json.loads(out.read_text())
    assert record["inputs"] == sum(sum(each.values()) for each in record["outcomes"].values()) == 102
    assert [(each["reader"], each["number"]) for each in record["faults"]] == [("csv", 7)] * bool(faulty)
    assert ("csv 7: crash; cut" in capsys.readouterr().out) == bool(faulty)
