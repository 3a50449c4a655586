"""Packages that not every machine with the library has. A test that needs one asks for it here."""

import pytest


def needs(module, extra="test"):
    """Return the module, or skip and say what to install. For tests, fixtures and test modules."""
    return pytest.importorskip(
        module, reason=f'{module} is not installed; pip install "scratchnet[{extra}]"'
    )
