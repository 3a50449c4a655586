"""The documentation site in Chromium: it fetches nothing from elsewhere, and it fits a phone."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from needed import needs
from pages import ROOT
from processes import python

import scratchnet as sn

PAGES = ["", "from_scratch/", "how-to/look-inside/", "reference/training/", "explanation/sweep/"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address at which this machine serves the site, built as `make docs` builds it."""
    needs("mkdocs", "docs")
    folder = tmp_path_factory.mktemp("site")
    command = "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder
    done = python(*command, cwd=ROOT, environment={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_a_page_fetches_nothing_from_elsewhere_and_fits(browser, address, path, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    requests, told = [], []
    page.on("request", lambda each: requests.append(each.url))
    page.on("console", lambda each: told.append(each.text))
    page.on("pageerror", lambda each: told.append(str(each)))
    page.goto(address + path, wait_until="networkidle")
    assert told == []
    assert [each for each in requests if not each.startswith((address, "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("h1").first.is_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, ground[4:-1].split(", "))) < 150 or scheme == "light"
    page.close()


def test_the_tutorial_s_code_and_pictures_can_be_read(browser, address):
    """Check that a desktop cuts no line, and that a phone scrolls wide content."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address + "from_scratch/", wait_until="networkidle")
    cells = page.locator(".jp-CodeCell pre")
    assert cells.count() > 40
    assert cells.evaluate_all("all => all.every(each => each.scrollWidth <= each.clientWidth)")
    page.set_viewport_size({"width": 360, "height": 800})
    pictures = page.locator(".jp-RenderedImage img")
    assert pictures.count() == 8
    assert pictures.evaluate_all("all => Math.min(...all.map(each => each.width))") > 600
    printed = page.locator(".jp-OutputArea pre")
    kept = "each => ['pre', 'auto'].join() == [each.whiteSpace, each.overflowX].join()"
    assert printed.evaluate_all(f"all => all.map(each => getComputedStyle(each)).every({kept})")
    page.close()


def test_what_explain_shows_leaves_a_phone_its_width_for_the_numbers(browser):
    page = browser.new_page(viewport={"width": 360, "height": 800})
    explanation = sn.explain((sn.Variable([1, 2], name="a") ** 2).sum())
    site = "<style>table:not([class]) { display: inline-block }</style>"  # as in the site's theme
    page.set_content(site + explanation._repr_html_())
    widths = "rows => rows.map(row => [...row.cells].map(cell => cell.offsetWidth))"
    found = page.locator(".sn-explain tr").evaluate_all(widths)
    assert found
    for name, numbers in found:
        assert 2 * name < numbers
    page.close()
