"""A real stack with a real question that is answered, and Chromium. Screenshots go to
test-output/browser/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from service.embedded.ports import free_port
from service.entities import ENDED_STAGES
from tests.service.scored_runs import World, serving

SPEC = """
name: activations-on-digits
description: Three activations, each at its own best learning rate.
dataset: {name: digits}
model: {hidden: [32, 32]}
optimizer: {name: sgd}
training: {epochs: 5, batch_size: 16}
sweep: {activation: [sigmoid, tanh, relu]}
compare:
  factor: activation
  delta: 0.02
  tune: {learning_rate: {log: [1.0e-3, 1.0], points: 4}, seeds: 2}
  looks: [5]
"""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REDRAWN = (
    StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException,
    NoSuchElementException,
)  # fmt: skip
"""What a click or a look meets while a page is being drawn: reasons to look again, not failures."""
OUTPUT = Path(__file__).resolve().parents[2] / "test-output" / "browser"
STANDING = os.environ.get("GRADUS_TEST_HOME")
"""The home of a stack that is up already, with the answered question GRADUS_TEST_EXPERIMENT: for work on
the pages.
"""
OVER = ("FINISHED", "FAILED", "KILLED")


def pytest_collection_modifyitems(items: Any) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(900))


def wait_until(true: Any, seconds: float = 120.0, pause: float = 0.25) -> Any:
    """Wait for a condition and return what it gave."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause)
    return value


class Stack:
    """`gradus up` on a home of its own, with a question that has been answered and is in MLflow."""

    def __init__(self, home: Path) -> None:
        self.process = None
        if STANDING is not None:
            self._reach(Path(STANDING))
            self.id = os.environ["GRADUS_TEST_EXPERIMENT"]
            return
        command = [sys.executable, "-m", "service.embedded.stack", "--home", str(home), "--workers", "2"]
        command += ["--port", "0", "--mlflow-port", "0"]
        self.log = home / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
        state = home / "stack.json"
        try:
            wait_until(lambda: state.exists() or self.process.poll() is not None, 240)
            assert self.process.poll() is None, self.log.read_text()
            self._reach(home)
            self.id = self.submit(SPEC)
            wait_until(self._answered, 420, 1.0)
        except BaseException:
            self.end()
            raise

    def _reach(self, home: Path) -> None:
        state = json.loads((home / "stack.json").read_text())
        self.url, self.mlflow_url = state["url"], state["mlflow_url"]
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def submit(self, spec: str) -> str:
        answer = self.client.post(
            "/v1/experiments", content=spec, headers={"content-type": "application/yaml"}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def experiment(self) -> Any:
        return self.client.get(f"/v1/experiments/{self.id}").json()

    def mlflow(self, path: str, **parameters: str) -> Any:
        """What MLflow itself answers."""
        url = f"{self.mlflow_url}/api/2.0/mlflow/{path}"
        return httpx.get(url, params=parameters, trust_env=False, timeout=30).json()

    def _answered(self) -> bool:
        now = self.experiment()
        return now["stage"] in ENDED_STAGES and sum(now["status"][s] for s in OVER) == now["n_runs"]

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=120)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = Stack(tmp_path_factory.mktemp("home"))
    yield made
    made.end()


def chromium(profile: Path) -> WebDriver:
    """A Chromium with a profile of its own."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = Options()
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver, port=free_port()))
    made.implicitly_wait(0)
    return made


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """The Chromium of all tests: to start one takes longer than most tests."""
    made = chromium(tmp_path_factory.mktemp("profile"))
    yield made
    made.quit()


@pytest.fixture
def browser(driver: WebDriver) -> WebDriver:
    """The session's Chromium as if it were new: nothing stored, nothing emulated, an empty page and an empty console."""
    driver.execute_script(
        "if (location.protocol.startsWith('http')) { localStorage.clear(); sessionStorage.clear(); }"
    )
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    online = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)
    driver.set_window_size(1280, 900)
    log(driver)
    return driver


@pytest.fixture
def fresh_browser(tmp_path: Path) -> Iterator[WebDriver]:
    """A Chromium that nobody has used before."""
    made = chromium(tmp_path / "profile")
    yield made
    made.quit()


def log(browser: Any) -> list[dict[str, Any]]:
    """The console's entries since the last look."""
    return list(browser.get_log("browser"))


def as_wide_as(browser: Any, width: int, height: int = 900) -> None:
    """Show the page at a width in CSS pixels, below 500 as on a phone. A window has a least width, a device has none."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture
def wait(browser: WebDriver) -> Any:
    """A function that asks again until something is true of the page, and gives what it was. A page that is being
    drawn anew takes elements away between finding and using them: both happen in what is asked again.
    """

    def until(true: Any, seconds: float = 60) -> Any:
        return WebDriverWait(browser, seconds, ignored_exceptions=REDRAWN).until(true)

    return until


@pytest.fixture
def shoot(browser: WebDriver) -> Any:
    """A function that keeps a picture of the whole page under a name."""
    OUTPUT.mkdir(parents=True, exist_ok=True)

    def keep(name: str, width: int = 1280, *, whole: bool = True) -> Path:
        as_wide_as(browser, width)
        if whole:
            height = browser.execute_script("return document.documentElement.scrollHeight")
            as_wide_as(browser, width, min(6000, height))
        path = OUTPUT / f"{name}.png"
        browser.save_screenshot(str(path))
        as_wide_as(browser, width)
        return path

    return keep


@pytest.fixture
def quiet(browser: WebDriver) -> Iterator[Any]:
    """Our own pages leave nothing in the console: no error, no refused resource."""
    yield
    assert [entry for entry in log(browser) if entry["level"] in ("SEVERE", "WARNING")] == []


class Pages:
    """A service with an experiment that is answered."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        self.answered = world.ask(world.QUESTION)
        self.answers = str(self.answered.design["answer"]).split("; ")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    world = World(tmp_path_factory.mktemp("pages"))
    with serving(world.store, mlflow_url="http://127.0.0.1:9") as url:
        yield Pages(world, url)
    world.store.close()


def texts(browser: WebDriver, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def tab_to(browser: WebDriver, element: Any, most: int) -> None:
    """Reach an element with the Tab key alone."""
    for _ in range(most):
        if browser.switch_to.active_element == element:
            return
        browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == element
