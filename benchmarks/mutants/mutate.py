"""The possible mutants of a file: its source with one node of the syntax tree exchanged."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_DELETED = ast.Assign, ast.AugAssign, ast.Raise
_NO_CODE = "__all__", "samples", "SAMPLES", "domain", "BROADCAST", "operations"
"""Assigned names: examples for the tests, and what `summary` counts, for which `inspect` has tests."""
_FOR_TYPES = "cast", "TypeVar", "NewType"


class Mutant(NamedTuple):
    """One fault: where it is, and what it replaces."""

    file: str
    """The path in the repository."""
    line: int
    code: str
    """That line, without its indentation."""
    change: str
    """The changed piece before and after, on one line."""
    start: int
    end: int
    """The bytes of the source that are replaced."""
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the mutant as long as its line stays as it is."""
        return self.file, self.code, self.change

    def apply(self, source: bytes) -> bytes:
        """Return the source with the fault."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a file, in the order of the source.

    Left out are docstrings, annotations, types, decorators, examples, texts with `{}`, and the inside of
    a `raise`, because that is the message of an error.

    Args:
        file: its path in the repository.
        source: its content, in UTF-8.
    """
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = []
    for node, new in _exchanges(ast.parse(source), inside=False):
        was, text = ast.unparse(node), ast.unparse(new)
        if was == text:
            continue
        more = "\n" * (node.end_lineno - node.lineno)  # the lines below keep their numbers
        found.append(
            Mutant(
                file,
                node.lineno,
                lines[node.lineno - 1].decode().strip(),
                f"{_one_line(was)} → {_one_line(text)}",
                starts[node.lineno - 1] + node.col_offset,
                starts[node.end_lineno - 1] + node.end_col_offset,
                (f"({text}{more})" if isinstance(node, ast.expr) else f"{text}{more}"),
            )
        )
    return sorted(found, key=lambda each: (each.start, each.end, each.text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _exchanges(node: ast.AST, inside: bool) -> Iterator[tuple[Any, ast.AST]]:
    """Yield each node below this one that may be replaced, and by what. `inside`: within a function."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                if not _is_code(child) or _is_identity(node, child):
                    continue
                yield from ((child, new) for new in _replacements(child, inside))
                if name == "test" and not _is_turned_round(child):
                    yield child, ast.UnaryOp(ast.Not(), child)  # type: ignore[arg-type]  # a test is an expression
                if not isinstance(child, ast.Raise):
                    is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                    yield from _exchanges(
                        child, is_function or (inside and not isinstance(child, ast.ClassDef))
                    )


def _is_code(node: ast.AST) -> bool:
    """Whether a fault in this node could change what the library computes."""
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return False
        case (
            ast.If(test=ast.Name(id="TYPE_CHECKING"))
            | ast.AnnAssign(annotation=ast.Name(id="TypeAlias"))
        ):
            return False
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name not in _NO_CODE
        case ast.Call(func=ast.Name(id=name)):
            return name not in _FOR_TYPES
    return True


def _is_identity(node: ast.AST, child: ast.AST) -> bool:
    """Whether the child is the None of `is None`: `is 0` would be a warning, not a fault."""
    return (
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Is | ast.IsNot)
        and isinstance(child, ast.Constant)
    )


def _is_turned_round(test: ast.AST) -> bool:
    """Whether another mutant of this condition is already its opposite."""
    match test:
        case ast.Compare(ops=[op]):
            return isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn)
        case ast.UnaryOp(op=ast.Not()) | ast.Constant():
            return True
    return False


def _replacements(node: ast.AST, inside: bool) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield _with(node, op=_ARITHMETIC[type(op)]())
        case ast.Compare(ops=ops):
            for place, each in enumerate(ops):
                yield _with(node, ops=[*ops[:place], _COMPARISONS[type(each)](), *ops[place + 1 :]])
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=None):
            yield ast.Constant(0)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(0 if value == 1 else value + 1)
        case ast.Return(value=ast.expr()):
            yield _with(node, value=ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Call(args=args, keywords=keywords):
            for place in range(len(args) - 1):
                if not any(isinstance(each, ast.Starred) for each in args[place : place + 2]):
                    swapped = [*args[:place], args[place + 1], args[place], *args[place + 2 :]]
                    yield _with(node, args=swapped)
            for keyword in keywords:
                if keyword.arg:
                    yield _with(node, keywords=[each for each in keywords if each is not keyword])
    if inside and (isinstance(node, _DELETED) or _is_call(node)):
        yield ast.Pass()


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _with(node: ast.AST, **changed: Any) -> ast.AST:
    """Return a copy of the node with other fields."""
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})
