"""The command line from start to end, as a user sees it."""

import gzip
import re
import sys

import numpy as np
import pytest
from processes import python, run, shell
from screen import show

import backends
import scratchnet as sn
from backends.numpy.backend import NumPyBackend
from scratchnet.cli.main import main
from scratchnet.data.sources import OFFICIAL
from scratchnet.verify.cases import cases
from scratchnet.verify.parity import Parity

QUICK = ["train", "--data", "synthetic", "--take", "600", "--epochs", "2", "--hidden", "16"]


def test_train_save_plot_and_predict(command, tmp_path):
    model, plot = tmp_path / "model.safetensors", tmp_path / "curves.png"
    quick = [*QUICK, "--take", "5000", "--batch-size", "64"]
    code, out, err = command(*quick, "--save", model, "--plot", plot)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith("synthetic garments (not Fashion-MNIST), 5000 training")
    assert "784-16-10" in lines[0]
    assert [line.split(" duration")[0] for line in lines[1:3]] == ["epoch:  0", "epoch:  1"]
    assert "not Fashion-MNIST" in lines[3]
    assert plot.stat().st_size > 10_000
    code, out, err = command("predict", model, "--data", "synthetic", "--take", 3)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert "trained on synthetic garments" in out
    accuracy = float(out.splitlines()[-1].split()[1])
    with backends.use("strict"):
        loaded = main(["predict", str(model), "--data", "synthetic", "--take", "0"])
    assert loaded == 0
    assert accuracy > 0.5


def test_the_same_command_gives_the_same_model(command, tmp_path):
    states = []
    for name in ("a", "b"):
        assert command(*QUICK, "--save", tmp_path / name)[0] == 0
        states.append(sn.load(tmp_path / name))
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_predict_reads_idx_and_csv_files(command, tmp_path):
    model = tmp_path / "model.safetensors"
    command(*QUICK, "--save", model)
    images = np.zeros((2, 28, 28), np.uint8)
    idx = tmp_path / "some.gz"
    header = b"\0\0\x08\3" + np.array(images.shape, ">u4").tobytes()
    idx.write_bytes(gzip.compress(header + images.tobytes()))
    code, out, _ = command("predict", model, idx)
    assert code == 0
    assert len(out.splitlines()) == 3
    csv = tmp_path / "some.csv"
    csv.write_text("label\n" + "\n".join("8," + ",".join(["0"] * 784) for _ in range(2)))
    code, out, _ = command("predict", model, csv)
    assert code == 0
    assert "on 2 images" in out


BAD = {
    "--batch-size 0": [*QUICK, "--batch-size", "0"],
    "--learning-rate -0.1": [*QUICK, "--learning-rate", "-0.1"],
    "--learning-rate nan": [*QUICK, "--learning-rate", "nan"],
    "--epochs 0": [*QUICK, "--epochs", "0"],
    "--take -1": [*QUICK, "--take", "-1"],
    "--hidden 0": [*QUICK, "--hidden", "0"],
    "--seed -1": [*QUICK, "--seed", "-1"],
    "unknown backend 'torch'; known are numpy, cupy": [*QUICK, "--backend", "torch"],
    "no such file or folder": ["train", "--data", "{tmp}/none"],
    "no data set of a known form": ["train", "--data", "{tmp}"],
    "is empty": ["train", "--data", "{tmp}/empty"],
    "truncated gzip": ["train", "--data", "{tmp}/truncated"],
    "is a directory": ["train", "--data", "{tmp}/directory"],
    "magic number": ["train", "--data", "{tmp}/magic"],
    "holds 1 images and .* 2 labels": ["train", "--data", "{tmp}/counts"],
    "column 785: 'x' is no integer": ["train", "--data", "{tmp}/number"],
    "can be 1000000 at most": [*QUICK, "--hidden", "9" * 20],
    "cannot be written": [*QUICK, "--plot", "/proc/curves.png"],
    "row 3 has 3 fields": ["train", "--data", "{tmp}/csv"],
    r"\.png or \.svg": [*QUICK, "--plot", "{tmp}/curves.gif"],
    "there is no folder": [*QUICK, "--save", "{tmp}/none/model"],
    "is a folder": [*QUICK, "--save", "{tmp}"],
    "Invalid value": [*QUICK, "--epochs", "many"],
    "No such option": ["train", "--bogus"],
    "No such command": ["bogus"],
    "no such file": ["predict", "{tmp}/none"],
    "damaged": ["predict", "{tmp}/damaged"],
    "is not a model of scratchnet train": ["predict", "{tmp}/other"],
    "4 of 4 files .* are not the official ones": ["data", "verify", "--data", "{tmp}"],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line_and_exit_code_2(command, tmp_path, message):
    name = "train-images-idx3-ubyte.gz"
    for folder in ("empty", "truncated", "csv"):
        (tmp_path / folder).mkdir()
    (tmp_path / "empty" / name).touch()
    (tmp_path / "truncated" / name).write_bytes(gzip.compress(bytes(99))[:-5])
    (tmp_path / "directory" / name).mkdir(parents=True)
    good = "1," + ",".join(["0"] * 784)
    names = ",".join(["label", *map(str, range(784))])
    (tmp_path / "csv" / "fashion-mnist_train.csv").write_text(f"{names}\n{good}\n1,2,3\n")
    idx = {"magic": (b"\0\0\x0d\3", 0, [1]), "counts": (b"\0\0\x08\3", 1, [1, 2])}
    for folder, (magic, images, labels) in idx.items():
        (tmp_path / folder).mkdir()
        header = magic + np.array([images, 28, 28], ">u4").tobytes()
        (tmp_path / folder / "train-images-idx3-ubyte").write_bytes(header + bytes(784 * images))
        header = b"\0\0\x08\1" + np.array([len(labels)], ">u4").tobytes()
        (tmp_path / folder / "train-labels-idx1-ubyte").write_bytes(header + bytes(labels))
        (tmp_path / folder / "fashion-mnist_test.csv").touch()
    (tmp_path / "number").mkdir()
    (tmp_path / "number" / "fashion-mnist_train.csv").write_text(f"{names}\n{good[:-1]}x\n")
    for folder in ("empty", "truncated", "directory", "csv", "number"):
        (tmp_path / folder / "fashion-mnist_test.csv").touch()
    (tmp_path / "damaged").write_bytes(b"{}")
    sn.save(tmp_path / "other", sn.Linear(2, 2).state_dict())
    code, _, err = command(*(each.format(tmp=tmp_path) for each in BAD[message]))
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("scratchnet: ")
    assert re.search(message, err)


def test_an_unusable_gpu_ends_with_one_line(monkeypatch):
    if "cupy" in backends.available():
        pytest.skip("there is a GPU here")
    for arguments, setting in [([*QUICK, "--backend", "cupy"], ""), (QUICK, "cupy")]:
        monkeypatch.setenv("SCRATCHNET_BACKEND", setting)
        done = shell(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "fix:" in done.stderr


def test_parity_s_table_fits_sixty_columns_and_says_what_was_held_against_what(command):
    code, out, err = command("parity")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith("numpy against itself would prove nothing; against float64")
    assert "allowed: 4·√terms ULP" in out
    assert max(map(len, lines)) <= 60
    assert lines[-1] == f"all {len(cases())} are within what is allowed"


@pytest.mark.guarantee("`scratchnet parity` finds a wrong kernel of any public function.")
def test_a_fault_in_a_backend_is_exit_code_1_and_one_line_that_names_it(command, monkeypatch):
    affine = NumPyBackend.affine
    monkeypatch.setattr(
        NumPyBackend, "affine", lambda *given, **how: affine(*given, **how) * np.float32(1.0001)
    )
    code, out, err = command("parity", "--against", "float64")
    assert code == 1
    assert err.startswith("scratchnet: Affine: result is off by 1.0e-04 of its largest value")
    assert err.count("\n") == 1
    marked = [line for line in out.splitlines() if line.endswith(" !")]
    assert marked[0].startswith("Affine ")
    assert max(map(len, out.splitlines())) <= 60


def test_what_parity_cannot_be_held_against_and_ctrl_c(command, monkeypatch):
    code, out, err = command("parity", "--against", "nothing")
    assert (code, out) == (2, "")
    assert "unknown backend 'nothing'" in err

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Parity, "rows", interrupted)
    code, _, err = command("parity")
    assert (code, err.count("\n")) == (130, 1)


def test_parity_in_a_pipe():
    done = shell("parity")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


def test_no_mirror_within_reach_trains_on_synthetic_garments_and_says_so(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path))
    monkeypatch.setattr("scratchnet.data.sources.MIRRORS", ("http://127.0.0.1:9/",))
    code, out, err = command("train", "--take", "300", "--epochs", "1")
    assert code == 0
    assert err.count("\n") == 1
    assert "training on synthetic garments instead" in err
    assert out.startswith("synthetic garments (not Fashion-MNIST)")


def test_doctor_names_what_works_and_what_would_mend_the_rest(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("doctor")
    assert code == 0
    assert f"numpy {np.__version__}" in out
    assert "strict      works" in out
    assert "cupy        works" in out or "fix:" in out
    assert "threads" in out
    assert "scratchnet data fetch" in out


def test_doctor_on_a_processor_without_instructions_beyond_the_baseline(command, monkeypatch):
    without = {"baseline": ["X86_V2"], "not found": ["X86_V3"]}  # NumPy's answer there
    config = np.show_config(mode="dicts") | {"SIMD Extensions": without}
    monkeypatch.setattr(np, "show_config", lambda mode: config)
    code, out, _ = command("doctor")
    assert code == 0
    assert f"stay: numpy {np.__version__}, " in out


@pytest.mark.real_data
def test_verify_on_the_real_files(command, real_data):
    code, out, _ = command("data", "verify", "--data", real_data)
    assert code == 0
    assert out.count("official") == len(OFFICIAL)


def test_a_model_of_nan_is_refused(command, tmp_path):
    model = tmp_path / "model.safetensors"
    net = sn.Classifier(3, 0)
    net.fc1.weight.data[0, 0] = np.nan
    state = net.state_dict() | {"mean_image": np.zeros((1, 784), np.float32)}
    sn.save(model, state, {"kind": "scratchnet classifier 1", "trained_on": "nothing"})
    code, _, err = command("predict", model, "--data", "synthetic")
    assert code == 2
    assert "fc1.weight holds NaN" in err


def test_a_matplotlib_that_cannot_start_is_told_before_training(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "no such")
    done = shell(*QUICK, "--plot", "x.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "'no such' is not a valid value for backend" in done.stderr


def test_in_a_pipe_nothing_but_lines_and_a_reader_that_leaves_is_no_error():
    done = shell(*QUICK)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    done = run("sh", "-c", f"{sys.executable} -m scratchnet {' '.join(QUICK)} | head -1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_on_a_terminal_a_bar_and_the_same_lines():
    shown = show(*QUICK, columns=40)
    assert shown.code == 0
    assert b"epoch:  1 duration:" in shown.written
    assert b"0/2" in shown.written


def test_version_and_help(command):
    assert command("--version")[:2] == (0, f"scratchnet {sn.__version__}\n")
    code, out, _ = command("train", "--help")
    assert code == 0
    assert "--learning-rate" in out


def test_in_a_narrow_terminal_the_help_has_whole_names():
    out = show("train", "--help", columns=40)
    assert any("--learning-rate" in line for line in out.lines)
    assert not any("…" in line for line in out.lines)


@pytest.mark.parametrize("arguments", ["--help", "train --help", "data fetch --help", "--version"])
def test_help_and_version_need_no_numpy(arguments):
    code = (
        "import sys; from scratchnet.cli.main import main; code = main(); "
        "print(code, 'numpy' in sys.modules, file=sys.stderr)"
    )
    ended = python("-c", code, *arguments.split())
    assert ("Usage" in ended.stdout) == arguments.endswith("--help")
    assert ended.stderr.split() == ["0", "False"]


def test_the_module_run_for_help_needs_no_numpy():
    """With this option, Python writes the name of each module that it imports on standard error."""
    ended = python("-X", "importtime", "-m", "scratchnet", "--help")
    assert ended.returncode == 0
    assert "Usage" in ended.stdout
    assert "typer" in ended.stderr
    assert "numpy" not in ended.stderr


def test_ctrl_c_is_one_line_and_exit_code_130(command, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("scratchnet.training.learner.Learner.fit", interrupted)
    code, _, err = command(*QUICK)
    assert code == 130
    assert err == "scratchnet: interrupted; nothing more was saved\n"


def test_ctrl_c_while_modules_are_read_is_one_line():
    code = (
        "import sys\n"
        "from scratchnet.__main__ import main\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "sys.exit(main())"
    )
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "scratchnet: interrupted; nothing more was saved\n"
