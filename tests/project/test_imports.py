"""Imports point one way: each room imports only from rooms before it, and never in a circle."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = [
    ["backends"], ["errors", "files", "lazy", "locked", "machine", "replacing", "version"],
    ["core"], ["functions"], ["variable"],
    ["layers", "losses", "gradient_check"], ["metrics", "optimizers"], ["data"], ["training"],
    ["inspect", "results", "verify", "interop"], ["cli"], ["__init__", "__main__"],
]  # fmt: skip


def modules():
    for package in ("backends", "scratchnet"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__") if name.count(".") > 1 else name, path


PATHS = dict(modules())


def room_of(name):
    parts = name.split(".")
    room = parts[0] if parts[0] == "backends" else parts[1]
    return next(place for place, rooms in enumerate(ROOMS) if room in rooms)


def imports(name):
    """Yield the modules that a module imports, anywhere in it: in functions and for types too."""
    for node in ast.walk(ast.parse(PATHS[name].read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in (
            "backends",
            "scratchnet",
        ):
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                found = whole if whole in PATHS else node.module
                if found in PATHS and found != name:
                    yield found


def test_no_module_imports_from_a_room_above_it():
    wrong = [
        (name, each) for name in PATHS for each in imports(name) if room_of(each) > room_of(name)
    ]  # fmt: skip
    assert wrong == []


def test_no_imports_go_in_a_circle():
    done, path = set(), []

    def visit(name):
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            path.append(name)
            for each in imports(name):
                visit(each)
            done.add(path.pop())

    for name in PATHS:
        visit(name)
    assert len(done) > 80
