"""`import scratchnet` in the surroundings of users."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from processes import python

import backends
import scratchnet


@pytest.mark.parametrize("name", ["backends.py", "backends/__init__.py"])
def test_another_module_named_backends_is_named_in_one_sentence(tmp_path, name):
    """Put a module next to a user's script, where Python finds it before our package."""
    hides = tmp_path / name
    hides.parent.mkdir(exist_ok=True)
    hides.touch()
    (tmp_path / "script.py").write_text("import scratchnet")
    ended = python(tmp_path / "script.py")
    assert ended.returncode == 1
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith("ImportError: scratchnet needs its own package `backends`")
    assert f"Python finds {hides} under that name; rename or move that file or folder" in line


def test_a_folder_named_backends_that_is_no_package_hides_nothing(tmp_path):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "mine.py").touch()
    (tmp_path / "script.py").write_text("import scratchnet; print(scratchnet.xp.pi)")
    assert python(tmp_path / "script.py").stdout.startswith("3.14")


@pytest.mark.parametrize("package", [backends, scratchnet], ids=lambda each: each.__name__)
def test_every_exported_name_is_there_and_type_checkers_know_it(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    told = {(each.module, *[name.name for name in each.names]) for each in stub.body[1:]}
    assert told == {(module, name) for name, module in package._MODULE_OF.items()}
    for name, module in package._MODULE_OF.items():
        assert getattr(package, name) is getattr(import_module(module), name)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("name", ["layers", "losses", "metrics", "optimizers"])
def test_the_names_of_a_package_that_are_imported_at_first_use_are_those_of_its_stub(name):
    package = import_module(f"scratchnet.{name}")
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    for each in stub.body[1:]:
        (exported,) = (alias.name for alias in each.names)
        assert getattr(package, exported) is getattr(import_module(each.module), exported)
    assert [*package.__all__] == dir(package) == sorted(each.names[0].name for each in stub.body[1:])


def test_the_packages_alone_load_no_numpy():
    code = "import sys, scratchnet, backends; print('numpy' in sys.modules, 'Linear' in dir(scratchnet))"
    assert python("-c", code).stdout.split() == ["False", "True"]
