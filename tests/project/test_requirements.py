"""The lock files match pyproject.toml: `make lock` makes them."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from processes import python

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PLATFORMS = [
    {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system, "extra": ""}
    for python in ("3.11", "3.12", "3.13")
    for system in ("linux", "darwin", "win32")
]


def required(extra):
    """Return what pyproject.toml needs, with an extra and everything that this includes."""
    asked = list(PROJECT["dependencies"])
    for line in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(r"scratchnet\[(\w+)\]", line)
        asked += required(own[1]) if own else [line]
    return asked


def pins(name):
    """Return the requirements of a lock file, each with its hashes."""
    lines = (ROOT / "requirements" / name).read_text().replace("\\\n", " ").splitlines()
    split = [line.partition("--hash") for line in lines if line and not line.lstrip().startswith("#")]
    return [(Requirement(pin), re.findall(r"sha256:[0-9a-f]{64}\b", rest)) for pin, _, rest in split]


def chosen(name, requirement, platform):
    """Return the version that the lock file has for a requirement on one platform."""
    (version,) = [
        str(pin.specifier).removeprefix("==")
        for pin, _ in pins(name)
        if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
        and (pin.marker is None or pin.marker.evaluate(platform))
    ]
    return Version(version)


def cases(extra):
    requirements = map(Requirement, required(extra))
    return [
        (requirement, platform)
        for requirement in requirements
        for platform in PLATFORMS
        if requirement.marker is None or requirement.marker.evaluate(platform)
    ]


@pytest.mark.parametrize("name", ["dev.lock", "lowest.lock"])
def test_every_pin_of_a_lock_is_one_version_with_its_hashes(name):
    assert len(pins(name)) > 30
    for pin, hashes in pins(name):
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        assert hashes, pin


@pytest.mark.guarantee("The lock files fit pyproject.toml, and CI tests the oldest versions.")
def test_the_lock_for_development_has_all_that_is_asked_for_within_its_bounds():
    for requirement, platform in cases("dev"):
        assert chosen("dev.lock", requirement, platform) in requirement.specifier, requirement


@pytest.mark.guarantee("The lock files fit pyproject.toml, and CI tests the oldest versions.")
def test_the_lowest_lock_has_the_lower_bounds_themselves():
    for requirement, platform in cases("test"):
        (bound,) = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
        assert chosen("lowest.lock", requirement, platform) == Version(bound), requirement


NAMED_OTHERWISE = {"PIL": "pillow", "sklearn": "scikit-learn"}


@pytest.mark.guarantee("Without the optional packages, the rest works, and a line says what to install.")
def test_what_a_test_can_do_without_is_installed_in_ci_and_not_on_the_machine_with_a_gpu():
    tests = "".join(each.read_text() for each in (ROOT / "tests").rglob("*.py"))
    modules = re.findall(r'\bneeds\("(\w+)"', tests)
    needed = {canonicalize_name(NAMED_OTHERWISE.get(module, module)) for module in modules}
    assert len(needed) > 5
    assert needed <= {canonicalize_name(pin.name) for pin, _ in pins("dev.lock")}
    assert not needed & {canonicalize_name(pin.name) for pin, _ in pins("gpu-machine.txt")}


FOUND = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
CLEAN, SKIPPED = {"name": "b", "version": "1", "vulns": []}, {"name": "c", "skip_reason": "not found"}


@pytest.mark.guarantee("An audit that reached no service says so.")
@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ([CLEAN], 0, "audit: 1 packages, 0 known vulnerabilities"),
        ([CLEAN, FOUND], 1, "audit: a 1: CVE-1, fixed in 2"),
        ([CLEAN, SKIPPED], 1, "audit: c is not known to the service"),
        ([SKIPPED], 2, "audit: nothing was audited: no service of advisories can be reached here"),
        (None, 2, "audit: nothing was audited: ConnectionError: no route"),
    ],
)
def test_an_audit_that_reached_nobody_is_not_a_clean_one(tmp_path, answer, code, told):
    (tmp_path / "pip_audit.py").write_text(
        "raise SystemExit('Traceback\\nConnectionError: no route')"
        if answer is None
        else f"print({json.dumps({'dependencies': answer})!r})"
    )
    done = python(ROOT / "requirements" / "audit.py", environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == code
    assert told in (done.stdout + done.stderr).splitlines()
