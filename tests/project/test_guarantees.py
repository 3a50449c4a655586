"""Every guarantee of docs/guarantees.md has tests that carry its name, that run, and that can fail."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

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
    """Yield the tests of a module that carry the name of a guarantee, each with the names."""
    for test in (each for each in statements(path) if isinstance(each, ast.FunctionDef)):
        for mark in test.decorator_list:
            if name_of(mark) == "guarantee":
                yield test.name, {each.value for each in mark.args}


def test_each_promise_has_tests_that_can_fail_and_each_mark_a_promise():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = re.split(r"\n- ", text.partition("## Not shown yet")[0])[1:]
    names = [found[1] for each in promises for found in re.finditer(r" — `([\w-]+)`\s", each + "\n")]
    assert len(names) == len(set(names)) == len(promises) > 30
    held = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for test, told in marked(path):
            assert objection(path, test) is None, f"{path}::{test}"
            held |= told
    assert held == set(names)


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
