"""Ranks that would train something else are noticed before they train; no error leaves one behind."""

import pytest
from ranks import on_ranks

import scratchnet as sn


def run(how, file):
    done = on_ranks(2, "odd_rank.py", how, file, limit=15)
    lines = [line for line in done.stderr.splitlines() if line.startswith("scratchnet")]
    assert done.returncode != 0
    assert "trained" not in done.stdout
    return lines, done


@pytest.mark.guarantee("Processes with other weights, data or settings are an error before training.")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("weights", "network; give all processes the same"),
        ("values", "state of the network; give all processes the same seed, for example rng=0, or "),
        ("data", "training data; give all processes the same data"),
        ("batch size", "training data; give all processes the same data"),
        ("rate", "settings of the optimizer: {'groups.0.learning_rate': 0.2"),
        ("version", "version of NumPy: 1.0 and "),
        ("more versions", "version of other: 1.0 and none"),
        ("epochs", "number of epochs to train: 3 and 2; give all processes the same"),
    ],
)
def test_a_rank_that_would_train_something_else_is_named(tmp_path, how, told):
    (line,), _ = run(how, tmp_path / "ck")
    assert f"SettingError: data_parallel: rank 1 and rank 0 differ in the {told}" in line
    assert not (tmp_path / "ck").exists()


@pytest.mark.guarantee("Processes with other weights, data or settings are an error before training.")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("rate later", "after epoch 1, rank 1 and rank 0 differ in the settings of the optimizer: {'gr"),
        (
            "weights later",
            "after epoch 0, rank 1 and rank 0 differ in the state of the network; make",
        ),
        ("random loader", "the loader gave rank 1 another batch than rank 0; give all the same batches"),
        ("shapes", "needs outputs and targets of one shape, and batches have (4, 3) and (5, 3); pad th"),
        ("threads", "another thread is in fit within data_parallel"),
    ],
)
def test_what_goes_apart_later_is_noticed_by_all(tmp_path, how, told):
    (line,), _ = run(how, tmp_path / "ck")
    assert told in line


def test_a_full_disk_ends_all_and_keeps_the_checkpoint(tmp_path):
    (line,), _ = run("full disk", tmp_path / "ck")
    assert "ck: cannot be written: No space left on device" in line
    assert "rank 0" in line
    assert [each.name for each in tmp_path.iterdir()] == ["ck"]
    assert sn.load_metadata(tmp_path / "ck")["kind"] == "scratchnet training"


def test_nan_on_one_rank_ends_all_with_one_line(tmp_path):
    (line,), _ = run("nan", tmp_path / "ck")
    assert "the loss became nan at epoch 0, batch" in line


ALONE = """
from small_run import small_run
small_run()
"""


def test_processes_that_train_alone_are_told_so(tmp_path):
    (tmp_path / "program.py").write_text(ALONE)
    done = on_ranks(2, tmp_path / "program.py")
    assert done.stderr.count("AloneWarning: ") == 1
    assert "has started 2 processes, and each trains alone" in done.stderr
    assert "small_run.py:" in done.stderr
