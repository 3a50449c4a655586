"""docs/guarantees.md names tests that there are."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@cache
def names(path):
    tree = ast.parse((ROOT / path).read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_each_promise_names_a_test_that_there_is():
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = re.split(r"\n- ", text.partition("## Not shown yet")[0])[1:]
    assert len(promises) > 30
    for promise in promises:
        told = re.findall(r"(tests/\w+\.py)::(\w+)", promise)
        assert told, promise
        for path, test in told:
            assert test in names(path), f"{path}::{test}"
