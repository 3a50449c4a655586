"""The result of `explain`, and how it is shown."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from shutil import get_terminal_size

from scratchnet.inspect.gradient import Gradient

_MOST_STEPS = 4
_WIDEST = 100


@dataclass(frozen=True, eq=False)
class Passed:
    """The gradient that a Function passed to one operand.

    Attributes:
        operand: `forward`'s name for it.
        source: what the operand is: the quoted name of a leaf, "y of step 3", or a number. Empty if the
            graph does not know it.
        rule: a formula for the gradient; if the Function has no rule, what computes it.
        shape: the operand's shape; None if it needs no gradient.
        given: the shape of the gradient as the Function returned it; None if it returned none.
        summed: the axes over which it was then summed, because the operand was broadcast along them.
        gradient: the result; None if none was needed or returned.
        added_to: the steps whose gradients had arrived before, and to which it was added.
        is_leaf: whether the gradient stays here.
        target: the leaf, by name or path, or the step that goes on with it. Empty if there is none.
    """

    operand: str
    source: str
    rule: str
    shape: tuple[int, ...] | None
    given: tuple[int, ...] | None = None
    summed: tuple[int, ...] = ()
    gradient: Gradient | None = None
    added_to: tuple[int, ...] = ()
    is_leaf: bool = False
    target: str = ""

    def facts(self, step: int) -> Iterator[str]:
        """Return in lines what happened to it. `step` is the number of its step."""
        if self.gradient is None:
            yield "needs no gradient" if self.shape is None else "is given none"
            return
        if self.summed:
            axes = f"ax{'e' if len(self.summed) > 1 else 'i'}s {', '.join(map(str, self.summed))}"
            yield f"{self.given} summed over {axes}, along which it was broadcast"
        met = f", added to what came from {_steps(self.added_to, step)}" if self.added_to else ""
        yield f"{self.gradient}  → {self.target}{met}"


@dataclass(frozen=True, eq=False)
class Step:
    """One step: a Function passes the gradient on.

    Attributes:
        number: from 1 on, in the order of the backward pass.
        function: its class.
        settings: its settings that are not defaults: `relu=True`.
        module: the path, or otherwise the class, of the module that applied it. Empty if none did.
        remarks: parts of the Function's rule that belong to no single operand.
        grad_in: the complete gradient that has arrived.
        came_from: the steps that it came from; empty at the first step.
        passed: one entry for each operand, in order.
    """

    number: int
    function: str
    settings: str
    module: str
    remarks: tuple[str, ...]
    grad_in: Gradient
    came_from: tuple[int, ...]
    passed: tuple[Passed, ...]

    @property
    def title(self) -> str:
        """The Function and where it was applied."""
        settings = f"({self.settings})" if self.settings else ""
        return f"{self.function}{settings}" + (f"  in {self.module}" if self.module else "")

    @property
    def operands(self) -> str:
        """What the operands are: "a is 'weight', b is y of step 3"."""
        return ", ".join(f"{each.operand} is {each.source}" for each in self.passed if each.source)

    @property
    def arrival(self) -> str:
        """The gradient that has arrived and, at a fork, where it came from."""
        return f"{self.grad_in}{_sum_from(self.came_from)}"


@dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf, where gradients end.

    Attributes:
        name: its name or path, or "leaf 1".
        gradient: its complete gradient.
        came_from: the steps that it came from.
        had_gradient: whether it has a gradient from an earlier pass, to which `backward` would add this
            one.
    """

    name: str
    gradient: Gradient
    came_from: tuple[int, ...]
    had_gradient: bool

    @property
    def facts(self) -> str:
        """Return it in one line."""
        earlier = "; backward adds it to the one that is there" if self.had_gradient else ""
        return f"{self.gradient}{_sum_from(self.came_from)}{earlier}"


@dataclass(frozen=True, eq=False)
class Explanation:
    """The backward pass as `explain` observed it. Printed, it is text; in a notebook, it is a table.

    Attributes:
        beginning: where it started.
        steps: in the order in which they ran.
        leaves: what each leaf gets.
    """

    beginning: str
    steps: tuple[Step, ...]
    leaves: tuple[Leaf, ...]

    @property
    def introduction(self) -> str:
        """Return where it started, and what the formulas mean."""
        steps, leaves = _count(len(self.steps), "step"), _count(len(self.leaves), "leaf")
        return (
            f"L is {self.beginning}. The backward pass takes {steps} to {leaves}. In a formula grad is "
            "∂L/∂y, the gradient that arrived, y the Function's result, and the other names are its "
            "operands, as its forward calls them."
        )

    def __str__(self) -> str:
        """Return text as wide as the terminal, and at most 100 columns."""
        width = min(get_terminal_size().columns, _WIDEST)
        return "\n".join(
            line for indent, text in self._lines() for line in _wrapped(text, indent, width)
        )

    __repr__ = __str__

    def _lines(self) -> Iterator[tuple[int, str]]:
        yield 0, self.introduction
        for step in self.steps:
            yield 0, ""
            yield 0, f"{step.number}. {step.title}"
            yield 3, f"grad  {step.arrival}"
            if step.operands:
                yield 3, f"operands  {step.operands}"
            yield from ((3, remark) for remark in step.remarks)
            for passed in step.passed:
                facts = passed.facts(step.number)
                yield 3, passed.rule if passed.gradient else f"{passed.operand} {next(facts)}"
                yield from ((6, fact) for fact in facts)
        yield 0, ""
        yield 0, "What the leaves get"
        yield from ((3, f"{leaf.name}  {leaf.facts}") for leaf in self.leaves)

    def _repr_html_(self) -> str:
        """Return one table per step, in the colors of the page around it."""
        parts = [f'<div class="sn-explain">{_STYLE}<p>{escape(self.introduction)}</p>']
        for step in self.steps:
            parts.append(f"<h4>{step.number}. {escape(step.title)}</h4>")
            rows: list[tuple[str, str, Iterable[str]]] = [("grad", "", (step.arrival, *step.remarks))]
            if step.operands:
                rows.append(("operands", "", (step.operands,)))
            for each in step.passed:
                rule = each.rule if each.gradient else ""
                rows.append((each.operand, rule, each.facts(step.number)))
            parts.append(_table(rows))
        parts.append("<h4>What the leaves get</h4>")
        parts.append(_table([(leaf.name, "", (leaf.facts,)) for leaf in self.leaves]))
        return "\n".join((*parts, "</div>"))


_STYLE = """<style>
.sn-explain { overflow-x: auto; line-height: 1.4 }
.sn-explain h4 { margin: 1em 0 .2em; font-weight: 600 }
.sn-explain p { margin: .2em 0; max-width: 45em }
.sn-explain table { border-collapse: collapse; margin: 0; font-size: inherit }
.sn-explain table { width: 100%; max-width: 45em; table-layout: fixed }
.sn-explain tr { background: none !important; border-top: 1px solid rgba(128, 128, 128, .35) }
.sn-explain td { text-align: left !important; vertical-align: top; padding: .2em 0; color: inherit }
.sn-explain td { overflow-wrap: anywhere; white-space: normal; box-sizing: border-box }
.sn-explain td:first-child { font-weight: 600; width: 6em; padding-right: .8em }
.sn-explain i { font-style: normal; opacity: .75 }
</style>"""


def _table(rows: list[tuple[str, str, Iterable[str]]]) -> str:
    cells = []
    for name, rule, facts in rows:
        lines = ([f"<i>{escape(rule)}</i>"] if rule else []) + [
            escape(fact).replace("→ ", "→&nbsp;") for fact in facts
        ]
        cells.append(f"<tr><td>{escape(name)}</td><td>{'<br>'.join(lines)}</td></tr>")
    # Sites style tables without a class in different ways.
    return f'<table class="sn-step">{"".join(cells)}</table>'


def _wrapped(text: str, indent: int, width: int) -> list[str]:
    """Wrap a text into lines; the later ones are indented more."""
    first, later = " " * indent, " " * (indent and indent + 2)
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=later,
                         break_long_words=False, break_on_hyphens=False) or [""]  # fmt: skip


def _steps(numbers: tuple[int, ...], this: int = 0) -> str:
    """Return steps in words: steps 1, 2 (twice) and 4. `this` is the number of the step that says it."""
    times = Counter(numbers)
    own = ["this step"] if times.pop(this, 0) else []
    if len(times) > _MOST_STEPS:
        others = [f"{len(times)} steps"]
    else:
        each = [f"{number}" + (f" ({_times(n)})" if n > 1 else "") for number, n in times.items()]
        others = [f"step{'s' * (len(each) > 1)} {_and(each)}"] if each else []
    return _and(others + own)


def _sum_from(steps: tuple[int, ...]) -> str:
    if len(steps) > 1 and len(set(steps)) == 1:
        return f", {_times(len(steps))} from {_steps(steps[:1])}"
    return f", the sum from {_steps(steps)}" if len(steps) > 1 else ""


def _times(number: int) -> str:
    return "twice" if number == 2 else f"{number} times"


def _and(parts: list[str]) -> str:
    *former, last = parts
    return f"{', '.join(former)} and {last}" if former else last


def _count(number: int, name: str) -> str:
    return f"{number} {name if number == 1 else {'leaf': 'leaves'}.get(name, name + 's')}"
