"""Threads, tasks, generators and processes: each trains as if it were alone."""

import asyncio
import contextvars
import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from arrays import variable
from processes import python
from small_training import train

import backends
import scratchnet as sn
from backends import registry, to_device, to_host
from backends.numpy.backend import NumPyBackend
from backends.setting import Setting


@pytest.fixture
def many_switches():
    """Let threads take turns every few instructions."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(*works):
    """Run each in its own thread, all started at once. Return results, or raise the first error."""
    barrier = threading.Barrier(len(works))

    def at_once(work):
        barrier.wait(60)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result(120) for each in [pool.submit(at_once, work) for work in works]]


def train_on(name, seed, fits):
    with backends.use(name):
        return train(seed, fits)


def records():
    return sn.Variable([1.0]).exp().requires_grad


def state():
    """Return the settings of the context."""
    return backends.active().name, records()


@pytest.mark.guarantee("Threads and child processes train to the same bits as a process alone.")
@pytest.mark.parametrize(
    "names", [("numpy", "strict"), ("numpy", "numpy"), ("strict", "strict")], ids="-".join
)
def test_two_threads_train_to_the_same_bits_as_alone(names, many_switches):
    fits = {"numpy": (20,), "strict": (3,)}
    works = [
        lambda name=name, seed=seed: train_on(name, seed, fits[name]) for seed, name in enumerate(names)
    ]
    alone = [work() for work in works]
    assert alone[0].weights != alone[1].weights
    assert together(*works) == alone


@pytest.mark.guarantee("The active backend and no_grad belong to the thread or task that sets them.")
def test_tasks_choose_for_themselves_and_begin_with_their_maker_s_choice():
    async def task(name):
        begun = state()
        with backends.use(name), sn.no_grad():
            await turns.wait()
            within = state()
        await asyncio.sleep(0)
        return begun, within, state(), await asyncio.to_thread(state)

    turns = asyncio.Barrier(2)

    async def main():
        with backends.use("strict"):
            tasks = [asyncio.create_task(task(name)) for name in ("numpy", "strict")]
        return await asyncio.gather(*tasks)

    begun = ("strict", True)
    assert asyncio.run(asyncio.wait_for(main(), 60)) == [
        (begun, (name, False), begun, begun) for name in ("numpy", "strict")
    ]  # fmt: skip
    assert state() == ("numpy", True)


@pytest.mark.guarantee("The active backend and no_grad belong to the thread or task that sets them.")
def test_a_thread_begins_anew_and_copy_context_takes_a_choice_along():
    with ThreadPoolExecutor(1) as pool, backends.use("strict"), sn.no_grad():
        assert together(state) == [("numpy", True)]
        assert pool.submit(state).result(60) == ("numpy", True)
        taken = contextvars.copy_context()
        assert pool.submit(taken.run, state).result(60) == ("strict", False)
        pool.submit(backends.use, "strict").result(60)
        assert pool.submit(state).result(60) == ("strict", True)  # a worker keeps its choice
    assert state() == ("numpy", True)


def waits_within(*managers):
    """A generator that waits within all of them."""
    with managers[0]():
        yield from waits_within(*managers[1:]) if managers[1:] else [None]


GENERATORS = {
    "use": lambda: backends.use("strict"), "no_grad": sn.no_grad, "forbid": backends.forbid_transfers,
}  # fmt: skip


def can_cross():
    try:
        to_host(to_device([1.0]))
    except backends.TransferError:
        return False
    return True


@pytest.mark.guarantee("The active backend and no_grad belong to the thread or task that sets them.")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_generators_share_their_caller_s_context_and_leave_in_any_order(order):
    choices = (GENERATORS["use"], GENERATORS["use"], lambda: backends.use("numpy"))
    each = [waits_within(choice, sn.no_grad, backends.forbid_transfers) for choice in choices]
    for generator in each:
        next(generator)
    for place in order:
        assert not can_cross()
        assert not sn.Variable(backends.xp.ones(1)).exp().requires_grad
        each[place].close()
    assert state() == ("numpy", True)
    assert can_cross()


def test_what_is_entered_later_holds_on_when_a_generator_leaves():
    generator = waits_within(GENERATORS["use"])
    next(generator)
    with backends.use("numpy"):
        generator.close()
        assert backends.active().name == "numpy"
    assert backends.active().name == "numpy"


@pytest.mark.parametrize("manager", GENERATORS)
def test_a_generator_thrown_away_in_another_thread_changes_nothing_there(manager):
    def throw_away():
        with backends.use("strict"), sn.no_grad():
            generators.pop().close()
            within = backends.active().name, sn.Variable(backends.xp.ones(1)).exp().requires_grad
        return within, state(), can_cross()

    generators = [waits_within(GENERATORS[manager])]
    contextvars.copy_context().run(next, generators[0])
    assert together(throw_away) == [(("strict", False), ("numpy", True), True)]


def test_crossings_and_settings_are_counted_by_thread(many_switches):
    def count():
        rate, before = Setting(0.1), (backends.transfers(), Setting.uses.count)
        for _ in range(2000):
            to_host(to_device([1.0]))
            rate.value = rate.value + 0.0
        after = backends.transfers(), Setting.uses.count
        return after[0].to_host - before[0].to_host, after[1] - before[1]

    assert together(count, count, count) == [(2000, 4000)] * 3


def test_crossings_are_forbidden_to_the_thread_that_says_so_alone(backend):
    def train_without_crossing():
        with backends.use(backend):
            array, before = to_device([1.0]), backends.transfers()
            with backends.forbid_transfers():
                inside.set()
                assert crossed.wait(60)
                assert sn.relu(variable_of(array)).data is not array
                assert not can_cross()
            assert backends.transfers() == before

    def cross():
        assert inside.wait(60)
        crossings = [can_cross() for _ in range(10)]
        crossed.set()
        return crossings

    inside, crossed = threading.Event(), threading.Event()
    assert together(train_without_crossing, cross)[1] == [True] * 10


def variable_of(array):
    return sn.Variable(array, requires_grad=False)


def test_what_threads_share_stands_their_use_at_once(many_switches):
    def use():
        grads = []
        for size in range(1, 60):  # more sizes than the caches of rows hold
            x = variable(np.arange(-size, size, dtype=np.float32).reshape(1, -1))
            loss = sn.softmax_loss(sn.relu(x * 2.0), [size])
            loss.backward()
            grads.append(to_host(x.grad).tobytes())
        return grads

    alone = use()
    assert together(*[use] * 4) == [alone] * 4


def test_threads_that_start_a_backend_at_once_get_the_same_one(monkeypatch):
    def start():
        all_have_begun.wait(60)  # because none waits for another
        return NumPyBackend()

    all_have_begun = threading.Barrier(4)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setitem(registry._builtin, "numpy", start)
    assert len(set(together(*[lambda: backends.use("numpy").__enter__()] * 4))) == 1


def test_a_backend_may_start_while_another_thread_looks_for_an_array_s_owner(monkeypatch):
    class Starting(type):
        def __instancecheck__(cls, array):
            return together(lambda: backends.use("strict")) is None

    first = NumPyBackend()
    first.array_type = Starting("array", (), {})
    monkeypatch.setattr(registry, "_loaded", {"first": first})
    assert registry.owner(np.zeros(1)) is None


def test_one_thread_captures_while_another_works(backend):
    def capture():
        def work():
            capturing.set()
            assert worked.wait(60)
            return array * 2

        with backends.use(backend):
            array = to_device([1.0])
            return to_host(backends.active().capture(work)())

    def work():
        assert capturing.wait(60)
        try:
            with backends.use(backend):
                return to_host(to_device([1.0]) * 3)
        finally:
            worked.set()

    capturing, worked = threading.Event(), threading.Event()
    assert together(capture, work) == [2.0, 3.0]


PROCESSES = """
import multiprocessing, os, sys
import backends
from small_training import train

def child(told):
    told.put((backends.active().name, train(fits=(3,)).weights))

def forked():
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, train().weights[:50_000])
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        read = pipe.read()
    assert os.wait()[1] == 0
    return read

if __name__ == "__main__":
    with backends.use(sys.argv[1]):
        alone = train().weights
        assert forked() == alone[:50_000], "os.fork"
        for method in ("fork", "forkserver", "spawn"):
            context = multiprocessing.get_context(method)
            told = context.Queue()
            process = context.Process(target=child, args=(told,))
            process.start()
            name, weights = told.get()
            process.join()
            print(method, name, weights == alone, process.exitcode)
"""


@pytest.mark.guarantee("Threads and child processes train to the same bits as a process alone.")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("name", ["numpy", "strict"])
def test_children_train_to_the_same_bits_on_their_parent_s_backend_or_the_environment_s(name, tmp_path):
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    done = python(script, name)
    same = name == "numpy"
    assert done.stdout.splitlines() == [
        f"fork {name} True 0", f"forkserver numpy {same} 0", f"spawn numpy {same} 0",
    ], done.stderr  # fmt: skip


@pytest.mark.guarantee("Python's garbage collector runs again when the last training run ends.")
def test_the_collector_stays_paused_until_the_last_of_two_learners_is_done():
    def step(entered, leave):
        def loss(logits, labels):
            entered.set()
            assert leave.wait(60)
            paused.append(not gc.isenabled())
            return sn.softmax_loss(logits, labels)

        net = sn.Linear(2, 2, rng=0)
        batch = np.ones((1, 2), np.float32), np.zeros(1, np.int64)
        loader = sn.ArrayDataLoader(*batch, batch_size=1)
        sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), loss).fit(1, None)

    paused, events = [], [threading.Event() for _ in range(4)]
    entered, leave = events[:2], events[2:]
    with ThreadPoolExecutor(2) as pool:
        steps = [pool.submit(step, *each) for each in zip(entered, leave, strict=True)]
        assert all(each.wait(60) for each in entered)
        for each, event in zip(steps, leave, strict=True):
            event.set()
            each.result(60)
    assert paused == [True, True]
    assert gc.isenabled()
