"""The switch between backends: nothing falls back, and copies between host and device are counted."""

import sys
import threading

import numpy as np
import pytest
from arrays import variable
from processes import python

import backends
import scratchnet as sn
from backends import to_device, to_host, xp
from backends.cuda.loading import check_driver


def run(code, **environment):
    """Run code in a new interpreter. Return its output, and its last line on standard error."""
    done = python("-c", code, environment=environment)
    return done.stdout.strip(), done.stderr.strip().splitlines()[-1:] or [""]


def test_xp_follows_the_switch_and_a_with_block_restores():
    zeros = xp.zeros(2)
    with backends.use("strict") as active:
        assert active is backends.active()
        assert type(xp.zeros(2)) is active.array_type is not type(zeros)
    assert type(xp.zeros(2)) is np.ndarray
    assert backends.active().name == "numpy"
    with pytest.raises(AttributeError, match=r"xp\.zeros: xp only looks up"):
        xp.zeros = None


def test_the_environment_chooses_at_first_use():
    code = "import backends; print(backends.active().name)"
    assert run(code)[0] == "numpy"
    assert run(code, SCRATCHNET_BACKEND="strict")[0] == "strict"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(backends.UnknownBackendError, match="numpy, cupy, strict and auto"):
        backends.use("torch")
    assert backends.active().name == "numpy"


def test_an_unusable_gpu_is_an_error_with_cause_and_mend_and_auto_says_what_it_took(capsys):
    if "cupy" in backends.available():
        pytest.skip("there is a GPU here")
    with pytest.raises(backends.BackendUnavailableError, match=r"cupy: .*; fix: .*"):
        backends.use("cupy")
    with backends.use("auto") as active:
        assert active.name == "numpy"
    assert "backend auto took numpy (backend cupy:" in capsys.readouterr().err
    out, (error,) = run("import backends; backends.active()", SCRATCHNET_BACKEND="cupy")
    assert out == ""
    assert "fix:" in error


class FakeRuntime:
    class CUDARuntimeError(RuntimeError):
        pass

    def __init__(self, driver, devices):
        self.driverGetVersion = lambda: driver
        self.runtimeGetVersion = lambda: 13020
        self.getDeviceCount = lambda: devices
        self.getDevice = lambda: 0
        self.getDeviceProperties = lambda _: {"name": b"Tesla P100", "major": 6, "minor": 0}


@pytest.mark.parametrize(
    ("driver", "devices", "cause"),
    [
        (0, 0, "no NVIDIA driver"),
        (12040, 1, r"built for CUDA 13.2 and the driver supports only 12.4.*\[cuda12\]"),
        (13020, 0, "sees no device"),
        (13020, 1, r"Tesla P100 has compute capability 6.0, and scratchnet's kernels need 7.5"),
    ],
)
def test_each_cause_of_an_unusable_gpu_has_its_own_fix(driver, devices, cause):
    with pytest.raises(backends.BackendUnavailableError, match=cause):
        check_driver(FakeRuntime(driver, devices))


def test_importing_scratchnet_imports_nothing_heavy():
    """Check that little is imported beyond NumPy: our own modules and a few of the standard library."""
    code = (
        "import sys, numpy; before = {*sys.modules}; import scratchnet as sn; sn.Variable, sn.Linear, "
        "sn.Sequential, sn.SGD, sn.softmax_loss, sn.Learner, sn.FashionMnistDataLoader; "
        "print(*before); print(*{*sys.modules} - before)"
    )
    numpy, loaded = (line.split() for line in run(code)[0].splitlines())
    tops = {name.partition(".")[0] for name in loaded}
    assert tops - sys.stdlib_module_names == {"scratchnet", "backends"}
    library = {name for name in tops & sys.stdlib_module_names if name[0] != "_"}
    assert len(library) <= 6, library
    assert not library & {
        "asyncio", "dataclasses", "email", "gzip", "hashlib", "http", "inspect", "json", "logging",
        "platform", "random", "socket", "string", "subprocess", "tempfile", "urllib", "zipfile",
    }  # fmt: skip
    only_at_need = (
        "backends.cuda", "scratchnet.data.download", "scratchnet.data.synthetic", "scratchnet.inspect",
        "scratchnet.results", "scratchnet.training.callbacks.progress", "scratchnet.training.resume",
    )  # fmt: skip
    assert [name for name in loaded if name.startswith(only_at_need)] == []
    assert len(loaded) < 0.7 * len(numpy)


def test_crossings_are_counted_and_can_be_forbidden(backend):
    before = backends.transfers()
    array = to_device([1.0, 2.0])
    np.testing.assert_array_equal(to_host(array), [1, 2])
    after = backends.transfers()
    assert (after.to_device - before.to_device, after.to_host - before.to_host) == (1, 1)
    with backends.forbid_transfers(), pytest.raises(backends.TransferError, match="to_host"):
        to_host(array)


def test_arrays_move_between_backends_by_name_only(backend):
    with backends.use("strict"):
        foreign = to_device(np.arange(3.0))
    with backends.use(backend):
        moved = to_device(foreign)
        assert isinstance(moved, backends.active().array_type)
        np.testing.assert_array_equal(to_host(moved), [0, 1, 2])


@pytest.mark.parametrize(("here", "there"), [("strict", "numpy"), ("numpy", "strict")])
def test_an_array_of_the_wrong_library_is_named_with_the_fix(here, there):
    with backends.use(there):
        array = xp.ones((2, 3))
        foreign = sn.Variable(array)
    with backends.use(here):
        ours = variable(np.ones((2, 3)))
        net = sn.Linear(3, 2, rng=0)
        cases = {
            "Add: operand 1": lambda: ours + array,
            "Mul: operand 0": lambda: foreign * ours,
            "Affine: operand 0": lambda: net(foreign),
            "Variable: data": lambda: sn.Variable(array),
            "ReLU: operand 0": lambda: sn.relu(foreign),
            "GetItem: the index": lambda: ours[array],
        }
        for where, operation in cases.items():
            with pytest.raises(backends.WrongArrayError) as caught:
                operation()
            assert where in str(caught.value)
            assert "backends.to_device(...)" in str(caught.value)
            assert "\n" not in str(caught.value)
    with backends.use(there):
        optimizer = sn.SGD(net.parameters(), 0.1)
        net.weight.grad = net.weight.data
        with pytest.raises(backends.WrongArrayError, match=r"SGD: parameter Variable\(2, 3\) 'weight'"):
            optimizer.step()


@pytest.mark.guarantee("Threads and child processes train to the same bits as a process alone.")
def test_threads_train_on_backends_of_their_own():
    seen = {}

    def work(name):
        backends.use(name)
        barrier.wait(60)
        seen[name] = (backends.active().name, type(xp.zeros(1)))

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "strict")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: active for name, (active, _) in seen.items()} == {
        "numpy": "numpy",
        "strict": "strict",
    }
    assert seen["numpy"][1] is not seen["strict"][1]
