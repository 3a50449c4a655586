"""docs/guarantees.md has the promises that the tests are marked with; each of these tests can fail."""

import ast
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import pytest
from guarantees import BEGIN, END, PAGE, Shown, note, promised, with_lines

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
NOT_RUN = {"skip", "xfail", "gpu"}
"""Marks of a test that does not run, or may fail, on the machine that checks the guarantees."""


@cache
def statements(path):
    return ast.parse(path.read_text()).body


@cache
def functions(path):
    """Return the functions of a module's top level, and those that it imports from tests/support."""
    found = {}
    for each in statements(path):
        if isinstance(each, ast.ImportFrom) and (there := SUPPORT / f"{each.module}.py").exists():
            found |= {name.asname or name.name: functions(there).get(name.name) for name in each.names}
        elif isinstance(each, ast.FunctionDef):
            found[each.name] = each
    return found


def name_of(node):
    """Return the name: `skip` of `pytest.mark.skip(reason="…")`."""
    node = node.func if isinstance(node, ast.Call) else node
    return getattr(node, "attr", getattr(node, "id", None))


def always_skipped(path, test):
    """Whether it is skipped by a mark of its own or of its module, or by a call without a condition."""
    marks = [*test.decorator_list]
    for each in statements(path):
        if isinstance(each, ast.Assign) and name_of(each.targets[0]) == "pytestmark":
            marks += getattr(each.value, "elts", [each.value])
    calls = [each.value for each in (*statements(path), *test.body) if isinstance(each, ast.Expr)]
    decided = [each for each in marks if name_of(each) == "skipif"]
    return any(name_of(each) in NOT_RUN for each in marks + calls) or any(
        isinstance(each.args[0], ast.Constant) for each in decided
    )


def can_fail(function, known, seen=()):
    """Whether it, or a function of the tests that it calls, asserts something."""
    for each in ast.walk(function):
        name = name_of(each) if isinstance(each, ast.Call) else ""
        if isinstance(each, ast.Assert) and not isinstance(each.test, ast.Constant):
            return True
        if name in ("raises", "warns") or str(name).startswith("assert_"):
            return True
        if known.get(name) and name not in seen and can_fail(known[name], known, (*seen, name)):
            return True
    return False


def objection(path, test):
    """Return why a test checks no guarantee, or None."""
    known = functions(path)
    if always_skipped(path, known[test]):
        return "it is always skipped"
    return None if can_fail(known[test], known) else "it asserts nothing"


def marked(path):
    """Yield the tests of a module that have promises, each with these."""
    for test in (each for each in statements(path) if isinstance(each, ast.FunctionDef)):
        for mark in test.decorator_list:
            if name_of(mark) == "guarantee":
                yield test.name, {each.value for each in mark.args}


def test_the_page_has_the_promises_of_the_tests_and_each_test_can_fail():
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for test, sentences in marked(path):
            assert objection(path, test) is None, f"{path}::{test}"
            found |= sentences
    promises = promised(PAGE.read_text())
    assert len(promises) == len(set(promises)) > 40
    assert set(promises) == found, "run make guarantees"


def test_a_promise_is_a_sentence_and_no_two_are_almost_the_same():
    promises = promised(PAGE.read_text())
    for promise in promises:
        assert re.fullmatch(r"[`A-Z_a-z].{10,80}\.", promise), promise
        assert get_close_matches(promise, promises, 2, 0.9) == [promise]


class Report:
    def __init__(self, outcome, sentence, when="call", file="core/test_a.py"):
        self.nodeid, self.when = f"tests/{file}::test", when
        self.passed, self.skipped = outcome == "passed", outcome == "skipped"
        self.user_properties = [("guarantee", sentence)]


def test_what_was_skipped_everywhere_is_listed_as_not_shown():
    shown = Shown()
    for report in (
        Report("passed", "One."), Report("skipped", "One.", file="cli/test_b.py"),
        Report("skipped", "Two.", "setup"), Report("passed", "Two.", "teardown"),
        Report("skipped", "Three."), Report("passed", "Four.", file="cli/test_b.py"),
    ):  # fmt: skip
        note(shown, report)
    assert list(shown.lines()) == [
        "## The graph", "", "- One. (`cli/test_b.py`, `core/test_a.py`)", "",
        "## Command line", "", "- Four. (`cli/test_b.py`)", "",
        "## Not shown", "", "- Three. (`core/test_a.py`)", "- Two. (`core/test_a.py`)", "",
    ]  # fmt: skip
    page = with_lines(f"before\n{BEGIN}\nold\n{END}\nafter\n", shown.lines())
    assert promised(page) == ["One.", "Four.", "Three.", "Two."]
    assert (page[:7], page[-6:]) == ("before\n", "after\n")


SKIPPED, NOTHING = "it is always skipped", "it asserts nothing"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def test_it(): assert f()", None),
        ("def test_it():\n with pytest.raises(E): f()", None),
        ("def test_it(): np.testing.assert_array_equal(f(), 1)", None),
        ("def check(x): assert x\ndef test_it(): check(f())", None),
        ("@pytest.mark.skipif(os.name == 'nt', reason='')\ndef test_it(): assert f()", None),
        ("def test_it():\n if f(): pytest.skip('')\n assert g()", None),
        ("def test_it():\n pytest.skip('')\n assert f()", SKIPPED),
        ("def test_it():\n 'What it does.'\n pytest.skip('')\n assert f()", SKIPPED),
        ("def test_it():\n pytest.xfail('')\n assert f()", SKIPPED),
        ("@pytest.mark.skip\ndef test_it(): assert f()", SKIPPED),
        ("@pytest.mark.skip(reason='')\ndef test_it(): assert f()", SKIPPED),
        ("@pytest.mark.skipif(True, reason='')\ndef test_it(): assert f()", SKIPPED),
        ("@pytest.mark.xfail\ndef test_it(): assert f()", SKIPPED),
        ("@pytest.mark.gpu\ndef test_it(): assert f()", SKIPPED),
        ("pytestmark = pytest.mark.gpu\ndef test_it(): assert f()", SKIPPED),
        ("pytestmark = [pytest.mark.slow, pytest.mark.gpu]\ndef test_it(): assert f()", SKIPPED),
        ("pytest.skip('', allow_module_level=True)\ndef test_it(): assert f()", SKIPPED),
        ("def test_it(): f()", NOTHING),
        ("def test_it(): assert True", NOTHING),
        ("def check(x): check(x)\ndef test_it(): check(f())", NOTHING),
    ],
)
def test_a_test_that_holds_no_promise_is_found(tmp_path, code, found):
    path = tmp_path / "test_planted.py"
    path.write_text(code)
    assert objection(path, "test_it") == found
