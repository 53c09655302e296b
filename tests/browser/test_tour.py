"""docs/tour.md, followed in the browser alone: every spec that it submits, on real runs.

What trains for long is made smaller, in the form, as a person in a hurry would.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from service.settings import load_settings
from tests.browser.conftest import Stack, as_wide_as
from tests.browser.test_ways import press, state

TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.md"
STEPS = re.findall(r"gradus submit examples/([\w-]+)\.yaml", TOUR.read_text("utf-8"))
LONG = ("vanishing-gradient", "mnist-cnn")
"""Steps that `make test-slow` follows."""
SMALLER: dict[str, dict[str, str]] = {
    "mnist-mlp": {"dataset.train_samples": "6000", "training.epochs": "1", "sweep.seeds": "1"},
    "vanishing-gradient": {"dataset.train_samples": "320"},
    "mnist-cnn": {"dataset.train_samples": "64"},
}
OPEN = r"\d (waiting|training|trained)"
PICTURES = {
    "perceptron-and": ["Decision border"],
    "perceptron-xor": ["Decision border"],
    "xor-mlp": ["Decision border"],
    "linear-regression": ["Fit", "Predicted over true"],
    "mnist-mlp": ["Confusion matrix", "Weights of the first layer"],
    "vanishing-gradient": ["Gradient by layer"],
    "mnist-cnn": ["Weights of the first layer"],
}
"""The pictures of a run that the tour speaks of."""


pytestmark = pytest.mark.skipif(
    not (Path(load_settings().data_dir or "") / "mnist.npz").is_file(),
    reason="no mnist.npz in GRADUS_DATA_DIR",
)


def submit(stack: Stack, browser: WebDriver, wait: Any, name: str) -> None:
    """Submit an example from the builder; the page of its experiment is open then."""
    as_wide_as(browser, 1280)
    browser.get(f"{stack.url}/new?lang=en")
    press(browser, wait, "Start from an example")
    press(browser, wait, name)
    wait(lambda b: f"name: {name}" in b.find_element(By.ID, "text").get_property("value"))
    for entry, value in SMALLER.get(name, {}).items():
        enter(browser, wait, entry, value)
    press(browser, wait, "Submit")
    wait(lambda b: "/experiments/" in b.current_url)


def enter(browser: WebDriver, wait: Any, name: str, value: str) -> None:
    """Write into an entry of the form, also one among the further settings."""
    entry = wait(lambda b: b.find_element(By.NAME, f"f:{name}"))
    if not entry.is_displayed():
        entry.find_element(By.XPATH, "./ancestor::details/summary").click()
    entry.send_keys(Keys.CONTROL + "a")
    entry.send_keys(value, Keys.TAB)
    key = name.rsplit(".", 1)[-1]
    wait(lambda b: f"{key}: {value}" in b.find_element(By.ID, "text").get_property("value"))


def test_every_step_of_the_tour_is_known() -> None:
    assert set(STEPS) == set(PICTURES)


@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in STEPS]
)
def test_a_step_is_followed(stack: Stack, browser: WebDriver, wait: Any, shoot: Any, name: str) -> None:
    """The experiment is finished and drawn; its first run has a certificate, and the pictures that the tour speaks of."""
    submit(stack, browser, wait, name)
    wait(lambda b: re.search(r"\d (finished|failed)", state(b)) and not re.search(OPEN, state(b)), 420)
    assert not re.search(r"\d (failed|diverged)", state(browser))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#figures svg.chart"))
    if name == "vanishing-gradient":
        assert browser.find_elements(By.ID, "depth"), "the share of the gradient beside 0.25^L"
    wait(lambda b: (b.find_element(By.CSS_SELECTOR, "#state a.dot.finished").click(), True))
    wait(lambda b: b.find_elements(By.ID, "certificate"))
    refused = name.startswith("perceptron")
    assert ("refused" if refused else "certified") in browser.find_element(By.ID, "certificate").text
    if not browser.find_elements(By.CSS_SELECTOR, "#pictures img"):
        press(browser, wait, "Draw the pictures")
    pictures = (
        "return [...document.querySelectorAll('#pictures figcaption strong')].map((e) => e.textContent)"
    )
    wait(lambda b: set(PICTURES[name]) <= set(b.execute_script(pictures)), 120)
    shoot(f"tour-{name}")
    if name == "mnist-mlp":
        draw_a_one(browser, wait)
        shoot(f"tour-{name}-digit")


def draw_a_one(browser: WebDriver, wait: Any) -> None:
    """Draw a line from top to bottom: the network answers with a bar for every digit, and says 1."""
    canvas = wait(lambda b: b.find_element(By.CSS_SELECTOR, "#try canvas"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    pen = ActionChains(browser).move_to_element_with_offset(canvas, 0, -90).click_and_hold()
    pen.move_by_offset(0, 90).move_by_offset(0, 90).release().perform()
    assert wait(lambda b: b.find_element(By.CSS_SELECTOR, ".answers .best").text).startswith("1")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".answers meter")) == 10
