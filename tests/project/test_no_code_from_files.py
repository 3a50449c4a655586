"""Nothing in the library can run what stands in a file, or ask a server without TLS."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {"dill", "joblib", "marshal", "pickle", "shelve", "cloudpickle"}
CALLS = {
    "eval", "exec", "compile", "__import__", "import_module", "read_pickle", "run_path", "run_module",
    "torch.load", "yaml.load", "np.load", "numpy.load", *(f"os.{name}" for name in ("system", "popen")),
}  # fmt: skip
ALLOWED = {
    "scratchnet/data/workers.py: pickle": "objects go to our own worker processes, and never to a file",
    "scratchnet/data/dataset.py: np.load": "of .npy alone, with allow_pickle=False",
    "scratchnet/lazy.py: import_module": "our own modules, by names in the code",
    "scratchnet/__init__.py: import_module": "our own modules, by names in the code",
    "scratchnet/machine.py: import_module": "other packages, by names in the code",
    "scratchnet/cli/bench.py: import_module": "benchmarks, by its name in the code",
    "scratchnet/results/plots/saving.py: import_module": "a canvas of Matplotlib, by names in the code",
    "scratchnet/data/download.py: http://": "is taken out of what a session may ask",
    "scratchnet/inspect/draw/svg.py: http://": "the name of SVG, which nobody asks",
    "backends/__init__.py: import_module": "our own modules, by names in the code",
    "backends/cuda/collective.py: import_module": "a part of CuPy, by its name in the code",
    "backends/cuda/loading.py: import_module": "CuPy, by its name in the code",
}


def dangers(source):
    """Yield what a text of Python could run or trust: modules, calls, settings, addresses."""
    tree = ast.parse(source)
    documented = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from {each.name.partition(".")[0] for each in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").partition(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            whole = ast.unparse(node.func)
            last = whole.rpartition(".")[2]
            if whole in CALLS or (last in CALLS - {"eval", "compile"}):
                yield whole if whole in CALLS else last
            for each in node.keywords:
                if ast.unparse(each) in ("allow_pickle=True", "verify=False", "shell=True"):
                    yield ast.unparse(each)
        elif isinstance(node, ast.Constant) and id(node) not in documented:
            yield from ["http://"] * ("http://" in str(node.value))


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "pickle"), ("from marshal import loads", "marshal"), ("eval(text)", "eval"),
        ("exec(text)", "exec"), ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("np.load(path)", "np.load"), ("torch.load(path)", "torch.load"), ("yaml.load(t)", "yaml.load"),
        ("__import__(name)", "__import__"), ("importlib.import_module(name)", "import_module"),
        ("requests.get(url, verify=False)", "verify=False"), ("x = 'http://a.b'", "http://"),
        ("import shelve", "shelve"), ("subprocess.run(line, shell=True)", "shell=True"),
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
