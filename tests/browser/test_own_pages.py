"""The pages and the report as a person uses them: with the keyboard, on a phone, without a network.

The service has no workers here: its runs get results from a formula (see `tests.service.scored_runs`), so that a test
decides when a run ends.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from experiments.spec.examples import examples
from service import operations
from service.store import queries
from tests.browser.conftest import Pages, as_wide_as, tab_to, texts


@pytest.mark.usefixtures("quiet")
def test_the_start_page_shows_the_answer(pages: Pages, browser: WebDriver, wait: Any, shoot: Any) -> None:
    browser.get(pages.url)
    text = wait(lambda b: b.find_element(By.ID, pages.answered.id).text)
    assert all(answer in text for answer in pages.answers)
    tab_to(browser, browser.find_element(By.LINK_TEXT, "New experiment"), 3)
    shoot("start")


@pytest.mark.usefixtures("quiet")
def test_the_form_is_three_tabs_away(pages: Pages, browser: WebDriver, wait: Any) -> None:
    """The first is the link over the menu, the second the tab of the form, the third its first entry."""
    browser.get(f"{pages.url}/new")
    wait(lambda b: b.find_elements(By.NAME, "f:dataset.name"))
    browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    tab_to(browser, browser.find_element(By.NAME, "f:dataset.name"), 2)
    ring = "return getComputedStyle(document.activeElement).outlineWidth"
    assert browser.execute_script(ring) == "3px"


@pytest.mark.usefixtures("quiet")
def test_a_part_that_is_in_use_is_put_in_place_afterwards(
    pages: Pages, browser: WebDriver, wait: Any
) -> None:
    """The focus stays on a dot while the runs end; what changed is shown once it goes elsewhere."""
    experiment = pages.world.submit(examples()["xor-mlp"])
    browser.get(f"{pages.url}/experiments/{experiment.id}")
    focus = "const dot = document.querySelector('#state a.dot'); dot?.focus(); return document.activeElement === dot"
    wait(lambda b: b.execute_script(focus))  # at once: the stream's first part puts other dots in place
    dot = browser.switch_to.active_element
    pages.world.work(experiment.id, score=lambda run: 0.5)
    wait(lambda b: "More seeds" in b.find_element(By.ID, "actions").text)
    assert browser.switch_to.active_element == dot
    assert "waiting" in browser.find_element(By.ID, "state").text
    browser.execute_script("document.activeElement.blur()")
    wait(lambda b: "5 finished" in b.find_element(By.ID, "state").text)
    assert "waiting" not in browser.find_element(By.ID, "state").text


@pytest.mark.usefixtures("quiet")
def test_the_projector_shows_figures_in_large_type_and_nothing_beside_them(
    pages: Pages, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    run = queries.all_runs(pages.world.store, pages.answered.id)[0]
    for path in (f"/experiments/{pages.answered.id}", f"/runs/{run.id}"):
        browser.get(pages.url + path)
        wait(lambda b: b.find_element(By.LINK_TEXT, "For the projector")).click()
        wait(lambda b: "stage" in b.current_url)
        size = "return getComputedStyle(document.querySelector('figcaption')).fontSize"
        assert float(browser.execute_script(size).removesuffix("px")) >= 18
        assert browser.find_element(By.CSS_SELECTOR, "svg.chart").is_displayed()
        for aside in (".bar", "#actions", "#certificate", "dl.facts"):
            assert not any(
                element.is_displayed() for element in browser.find_elements(By.CSS_SELECTOR, aside)
            )
        shoot(f"stage-{path.split('/')[1]}")
        wait(lambda b: b.find_element(By.LINK_TEXT, "Leave the projector view")).click()
        wait(lambda b: b.find_element(By.CSS_SELECTOR, ".bar").is_displayed())


@pytest.mark.usefixtures("quiet")
def test_a_drawn_digit_is_answered(pages: Pages, browser: WebDriver, wait: Any, shoot: Any) -> None:
    run = queries.all_runs(pages.world.store, pages.answered.id)[0]
    browser.get(f"{pages.url}/runs/{run.id}")
    canvas = wait(lambda b: b.find_element(By.TAG_NAME, "canvas"))
    ActionChains(browser).move_to_element_with_offset(canvas, 0, -80).click_and_hold().move_by_offset(
        0, 160
    ).release().perform()
    store = pages.world.store
    brightest = 0.0
    while (
        brightest == 0.0
    ):  # the page asks with nothing drawn first, so that a worker has the network by then
        due = wait(lambda _: list(operations.take_due_requests(store, resend_seconds=60)))
        taken = operations.claim_request(store, due[0].id, worker="w", lease_seconds=60)
        assert taken is not None
        image = taken.payload["inputs"][0]
        assert (len(image), len(image[0])) == (8, 8)
        brightest = max(pixel for row in image for (pixel,) in row)
        result = {"outputs": [[0.0, 0.9] + [0.0125] * 8], "classes": [1]}
        operations.finish_request(store, taken.id, taken.attempt, result=result, error=None)
    assert brightest > 0.4
    assert wait(lambda b: b.find_element(By.CSS_SELECTOR, ".answers .best").text).startswith("1")
    shoot("run")


@pytest.mark.usefixtures("quiet")
def test_a_digit_is_drawn_by_keyboard_and_cleared(pages: Pages, browser: WebDriver, wait: Any) -> None:
    run = queries.all_runs(pages.world.store, pages.answered.id)[0]
    browser.get(f"{pages.url}/runs/{run.id}")
    canvas = wait(lambda b: b.find_element(By.TAG_NAME, "canvas"))
    ink = "const c = arguments[0]; return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v) => v > 200).length"
    empty = browser.execute_script(ink, canvas)
    canvas.send_keys(Keys.SHIFT, Keys.ARROW_DOWN * 3, Keys.NULL)
    assert browser.execute_script(ink, canvas) == empty, "the pen was moved alone"
    canvas.send_keys(Keys.ARROW_DOWN * 6)
    assert browser.execute_script(ink, canvas) > empty
    browser.find_element(By.CSS_SELECTOR, "[data-clear]").click()
    assert browser.execute_script(ink, canvas) == empty


@pytest.mark.usefixtures("quiet")
def test_a_run_that_was_watched_to_its_end_can_be_tried(pages: Pages, browser: WebDriver, wait: Any) -> None:
    spec = "name: watched\ndataset: {name: digits}\nmodel: {hidden: [2]}\n"
    experiment = pages.world.submit(spec)
    run = queries.all_runs(pages.world.store, experiment.id)[0]
    browser.get(f"{pages.url}/runs/{run.id}")
    wait(lambda b: "Once the run is finished" in b.find_element(By.ID, "try").text)
    pages.world.work(experiment.id)
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "[data-connected] canvas"))


@pytest.mark.usefixtures("quiet")
def test_deleting_asks_once(pages: Pages, browser: WebDriver, wait: Any) -> None:
    experiment = pages.world.submit(examples()["xor-mlp"])
    browser.get(f"{pages.url}/experiments/{experiment.id}")
    wait(lambda b: b.find_element(By.XPATH, "//summary[text()='Delete']")).click()
    wait(lambda b: b.find_element(By.XPATH, "//button[text()='Yes, delete it']")).click()
    wait(lambda b: b.current_url == f"{pages.url}/")
    assert not browser.find_elements(By.ID, experiment.id)


@pytest.mark.usefixtures("quiet")
def test_the_api_is_shown_without_a_network(pages: Pages, browser: WebDriver, wait: Any, shoot: Any) -> None:
    browser.get(f"{pages.url}/docs")
    wait(lambda b: len(b.find_elements(By.CSS_SELECTOR, ".opblock")) > 20)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert all(address.startswith(f"{pages.url}/") for address in loaded)
    shoot("docs", whole=False)


@pytest.mark.usefixtures("quiet")
def test_the_report_stands_alone(pages: Pages, browser: WebDriver, shoot: Any, tmp_path: Path) -> None:
    page = httpx.get(f"{pages.url}/v1/experiments/{pages.answered.id}/report", trust_env=False).text
    saved = tmp_path / "report.html"
    saved.write_text(page, "utf-8")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})  # fmt: skip
    browser.get(saved.as_uri())
    assert texts(browser, ".verdict") == pages.answers
    charts = browser.find_elements(By.CSS_SELECTOR, "svg.chart")
    assert len(charts) >= 4
    assert all(chart.size["width"] > 300 for chart in charts)
    headings = texts(browser, "h2")
    assert "Learning rate, level by level" in headings
    assert "Gradient norm over depth" in headings
    shoot("report")


ADDRESSES = (
    "/",
    "/?lang=zh",
    "/new?lang=zh",
    "/workers?lang=zh",
    "/runs/{run}?lang=zh",
    "/lessons",
    "/data",
    "/new",
    "/new?example=mnist-cnn",
    "/workers",
    "/vocabulary",
    "/gradient-check",
    "/gradient-check?run={run}",
    "/login",
    "/experiments/{id}",
    "/experiments/{id}?lang=zh",
    "/experiments/{id}?stage",
    "/experiments/{id}/report",
    "/runs/{run}",
)


AXE = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
SERIOUS = ("serious", "critical")
RUN_AXE = (
    "axe.run(document).then(arguments[0], (error) => "
    "arguments[0]({violations: [{impact: 'critical', id: `${error}`, nodes: []}]}))"
)


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_page_is_for_everybody(pages: Pages, browser: WebDriver, path: str) -> None:
    """At a desk in light and in dark, and on a phone in the dark: text at 4.5 : 1 and more (WCAG 2.2, 1.4.3), a name for
    whatever takes input (4.1.2), no sideways scrolling, and nothing that axe calls serious."""
    run = queries.all_runs(pages.world.store, pages.answered.id)[0].id
    address = pages.url + path.format(id=pages.answered.id, run=run)
    for width, scheme in ((1280, "light"), (1280, "dark"), (400, "dark")):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        as_wide_as(browser, width)
        browser.get(address)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CONTRAST) == []
        assert browser.execute_script(NAMELESS) == []
        if (width, scheme) != (1280, "dark"):
            assert serious_findings(browser) == []


def serious_findings(browser: WebDriver) -> list[tuple[str, str, list[str]]]:
    """What axe finds serious or worse: (rule, impact, where)."""
    browser.execute_script(AXE)
    report = browser.execute_async_script(RUN_AXE)
    return [
        (rule["id"], rule["impact"], [node["html"][:150] for node in rule["nodes"][:3]])
        for rule in report["violations"]
        if rule["impact"] in SERIOUS
    ]


CONTRAST = """
const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b; };
const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
const ground = (element) => { for (let e = element; e; e = e.parentElement) {
  const colour = parse(getComputedStyle(e).backgroundColor); if (colour[3] > .9) return colour; } return [255, 255, 255, 1]; };
const bad = [];
for (const element of document.querySelectorAll('body *')) {
  if (element.closest('svg') || element.closest('.hidden, .skip') || !element.checkVisibility()) continue;
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || element.disabled) continue;
  const a = light(parse(getComputedStyle(element).color)), b = light(ground(element));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) bad.push(`${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
}
return bad;
"""
NAMELESS = """
return [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a[href], canvas[tabindex]')].filter((e) => {
  const label = e.labels && e.labels.length ? e.labels[0].textContent : '';
  const image = e.querySelector && e.querySelector('img[alt]') ? e.querySelector('img[alt]').alt : '';
  return !(e.getAttribute('aria-label') || label || e.textContent || image || '').trim();
}).map((e) => e.outerHTML.slice(0, 120));
"""


def test_the_report_prints(pages: Pages, browser: WebDriver) -> None:
    browser.get(f"{pages.url}/experiments/{pages.answered.id}/report")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 20_000


def test_a_closed_list_of_runs_is_printed_all_the_same(pages: Pages, browser: WebDriver) -> None:
    browser.get(f"{pages.url}/experiments/{pages.answered.id}/report")
    browser.execute_script("document.querySelector('details').open = false")
    shown = "return document.querySelector('details tbody tr').checkVisibility()"
    assert not browser.execute_script(shown)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(shown)
