"""A student's way and a researcher's way on real runs, at the width of a desk and of a phone, with the mouse alone."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Stack, as_wide_as

WIDTHS = (1280, 390)
LESSON = "01-perceptron-and"
SWEEP = """\
name: hidden-units
dataset: {name: xor}
model: {hidden: [4], activation: tanh}
optimizer: {name: sgd, learning_rate: 0.5, momentum: 0.9}
training: {epochs: 60, batch_size: 4}
diagnostics: {film: true}
sweep: {activation: [tanh, relu], seeds: 2}
"""


def state(browser: WebDriver) -> str:
    return browser.find_element(By.ID, "state").text


def press(browser: WebDriver, wait: Any, text: str, within: str = "main") -> None:
    """Press the link or button of this text."""
    words = f"normalize-space(.)='{text}'"
    path = f"//{within}//*[(self::a or self::button or self::summary) and {words}]"
    wait(lambda b: (b.find_element(By.XPATH, path).click(), True))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("width", WIDTHS)
def test_a_student_tests_a_claim_and_sees_why(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, width: int
) -> None:
    """From the start to a verdict in six clicks at most, without YAML; then to the run and its film."""
    as_wide_as(browser, width)
    browser.get(stack.url)
    press(browser, wait, "Lessons", within="header")
    lesson = wait(lambda b: b.find_element(By.ID, LESSON))
    lesson.find_element(By.CSS_SELECTOR, "form button").click()
    confirmed = f"//li[@id='{LESSON}']//strong[.='Confirmed.']"
    wait(lambda b: b.find_element(By.XPATH, confirmed), 120)
    opened = f"//li[@id='{LESSON}']//details[@data-films]/summary"
    wait(lambda b: (b.find_element(By.XPATH, opened).click(), True))
    canvases = ".films figure:not([hidden]) canvas"
    wait(lambda b: [c.is_displayed() for c in b.find_elements(By.CSS_SELECTOR, canvases)] == [True] * 5)
    assert browser.find_element(By.CSS_SELECTOR, "[data-films] output").text == "update 0"
    shoot(f"student-lessons-{width}", width)
    wait(lambda b: (b.find_element(By.CSS_SELECTOR, f"[id='{LESSON}'] form a").click(), True))
    wait(lambda b: "finished" in state(b))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#figures svg.chart"))
    shoot(f"student-experiment-{width}", width)
    wait(lambda b: (b.find_element(By.CSS_SELECTOR, "#state a.dot").click(), True))
    wait(lambda b: "The training data had no more errors" in state(b))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#weights table"))
    shoot(f"student-run-{width}", width)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("width", WIDTHS)
def test_a_researcher_finds_an_answer_and_asks_the_next_question(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, width: int
) -> None:
    answer = str(stack.experiment()["plan"]["answer"])
    as_wide_as(browser, width)
    browser.get(stack.url)
    search = browser.find_element(By.NAME, "q")
    search.send_keys("activations-on", Keys.ENTER)
    wait(lambda b: (b.find_element(By.LINK_TEXT, "activations-on-digits").click(), True))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#figures #effects"))
    assert answer.split(";")[0] in state(browser)
    shoot(f"researcher-experiment-{width}", width)
    press(browser, wait, "Report")
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, ".verdict"))
    assert answer.split(";")[0] in browser.find_element(By.CSS_SELECTOR, ".answer").text
    shoot(f"researcher-report-{width}", width)
    browser.back()
    press(browser, wait, "Again with changes")
    wait(lambda b: "activations-on-digits" in b.find_element(By.ID, "text").get_property("value"))

    def asked(b: WebDriver) -> bool:
        delta = b.find_element(By.NAME, "f:compare.delta")  # the form is drawn after the text
        delta.send_keys(Keys.CONTROL + "a")
        delta.send_keys("0.05", Keys.TAB)
        return True

    wait(asked)
    wait(lambda b: "delta: 0.05" in b.find_element(By.ID, "text").get_property("value"))
    wait(lambda b: "24 runs in the first stage" in b.find_element(By.CSS_SELECTOR, ".fine").text)
    shoot(f"researcher-again-{width}", width)


@pytest.mark.usefixtures("quiet")
def test_a_sweep_is_written_watched_and_played(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    """Pasted into the YAML, submitted, watched while it trains; the border of every level; a run's film with its slider."""
    browser.get(f"{stack.url}/new")
    wait(lambda b: b.find_element(By.CSS_SELECTOR, "label[for=tab-yaml]")).click()
    text = browser.find_element(By.ID, "text")
    text.send_keys(Keys.CONTROL + "a")
    text.send_keys(SWEEP)
    wait(lambda b: "4 runs" in b.find_element(By.CSS_SELECTOR, ".fine").text)
    press(browser, wait, "Submit")
    wait(lambda b: "/experiments/" in b.current_url)
    wait(lambda b: "4 finished" in state(b))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#figures svg.chart"))
    wait(lambda b: (b.find_element(By.CSS_SELECTOR, "#state a.dot").click(), True))
    slider = wait(lambda b: b.find_element(By.CSS_SELECTOR, ".player:not([hidden]) input[type=range]"))
    last = int(slider.get_attribute("max"))
    assert last >= 60
    slider.send_keys(Keys.HOME)
    assert wait(lambda b: b.find_element(By.CSS_SELECTOR, ".player output").text) == "epoch 0"
    slider.send_keys(Keys.ARROW_RIGHT)
    wait(lambda b: b.find_element(By.CSS_SELECTOR, ".player output").text == "epoch 1")
    shoot("film", 1280)
    shoot("film-390", 390)


@pytest.mark.usefixtures("quiet")
def test_a_fault_in_a_gradient_is_caught(stack: Stack, browser: WebDriver, wait: Any, shoot: Any) -> None:
    run = stack.client.get(f"/v1/experiments/{stack.id}/runs", params={"limit": 1}).json()["items"][0]["id"]
    browser.get(f"{stack.url}/gradient-check?run={run}")
    wait(lambda b: b.find_element(By.CSS_SELECTOR, "[name=fault] option[value=scale]")).click()
    press(browser, wait, "Check")
    wait(lambda b: "The check caught it." in b.find_element(By.ID, "checked").text, 120)
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#checked svg.chart"))
    shoot("gradient-check", 1280)
    shoot("gradient-check-390", 390)
