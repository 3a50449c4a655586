"""One test suite for every backend: a test that takes `backend` runs on each of them."""

import os
import shutil
import tempfile
from pathlib import Path

import guarantees
import numpy as np
import pytest

import backends
from scratchnet.cli.main import main
from scratchnet.data.sources import MODES, files_in

shown = guarantees.Shown()


def pytest_addoption(parser):
    guarantees.add_option(parser)


def pytest_collection_modifyitems(items):
    guarantees.attach(items)


def pytest_runtest_logreport(report):
    guarantees.note(shown, report)


def pytest_sessionfinish(session):
    """After all tests have passed, write the page of the guarantees, if asked to."""
    here = not hasattr(session.config, "workerinput")
    asked = here and session.config.getoption("guarantees")
    if asked and session.exitstatus == pytest.ExitCode.OK and guarantees.write(shown):
        print("\ndocs/guarantees.md was not what the tests hold; it is written again")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config):
    """Let all processes of a run share the kernels that the stand-in for a GPU compiles."""
    if "SCRATCHNET_HOST_CUDA" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="scratchnet-host-cuda-")
        os.environ["SCRATCHNET_HOST_CUDA"] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)], autouse=False)
def backend(request):
    """The active backend's name. If real CuPy cannot run, the test is skipped with CuPy's reason."""
    try:
        with backends.use(request.param):
            yield request.param
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch, tmp_path_factory):
    """Keep tests away from the user's cache and from the caller's settings."""
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("SCRATCHNET_BACKEND", raising=False)
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)


_DATA = os.environ.get("SCRATCHNET_DATA") or "data/fashion-mnist"


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real files. Without them, the test is skipped with the reason."""
    folder = Path(_DATA).resolve()
    if not all(files_in(folder, mode) for mode in MODES):
        pytest.skip(f"no Fashion-MNIST files in {folder}; set SCRATCHNET_DATA to their folder")
    return folder


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def command(capsys, monkeypatch):
    """Run a command in this process. Return exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr("warnings.showwarning", None)  # main sets its own; this restores it
        with backends.use("numpy"):
            code = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


_CHROMIUM = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
_ALONE = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium. Without it, the test is skipped, or fails if Chromium is required.

    It lives no longer than a module, because playwright's event loop runs as long, and asyncio accepts
    no other.
    """
    refuse = pytest.fail if os.environ.get("SCRATCHNET_CHROMIUM") == "required" else pytest.skip
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        refuse("there is no Chromium; install the system's: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        refuse('playwright is not installed; fix: pip install "scratchnet[dev]"')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ALONE)
        yield browser
        browser.close()
