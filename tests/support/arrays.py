"""Move arrays between the host and the active backend, in tests."""

import numpy as np

from backends import to_device, to_host
from scratchnet import Variable


def variable(values, **options):
    """Return a Variable on the active backend, with a host array's or a list's values."""
    return Variable(to_device(np.asarray(values)), **options)


def host(array):
    """Return the values of a Variable or array, on the host."""
    return to_host(array.data if isinstance(array, Variable) else array)
