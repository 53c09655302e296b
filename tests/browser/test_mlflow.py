"""MLflow's own pages over our real runs: the answer in the description, compare view, parallel coordinates,
groups.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import frame_to_be_available_and_switch_to_it
from selenium.webdriver.support.ui import WebDriverWait

from service.tracking.urls import MlflowPages
from tests.browser.conftest import OUTPUT, Stack


def body(browser: WebDriver) -> Any:
    return browser.find_element(By.TAG_NAME, "body").text


@pytest.fixture
def runs(stack: Stack) -> Any:
    """(MLflow experiment, MLflow ids of the compared runs)."""
    items = stack.client.get(f"/v1/experiments/{stack.id}/runs", params={"stage": "look-1"}).json()["items"]
    return items[0]["mlflow"]["experiment_id"], [item["mlflow"]["run_id"] for item in items]


def test_the_first_look_is_the_table_of_runs_with_what_was_swept(
    stack: Stack, fresh_browser: WebDriver
) -> None:
    """In a browser that nobody has used, by the link of page and API: model training, not language models."""
    fresh_browser.get(stack.experiment()["links"]["mlflow"])
    heads = "return [...document.querySelectorAll('[role=columnheader]')].map((e) => e.textContent.trim())"
    wait = WebDriverWait(fresh_browser, 60)
    columns = {"Run Name", "activation", "learning_rate", "test/accuracy"}
    wait.until(lambda b: columns <= set(b.execute_script(heads)))
    assert {"Dataset", "Models", "Source", "User"}.isdisjoint(fresh_browser.execute_script(heads))
    chosen = "return document.querySelector('[role=radiogroup] [aria-checked=true], [aria-pressed=true]')?.textContent"
    assert f"{stack.experiment()['n_runs']} matching runs" in body(fresh_browser)
    assert "GenAI" not in str(fresh_browser.execute_script(chosen))
    remembered = "return localStorage.getItem('mlflow.assistant.panelOpen_v1')"
    assert fresh_browser.execute_script(remembered) in (None, "false"), "the assistant opened by itself"
    fresh_browser.save_screenshot(str(OUTPUT / "mlflow-first-look.png"))


def test_the_run_list_has_our_names(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, runs: Any
) -> None:
    browser.get(f"{stack.mlflow_url}/#/experiments/{runs[0]}/runs")
    wait(lambda b: "activations-on-digits" in body(b) and "relu" in body(b))
    shoot("mlflow-runs", whole=False)


def test_compared_runs_show_parallel_coordinates_with_our_params(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, runs: Any
) -> None:
    experiment, ids = runs
    query = f"runs={quote(json.dumps(ids))}&experiments={quote(json.dumps([experiment]))}"
    browser.get(f"{stack.mlflow_url}/#/compare-runs?{query}")
    wait(lambda b: "Parallel Coordinates" in body(b) and "learning_rate" in body(b))
    wait(lambda b: b.find_elements(By.CSS_SELECTOR, ".parcoords, .js-plotly-plot"))
    # MLflow starts with the metric that is first by name; a person picks the one of the question.
    wait(written)
    wait(lambda b: "test/accuracy" in [axis.text for axis in b.find_elements(By.XPATH, AXES)])
    text = wait(body)
    assert all(name in text for name in ("activation", "learning_rate", "test/accuracy"))
    shoot("mlflow-compare", whole=False)


def written(browser: WebDriver) -> Any:
    """The question's metric, chosen in MLflow's second list."""
    metrics = browser.find_elements(By.CSS_SELECTOR, "input[role=combobox]")[1:2]
    for metric in metrics:
        metric.send_keys("test/accuracy", Keys.ENTER)
    return bool(metrics)


AXES = "//*[name()='text' and contains(@class, 'axis-title')]"


def charts(browser: WebDriver) -> Any:
    """The names of the sections and charts of MLflow's chart view."""
    return browser.find_element(By.CSS_SELECTOR, "[data-testid=experiment-view-compare-runs-chart-area]").text


def test_our_link_opens_parallel_coordinates_of_what_was_swept(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any
) -> None:
    """Nothing is clicked: the view is a tag of the experiment, and MLflow opens it."""
    browser.set_window_size(1600, 1000)
    browser.get(stack.experiment()["links"]["compare"])
    wait(lambda b: "test/accuracy by activation, learning_rate" in charts(b))
    axes = {"activation", "learning_rate", "test/accuracy"}
    wait(lambda b: axes <= set(charts(b).splitlines()))
    assert "15 matching runs" in wait(body), "the compared runs, without those that only tuned"
    shoot("mlflow-side-by-side", 1600, whole=False)


def test_our_link_opens_runs_grouped_by_level(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, runs: Any
) -> None:
    browser.set_window_size(1600, 1000)
    browser.get(MlflowPages(stack.mlflow_url).grouped(runs[0]))
    wait(lambda b: all(f"Group: {name}" in body(b) for name in ("sigmoid", "tanh", "relu")))
    wait(lambda b: "test/accuracy by activation" in charts(b))
    shoot("mlflow-by-level", 1600, whole=False)


def test_the_report_is_an_artifact_of_the_best_run(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, runs: Any
) -> None:
    """MLflow shows it in a frame of its own, without a network of ours."""
    answer = stack.experiment()["plan"]["answer"]
    experiment = stack.mlflow("experiments/get", experiment_id=runs[0])["experiment"]
    best = {tag["key"]: tag["value"] for tag in experiment["tags"]}["gradus.best_run"]
    browser.get(MlflowPages(stack.mlflow_url).artifact(runs[0], best, "report.html"))
    wait(frame_to_be_available_and_switch_to_it((By.CSS_SELECTOR, "iframe")))
    assert (
        wait(lambda b: "; ".join(verdict.text for verdict in b.find_elements(By.CSS_SELECTOR, ".verdict")))
        == answer
    )
    browser.switch_to.default_content()
    shoot("mlflow-report", whole=False)


def grouped_by_activation(browser: WebDriver) -> Any:
    """`activation` chosen in the list that `Group by` opens. Where MLflow draws the page anew the list is closed again:
    then it is opened once more.
    """
    choice = "//*[@role='menuitemcheckbox' and normalize-space(.)='activation']"
    if choices := browser.find_elements(By.XPATH, choice):
        choices[-1].click()
        return True
    for button in browser.find_elements(By.TAG_NAME, "button"):
        if button.text == "Group by":
            button.click()
            break
    return False


def test_runs_are_grouped_by_activation(
    stack: Stack, browser: WebDriver, wait: Any, shoot: Any, runs: Any
) -> None:
    browser.set_window_size(1500, 950)
    browser.get(f"{stack.mlflow_url}/#/experiments/{runs[0]}/runs?compareRunsMode=CHART")
    wait(grouped_by_activation)
    wait(lambda b: all(f"Group: {name}" in body(b) for name in ("sigmoid", "tanh", "relu")))
    shoot("mlflow-grouped", 1500, whole=False)


def test_the_description_holds_the_verdicts(stack: Stack, browser: WebDriver, wait: Any, runs: Any) -> None:
    browser.get(f"{stack.mlflow_url}/#/experiments/{runs[0]}/runs")
    wait(lambda b: stack.experiment()["plan"]["answer"].split(";")[0] in body(b), 90)
