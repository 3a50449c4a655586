"""Read batches ahead, in threads or processes, in the same order and with the same bits.

A thread of a pool loads each batch, or asks a process of its own for it and waits. So the order, the
number of batches in flight and the errors are the same for both. To end a process at once we kill it;
then its thread ends too. `concurrent.futures.ProcessPoolExecutor` would wait for its running work.
"""

from __future__ import annotations

import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from multiprocessing import get_context, resource_tracker
from typing import Any, NoReturn, TypeAlias

import numpy as np

from scratchnet.data.samples import ended, named_samples, reason
from scratchnet.errors import DataError, SettingError

Load: TypeAlias = Callable[[Any], Any]

_PART = 1 << 20  # bytes that are sent at a time

_spawn = get_context("spawn")  # a fork would copy the locks of other threads, such as those of BLAS


def read_ahead(
    load: Load,
    orders: Iterable[Any],
    workers: int,
    worker_type: str = "thread",
    then: Callable[[Any], Any] = lambda batch: batch,
) -> Iterator[Any]:
    """Yield `then(load(indices))` for each of `orders`, done in the background, in the given order.

    At most `workers` batches are being loaded or wait to be yielded. The results are the same for any
    number of workers. When the iterator ends, fails or is closed, all workers end: a thread after its
    current sample, a process at once.

    Args:
        load: returns a batch. For processes it must be picklable.
        orders: the indices of each batch, or what else `load` takes.
        workers: the number of threads or processes; 0 loads each batch when it is asked for.
        worker_type: "thread" or "process".
        then: called in a thread of this process with each batch.

    Raises:
        SettingError: `load` cannot be sent to a process.
        DataError: a process has ended, for example because the system killed it.
        Exception: `load` raised it.
    """
    if not workers:
        return map(then, map(load, orders))
    return _ahead(load, orders, workers, worker_type == "process", then)


def _ahead(
    load: Load,
    orders: Iterable[Any],
    workers: int,
    in_processes: bool,
    then: Callable[[Any], Any],
) -> Iterator[Any]:
    processes: list[_Process] = []
    over = threading.Event()
    flight: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(workers, "scratchnet-worker")
    sent = _pickled(load) if in_processes else b""

    def both(work: Load, indices: np.ndarray) -> Any:
        return then(work(indices))

    try:
        for number, indices in enumerate(orders):
            if in_processes and number < workers:
                processes.append(_Process(sent))
                processes[-1].start()
            if number >= workers:
                ready = flight.popleft().result()
            work = processes[number % workers].load if in_processes else load  # it is idle by now
            context = copy_context()  # the data set may work on the active backend
            context.run(ended.set, over)
            flight.append(pool.submit(context.run, both, work, indices))
            if number >= workers:
                yield ready
        while flight:
            yield flight.popleft().result()
    finally:
        over.set()
        for process in processes:
            process.kill()
        pool.shutdown(cancel_futures=True)
        for process in processes:
            process.close()


class _Process:
    """A process that loads one batch at a time.

    Args:
        sent: the pickled function that loads a batch.
    """

    def __init__(self, sent: bytes) -> None:
        self._sent: bytes | None = sent
        self._connection, self._theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(self._theirs,), daemon=True)

    def start(self) -> None:
        """Start the process; it is ready a little later."""
        with _interrupts_blocked():
            self._process.start()
        self._theirs.close()  # so that the end of the process closes the pipe

    def load(self, indices: np.ndarray) -> Any:
        """Return the batch of these indices. One thread calls it at a time."""
        new = self._sent is not None
        try:
            if self._sent is not None:
                self._connection.send_bytes(self._sent)
                self._sent = None
            self._connection.send(indices)
            head, sizes = self._connection.recv()
            buffers = [np.empty(size, np.uint8) for size in sizes]
            for part in _parts(buffers):
                self._connection.recv_bytes_into(part)
        except (EOFError, OSError) as error:
            raise self._death(indices, new) from error
        batch, fault, cause = pickle.loads(head, buffers=buffers)
        if fault is not None:
            raise fault from cause
        return batch

    def kill(self) -> None:
        """End the process at once."""
        if self._process.pid is not None:
            self._process.kill()

    def close(self) -> None:
        """Wait for the end of the process, and free what belonged to it."""
        if self._process.pid is not None:
            self._process.join()
        self._process.close()
        self._connection.close()
        self._theirs.close()

    def _death(self, indices: np.ndarray, new: bool) -> DataError:
        self._process.join(10)
        code = self._process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if how == "SIGKILL":
            fix = "the system may have had too little memory: give fewer workers or a smaller batch_size"
        elif new:
            fix = 'start the training below `if __name__ == "__main__":`, or give worker_type="thread"'
        else:
            fix = 'read these samples with workers=0 to see the cause, or give worker_type="thread"'
        return DataError(
            f"a worker process ended ({how}) while it loaded {named_samples(indices)}; {fix}"
        )


def _serve(connection: Any) -> None:
    """Load batches in a worker process, until the main process ends or kills it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    try:
        sent = connection.recv_bytes()
        try:
            load = pickle.loads(sent)
        except Exception as error:
            load = partial(_fail, _not_there(error))
        while True:
            _reply(connection, load)
    except (EOFError, OSError):  # the main process has ended
        return


def _reply(connection: Any, load: Load) -> None:
    """Wait for indices, and send (batch, error, cause). Arrays are sent after it, without a copy."""
    indices = connection.recv()
    buffers: list[pickle.PickleBuffer] = []
    try:
        batch = load(indices)
        head = pickle.dumps((batch, None, None), protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        cause = error.__cause__
        first = cause or error
        told = "".join(traceback.format_exception(first, chain=False))
        first.add_note(f"In the worker process:\n{told}")
        head = pickle.dumps((None, _portable(error), cause and _portable(cause)))
    raw = [buffer.raw() for buffer in buffers]
    connection.send((head, [len(each) for each in raw]))
    for part in _parts(raw):
        connection.send_bytes(part)


def _parts(buffers: Iterable[Any]) -> Iterator[memoryview]:
    """Yield the parts in which arrays are sent. A pipe has a copy of a part on the receiving side."""
    for buffer in buffers:
        for start in range(0, len(buffer), _PART):
            yield memoryview(buffer)[start : start + _PART]


def _portable(error: BaseException) -> BaseException:
    """Return an error, or one that says the same if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(reason(error))
    return error


def _fail(error: Exception, _: np.ndarray) -> NoReturn:
    raise error


def _pickled(load: Load) -> bytes:
    try:
        return pickle.dumps(load, protocol=5)
    except Exception as error:
        raise SettingError(
            f'worker_type="process": the data set cannot be sent to a process: {reason(error)}; define '
            'its class in a module and keep open files out of it, or give worker_type="thread"'
        ) from error


def _not_there(error: Exception) -> SettingError:
    return SettingError(
        f'worker_type="process": the data set cannot be rebuilt in a process: {reason(error)}; define '
        'its class in a file, not in a notebook or a function, or give worker_type="thread"'
    )


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start a process within it, and Ctrl-C never reaches that process: it inherits the block.

    A handler in the process would come too late: it imports modules first, and would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # the first process starts it, which would end the block
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
