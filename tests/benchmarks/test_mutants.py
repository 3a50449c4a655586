"""`python -m benchmarks.mutants` finds what no test sees, on a small library with four tests."""

import ast
import json
import sys
from pathlib import Path

import pytest

from benchmarks.mutants import __main__ as command
from benchmarks.mutants.mutate import mutants
from benchmarks.mutants.rooms import ROOMS, Room, possible

ROOT = Path(__file__).parents[2]
CODE = '''"""A docstring with 1 + 1."""
from __future__ import annotations

__all__ = ["larger"]


def larger(a: int | None, b: int = 2) -> int | None:
    """Return 1 + 1."""
    if a is None:
        raise ValueError(f"{a + b} is wrong" + str(1 + 1))
    return a if a > b else b


def once() -> int:
    total = 0
    while True:
        total += 1
        break
    return total
'''
TESTS = """import sys
from scratchnet import small


def test_larger():
    assert small.larger(3, 2) == 3
    assert small.larger(1) == 2


def test_once():
    assert small.once() == 1
"""
ROOM = {"small": Room(("scratchnet",), ("tests",))}


@pytest.fixture
def library(tmp_path):
    """A repository with one module and its tests."""
    root = tmp_path / "root"
    for name, content in {
        "scratchnet/__init__.py": "", "scratchnet/small.py": CODE, "tests/test_small.py": TESTS,
        "backends/__init__.py": "", "benchmarks/__init__.py": "", "pyproject.toml": "",
        "benchmarks/mutants/__init__.py": "",
        "benchmarks/mutants/plugin.py": (ROOT / "benchmarks/mutants/plugin.py").read_text(),
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def run(library, tmp_path, capsys):
    """Run the command on the library. Return exit code, record and output."""

    def run(*arguments, reasons=(), named=()):
        for name, content in (("reasons", reasons), ("named", named)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        out = tmp_path / "record.json"
        files = ["--reasons", tmp_path / "reasons.json", "--named", tmp_path / "named.json"]
        code = command.main([*map(str, (*arguments, "--out", out, *files))], library, ROOM)
        return code, json.loads(out.read_text()), capsys.readouterr().out

    return run


def changes(code):
    return [each.change for each in mutants("small.py", code.encode())]


def test_every_kind_of_fault():
    code = """def f(a, b):
    if a < b and not g(a, key=b):
        a += 1
    for each in a:
        continue
    return a @ b
"""
    assert changes(code) == [
        "a < b and (not g(a, key=b)) → a < b or not g(a, key=b)",
        "a < b and (not g(a, key=b)) → not (a < b and (not g(a, key=b)))",
        "a < b → a <= b",
        "not g(a, key=b) → g(a, key=b)",
        "g(a, key=b) → g(a)",
        "a += 1 → a -= 1",
        "a += 1 → pass",
        "1 → 0",
        "continue → break",
        "return a @ b → return None",
    ]
    assert changes("x = f(a, b, *c)\n") == ["f(a, b, *c) → f(b, a, *c)"]
    assert changes("x = a is None or b == 2 - 1") == [
        "a is None or b == 2 - 1 → a is None and b == 2 - 1",
        "a is None → a is not None",
        "b == 2 - 1 → b != 2 - 1",
        "2 - 1 → 2 + 1",
        "2 → 3",
        "1 → 0",
    ]


def test_what_is_no_code_stays():
    found = {each.change for each in mutants("small.py", CODE.encode())}
    assert len(found) == 15
    assert not any("ValueError" in change and "pass" not in change for change in found)
    assert not any("int" in change or "1 + 1" in change.partition("raise")[0] for change in found)


@pytest.mark.parametrize("room", ROOMS)
def test_each_mutant_is_valid_and_other_code(room):
    found = possible(ROOMS[room], ROOT)
    for each in found[:: len(found) // 12]:
        source = (ROOT / each.file).read_bytes()
        assert ast.dump(ast.parse(each.apply(source))) != ast.dump(ast.parse(source))


def test_the_same_seed_draws_the_same_mutants():
    all_of = {name: possible(ROOMS[name], ROOT) for name in ("core", "variable")}
    assert command.draw(all_of, 20, 3) == command.draw(all_of, 20, 3) != command.draw(all_of, 20, 4)
    drawn = command.draw(all_of, 20, 3)
    assert sum(map(len, drawn.values())) == 20
    assert len({each for mutants in drawn.values() for each in mutants}) == 20


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="kills processes that hang, on Linux")
ALIVE = {"file": "scratchnet/small.py", "code": "return a if a > b else b", "change": "a > b → a >= b"}


@needs_linux
@pytest.mark.guarantee("harness-sees-faults")
def test_what_no_test_sees_is_listed_and_the_tree_stays(run, library):
    before = {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    reasons = [{**ALIVE, "reason": "Both are the larger one."}, {**ALIVE, "code": "gone", "reason": "…"}]
    named = [
        {"name": "seen", "file": "scratchnet/small.py", "old": "> b", "new": "< b", "tests": ["tests"]},
        {
            "name": "unseen",
            "file": "scratchnet/small.py",
            "old": "is wrong",
            "new": "",
            "tests": ["tests"],
        },
    ]
    code, record, output = run("--mutants", 100, reasons=reasons, named=named)
    assert code == 1
    assert before == {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    listed = {(each["change"].partition(" → ")[2], each["reason"]) for each in record["survivors"]}
    assert listed == {("a >= b", "Both are the larger one."), ("pass", None)}
    assert record["rooms"]["small"] == {
        "possible": 15, "drawn": 15, "killed": 12, "timed out": 1, "survived": 2,
    }  # fmt: skip
    assert {name: each["how"] for name, each in record["named"].items()} == {
        "seen": "killed", "unseen": "survived",
    }  # fmt: skip
    assert record["named"]["seen"]["by"] == "tests/test_small.py::test_larger"
    assert record["stale_reasons"] == [["scratchnet/small.py", "gone", "a > b → a >= b"]]
    for words in ("2 of 15 survived, 1 without a reason", "a named fault survived: unseen", "'gone'"):
        assert words in output


@needs_linux
def test_a_new_test_takes_a_survivor_out_of_the_record(run, library):
    reasons = [{**ALIVE, "reason": "Both are the larger one."}]
    assert run("--mutants", 100, reasons=reasons)[0] == 1
    with (library / "tests/test_small.py").open("a") as file:
        file.write("\n\ndef test_nothing():\n    import pytest\n    with pytest.raises(ValueError):\n")
        file.write("        small.larger(None)\n")
    code, record, _ = run("--survivors", reasons=reasons)
    assert code == 0
    assert [each["reason"] for each in record["survivors"]] == ["Both are the larger one."]
    assert record["rooms"]["small"]["killed"] == 13


@needs_linux
def test_a_test_that_fails_without_a_fault_proves_nothing(run, library):
    with (library / "tests/test_small.py").open("a") as file:
        file.write("\n\ndef test_never():\n    assert not small.once()\n")
    _, record, output = run("--mutants", 3)
    assert record["unreliable_tests"] == ["tests/test_small.py::test_never"]
    assert "fails without a mutant, and was left out" in output


def test_a_named_fault_that_no_longer_fits_is_named(run):
    fault = {"name": "old", "file": "scratchnet/small.py", "old": "gone", "new": "", "tests": ["tests"]}
    with pytest.raises(SystemExit, match="'old' no longer fits"):
        run(named=[fault])
