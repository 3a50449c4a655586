"""Count what there is to read: the code of the core, and the Python frames of a training step.

    python -m benchmarks.reading
    python -m benchmarks.reading FOLDER ...    # the code of other folders, such as an installed package

A frame is a call of a function written in Python. NumPy's own wrappers do not count.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import scratchnet as sn
from backends import to_device

ROOT = Path(__file__).parent.parent
CORE = (
    "core", "variable.py", "layers/module.py", "layers/sequential.py", "layers/linear.py",
    "optimizers/optimizer.py", "optimizers/sgd.py",
)  # fmt: skip
FUNCTIONS = (
    "arithmetic", "activation", "comparison", "elementwise", "indexing", "joining", "linear",
    "reduction", "shape", "softmax",
)  # fmt: skip
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(path: Path) -> int:
    """Return the number of lines with code, without blank lines, comments and docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    with path.open("rb") as file:
        lines = {
            line
            for token in tokenize.tokenize(file.readline) if token.type not in _NO_CODE
            for line in range(token.start[0], token.end[0] + 1)
        }  # fmt: skip
    return len(lines - docstrings)


def files_of(*parts: str) -> list[Path]:
    """Return the Python files of the library at these places, as far as they exist."""
    found: list[Path] = []
    for part in parts:
        path = ROOT / "scratchnet" / part
        found += sorted(path.glob("*.py")) if path.is_dir() else [path] if path.exists() else []
    return found


def lines_below(folder: Path) -> int:
    """Return the lines of code of all Python files below a folder, without tests and generated files."""
    left_out = re.compile(r"(^|/)(tests?|testing|autogen)/|(^|/)test_\w+\.py$|_test\.py$")
    return sum(
        code_lines(path)
        for path in folder.rglob("*.py")
        if not left_out.search(path.relative_to(folder).as_posix())
    )


def frames_of_a_step() -> Counter[str]:
    """Count the frames of a step of the user's own loop, by file."""
    rng = np.random.default_rng(0)
    net = sn.Sequential(sn.Linear(784, 100, rng), sn.relu, sn.Linear(100, 10, rng))
    optimizer = sn.SGD(net.parameters(), 0.1)
    images = to_device(rng.standard_normal((256, 784)).astype(np.float32))
    x = sn.Variable(images, requires_grad=False)
    y = to_device(rng.integers(0, 10, 256))
    frames: Counter[str] = Counter()

    def step() -> None:
        optimizer.zero_grad()
        sn.softmax_loss(net(x), y).backward()
        optimizer.step()

    def count(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and frame.f_code is not step.__code__ and "packages/numpy/" not in file:
            frames[file.removeprefix(f"{ROOT}/")] += 1

    for _ in range(3):
        step()
    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return frames


def main() -> None:
    """Print both, or the lines of the folders that were given."""
    parser = argparse.ArgumentParser("python -m benchmarks.reading")
    parser.add_argument("folders", nargs="*", type=Path, help="Count the lines of code below these.")
    if folders := parser.parse_args().folders:
        for folder in folders:
            if not folder.is_dir():
                parser.error(f"{folder} is not a folder")
            print(f"{lines_below(folder):8,}  {folder}")
        return
    for name, paths in (
        ("core", files_of(*CORE)),
        ("functions", files_of(*(f"functions/{each}.py" for each in FUNCTIONS))),
    ):
        lines = {path: code_lines(path) for path in paths}
        print(f"{name}: {sum(lines.values())} lines of code")
        for path, number in lines.items():
            print(f"  {number:4}  {path.relative_to(ROOT)}")
    frames = frames_of_a_step()
    print(f"a step: {sum(frames.values())} frames in {len(frames)} files")
    for file, number in frames.most_common():
        print(f"  {number:4}  {file}")


if __name__ == "__main__":
    main()
