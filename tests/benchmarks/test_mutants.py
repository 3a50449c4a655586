"""`python -m benchmarks.mutants` finds what no test sees, on a small library with one test."""

import ast
import json
import sys
from pathlib import Path

import pytest

from benchmarks.mutants import __main__ as command
from benchmarks.mutants.exchange import exchange, pairs
from benchmarks.mutants.judge import Judge
from benchmarks.mutants.mutate import mutants
from benchmarks.mutants.rooms import ROOMS, Room, possible
from benchmarks.mutants.tree import Tree

ROOT = Path(__file__).parents[2]
CODE = '''"""A docstring with 1 + 1."""
from __future__ import annotations

__all__ = ["once"]


def once(a: int | None) -> int:
    """Return 1 + 1."""
    if a is None:
        raise ValueError(f"{a} is wrong" + str(1 + 1))
    return max(a, 0)
'''
TESTS = """from scratchnet import small


def test_once():
    assert small.once(6) == 6
"""
ROOM = {"small": Room(("scratchnet",), ("tests",))}


@pytest.fixture
def library(tmp_path):
    """A repository with one module and its tests."""
    root = tmp_path / "root"
    for name, content in {
        "scratchnet/__init__.py": "", "scratchnet/small.py": CODE, "tests/test_small.py": TESTS,
        "backends/__init__.py": "", "benchmarks/__init__.py": "", "pyproject.toml": "",
        "benchmarks/mutants/__init__.py": "", "benchmarks/gpu/__init__.py": "",
        **{
            f"benchmarks/{name}": (ROOT / "benchmarks" / name).read_text()
            for name in ("mutants/exchange.py", "mutants/plugin.py", "gpu/processes.py")
        },
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
        "a < b → a <= b",
        "a < b and (not g(a, key=b)) → a < b or not g(a, key=b)",
        "a < b and (not g(a, key=b)) → not (a < b and (not g(a, key=b)))",
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
        "a is None → a is not None",
        "a is None or b == 2 - 1 → a is None and b == 2 - 1",
        "b == 2 - 1 → b != 2 - 1",
        "2 → 3",
        "2 - 1 → 2 + 1",
        "1 → 0",
    ]


def test_what_is_no_code_stays():
    assert changes(CODE) == [
        "a is None → a is not None",
        "raise ValueError(f'{a} is wrong' + str(1 + 1)) → pass",
        "return max(a, 0) → return None",
        "max(a, 0) → max(0, a)",
        "0 → 1",
    ]


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
    for room, several in drawn.items():  # without one of them, another one takes its place
        for each in several:
            fewer = {name: [other for other in all_of[name] if other != each] for name in all_of}
            again = command.draw(fewer, 20, 3)
            assert {*drawn[room]} - {*again[room]} == {each}


def test_functions_that_an_import_has_made_get_the_fault():
    code = "def outer():\n    return lambda: 1 + 1\nmade = outer()\nat_once = [x + 1 for x in (1, 2)]\n"
    names = {}
    exec(compile(code, "here.py", "exec"), names)
    exchange(pairs(code, code.replace("1 + 1", "1 - 1"), "here.py"))
    assert names["made"]() == names["outer"]()() == 0
    assert pairs(code, code.replace("x + 1", "x - 1"), "here.py") is None  # it has run
    assert pairs(code, code.replace("2)", "3)"), "here.py") is None


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="kills processes that hang, on Linux")
ALIVE = {"file": "scratchnet/small.py", "code": "return max(a, 0)"}
REASONS = [
    {**ALIVE, "change": change, "reason": "It is equal."}
    for change in ("max(a, 0) → max(0, a)", "0 → 1")
]


@needs_linux
def test_what_no_test_sees_is_listed_and_the_tree_stays(run, library):
    before = {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    fault = {"file": "scratchnet/small.py", "tests": ["tests"]}
    code, record, output = run(
        reasons=[*REASONS, {**ALIVE, "change": "gone", "reason": "It is equal."}],
        named=[
            {"name": "seen", "old": "max", "new": "min", **fault},
            {"name": "unseen", "old": "is wrong", "new": "", **fault},
        ],
    )
    assert code == 1
    assert before == {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    room = record["rooms"]["small"]
    assert (room["possible"], room["drawn"], room["killed"], room["survived"]) == (5, 5, 2, 3)
    assert [each["reason"] for each in room["survivors"]].count("It is equal.") == 2
    assert {name: each["how"] for name, each in record["named"].items()} == {
        "seen": "killed", "unseen": "survived",
    }  # fmt: skip
    assert record["named"]["seen"]["by"] == "tests/test_small.py::test_once"
    assert record["stale_reasons"] == [["scratchnet/small.py", "return max(a, 0)", "gone"]]
    assert "3 of 5 survived, 1 without a reason\n  scratchnet/small.py:10: raise" in output
    assert "a named fault survived: unseen" in output
    assert "'gone'; remove its reason" in output
    # A new test takes a survivor out of the record.
    with (library / "tests/test_small.py").open("a") as file:
        file.write("\n\ndef test_none():\n    import pytest\n    with pytest.raises(ValueError):\n")
        file.write("        small.once(None)\n")
    code, record, _ = run("--survivors", "--room=small", reasons=REASONS)
    assert code == 1  # the named fault is still in the record
    room = record["rooms"]["small"]
    assert {each["reason"] for each in room["survivors"]} == {"It is equal."}
    assert (room["possible"], room["drawn"], room["killed"], room["survived"]) == (5, 5, 3, 2)
    assert run("--room=named", reasons=REASONS)[0] == 0
    with pytest.raises(SystemExit, match="is of another draw"):
        run("--room=named", "--seed=1")


@needs_linux
def test_a_test_that_fails_without_a_fault_proves_nothing(run, library):
    with (library / "tests/test_small.py").open("a") as file:
        file.write("\n\ndef test_never():\n    assert not small.once(6)\n")
    _, record, output = run("--mutants=1")
    assert record["rooms"]["small"]["unreliable_tests"] == ["tests/test_small.py::test_never"]
    assert "fails without a mutant, and was left out" in output


@needs_linux
def test_a_mutant_that_hangs_is_killed_with_its_children(library, tmp_path):
    source = (library / "scratchnet/small.py").read_bytes()
    hangs = "__import__('subprocess').run(['sleep', '60.25'])"
    mutant = mutants("scratchnet/small.py", source)[-1]._replace(text=hangs)
    judge = Judge(Tree(library, tmp_path), ROOM["small"], patience=3)
    assert [verdict.how for _, verdict in judge.judge([mutant])] == ["timed out"]
    running = [each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(b"60.25" in each for each in running)


def test_a_named_fault_that_no_longer_fits_is_named(run):
    fault = {"name": "old", "file": "scratchnet/small.py", "old": "gone", "new": "", "tests": ["tests"]}
    with pytest.raises(SystemExit, match="'old' no longer fits"):
        run(named=[fault])
