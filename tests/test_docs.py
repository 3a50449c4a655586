"""The documentation: what its blocks of code do, and what its reference must not lack."""

import re

import pytest
from pages import PAGES, ROOT, blocks, exempt, follow, unfenced

import backends
import scratchnet as sn

EXEMPT = {"README.md": 1, "CONTRIBUTING.md": 1, "validation-figures.md": 1}
"""How many blocks of a page say that they are not run by the tests, or are drawings."""


@pytest.fixture
def on_little_data(tmp_path, monkeypatch):
    """A folder of its own, and a few synthetic garments where Fashion-MNIST is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", "synthetic")
    monkeypatch.setattr("scratchnet.data.synthetic.COUNTS", {"train": 3000, "valid": 1000})
    monkeypatch.setattr("warnings.showwarning", None)  # the commands set their own; this puts it back
    with backends.use("numpy"):
        yield tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_it_says(on_little_data, page):
    follow(page)
    assert len(exempt(page)) == EXEMPT.get(page.name, 0)


def test_no_code_stands_where_it_is_not_run():
    assert {page.name: unfenced(page) for page in PAGES if unfenced(page)} == {}


def test_the_reference_has_every_public_name_once():
    pages = (ROOT / "docs" / "reference").glob("*.md")
    told = [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]
    public = {f"scratchnet.{name}" for name in sn.__all__ if name != "xp"}  # it is that of backends
    public |= {f"backends.{name}" for name in backends.__all__}
    assert sorted(told) == sorted(public)
