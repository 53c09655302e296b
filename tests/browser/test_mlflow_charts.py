"""MLflow's parallel coordinates show every run, in a browser; where nothing but the seed varies, its bars do. `test_experiment_note.py` holds the rule for every example.

The runs have results from a formula; they are in a real MLflow, where our link opens its own view of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from experiments.spec import ExperimentSpec
from experiments.spec.examples import examples
from service import operations
from service.store import queries
from service.tracking.urls import MlflowPages
from tests.service.conftest import MlflowServer, World
from tests.service.report.test_experiment_note import MIXED

DRAWN = """
const plot = document.querySelector(".parcoords");
if (plot === null) return null;
let fiber = plot[Object.keys(plot).find(key => key.startsWith("__reactFiber$"))];
while (fiber && !(fiber.memoizedProps && Array.isArray(fiber.memoizedProps.data) && fiber.memoizedProps.selectedParams))
    fiber = fiber.return;
return fiber ? fiber.memoizedProps.data.length : null;
"""
"""The number of runs that MLflow's chart was given to draw: its lines are on a canvas, where nothing can be counted."""
BARS = """return document.querySelectorAll(".barlayer .point").length || null"""
"""The number of bars, which are elements of the page."""
METRICS = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/accuracy", "train/loss")
TELLING = ("depth-vs-width", "schedules")
"""Examples with cases, and with numbers beside schedules: `make test-browser` has these, `make test-slow` all others."""
SPECS = {"mixed": MIXED, **{name: text for name, text in examples().items() if "/" not in name}}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, prepare_mlflow: Callable[[Path], None]
) -> Iterator[tuple[World, str]]:
    folder = tmp_path_factory.mktemp("charts")
    server = MlflowServer(folder)
    prepare_mlflow(folder)
    server.start()
    made = World(folder, server.url)
    yield made, server.url
    made.shipper.close()
    made.store.close()
    server.stop()


def shipped(world: World, text: str) -> tuple[str, int, bool]:
    """MLflow's experiment with all runs of a spec, which have ended; how many there are; whether more than the seed
    varies."""
    spec = ExperimentSpec.parse(text)
    world.experiment = operations.submit(world.store, spec, spec.expand(), stage="look-1", owner="")
    runs = queries.all_runs(world.store, world.experiment.id)
    for number, run in enumerate(world.claim(*runs)):
        world.record(run, 1, **{key.replace("/", "_", 1): 0.5 + 0.001 * number for key in METRICS})
        world.finish(run)
    world.ship()
    mlflow_id = str(queries.get_experiment(world.store, world.experiment.id).mlflow_experiment_id)
    return mlflow_id, len(runs), any(run.levels.keys() - {"seed"} for run in runs)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("mixed", *TELLING) else pytest.mark.slow)
        for name, text in SPECS.items()
        if len(ExperimentSpec.parse(text).expand()) > 1
    ],
)
def test_every_run_is_drawn(
    world: tuple[World, str], browser: WebDriver, wait: Any, shoot: Any, name: str
) -> None:
    made, url = world
    id, number, varied = shipped(made, SPECS[name])
    browser.set_window_size(1600, 1000)
    browser.get(MlflowPages(url).compare(id))
    assert wait(lambda b: b.execute_script(DRAWN if varied else BARS)) == min(number, 100)
    if name == "mixed":
        shoot("mlflow-parallel-mixed", 1600, whole=False)
