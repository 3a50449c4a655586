"""No process of a test keeps running: at its limit it is killed with its children."""

import os
import re
import select
import signal
from pathlib import Path
from threading import Timer

import processes
import pytest
import screen
from processes import LimitReached, run, started

FOR_EVER = 'sleep 60 >/dev/null 2>&1 & echo begun; touch "$0"; wait'  # its child holds none of its pipes


def has_ended(pipe):
    """Whether no process can write into the pipe any more. Waits ten seconds at most."""
    return bool(select.select([pipe], [], [], 10)[0]) and os.read(pipe, 1) == b""


@pytest.fixture
def held():
    """The two ends of a pipe: one to read from, and one for a process and its children to hold."""
    ours, theirs = os.pipe()
    with open(ours, "rb"), open(theirs, "wb") as writes:
        yield ours, writes


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A file. When a process makes it, the process has reached its limit, fast or slow."""

    class AtThatMoment(Timer):
        def run(self):
            while not path.exists():
                if self.finished.wait(0.01):
                    return
            self.function()

    path = tmp_path / "begun"
    monkeypatch.setattr(processes, "Timer", AtThatMoment)
    return str(path)


def test_at_the_limit_a_process_and_its_children_are_killed_and_the_test_fails(held, begun):
    ours, theirs = held
    with pytest.raises(LimitReached, match=r"sleep 60.* had not ended after 0\.5 s") as caught:
        run("sh", "-c", FOR_EVER, begun, limit=0.5, pass_fds=[theirs.fileno()])
    theirs.close()
    assert has_ended(ours)
    assert "It had written: begun" in caught.value.__notes__[0]


def test_at_the_end_of_the_block_nothing_is_left_of_a_process(held):
    ours, theirs = held
    with started("sh", "-c", "sleep 60 & exit 3", pass_fds=[theirs.fileno()]) as process:
        assert process.wait() == 3
        theirs.close()
        assert not select.select([ours], [], [], 0)[0]  # its child is still there
    assert has_ended(ours)
    with pytest.raises(ZeroDivisionError), started("sleep", "60") as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_processes_are_started_here_alone():
    starting = re.compile(r"^import subprocess|^from subprocess|os\.(system|popen|spawn)", re.MULTILINE)
    tests = Path(__file__).parents[1].rglob("*.py")
    found = {each.name for each in tests if starting.search(each.read_text())}
    # One starts the compiler, and one only names what no code may do.
    assert found == {"processes.py", "host_cuda.py", "test_no_code_from_files.py"}


def test_a_command_on_a_terminal_that_does_not_end_shows_its_screen(begun, monkeypatch):
    monkeypatch.setattr(screen, "COMMAND", ["sh", "-c", FOR_EVER, begun])
    with pytest.raises(LimitReached) as caught:
        screen.show()
    assert "begun" in caught.value.__notes__[0]
