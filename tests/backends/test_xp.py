"""xp is the active backend's array library, whichever way it is imported."""

from importlib import import_module

import numpy as np
import pytest

import backends
from backends import xp


def test_the_library_answers_for_itself(backend):
    library = backends.active().xp
    assert xp.__version__ == library.__version__
    assert xp.float32 is library.float32
    assert dir(xp) == dir(library)
    if backend == "numpy":
        assert xp.__array_api_version__ == np.__array_api_version__
        assert "boolean indexing" in xp.__array_namespace_info__().capabilities()


def test_star_and_parts_can_be_imported(backend):
    names = {}
    exec("from backends.xp import *", names)
    del names["__builtins__"]
    assert set(names) == {each for each in dir(backends.active().xp) if not each.startswith("_")}
    if backend == "numpy":  # the stand-in does not have this part
        linalg = import_module("backends.xp.linalg")
        assert linalg.norm is np.linalg.norm
        assert "norm" in linalg.__all__


def test_what_there_is_not_is_an_attribute_error(backend):
    with pytest.raises(AttributeError, match="nothing_like_it"):
        xp.nothing_like_it  # noqa: B018
