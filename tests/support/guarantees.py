"""docs/guarantees.md, made from the marks on the tests: `@pytest.mark.guarantee("A sentence.")`.

`pytest --guarantees` writes the page after a run of all tests, and fails if it was another one before. A
promise is shown if one of its tests has passed. If all were skipped in that run, it is listed as not
shown.
"""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- made by `make guarantees` -->", "<!-- end -->"
NOT_SHOWN = "Not shown"
SECTIONS = {
    "The graph": ("core", "functions"),
    "Layers, losses and optimizers": ("layers", "losses", "optimizers"),
    "Backends": ("backends", "verify"),
    "Training": ("training",),
    "Several processes": ("parallel",),
    "Data": ("data", "benchmarks"),
    "Saved files": (".",),
    "Reports and pictures": ("results", "inspect"),
    "Command line": ("cli",),
    "The project": ("project",),
}
"""The headings, and the folders of tests whose promises stand below each."""


class Shown:
    """The promises of a run: for each the files of its tests, and whether one of these has passed."""

    def __init__(self):
        self.files, self.passed = defaultdict(set), set()

    def note(self, sentence, file, passed):
        self.files[sentence].add(file)
        if passed:
            self.passed.add(sentence)

    def lines(self):
        """Yield the lines of the page."""
        left = set(self.passed)
        for heading, folders in SECTIONS.items():
            here = {each for each in left if self._folders(each) & set(folders)}
            yield from self._section(heading, here)
            left -= here
        yield from self._section(NOT_SHOWN, left | (self.files.keys() - self.passed))

    def _section(self, heading, sentences):
        if sentences:
            yield from (f"## {heading}", "")
        for sentence in sorted(sentences, key=lambda each: (min(self.files[each]), each)):
            files = ", ".join(f"`{each}`" for each in sorted(self.files[sentence]))
            yield f"- {sentence} ({files})"
        if sentences:
            yield ""

    def _folders(self, sentence):
        return {str(Path(file).parent) for file in self.files[sentence]}


def with_lines(page, lines):
    """Return the page with other lines between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return "\n".join([f"{before}{BEGIN}", "", *lines, END]) + rest.partition(END)[2]


def promised(page):
    """Return the sentences of the page."""
    return [found[1] for found in re.finditer(r"^- (.+?) \(`[^)]*`\)$", page, re.MULTILINE)]


# What pytest calls; see conftest.py


def add_option(parser):
    parser.addoption("--guarantees", action="store_true", help="write docs/guarantees.md; see there")


def attach(items):
    """Let the report of each test name the promises that it holds. Workers send only reports."""
    for item in items:
        for mark in item.iter_markers("guarantee"):
            item.user_properties += [("guarantee", sentence) for sentence in mark.args]


def note(shown, report):
    """Note the outcome of a test; of several reports of a test, that of its call or of its skipping."""
    if report.when == "call" or report.skipped:
        file = Path(report.nodeid.partition("::")[0]).relative_to("tests").as_posix()
        for name, sentence in report.user_properties:
            if name == "guarantee":
                shown.note(sentence, file, report.passed and not hasattr(report, "wasxfail"))


def write(shown):
    """Write the page. Return whether it has changed."""
    before = PAGE.read_text()
    after = with_lines(before, shown.lines())
    PAGE.write_text(after)
    return after != before
