"""Follow the README and the pages of docs/ as a reader does: run each block of code in its order.

- A block of Python is run. All blocks of a page share one namespace and one folder.
- Each command of a shell block is parsed by the program that it names, so its options exist.
- A block of text after either is the expected output, and is compared. Then the shell's commands
  are run. As in doctest, `...` stands for any text.
- If a block can be neither run nor compared, the paragraph before it says "not run by the tests".
"""

import io
import re
import shlex
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from doctest import ELLIPSIS, OutputChecker
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import typer
from processes import python

from scratchnet.cli.main import app, main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
NOT_RUN = "not run by the tests"
OTHERS = {"cd", "export", "git", "jupyter", "nvidia-smi", "pre-commit", "python3", "ssh"}
"""Programs in shell blocks whose arguments are not checked."""


class Block(NamedTuple):
    language: str
    code: str
    line: int
    told: str
    """The paragraph before it, if no other block is nearer."""


def blocks(page):
    text, found, end = page.read_text(), [], 0
    for match in FENCE.finditer(text):
        told = text[end : match.start()].strip().rpartition("\n\n")[2]
        found.append(Block(match[1], match[2], text.count("\n", 0, match.start()) + 1, told))
        end = match.end()
    return found


def unfenced(page):
    """Return code outside the blocks: indented, or in a fence that is not closed."""
    return re.findall(r"\n\n(?:    |\t)(.*)|(```.*)", FENCE.sub("", page.read_text()))


def exempt(page):
    """Return the first lines of the blocks that are not run."""
    return [
        block.line
        for block in blocks(page)
        if block.language == "drawing" or NOT_RUN in " ".join(block.told.split())
    ]


def follow(page):
    """Do what the page says, in the working directory. Return its Python names, and all output."""
    namespace, everything, left_out = {"__name__": page.stem}, "", exempt(page)
    found = blocks(page)
    for block, after in zip_longest(found, found[1:]):
        if block.line in left_out or block.language == "text":
            continue
        compared = after is not None and after.language == "text" and not after.told
        printed = done(page, block, namespace, run=compared)
        everything += printed
        if compared:
            same = OutputChecker().check_output(after.code, printed, ELLIPSIS)
            assert same, f"{page}, line {after.line}, tells\n{after.code}\nand it printed\n{printed}"
    alone = [each for each in found if each.language == "text" and each.told]
    assert all(each.line in left_out for each in alone), f"{page}: nobody printed {alone}"
    return namespace, everything


def done(page, block, namespace, run):
    """Run a block, and return its output."""
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):
        if block.language == "python":
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    del words[0]
                if words:
                    parse(words)
                    assert not run or (words[0] == "scratchnet" and main(words[1:]) == 0), line
        else:
            raise AssertionError(f"{page}, line {block.line}: a block of {block.language or 'nothing'}")
    return printed.getvalue()


def parse(words):
    """Fail unless the command exists, and its options too."""
    match words:
        case ["scratchnet", *arguments]:
            command = typer.main.get_command(app)
            _silence(command)
            command.main(arguments, "scratchnet", standalone_mode=False)
        case ["python", "-m", "scratchnet", *arguments]:
            parse(["scratchnet", *arguments])
        case ["python", "-m", module, *arguments]:
            options = {each.partition("=")[0] for each in arguments if each.startswith("--")}
            assert options <= set(re.findall(r"--[\w-]+", usage(module))), words
        case ["mpiexec" | "srun", *arguments] if "scratchnet" in arguments:
            parse(arguments[arguments.index("scratchnet") :])
        case ["make", *targets]:
            known = re.search(r"\.PHONY: (.*)", MAKEFILE)[1].split()
            for target in targets:
                name, setting, value = target.partition("=")
                assert f"$({name})" in MAKEFILE if setting else name in known, words
                if name == "ARGUMENTS":
                    parse(["python", "-m", "benchmarks.gpu", *shlex.split(value)])
        case ["pip", "install", *arguments]:
            for each in arguments:
                if own := re.fullmatch(r"(?:\.|scratchnet)\[([\w,]+)\]", each):
                    assert set(own[1].split(",")) <= EXTRAS.keys(), words
        case [program, *_]:
            assert program in OTHERS or program.startswith("."), words


def _silence(command):
    """Let it only read its arguments, and do nothing."""
    for each in getattr(command, "commands", {}).values():
        _silence(each)
    if not hasattr(command, "commands"):
        command.callback = lambda **_: None


@cache
def usage(module):
    done = python("-m", module, "--help", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout
