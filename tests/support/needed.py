"""Packages that not every machine with the library has: a test that needs one asks for it here."""

import pytest


def needs(module, extra="test"):
    """The module, or a skip that says what to install. Call it in a test, a fixture or a test module."""
    return pytest.importorskip(
        module, reason=f'{module} is not installed; pip install "scratchnet[{extra}]"'
    )
