"""Files of format 2 still load, compute the same and go on: see files/format-2/write.py."""

import gzip
import json
import re

import kept_files as kept
import numpy as np
import pytest
from kept_files import FILES

import scratchnet as sn
from scratchnet.training.checkpoint import read
from scratchnet.training.resume import read_training
from scratchnet.training.trained import load_model, save_model

pytestmark = pytest.mark.filterwarnings("ignore::scratchnet.errors.OtherVersionWarning")
EXPECTED = kept.expected()


def assert_as_expected(case, found):
    """Check arrays by name, each within what rounding on another machine may change."""
    assert found.keys() == EXPECTED[case].keys()
    for name, array in found.items():
        values = np.array(EXPECTED[case][name]["values"])
        assert array.shape == values.shape, name
        difference = np.abs(array - values).max(initial=0)
        assert difference <= EXPECTED[case][name]["tolerance"], f"{case}: {name} differs by {difference}"


@pytest.mark.parametrize("name", kept.NETWORKS)
def test_a_network_computes_and_trains_as_it_did(backend, name):
    assert_as_expected(f"network {name}", kept.network(name))
    assert sn.load_metadata(FILES / f"{name}.safetensors") == {"note": "of format 2"}


@pytest.mark.parametrize("name", kept.OPTIMIZERS)
def test_an_optimizer_goes_on_with_its_state(backend, name):
    assert_as_expected(f"optimizer {name}", kept.optimizer(name))


@pytest.mark.parametrize("name", kept.CHECKPOINTS)
def test_a_training_run_goes_on_from_the_middle_of_an_epoch(backend, name, tmp_path):
    (tmp_path / "log.csv").write_bytes((FILES / "log.csv").read_bytes())
    assert_as_expected(f"checkpoint {name}", kept.checkpoint(name, tmp_path))
    saved = read_training(FILES / f"checkpoint-{name}.safetensors")
    assert saved.settings == {"note": "of format 2"}
    assert saved.state["progress"].get("shards") == (2 if name == "shards" else None)


def test_a_log_is_continued(tmp_path):
    log = (FILES / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(log)
    kept.checkpoint("adam", tmp_path)
    after = (tmp_path / "log.csv").read_text()
    assert after.startswith(log)
    header, *rows = (line.split(",") for line in after.splitlines())
    assert header[:3] == ["epoch", "train_loss", "valid_loss"]
    assert [int(row[0]) for row in rows] == list(range(kept.EPOCHS))
    measured = [float(row[2]) for row in rows]
    assert measured == pytest.approx(EXPECTED["checkpoint adam"]["valid_loss"]["values"], rel=1e-3)


def test_the_best_network_of_a_training_run_is_loaded_with_its_figures():
    net = kept.Dense()
    net.load_state_dict(sn.load(FILES / "network.safetensors"))
    told = sn.load_metadata(FILES / "network.safetensors")
    losses = EXPECTED["checkpoint adam"]["valid_loss"]["values"]
    assert (told["kind"], told["format"]) == ("scratchnet network", "2")
    assert float(told["valid_loss"]) == losses[int(told["epoch"])]
    valid = sn.ArrayDataLoader(kept.X[40:], kept.Y[40:], 8, mode="valid")
    figures = kept.learner(net, kept.adam).evaluate(valid)
    assert figures["loss"] == pytest.approx(float(told["valid_loss"]), rel=1e-5)


@pytest.mark.parametrize("name", kept.MODELS)
def test_a_model_of_the_command_computes_as_it_did(backend, name, tmp_path):
    assert_as_expected(f"model {name}", kept.model(name, tmp_path))


def test_a_model_of_the_command_knows_its_data(tmp_path):
    kept.model("table", tmp_path)
    table = load_model(tmp_path / "model")
    assert (table.model, table.source) == ("mlp", "table")
    assert (table.reading.features, table.reading.targets) == (("a", "b", "c"), ("larger",))
    assert (table.reading.task, table.reading.class_names) == ("classification", ("no", "yes"))
    kept.model("cnn", tmp_path)
    cnn = load_model(tmp_path / "model")
    assert (cnn.model, cnn.reading.form, cnn.reading.class_names) == ("cnn", "folder", ("cat", "dog"))


def test_the_command_goes_on_from_its_checkpoint(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("warnings.showwarning", None)  # main sets its own; this restores it
    assert_as_expected("command command", kept.command("command", tmp_path))


def changed(folder, name, **changes):
    """Write a kept file with other text in its metadata. None removes a name."""
    (file,) = FILES.glob(f"{name}.*")
    path, content = folder / "file", file.read_bytes()
    path.write_bytes(gzip.decompress(content) if file.suffix == ".gz" else content)
    arrays, told = read(path)
    told = {name: each for name, each in (told | changes).items() if each is not None}
    sn.save(path, arrays, told, overwrite=True)
    return path


def assert_same_names(path, former):
    """Compare the names and types of all that two files hold. Another one needs another format."""
    (arrays, told), (arrays_then, told_then) = read(path), read(former)
    for each in (told, told_then):
        each |= {
            name: _shape_of(json.loads(each[name])) for name in ("training", "reading") if name in each
        }
    assert told == told_then
    forms = [
        {name: (each.dtype, each.shape) for name, each in of.items()} for of in (arrays, arrays_then)
    ]
    assert forms[0] == forms[1]


def _shape_of(value):
    return (
        {name: _shape_of(each) for name, each in value.items()} if type(value) is dict else type(value)
    )


@pytest.mark.parametrize("name", kept.CHECKPOINTS)
def test_what_is_saved_now_has_the_names_of_the_format(name, tmp_path):
    training = kept.CHECKPOINTS[name]()
    training.resume(FILES / f"checkpoint-{name}.safetensors")
    training.save(tmp_path / "c")
    assert_same_names(tmp_path / "c", FILES / f"checkpoint-{name}.safetensors")


@pytest.mark.parametrize("name", kept.MODELS)
def test_a_model_that_is_saved_now_has_the_names_of_the_format(name, tmp_path):
    kept.model(name, tmp_path)
    save_model(tmp_path / "again", load_model(tmp_path / "model"))
    assert_same_names(tmp_path / "again", tmp_path / "model")


KINDS = "network", "checkpoint-adam", "command", "model-mlp"


@pytest.mark.guarantee("A file of a newer format is refused by name, with the way out.")
@pytest.mark.parametrize("use", [sn.load, sn.load_metadata, read_training, load_model])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_a_newer_format_is_refused_by_name_with_the_way_out(tmp_path, kind, use):
    path = changed(tmp_path, kind, format="3")
    message = (
        f"{path}: was written by a newer scratchnet: its format is 3, and this release knows 2; update"
    )
    with pytest.raises(sn.CheckpointError, match=re.escape(message)):
        use(path)


def test_a_newer_format_is_named_although_its_digest_is_not_known(tmp_path):
    path = changed(tmp_path, "network", format="3")
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha999"))
    with pytest.raises(sn.CheckpointError, match="newer scratchnet"):
        sn.load(path)


def test_a_file_without_a_number_is_an_early_one_and_is_read(tmp_path):
    path = changed(tmp_path, "checkpoint-adam", format=None)
    assert read_training(path).settings == {"note": "of format 2"}
    path = changed(tmp_path, "network", format=None)
    assert sn.load(path).keys() == kept.Dense().state_dict().keys()


def test_what_a_program_of_its_own_calls_a_format_is_its_own(tmp_path):
    sn.save(tmp_path / "a", {"x": np.zeros(2)}, {"kind": "drawing 7", "format": "9"})
    assert sn.load_metadata(tmp_path / "a") == {"kind": "drawing 7", "format": "9"}
    with pytest.raises(sn.CheckpointError, match="sha256 is the digest of the file itself"):
        sn.save(tmp_path / "b", {"x": np.zeros(2)}, {"sha256": "mine"})
    assert not (tmp_path / "b").exists()
