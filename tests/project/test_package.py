"""The wheel and the sdist: their files and metadata, and a second build with the same bytes."""

import os
import shutil
import sys
import tarfile
import tomllib
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from needed import needs
from processes import python, run

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTENTS = ROOT / ".ci" / "contents.py"


def build(source, out, **environment):
    """Build both in a folder. Return the paths of the wheel and the sdist."""
    done = run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--directory",
        out,
        cwd=source,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    needs("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.mark.guarantee("The wheel has the files of a kept list, and no tests, data or secrets.")
def test_the_wheel_has_the_files_of_the_list(built):
    done = python(CONTENTS, built[0])
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_new_or_missing_is_named_with_the_command_that_accepts_it(built, tmp_path):
    shutil.copytree(CONTENTS.parent, tmp_path / ".ci")
    wheel, contents = tmp_path / built[0].name, tmp_path / ".ci" / "contents.py"
    with ZipFile(built[0]) as whole, ZipFile(wheel, "w") as changed:
        for name in whole.namelist():
            if name != "scratchnet/losses/binary.py":
                changed.writestr(name, whole.read(name))
        changed.writestr("scratchnet/added.py", "")
    done = python(contents, wheel)
    assert done.returncode == 1
    assert {"-scratchnet/losses/binary.py", "+scratchnet/added.py"} <= set(done.stderr.splitlines())
    assert done.stderr.endswith(f"if they should be: python {contents} {wheel} --accept\n")
    assert python(contents, wheel, "--accept").returncode == 0
    assert python(contents, wheel).returncode == 0
    assert python(contents, built[0]).returncode == 1


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_files.py", "benchmarks/reading.py", "backends/__pycache__/xp.cpython-311.pyc",
        "scratchnet/data/train-images-idx3-ubyte.gz", "scratchnet/model.safetensors",
        "scratchnet/.env", "scratchnet/id_rsa",
    ],
)  # fmt: skip
def test_tests_data_caches_and_secrets_cannot_be_accepted(name, tmp_path):
    with ZipFile(tmp_path / "wheel", "w") as wheel:
        wheel.writestr(name, "")
    shutil.copy(CONTENTS, tmp_path)
    done = python(tmp_path / "contents.py", tmp_path / "wheel", "--accept")
    assert done.returncode == 1
    assert done.stderr.startswith(f"wheel: {name}: no such file belongs in the wheel; move it")
    assert not (tmp_path / "wheel.txt").exists()


def test_the_metadata_has_the_license_the_extras_and_the_command(built):
    with ZipFile(built[0]) as wheel:
        (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
        told = message_from_bytes(wheel.read(f"{info}/METADATA"))
        command = wheel.read(f"{info}/entry_points.txt").decode()
        assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert told["Name"] == PROJECT["name"]
    assert told["License-Expression"] == PROJECT["license"]
    assert told.get_all("License-File") == ["LICENSE"]
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert set(told.get_all("Provides-Extra")) == PROJECT["optional-dependencies"].keys()
    always = [each for each in told.get_all("Requires-Dist") if "extra ==" not in each]
    assert sorted(always) == sorted(PROJECT["dependencies"])
    assert command.split() == ["[console_scripts]", "scratchnet", "=", PROJECT["scripts"]["scratchnet"]]


def test_the_sdist_has_no_data_and_nothing_of_the_machine(built):
    with tarfile.open(built[1]) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
        assert {(each.uid, each.gid, each.uname, each.gname) for each in sdist} == {(0, 0, "", "")}
    assert {name.partition("/")[0] for name in names} == {
        "scratchnet", "backends", "tests", "benchmarks", "requirements", "data", "pyproject.toml",
        "CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", ".gitignore", "PKG-INFO",
    }  # fmt: skip
    assert [name for name in names if name.startswith("data/")] == ["data/README.md"]


@pytest.mark.guarantee("The same sources give the same bytes of wheel and sdist.")
def test_the_same_sources_give_the_same_bytes(built, tmp_path):
    """Build from the sdist in another folder, with other dates, permissions, time zone and hash seed."""
    source = tmp_path / "elsewhere" / "source"
    with tarfile.open(built[1]) as sdist:
        sdist.extractall(source, filter="data")
    (source,) = source.iterdir()
    for path in [source, *source.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (981_173_106, 981_173_106))
    again = build(source, tmp_path / "again", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert [each.name for each in again] == [each.name for each in built]
    assert [each.read_bytes() for each in again] == [each.read_bytes() for each in built]
