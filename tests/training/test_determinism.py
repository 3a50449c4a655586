"""The same seed, backend and machine give the same bits, whatever else differs."""

import re

import pytest
from needed import needs
from processes import python, shell
from screen import show
from small_training import train

import backends
import scratchnet as sn

SMALL = ["train", "--data", "synthetic", "--take", "1100", "--hidden", "16", "--epochs", "2"]
EPOCH = re.compile(rb"epoch: +(\d+) duration: +[\d.]+ms +(loss: .*?accuracy: [\d. /]+\d)")


def model_and_lines(folder, *options, terminal=False, cwd=None, **environment):
    """Return the bytes of each array of the saved model, and the printed lines of the epochs."""
    folder.mkdir()
    arguments = [*SMALL, "--batch-size", "64", *options, "--save", folder / "model"]
    if terminal:
        shown = show(*arguments, columns=150, environment=environment)
        code, said = shown.code, shown.written
    else:
        done = shell(*arguments, cwd=cwd, environment=environment, text=False)
        code, said = done.returncode, done.stdout
    assert code == 0
    arrays = {name: array.tobytes() for name, array in sn.load(folder / "model").items()}
    return arrays, [(epoch, b" ".join(told.split())) for epoch, told in EPOCH.findall(said)]


@pytest.mark.guarantee("On one machine, the same seed gives the same bits.")
def test_the_command_gives_the_same_bits_whatever_surrounds_it(tmp_path):
    here = {"cwd": tmp_path}
    usual = model_and_lines(tmp_path / "usual")
    assert len(usual[1]) == 2
    others = {
        "hash seed 0": model_and_lines(tmp_path / "0", PYTHONHASHSEED="0"),
        "hash seed 1": model_and_lines(tmp_path / "1", PYTHONHASHSEED="1"),
        "elsewhere": model_and_lines(tmp_path / "elsewhere", **here),
        "a plot": model_and_lines(tmp_path / "plot", "--plot", str(tmp_path / "curves.png")),
        "a progress bar": model_and_lines(tmp_path / "terminal", terminal=True),
    }
    assert {name: each == usual for name, each in others.items()} == dict.fromkeys(others, True)
    other_seed = model_and_lines(tmp_path / "seed", "--seed", "7")
    assert other_seed[0] != usual[0]
    assert other_seed[1] != usual[1]


@pytest.mark.guarantee("On one machine, the same seed gives the same bits.")
def test_the_command_gives_the_same_bits_with_live_curves(tmp_path):
    needs("uniplot")
    usual = model_and_lines(tmp_path / "usual")
    assert model_and_lines(tmp_path / "live", "--live", terminal=True) == usual


@pytest.mark.guarantee("On one machine, the same seed gives the same bits.")
def test_a_seed_gives_the_same_bits_however_it_is_fitted(backend):
    usual = train(seed=3, fits=(3,))
    assert train(seed=3, fits=(1, 0, 2)) == usual
    assert train(seed=3, fits=(3,), report=lambda line: None) == usual
    unwatched = train(seed=3, fits=(3,), evaluated=False)
    assert (unwatched.weights, unwatched.how) == (usual.weights, usual.how)
    other = train(seed=4, fits=(3,))
    assert other.weights != usual.weights
    assert other.metrics != usual.metrics


TOLD = """
import hashlib, backends
from small_training import train
found = train(fits=(2,))
print(hashlib.sha256(found.weights + found.metrics).hexdigest())
"""


def elsewhere(*arguments, **environment):
    """Return what a new interpreter prints."""
    done = python(*arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


DEPENDS = [
    {"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_CORETYPE": "Nehalem"}, {"OPENBLAS_CORETYPE": "Haswell"},
]  # fmt: skip
"""Settings of a process that can change bits."""


@pytest.mark.guarantee("`scratchnet doctor` lists everything that changes bits.")
@pytest.mark.parametrize("setting", [{}, *DEPENDS])
def test_doctor_names_all_that_changes_the_bits(setting):
    program, doctor = ("-c", TOLD), ("-m", "scratchnet", "doctor")

    def bits_line(told):
        return next(line for line in told.splitlines() if line.startswith("bits "))

    bits, told = elsewhere(*program, **setting), bits_line(elsewhere(*doctor, **setting))
    assert elsewhere(*program, **setting) == bits
    if bits != elsewhere(*program):
        assert told != bits_line(elsewhere(*doctor))


@pytest.mark.guarantee("`scratchnet doctor` lists everything that changes bits.")
def test_capture_may_change_the_bits_and_doctor_says_so():
    with backends.use("strict"):
        launched, stepped = train(capture=True), train(capture=False)
    assert launched.how == "one launch of fused kernels"
    assert launched.weights != stepped.weights
    assert "whether an epoch is captured" in elsewhere("-m", "scratchnet", "doctor")
