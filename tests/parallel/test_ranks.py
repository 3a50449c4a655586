"""`scratchnet train` in several processes: how they start, who prints and writes, how they end."""

import os
import signal
import sys
import time

import pytest
from processes import PIPE, run, shell, started
from ranks import ENVIRONMENT, launcher, python
from screen import show

from scratchnet.machine import BLAS_THREADS, cores

TRAIN = ["train", "--data", "synthetic", "--take", "600", "--epochs", "2"]
OURS = ["-P", "-m", "scratchnet"]
LONG = ["train", "--data", "synthetic", "--take", "6000", "--epochs", "9000", "--ranks", "2"]


@pytest.fixture
def begun(tmp_path):
    """A long run of two ranks with a checkpoint; both have noted their processes."""
    command = [*OURS, *LONG, "--checkpoint", str(tmp_path / "c")]
    variables = ENVIRONMENT | {"TMPDIR": str(tmp_path)}
    launcher()
    with started(
        python(), *command, limit=60, environment=variables, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        for _ in range(300):
            if "epoch:  1" in process.stdout.readline():
                break
        yield process


def ours(*options, **variables):
    """Run `scratchnet` with the MPI that is tested; skip the test if there is none."""
    launcher()
    return run(python(), *OURS, *options, environment=ENVIRONMENT | variables, limit=60)


def ranks(folder):
    """The numbers of the processes of the ranks."""
    notes = sorted(folder.glob("scratchnet-*/process-*"))
    return [int(path.name.rpartition("-")[2]) for path in notes]


def path_with(folder):
    """The path of the tests, and this folder, from which Python imports sitecustomize."""
    return os.pathsep.join([*map(os.path.abspath, sys.path), str(folder)])


def runs(process):
    """Whether a process runs. One that nobody has waited for yet is a zombie."""
    found = run("ps", "-o", "stat=", "-p", str(process)).stdout
    return bool(found) and not found.startswith("Z")


@pytest.mark.guarantee("Of several processes, only the first one prints and writes results.")
def test_ranks_print_and_write_once(tmp_path, monkeypatch):
    files = ["--save", "m.safetensors", "--plot", "p.png", "--report", "r", "--checkpoint", "c"]
    monkeypatch.chdir(tmp_path)
    found = ours(*TRAIN, "--ranks", "2", *files)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count("epoch:  1") == found.stdout.count("model saved to m.safetensors") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"m.safetensors", "p.png", "r", "c"}


def test_mpiexec_joins_and_says_an_error_once():
    command = [launcher(), "-n", "2", python(), *OURS, *TRAIN]
    joined = run(*command, environment=ENVIRONMENT, limit=60)
    assert joined.returncode == 0
    assert joined.stdout.count("epoch:  1") == 1
    assert "\x1b" not in joined.stdout  # Open MPI gives rank 0 a terminal
    wrong = run(*command, "--plot", "p.bmp", environment=ENVIRONMENT, limit=60)
    assert wrong.returncode == 2
    assert wrong.stderr.count("scratchnet: p.bmp: a picture is saved as .png or .svg") == 1


def test_a_rank_that_alone_cannot_read_is_named_at_once(tmp_path):
    for rank in ("0", "1"):
        (tmp_path / rank).mkdir()
    (tmp_path / "0" / "t.csv").write_text("a,kind\n" + "1,x\n2,y\n" * 20)
    there = ["sh", "-c", 'cd "${OMPI_COMM_WORLD_RANK-$PMI_RANK}" && exec "$@"', "sh"]
    command = [*there, python(), *OURS, "train", "--data", "t.csv", "--target", "kind"]
    begin = time.monotonic()
    found = run(launcher(), "-n", "2", *command, cwd=tmp_path, environment=ENVIRONMENT, limit=60)
    assert time.monotonic() - begin < 30  # seconds; ranks that do not come are waited for longer
    assert found.returncode == 2
    assert found.stderr.count("scratchnet: ") == 1
    assert "scratchnet: rank 1: t.csv: no such file or folder" in found.stderr


@pytest.mark.parametrize(
    ("words", "once"),
    [
        (["--version"], "scratchnet "),
        (["train", "--help"], "Usage:"),
        (["nothing"], "scratchnet: No such command"),
    ],
)
def test_mpiexec_runs_other_commands_once(words, once):
    found = run(launcher(), "-n", "2", python(), *OURS, *words, environment=ENVIRONMENT, limit=60)
    assert bool(found.returncode) == (words == ["nothing"])
    assert (found.stdout + found.stderr).count(once) == 1


def test_notes_are_printed_once():
    found = ours(*TRAIN, "--ranks", "2", "--backend", "auto", "--timeout", "1e300")
    assert found.returncode == 0
    assert found.stderr.startswith("scratchnet: backend auto took ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, 137), (signal.SIGSEGV, 139), (signal.SIGABRT, 134)]
)
def test_a_killed_rank_is_named(begun, tmp_path, number, code):
    both = ranks(tmp_path)
    os.kill(both[1], number)
    _, error = begun.communicate(timeout=15)
    assert begun.returncode == code
    name = f"rank 1 was killed by signal {int(number)} ({number.name}); all ranks end; go on with: "
    assert error.startswith(f"scratchnet: {name}scratchnet train --ranks 2 ")
    assert error.endswith("--resume\n")
    assert error.count("\n") == 1
    assert not any(map(runs, both))


@pytest.mark.parametrize("of_rank_1", [False, True])
def test_ctrl_c_ends_all_ranks_gently(begun, tmp_path, of_rank_1):
    both = ranks(tmp_path)
    os.kill(both[1] if of_rank_1 else begun.pid, signal.SIGINT)
    _, error = begun.communicate(timeout=15)
    *told, end = error.splitlines()
    ending = "scratchnet: ending after this batch; Ctrl-C again ends at once"
    assert told == ([] if of_rank_1 else [ending])
    assert end.startswith("scratchnet: interrupted at epoch ")
    assert "nothing is lost; go on with: scratchnet train --ranks 2 " in end
    assert begun.returncode == 130
    assert not any(map(runs, both))


def test_ctrl_c_while_the_ranks_end_shows_no_traceback(begun):
    begun.send_signal(signal.SIGINT)
    told, end = begun.stderr.readline(), begun.stderr.readline()
    assert told.startswith("scratchnet: ending after this batch")
    assert end.startswith("scratchnet: interrupted at epoch ")
    begin = time.monotonic()
    while begun.poll() is None and time.monotonic() - begin < 15:
        begun.send_signal(signal.SIGINT)
        time.sleep(0.005)
    _, error = begun.communicate(timeout=15)
    assert (begun.returncode, error) == (130, "")


def test_a_stopped_rank_that_mpiexec_leaves_behind_is_killed(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, time\n"
        "rank = os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK'))\n"
        "if rank == '1':\n"
        "    note = os.environ['SCRATCHNET_LAUNCHER'].partition(':')[2] + f'/process-1-{os.getpid()}'\n"
        "    open(note, 'w').close()\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
        "if rank == '0':\n"
        "    time.sleep(1)\n"
        "    os.write(2, b'scratchnet: rank 0: no sign of life from rank 1; all ranks end\\n')\n"
        "    os._exit(1)\n"
    )
    variables = ENVIRONMENT | {"PYTHONPATH": path_with(tmp_path)}
    launcher()
    with started(python(), *OURS, *LONG, environment=variables, stderr=PIPE, text=True) as process:
        line, begin = process.stderr.readline(), time.monotonic()
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "")
    assert line == "scratchnet: rank 0: no sign of life from rank 1; all ranks end\n"
    assert time.monotonic() - begin < 8


def test_a_killed_launcher_leaves_no_rank(begun, tmp_path):
    both = ranks(tmp_path)
    children = run("ps", "-o", "pid=", "--ppid", str(begun.pid))
    os.kill(int(children.stdout), signal.SIGKILL)
    _, error = begun.communicate(timeout=15)
    assert "scratchnet: mpiexec was killed by signal 9 (SIGKILL); all ranks end" in error
    assert begun.returncode == 137
    time.sleep(0.5)
    assert not any(map(runs, both))


def test_a_rank_that_just_stops_is_no_success(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading\n"
        "from posix import _exit  # data_parallel replaces that of os\n"
        "if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '1':\n"
        "    threading.Timer(2, _exit, [0]).start()\n"
    )
    found = ours(*LONG, PYTHONPATH=path_with(tmp_path))
    assert found.returncode == 1
    assert found.stderr == "scratchnet: rank 1 ended in the middle of its work; all ranks end\n"


def test_in_a_terminal_a_rank_says_one_line_in_place_of_the_bar(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "def end():\n"
        "    while os._exit.__module__ == 'posix':  # until data_parallel replaces it\n"
        "        time.sleep(0.1)\n"
        "    time.sleep(2)\n"
        "    os._exit(0)\n"
        "if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '0':\n"
        "    threading.Thread(target=end, daemon=True).start()\n"
    )
    launcher()
    variables = ENVIRONMENT | {"PYTHONPATH": path_with(tmp_path)}
    shown = show(*LONG, environment=variables, limit=60)
    said = [line for line in shown.lines if "scratchnet:" in line]
    assert said == ["scratchnet: rank 0: os._exit(0); all ranks end"]
    assert (shown.code, shown.cursor_hidden) == (1, False)


@pytest.mark.parametrize("chosen", ["", "2"])
def test_the_threads_of_blas_are_divided_unless_they_are_chosen(chosen):
    code = (
        "import threadpoolctl, scratchnet as sn\n"
        "with sn.data_parallel():\n"
        "    pools = [each for each in threadpoolctl.threadpool_info() if each['user_api'] == 'blas']\n"
        "print(f'threads {max(each[\"num_threads\"] for each in pools)};', flush=True)\n"
    )
    variables = ENVIRONMENT | dict.fromkeys(BLAS_THREADS, chosen)
    found = run(launcher(), "-n", "2", python(), "-c", code, environment=variables, limit=60)
    assert found.stdout.count(f"threads {chosen or max(cores() // 2, 1)};") == 2, found.stderr


@pytest.mark.guarantee("The same shards give the same bits on 1, 2 and 4 processes.")
def test_the_threads_that_ranks_get_by_default_do_not_change_the_bits(tmp_path):
    threads = dict.fromkeys(BLAS_THREADS, "")
    for number in ("1", "2", "4"):
        model = tmp_path / f"{number}.safetensors"
        command = ("--ranks", number, "--shards", "4", "--save", str(model))
        assert ours(*TRAIN, *command, **threads).returncode == 0
    models = [each.read_bytes() for each in tmp_path.iterdir()]
    assert len(models) == 3
    assert len(set(models)) == 1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--ranks", "3"], "--ranks 3: it must be a power of two, such as 2 or 4"),
        (["--ranks", "0"], "--ranks 0: it must be a power of two, such as 2 or 4"),
        (["--ranks", "65536"], "--ranks 65536: with the "),
        (["--ranks", "2", "--shards", "3"], "--shards 3: it must be a power of two up to 4096"),
        (["--shards", str(1 << 40)], f"--shards {1 << 40}: it must be a power of two up to 4096"),
        (["--ranks", "4", "--shards", "2"], "data_parallel: 4 processes do not divide 2 shards; "),
        (["--ranks", "2", "--timeout", "nan"], "--timeout nan: it must be a positive number of seconds"),
        (
            ["--ranks", "2", "--plot", "p.bmp"],
            "p.bmp: a picture is saved as .png or .svg; end the name ",
        ),
    ],
)
def test_wrong_options_are_said_before_ranks_start(options, line):
    found = shell(*TRAIN, *options)
    assert found.returncode == 2
    assert found.stderr.startswith(f"scratchnet: {line}")
    assert found.stderr.count("\n") == 1


LAUNCHED = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
WITHOUT_MPI4PY = "import sys; sys.modules['mpi4py'] = None; from scratchnet.cli.main import main; "


@pytest.mark.parametrize("rank", ["0", "1"])
def test_without_mpi4py_one_rank_says_so(rank):
    variables = LAUNCHED | {"OMPI_COMM_WORLD_RANK": rank}
    command = f"{WITHOUT_MPI4PY}sys.exit(main({TRAIN}))"
    found = run(sys.executable, "-c", command, environment=variables)
    line = "started by Open MPI as one of 4 processes, but mpi4py is not installed"
    said = f'scratchnet: {line}: pip install "scratchnet[mpi]"\n'
    assert (found.returncode, found.stdout, found.stderr) == (2, "", said if rank == "0" else "")


def test_ranks_without_mpi4py_or_mpiexec_say_so(tmp_path):
    command = f"{WITHOUT_MPI4PY}sys.exit(main({[*TRAIN, '--ranks', '2']}))"
    found = run(sys.executable, "-c", command)
    said = 'scratchnet: --ranks 2: needs mpi4py: pip install "scratchnet[mpi]"\n'
    assert (found.returncode, found.stderr) == (2, said)


def test_ranks_under_a_launcher_are_an_error():
    pytest.importorskip("mpi4py")
    variables = LAUNCHED | {"OMPI_COMM_WORLD_RANK": "0"}
    found = shell(*TRAIN, "--ranks", "2", environment=variables)
    line = "--ranks 2: Open MPI has started 4 processes already; leave the option out"
    assert (found.returncode, found.stderr) == (2, f"scratchnet: {line}\n")


def test_one_rank_trains_alone():
    found = shell(*TRAIN, "--ranks", "1")
    assert found.returncode == 0
    assert found.stdout.count("epoch:  1") == 1
