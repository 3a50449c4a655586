"""The networks that learn on real data: their losses are PyTorch's, and the command records them."""

import json

import numpy as np
import pytest
from oracle import assert_still_stored, expected

from benchmarks.learning.__main__ import NETWORKS, main
from benchmarks.learning.characters import GOALS, first_losses, trainings
from benchmarks.learning.text import by_counting, in_order, load

ROOM = "learning"
CASES = [f"{kind} {dtype}" for kind in ("lstm", "transformer") for dtype in GOALS]
STEPS, SEQUENCES = 20, 8


def by_pytorch(torch, case):
    text = load()
    kind, dtype = case.split()
    return {
        "losses": first_losses(trainings(kind, text, dtype, torch)["pytorch"], text, STEPS, SEQUENCES)
    }


@pytest.mark.parametrize("case", CASES)
def test_the_first_losses_are_pytorch_s(backend, case):
    text = load()
    kind, dtype = case.split()
    steps = STEPS if backend == "numpy" else 2  # slow there
    found = first_losses(trainings(kind, text, dtype)["scratchnet"], text, steps, SEQUENCES)
    losses = expected(ROOM, case)["losses"][:steps]
    np.testing.assert_allclose(found, losses, rtol=0, atol=GOALS[dtype])


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch, atol=GOALS[case.split()[1]])


def test_the_stored_text_is_text_and_a_tenth_is_held_out():
    text = load()
    assert "A training step" in "".join(text.characters[i] for i in text.train)
    assert len(text.valid) == (len(text.train) + len(text.valid)) // 10
    x, y = in_order(text.valid)
    np.testing.assert_array_equal(x.ravel()[1:], y.ravel()[:-1])
    uniform = np.log(len(text.characters))
    found = by_counting(text)
    assert 0 < found["pairs"] < found["characters"] < uniform


def test_a_quick_run_records_and_draws_every_network(tmp_path, capsys):
    out = tmp_path / "learning.json"
    assert main(["--quick", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert list(record) == list(NETWORKS)
    for each in record.values():
        assert (each["quick"], each["complete"], each["backend"]) == (True, True, "numpy")
    history = record["cnn"]["history"]
    assert len(history["valid_accuracy"]) == record["cnn"]["epochs"] == 2
    for kind in ("lstm", "transformer"):
        assert record[kind]["curve"]["step"] == [2, 4]
        first, last = record[kind]["curve"]["scratchnet"]["train_loss"]
        assert last < first
    assert (tmp_path / "learning.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("step 4") == 2


def test_an_interrupted_run_keeps_what_it_has(tmp_path, monkeypatch):
    def begun(quick):
        yield {"complete": False, "epoch": 1}
        raise KeyboardInterrupt

    out = tmp_path / "learning.json"
    out.write_text('{"lstm": {"complete": true}}')
    monkeypatch.setitem(NETWORKS, "cnn", begun)
    with pytest.raises(KeyboardInterrupt):
        main(["--only", "cnn", "--out", str(out)])
    record = json.loads(out.read_text())
    assert (record["lstm"], record["cnn"]["complete"]) == ({"complete": True}, False)
    assert record["cnn"]["machine"]
