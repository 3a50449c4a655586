"""Whatever happens to one rank, all end soon, with one line and an exit code that is not 0."""

import os
import re
import signal
import time
from select import select
from threading import Thread

import pytest
from ranks import SUPPORT, end_of, job, numbers_in, parent_of, wait_until_gone

from scratchnet.training.parallel.watch import end_all

RANKS = str(SUPPORT / "failing_ranks.py")
FAILED = 1, 9, 137  # 1, or that of a process that the launcher has ended
SUM = "the gradients (20000 float32)"


def fail(how, who=1, ranks=2, timeout=1.5):
    """Let a rank fail. Return the exit code, the lines of scratchnet, and all that was written."""
    with job(ranks, RANKS, how, who, timeout) as process:
        numbers, out, err = end_of(process)
    assert len(numbers) == ranks
    return process.returncode, re.findall(r"^scratchnet: (.*)$", err, re.MULTILINE), out + err


def signaled(send):
    """Start a job; when its ranks add up numbers, send a signal. Return the exit code and the output."""
    with job(2, RANKS, "forever", 1, 3) as process:
        said = ""
        while "going" not in said:
            said += process.stdout.readline()
        assert len(numbers_in(said)) == 2
        send(process, numbers_in(said))
        _, out, err = end_of(process)
        wait_until_gone(numbers_in(said))
    return process.returncode, out + err


@pytest.mark.guarantee("If one of several processes fails, all end, and the exit code is not 0.")
@pytest.mark.parametrize(("how", "number"), [("kill", signal.SIGKILL), ("segv", signal.SIGSEGV)])
def test_a_rank_that_a_signal_ends(how, number):
    code, lines, written = fail(how)
    assert code in (number, 128 + number)
    assert lines == []  # the launcher ends the others at once, and names the process itself
    assert f"signal {number}" in written


@pytest.mark.guarantee("If one of several processes fails, all end, and the exit code is not 0.")
@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("exception", "rank 2: ZeroDivisionError: division by zero; all ranks end"),
        ("ours", "rank 2: row 3 has no label; all ranks end"),
        ("sys.exit", "rank 2: sys.exit(0) before the end; all ranks end"),
        ("os._exit", "rank 2: os._exit(0); all ranks end"),
    ],
)
def test_a_rank_that_ends_alone_says_why(how, line):
    code, lines, err = fail(how, who=2, ranks=4)
    assert code in FAILED
    assert lines == [line]
    assert err.count("Traceback") == (how == "exception")


def test_an_error_after_the_with_statement_ends_all_too():
    code, lines, err = fail("after")
    assert code in FAILED
    assert lines == ["rank 1: ZeroDivisionError: division by zero; all ranks end"]
    assert err.count("Traceback") == 1


@pytest.mark.guarantee("If one of several processes fails, all end, and the exit code is not 0.")
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("stop", r"no sign of life from rank 1 for \d s: it is stopped, or its machine is lost"),
        ("compute", "rank 1 computes and does not come; a larger timeout waits longer"),
        ("other", f"they wait for each other: rank 0 for {SUM}, rank 1 for the figures"),
        ("size", f"they wait for each other: rank 0 for {SUM}, rank 1 for the gradients (3 float32)"),
        ("leave", f"they wait for each other: rank 0 for {SUM}, rank 1 for the end of data_parallel"),
    ],
)
def test_a_rank_that_does_not_come_is_named_with_the_reason(how, why):
    code, (line,), _ = fail(how)
    assert code in FAILED
    why = why if how == "stop" else re.escape(why)
    assert re.fullmatch(rf"rank 0: has waited \d s for {re.escape(SUM)}: {why}; all ranks end", line)


def test_a_rank_that_fails_before_it_joins_is_not_waited_for():
    if os.environ.get("SCRATCHNET_TEST_MPI"):
        pytest.skip("mpiexec of Open MPI may hang, if a process ends while another one starts MPI")
    code, lines, _ = fail("before")
    assert code != 0
    (line,) = lines
    assert line.startswith("rank 0: not all 2 ranks came to data_parallel within 1.5 s")


@pytest.mark.guarantee("If one of several processes fails, all end, and the exit code is not 0.")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_if_the_launcher_is_killed_no_rank_goes_on(number):
    code, _ = signaled(lambda process, _: process.send_signal(number))
    assert code != 0


@pytest.mark.guarantee("If one of several processes fails, all end, and the exit code is not 0.")
def test_if_nothing_of_the_launcher_is_left_the_ranks_end_by_themselves():
    def kill(process, ranks):
        parents = {parent_of(each) for each in ranks}
        for each in {process.pid} | parents:
            os.kill(each, signal.SIGSTOP)  # so that none of them ends the ranks
        for each in {process.pid} | parents:
            os.kill(each, signal.SIGKILL)

    code, _ = signaled(kill)
    assert code != 0


def test_ctrl_c_ends_all_at_once():
    code, written = signaled(lambda process, _: os.killpg(process.pid, signal.SIGINT))
    assert code in (130, 1)  # Open MPI has a code of its own
    assert "Traceback" not in written
    assert written.count("scratchnet: ") <= 1


@pytest.mark.parametrize(
    ("how", "code", "last"),
    [
        ("exception", 1, "ZeroDivisionError: division by zero"),
        ("ours", 1, "scratchnet.errors.DataError: row 3 has no label"),
        ("sys.exit", 0, ""),
    ],
)
def test_what_ends_all_ranks_alike_is_shown_by_rank_0_as_a_single_process_would(how, code, last):
    found, lines, err = fail(how, who=-1)
    assert (found, lines) == (code, [])
    assert err.count("Traceback") == bool(code)
    assert last in err


@pytest.mark.parametrize("how", ["busy", "read"])
def test_a_rank_that_reads_data_is_waited_for_beyond_the_limit(how):
    assert fail(how)[:2] == (0, [])


def test_rank_0_shows_each_warning_of_the_ranks_once():
    code, _, err = fail("warn")
    assert code == 0
    shown = re.findall(r"UserWarning: (.*)", err)
    assert shown == ["everywhere", "rank 1: only here"]


def test_a_number_of_processes_that_does_not_fit_is_one_error():
    code, _, err = fail("nothing", ranks=3)
    assert code == 1
    assert (
        err.count("data_parallel: 3 processes; their number must be a power of two: start 2 or 4") == 1
    )
    assert err.count("Traceback") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell what was read from a pipe")
def test_a_job_ends_after_its_last_line_was_read(monkeypatch):
    class Aborted(Exception):
        pass

    class World:
        rank = 1

        def Abort(self, code):
            raise Aborted(code, select([end], [], [], 0)[0])

    def launcher():
        time.sleep(0.2)
        read.append(os.read(end, 1000))

    read, (end, start) = [], os.pipe()
    reader = Thread(target=launcher)
    with open(start, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", pipe)
        reader.start()
        with pytest.raises(Aborted) as found:
            end_all(World(), "the cause", 7)
    reader.join()
    os.close(end)
    assert found.value.args == (7, [])  # nothing was left to read
    assert read == [b"scratchnet: rank 1: the cause\n"]
