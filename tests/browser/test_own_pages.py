"""The start page and the report as a person uses them: with the keyboard, on a phone, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.conftest import Stack


@pytest.mark.usefixtures("quiet")
def test_the_start_page_shows_the_answer(stack: Stack, browser: WebDriver, wait: Any, shoot: Any) -> None:
    browser.get(stack.url)
    text = wait(lambda b: b.find_element(By.ID, stack.id).text)
    assert stack.experiment()["plan"]["answer"] in text
    assert "runs" in text
    link = f"//article[@id='{stack.id}']//a[text()='MLflow']"
    assert wait(lambda b: b.find_element(By.XPATH, link).get_attribute("href")).startswith(stack.mlflow_url)
    shoot("start")
    shoot("start-phone", 500)


@pytest.mark.usefixtures("quiet")
def test_an_example_is_checked_and_submitted_by_keyboard(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    browser.get(stack.url)
    Select(browser.find_element(By.ID, "example")).select_by_visible_text("xor-mlp")
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#preview .fine"))
    shoot("start-checked")
    submit = browser.find_element(By.CSS_SELECTOR, "button[value=submit]")
    for _ in range(60):  # reachable with Tab alone
        if browser.switch_to.active_element == submit:
            break
        browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == submit
    submit.send_keys(Keys.ENTER)
    wait(lambda b: "#" in b.current_url)
    assert "xor" in wait(lambda b: b.find_element(By.ID, b.current_url.split("#")[1]).text)


@pytest.mark.usefixtures("quiet")
def test_progress_moves_without_a_reload(stack: Stack, browser: WebDriver, wait: Any) -> None:
    browser.get(stack.url)
    text = "name: live\ndataset: {name: digits}\nmodel: {hidden: [8]}\nsweep: {seeds: 4}\n"
    id = stack.submit(text)
    wait(lambda b: b.find_elements(By.ID, id))
    wait(lambda b: "4 finished" in b.find_element(By.ID, id).text, 180)


def test_a_mistake_is_explained(stack: Stack, browser: WebDriver, wait: Any, shoot: Any) -> None:
    browser.get(stack.url)
    browser.find_element(By.ID, "spec").send_keys("name: x\ndataset: {name: mnits}\nmodel: {hidden: [3]}")
    assert "mnist" in wait(lambda b: b.find_element(By.CSS_SELECTOR, "#preview .problems").text)
    shoot("start-mistake")


@pytest.mark.usefixtures("quiet")
def test_the_api_is_shown_without_a_network(stack: Stack, browser: WebDriver, wait: Any, shoot: Any) -> None:
    browser.get(f"{stack.url}/docs")
    wait(lambda b: len(b.find_elements(By.CSS_SELECTOR, ".opblock")) > 20)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert all(address.startswith(f"{stack.url}/") for address in loaded)
    shoot("docs", whole=False)


@pytest.mark.usefixtures("quiet")
def test_the_report_stands_alone(stack: Stack, browser: WebDriver, shoot: Any, tmp_path: Path) -> None:
    page = httpx.get(f"{stack.url}/v1/experiments/{stack.id}/report", trust_env=False).text
    saved = tmp_path / "report.html"
    saved.write_text(page, "utf-8")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})  # fmt: skip
    browser.get(saved.as_uri())
    verdicts = browser.find_elements(By.CSS_SELECTOR, ".verdict")
    assert "; ".join(one.text for one in verdicts) == stack.experiment()["plan"]["answer"]
    charts = browser.find_elements(By.CSS_SELECTOR, "svg.chart")
    assert len(charts) >= 4
    assert all(chart.size["width"] > 300 for chart in charts)
    headings = [one.text for one in browser.find_elements(By.TAG_NAME, "h2")]
    assert "Learning rate, level by level" in headings
    assert "Gradient norm over depth" in headings
    shoot("report")


@pytest.mark.parametrize("path", ["/", "/experiments/{id}/report"])
def test_a_phone_shows_it_without_sideways_scrolling(
    stack: Stack, browser: WebDriver, shoot: Any, path: Any
) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(stack.url + path.format(id=stack.id))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    browser.save_screenshot(str(shoot("unused", whole=False).with_name(f"phone{path.count('/')}.png")))


def test_the_report_prints(stack: Stack, browser: WebDriver) -> None:
    browser.get(f"{stack.url}/experiments/{stack.id}/report")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 20_000


def test_a_closed_list_of_runs_is_printed_all_the_same(stack: Stack, browser: WebDriver) -> None:
    browser.get(f"{stack.url}/experiments/{stack.id}/report")
    browser.execute_script("document.querySelector('details').open = false")
    shown = "return document.querySelector('details tbody tr').checkVisibility()"
    assert not browser.execute_script(shown)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(shown)
