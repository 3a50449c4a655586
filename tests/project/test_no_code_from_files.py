"""Nothing in the library can run what stands in a file, or ask a server without TLS."""

import ast
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    "_pickle", "asyncio", "builtins", "cloudpickle", "code", "codeop", "ctypes", "dbm", "dill", "joblib",
    "marshal", "pickle", "runpy", "shelve", "subprocess", "torch", "yaml",
}  # fmt: skip
NAMES = {
    "eval", "exec", "compile", "__import__", "__builtins__", "np.load",
    "jinja2.Template", "ssl._create_unverified_context",
    *(f"os.{name}" for name in dir(os) if name.startswith(("exec", "posix_spawn", "spawn"))),
    "os.system", "os.popen",
}  # fmt: skip
PARTS = {  # of a name with dots
    "import_module", "read_pickle", "from_string", "spec_from_file_location", "machinery", "load_module",
    "exec_module", "npyio", "_npyio_impl", "NpzFile", "read_array", "ForkingPickler", "CERT_NONE",
}  # fmt: skip
ONLY = {"allow_pickle": False, "verify": True, "check_hostname": True, "shell": False}
ALLOWED = {
    "scratchnet/data/workers.py: pickle": "objects go to our own worker processes, and never to a file",
    "scratchnet/lazy.py: import_module": "our own modules, by names in the code",
    "scratchnet/__init__.py: import_module": "our own modules, by names in the code",
    "scratchnet/machine.py: import_module": "other packages, by names in the code",
    "scratchnet/cli/bench.py: import_module": "benchmarks, by its name in the code",
    "scratchnet/results/plots/saving.py: import_module": "a canvas of Matplotlib, by names in the code",
    "scratchnet/data/download.py: http://": "is taken out of what a session may ask",
    "scratchnet/inspect/draw/svg.py: http://": "the name of SVG, which nobody asks",
    "scratchnet/data/cifar.py: read_array": "our own, which reads no pickles",
    "backends/__init__.py: import_module": "our own modules, by names in the code",
    "backends/cuda/collective.py: import_module": "a part of CuPy, by its name in the code",
    "backends/cuda/collective.py: ctypes": "counts references of an object, and loads nothing",
    "scratchnet/training/parallel/job.py: subprocess": "starts our own watch over a job",
    "scratchnet/training/parallel/start.py: subprocess": "starts mpiexec, by the user's command",
    "backends/cuda/loading.py: import_module": "CuPy, by its name in the code",
}


def dangers(source):
    """Yield what a text of Python could run or trust: modules, names, settings, addresses."""
    tree = ast.parse(source)
    documented = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    called = {}  # what the names of imports stand for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from {each.name.partition(".")[0] for each in node.names} & MODULES
            called |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").partition(".")[0]} & MODULES
            called |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            first, dot, rest = ast.unparse(node).partition(".")
            whole = re.sub("^numpy(?=\\.)", "np", called.get(first, first) + dot + rest)
            parts = whole.split(".")
            yield from {whole} & NAMES or {*parts} & PARTS
            if isinstance(node.ctx, ast.Store):  # such as session.verify = False
                yield from {parts[-1]} & ONLY.keys()
        elif isinstance(node, ast.keyword) and node.arg in ONLY:
            if not (isinstance(node.value, ast.Constant) and node.value.value is ONLY[node.arg]):
                yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and id(node) not in documented:
            text = str(node.value).casefold()
            yield from {"http://"} if "http://" in text else {text} & {"allow_pickle"}


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "pickle"), ("from marshal import loads", "marshal"), ("eval(text)", "eval"),
        ("exec(text)", "exec"), ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("np.load(path)", "np.load"), ("import torch", "torch"), ("from yaml import load", "yaml"),
        ("__import__(name)", "__import__"), ("importlib.import_module(name)", "import_module"),
        ("requests.get(url, verify=False)", "verify=False"), ("x = 'http://a.b'", "http://"),
        ("from os import popen as p\np(x)", "os.popen"),
        ("f = eval", "eval"), ("map(exec, x)", "exec"), ("import numpy as n\nn.load(x)", "np.load"),
        ("from numpy import load\nload(x)", "np.load"), ("load(x, allow_pickle=y)", "allow_pickle=y"),
        ("load(x, **{'allow_pickle': y})", "allow_pickle"), ("get(u, verify=None)", "verify=None"),
        ("import subprocess as s", "subprocess"), ("x = 'HTTP://a.b'", "http://"),
        ("import shelve", "shelve"), ("subprocess.run(line, shell=True)", "shell=True"),
        ("np.lib.format.read_array(f, True)", "read_array"), ("np.lib.npyio.load(p)", "npyio"),
        ("from numpy.lib.npyio import load\nload(p)", "npyio"), ("import asyncio", "asyncio"),
        ("from multiprocessing.reduction import ForkingPickler as P\nP.loads(p)", "ForkingPickler"),
        ("importlib.machinery.SourceFileLoader(n, p)", "machinery"), ("x.load_module()", "load_module"),
        ("s.verify = False", "verify"), ("c.verify_mode = ssl.CERT_NONE", "CERT_NONE"),
        ("c.check_hostname = False", "check_hostname"),
    ],
)  # fmt: skip
def test_each_danger_is_seen(source, danger):
    assert danger in dangers(source)


def test_what_is_only_described_is_none():
    text = '"""No pickle, no eval(x), no http://."""\nnet.eval()\n# exec(x)\nre.compile("a")'
    assert not list(dangers(text))


@pytest.mark.guarantee("No file that the library reads can run code.")
def test_the_library_has_no_danger_without_a_reason():
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {danger}"
        for package in ("scratchnet", "backends")
        for path in (ROOT / package).rglob("*.py")
        for danger in dangers(path.read_text())
    }
    assert found == ALLOWED.keys()
