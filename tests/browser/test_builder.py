"""The builder as a person uses it: form and YAML, layers by mouse and keyboard, mistakes and the words that help."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Pages


@pytest.mark.usefixtures("quiet")
def test_a_network_is_built_submitted_and_watched(
    pages: Pages, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    """A student's way: an example, a changed entry, the same in the YAML, submitted, watched until it is finished."""
    browser.get(f"{pages.url}/new?example=xor-mlp")
    units = wait(lambda b: b.find_element(By.NAME, "f:model.layers[0].units"))
    units.send_keys(Keys.CONTROL + "a")
    units.send_keys("3", Keys.TAB)
    wait(lambda b: "(2 + 1)·3 = 9 parameters" in b.find_element(By.CSS_SELECTOR, ".network").text)
    assert "units: 3" in str(browser.find_element(By.ID, "text").get_property("value"))
    assert "spec=" in browser.current_url, "the state is in the address"
    seeds = browser.find_element(By.NAME, "f:sweep.seeds")
    seeds.send_keys(Keys.CONTROL + "a")
    seeds.send_keys("2", Keys.ENTER)
    wait(lambda b: "2 runs" in b.find_element(By.CSS_SELECTOR, ".fine").text)
    shoot("builder")
    submit = browser.find_element(By.XPATH, "//button[text()='Submit']")
    submit.send_keys(Keys.ENTER)
    wait(lambda b: "/experiments/" in b.current_url)
    wait(lambda b: "2 waiting" in b.find_element(By.ID, "state").text)
    id = browser.current_url.rsplit("/", 1)[-1]
    pages.world.work(id, score=lambda run: 0.5)
    wait(lambda b: "2 finished" in b.find_element(By.ID, "state").text)
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, "#figures svg.chart"))
    wait(lambda b: "More seeds" in b.find_element(By.ID, "actions").text)
    shoot("experiment-finished")


@pytest.mark.usefixtures("quiet")
def test_yaml_and_form_change_each_other(pages: Pages, browser: WebDriver, wait: Any) -> None:
    browser.get(f"{pages.url}/new")
    wait(lambda b: b.find_element(By.CSS_SELECTOR, "label[for=tab-yaml]")).click()
    text = browser.find_element(By.ID, "text")
    text.send_keys(Keys.CONTROL + "a")
    text.send_keys("name: x # mine\ndataset: {name: digits}\nmodel: {hidden: [7]}\n")
    wait(
        lambda b: (
            "585 parameters" in b.find_element(By.CSS_SELECTOR, ".drawn").text
            or "7" in b.find_element(By.CSS_SELECTOR, ".network").text
        )
    )
    browser.find_element(By.CSS_SELECTOR, "label[for=tab-form]").click()
    hidden = wait(lambda b: b.find_element(By.NAME, "f:model.hidden"))
    assert hidden.get_attribute("value") == "[7]"
    hidden.send_keys(Keys.CONTROL + "a")
    hidden.send_keys("[7, 5]", Keys.TAB)
    wait(lambda b: "[7, 5]" in b.find_element(By.ID, "text").get_property("value"))
    assert "# mine" in str(browser.find_element(By.ID, "text").get_property("value"))
    browser.get(browser.current_url)
    assert "[7, 5]" in wait(lambda b: b.find_element(By.ID, "text").get_property("value"))


@pytest.mark.usefixtures("quiet")
def test_an_edit_that_the_server_has_not_seen_is_not_left_without_a_question(
    pages: Pages, browser: WebDriver, wait: Any
) -> None:
    """What was seen is in the address, so that nothing is asked; a value that is still being written is not."""
    browser.get(f"{pages.url}/new?example=xor-mlp")
    asks = "const e = new Event('beforeunload', {cancelable: true}); return !window.dispatchEvent(e)"
    units = wait(lambda b: b.find_element(By.NAME, "f:model.layers[0].units"))
    assert not browser.execute_script(asks)
    units.send_keys(Keys.CONTROL + "a")
    units.send_keys("3")
    assert browser.execute_script(asks)
    units.send_keys(Keys.TAB)
    wait(lambda b: "units: 3" in b.find_element(By.ID, "text").get_property("value"))
    wait(lambda b: not b.execute_script(asks))


def layer_types(browser: WebDriver) -> list[str]:
    names = "return [...document.querySelectorAll('.layer select')].filter((e) => e.name.endsWith('.type')).map((e) => e.value)"
    return list(browser.execute_script(names))


@pytest.mark.usefixtures("quiet")
def test_layers_are_dragged_with_the_mouse_and_moved_with_the_keyboard(
    pages: Pages, browser: WebDriver, wait: Any
) -> None:
    browser.get(f"{pages.url}/new?example=mnist-cnn")
    before = ["conv2d", "max_pool2d", "conv2d", "max_pool2d", "flatten", "dense", "dense"]
    assert wait(layer_types) == before
    handle, below = (browser.find_element(By.ID, f"handle-{index}") for index in (1, 2))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    way = below.location["y"] - handle.location["y"]
    drag = ActionChains(browser).click_and_hold(handle).move_by_offset(0, way // 2)
    drag.move_by_offset(0, way // 2 + 20).release().perform()
    dragged = ["conv2d", "conv2d", "max_pool2d", *before[3:]]
    wait(lambda b: layer_types(b) == dragged)
    wait(lambda b: b.switch_to.active_element.get_attribute("id") == "handle-2")
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    wait(lambda b: layer_types(b) == before)
    wait(lambda b: b.switch_to.active_element.get_attribute("id") == "handle-1")


@pytest.mark.usefixtures("quiet")
def test_a_mistake_is_explained_at_its_field_and_line(
    pages: Pages, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    browser.get(f"{pages.url}/new?example=xor-mlp")
    epochs = wait(lambda b: b.find_element(By.NAME, "f:training.epochs"))
    epochs.send_keys(Keys.CONTROL + "a")
    epochs.send_keys("many", Keys.TAB)
    fault = wait(lambda b: b.find_element(By.CSS_SELECTOR, ".entry.wrong"))
    assert fault.find_element(By.TAG_NAME, "input").get_attribute("name") == "f:training.epochs"
    assert "number" in fault.find_element(By.CSS_SELECTOR, ".fault").text
    assert not browser.find_element(By.XPATH, "//button[text()='Submit']").is_enabled()
    shoot("mistake")
    browser.find_element(By.CSS_SELECTOR, "[data-line]").click()
    chosen = browser.execute_script(
        "const t = document.getElementById('text'); return t.value.slice(t.selectionStart, t.selectionEnd)"
    )
    assert chosen.startswith("training:")


START = "name: x\ndataset: {name: digits}\n"
LAYERS = START + "model: {layers: [{type: LAYER}, {type: dense, units: 10}]}\n"
MISTAKES = {
    "the case of an activation": (START + "model: {hidden: [8], activation: ReLU}\n", 'write "relu"'),
    "the case of a data set": ("name: x\ndataset: {name: MNIST}\nmodel: {hidden: [8]}\n", 'write "mnist"'),
    "the case of a layer": (LAYERS.replace("LAYER", "Dense, units: 8"), 'write "dense"'),
    "a decimal comma": (START + "optimizer:\n  name: sgd\n  learning_rate: 0,001\n", "write 0.001"),
    "a Tab": ("name: x\ndataset:\n\tname: digits\n", "a Tab at the start of the line"),
    "a full-width colon": ("name： x\n", "the full-width sign ："),
    "a full-width comma": (START + "model: {hidden: [8，9]}\n", "， is a full-width sign, write ,"),
    "a number for a list": (START + "model: {hidden: 32}\n", "write [32]"),
    "padding as a number": (
        LAYERS.replace("LAYER", "conv2d, filters: 4, kernel_size: 3, padding: 1"),
        "zero_padding2d",
    ),
    "Keras 1": (LAYERS.replace("LAYER", "Convolution2D, filters: 4, kernel_size: 3"), 'write "conv2d"'),
    "Keras' class": (LAYERS.replace("LAYER", "MaxPooling2D, pool_size: 2"), 'write "max_pool2d"'),
    "lr": (START + "optimizer: {name: sgd, lr: 0.1}\n", 'write "learning_rate"'),
    "decay": (START + "optimizer: {name: sgd, decay: 1.0e-6}\n", "inverse_time_decay"),
    "the wrong loss": (
        START
        + "model: {layers: [{type: dense, units: 10, activation: sigmoid}]}\nloss: categorical_crossentropy\n",
        "softmax",
    ),
    "pasted Keras": ("from keras.models import Sequential\nmodel = Sequential()\n", "this is Python code"),
}
"""A text that somebody writes into the builder, and the word that helps."""


@pytest.mark.usefixtures("quiet")
def test_typical_mistakes_are_answered_with_the_word_that_helps(
    pages: Pages, browser: WebDriver, wait: Any
) -> None:
    """In the list of problems and at the line; at the field too, where the text can be read."""
    browser.get(f"{pages.url}/new")
    write = "const t = document.getElementById('text'); t.value = arguments[0]; t.dispatchEvent(new Event('input', {bubbles: true}))"
    for name, (text, word) in MISTAKES.items():
        browser.execute_script(write, text)
        wait(lambda b, word=word: word in b.find_element(By.CSS_SELECTOR, ".result .problems").text, 20)
        assert browser.find_elements(By.CSS_SELECTOR, ".lines .wrong"), f"{name}: its line is marked"
        if not browser.find_elements(By.CSS_SELECTOR, ".panel-form > .problems"):
            faults = "return [...document.querySelectorAll('.fault')].map((e) => e.textContent).join()"
            assert word in browser.execute_script(faults), f"{name}: its field says so"
    browser.get(f"{pages.url}/new")
    rate = wait(lambda b: b.find_element(By.NAME, "f:optimizer.learning_rate"))
    rate.send_keys("0,001", Keys.TAB)
    wait(lambda b: "write 0.001" in b.find_element(By.CSS_SELECTOR, ".entry.wrong .fault").text)
