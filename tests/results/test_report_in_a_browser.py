"""The page of a training run in Chromium: what a reader sees, also on a phone and in dark mode."""

from typing import NamedTuple

import pytest
from small_run import small_run

import scratchnet as sn

SECTIONS = [
    "Results", "Curves", "Confusion matrix", "Accuracy by class", "What the first layer looks for",
    "The worst mistakes", "Epoch by epoch", "The run",
]  # fmt: skip

# For every visible text: its contrast with its background, as in WCAG 2.2, and the text itself.
CONTRASTS = """() => {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((each, i) => a * each + (1 - a) * under[i]);
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const under = (element) => element
    ? over(parse(getComputedStyle(element).backgroundColor), under(element.parentElement))
    : [255, 255, 255];
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element), ground = under(element);
    const ink = over(parse(element instanceof SVGElement ? style.fill : style.color), ground);
    const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), text]);
  }
  return found;
}"""


class Opened(NamedTuple):
    page: object
    requests: list
    told: list  # in the console, and by errors


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    learner, _ = small_run(3)
    return learner, sn.write_report(tmp_path_factory.mktemp("a run"), learner)


@pytest.fixture
def opened(browser, report, request):
    """Open the page at a width, in a color scheme."""
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, requests, told = context.new_page(), [], []
    page.on("request", lambda each: requests.append(each.url))
    page.on("console", lambda each: told.append(each.text))
    page.on("pageerror", lambda each: told.append(str(each)))
    page.goto(report[1].as_uri(), wait_until="networkidle")
    yield Opened(page, requests, told)
    context.close()


EVERYWHERE = pytest.mark.parametrize(
    "opened", [(w, scheme) for w in (360, 1280) for scheme in ("light", "dark")], indirect=True
)


@pytest.mark.guarantee("A report shows all results, loads nothing, and escapes all text.")
@EVERYWHERE
def test_all_is_there_and_nothing_is_fetched(opened, report):
    page = opened.page
    assert opened.told == []
    fetched = [each for each in opened.requests if not each.startswith("data:")]
    assert fetched == [report[1].as_uri()]
    assert page.evaluate("document.scripts.length") == 0
    assert page.locator("h1").all_inner_texts() == ["Training report"]
    assert page.locator("h2").all_inner_texts() == SECTIONS
    sizes = page.evaluate("[...document.images].map((i) => [i.complete, i.naturalWidth, i.alt])")
    assert len(sizes) == 1 + 20 + 24
    assert all(complete and width > 0 and alt for complete, width, alt in sizes)
    charts = page.locator("svg.chart")
    assert charts.count() == 2
    for chart in charts.all():
        assert chart.bounding_box()["height"] > 150
        assert "After the last: training " in chart.get_attribute("aria-label")


@EVERYWHERE
def test_it_fits_and_can_be_read(opened):
    page = opened.page
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 250
    assert [each for each in contrasts if each[0] < 4.5] == []


@pytest.mark.parametrize("opened", [(360, "light")], indirect=True)
def test_on_a_phone_no_text_of_a_chart_is_cut_or_covered(opened):
    charts = opened.page.locator("svg.chart").all()
    assert len(charts) == 2
    for chart in charts:
        frame = chart.bounding_box()
        texts = [each for each in chart.locator("text").all() if each.is_visible()]
        assert len(texts) > 10
        for box in (text.bounding_box() for text in texts):
            assert frame["x"] <= box["x"]
            assert box["x"] + box["width"] <= frame["x"] + frame["width"]
            assert box["height"] >= 9


def test_in_the_dark_it_is_dark(browser, report):
    grounds = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(report[1].as_uri())
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        page.close()
    light, dark = (sum(map(int, each[4:-1].split(", "))) for each in grounds)
    assert light > 3 * 200
    assert dark < 3 * 50


@pytest.mark.real_data
def test_on_paper_beside_the_original_no_table_is_cut(browser, command, real_data, tmp_path):
    assert command("train", "--data", real_data, "--epochs", 1, "--report", tmp_path)[0] == 0
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 less a centimeter per side
    page.goto((tmp_path / "index.html").as_uri())
    page.emulate_media(media="print")
    assert page.locator("#epochs ~ div th[colspan]").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    page.close()


def test_the_pointer_shows_an_epoch(opened, report):
    history, chart = report[0].history, opened.page.locator("svg.chart").first

    def shown():
        return [text.text_content() for text in chart.locator(".at text").all() if text.is_visible()]

    def told(epoch):
        losses = history["train_loss"][epoch], history["valid_loss"][epoch]
        return [f"epoch {epoch}", "training {:.4f} · validation {:.4f}".format(*losses)]

    assert shown() == told(2)
    chart.locator(".at rect").first.hover()
    assert shown() == told(0)


def test_the_figures_shown_are_those_of_the_run(opened, report):
    page, history = opened.page, report[0].history
    values = page.locator(".figures .value").all_inner_texts()
    accuracies = [f"{100 * history[name][-1]:.2f} %" for name in ("valid_accuracy", "train_accuracy")]
    assert values[:4] == [
        *accuracies, *(f"{history[name][-1]:.4f}" for name in ("valid_loss", "train_loss")),
    ]  # fmt: skip
    counts = sn.predict(report[0].net, report[0].evaluator.valid).confusion_matrix()
    shown = page.locator(".matrix tbody td").all_inner_texts()
    assert shown == [str(each) for each in counts.reshape(-1)]
    assert page.locator("#epochs ~ div tbody tr").count() == 3


def test_headers_belong_to_rows_and_columns_and_what_scrolls_can_be_reached(opened):
    page = opened.page
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("th:not([scope])").count() == 0
    for box in page.locator(".scroll").all():
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")
    for link in page.locator("a").all():
        assert page.locator(link.get_attribute("href")).count() == 1
