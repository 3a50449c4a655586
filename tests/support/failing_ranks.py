"""A program for several ranks: they add up numbers, and one of them fails as asked.

Arguments: how it fails, which rank does, and the time limit. Each rank prints its process number first.
"""

import faulthandler
import os
import signal
import sys
import time
import warnings

import numpy as np

import scratchnet as sn

how, who, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
os.write(1, f"process {os.getpid()}\n".encode())


class Slow(sn.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        time.sleep(2 * timeout)
        return np.zeros(3), 0


def fail(ranks):
    if how == "exception":
        raise ZeroDivisionError("division by zero")
    if how == "ours":
        raise sn.DataError("row 3 has no label")
    if how == "sys.exit":
        sys.exit(0)
    if how == "os._exit":
        os._exit(0)
    if how == "segv":
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "compute":
        while True:
            time.sleep(0.01)
    if how == "busy":
        with ranks.group.watch.busy("reads data"):
            time.sleep(2 * timeout)
    if how == "read":
        for _ in sn.DataLoader(Slow()):
            pass
    if how == "other":
        ranks.group.gather(b"", "the figures")
    if how == "size":
        ranks.group.sum([np.ones(3, np.float32)], "the gradients")
    if how == "interrupt":
        raise KeyboardInterrupt


def work():
    if how != "before":
        with sn.data_parallel(timeout=20):  # on a busy machine, the ranks do not start at once
            pass
    with sn.data_parallel(timeout=timeout) as ranks:
        for step in range(1_000_000):
            if how == "warn":
                if ranks.rank == who:
                    warnings.warn("only here", stacklevel=1)
                warnings.warn("everywhere", stacklevel=1)
            if how in ("warn", "nothing", "after", "busy", "read") and step == 21:
                return
            if step == 20 and who in (ranks.rank, -1):
                if how == "leave":
                    break
                fail(ranks)
            array = np.full(20_000, ranks.rank, np.float32)
            ranks.group.sum([array], "the gradients")
            assert (array == sum(range(ranks.size))).all()
            if ranks.rank == 0 and step == 20:
                print("going", flush=True)
    if how == "leave":
        print("left", flush=True)


if how == "before" and os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) == str(who):
    raise ZeroDivisionError("division by zero")
work()
if how == "after":
    with sn.data_parallel(timeout=timeout) as ranks:
        pass
    if ranks.rank == who:
        raise ZeroDivisionError("division by zero")
