"""Faults of a disk: its n-th call fails, once or from then on; see `disk.Disk`."""

import errno
import os
from itertools import count, product


class Fault:
    """Lets the n-th call fail with an errno; `lasting`: and each one after it.

    A full disk still lets files be closed, cut and removed.

    Attributes:
        failed: the calls that failed, each as (call, name). It is empty if the work made fewer calls.
    """

    def __init__(self, number, error, lasting=False):
        self.left, self.error, self.lasting, self.failed = number, error, lasting, []

    def __call__(self, call, name):
        self.left -= 1
        frees = self.error == errno.ENOSPC and call in ("close", "truncate", "unlink", "rmdir")
        if self.left == 0 or (self.failed and self.lasting and not frees):
            self.failed.append((call, name))
            raise OSError(self.error, os.strerror(self.error))


def faults(errors, lasting=(False, True)):
    """Yield each fault until the caller's work no longer reaches it."""
    for error, lasts in product(errors, lasting):
        for number in count(1):
            fault = Fault(number, error, lasts)
            yield fault
            if not fault.failed:
                break
