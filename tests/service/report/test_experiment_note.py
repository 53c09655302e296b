"""What MLflow's page of an experiment is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from experiments.spec.examples import examples
from service.report.experiment_note import describe_experiment
from service.settings import load_settings
from service.store import queries
from service.tracking.urls import COMPARE, GROUPED, param_name
from tests.present import present
from tests.service.scored_runs import World


def summary(world: World, id: Any) -> Any:
    return describe_experiment(
        world.store, load_settings(url="http://here:1"), queries.get_experiment(world.store, id)
    )


def test_a_question_is_described_from_its_first_stage_on(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    note = summary(world, experiment.id)
    assert "Three activations" in note.description
    assert "no answer yet" in note.description
    assert note.best is None


def test_an_answered_question_has_its_verdicts_links_and_best_run(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    note = summary(world, experiment.id)
    assert "| relu better than sigmoid |" in note.description
    assert f"[report](http://here:1/experiments/{experiment.id}/report)" in note.description
    runs = queries.all_runs(world.store, experiment.id)
    assert note.best.metrics["val/accuracy"] == max(present(run.metrics["val/accuracy"]) for run in runs)


def test_the_report_and_the_views_of_mlflow_go_along(world: World) -> None:
    note = summary(world, world.submit(world.QUESTION).id)
    assert (note.best, note.report) == (None, "")
    note = summary(world, world.ask(world.QUESTION).id)
    assert "relu better than sigmoid" in note.report
    side_by_side, grouped = (
        json.loads(note.views[f"mlflow.sharedViewState.{key}"]) for key in (COMPARE, GROUPED)
    )
    parallel = side_by_side["compareRunCharts"][0]
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (
        ["activation", "learning_rate"],
        ["test/accuracy"],
    )
    assert grouped["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "activation"}]
    assert all(len(tag) <= 5000 for tag in note.views.values()), "MLflow keeps 5,000 characters"


def test_between_two_stages_no_run_is_the_best(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    world.work(experiment.id)
    assert summary(world, experiment.id).best is None


def test_a_sweep_without_a_question_is_described_once_it_is_over(world: World) -> None:
    experiment = world.submit(world.QUESTION.split("compare:")[0])
    assert (
        summary(world, experiment.id).description == "Three activations, each at its own best learning rate."
    )
    world.work(experiment.id)
    note = summary(world, experiment.id)
    assert "| relu | 0.9" in note.description
    assert "verdict" not in note.description
    assert note.best is not None


MIXED = """
name: parallel-coordinates
dataset: {name: digits, train_samples: 300}
model: {activation: relu, hidden: [16]}
optimizer: {name: sgd, momentum: 0.9}
sweep:
  hidden: [[16], [8], [16, 16], [16, 16, 16]]
  learning_rate: [0.05, {name: exponential_decay, initial_learning_rate: 0.05, decay_steps: 10, decay_rate: 0.5}]
  kernel_initializer: [{name: random_normal, stddev: 0.01}, {name: random_normal, stddev: 1.0}]
  clipnorm: [null, 1.0]
"""


def test_a_number_of_a_mixed_column_is_found_as_a_number(world: World) -> None:
    made = world.submit(MIXED)
    for text in ("0.05", "5e-2"):
        matching, _ = queries.list_runs(world.store, made.id, filters={"learning_rate": [text]}, limit=100)
        assert len(matching) == made.n_runs / 2
        assert {run.params["learning_rate"] for run in matching} == {"= 0.05"}


def kinds(texts: Iterable[str]) -> set[str]:
    """As a chart in a browser reads a text: a number or not."""
    return {
        "number" if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else "text" for text in texts
    }


@pytest.fixture(scope="module")
def specs_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("specs"))
    yield made
    made.store.close()


@pytest.mark.parametrize("name", ["mixed", *(name for name in examples() if not name.startswith("refused/"))])
def test_parallel_coordinates(specs_in: World, name: str) -> None:
    """MLflow leaves out a run that lacks a column, that is of another kind than most, or beyond 30 texts of a column."""
    made = specs_in.submit(MIXED if name == "mixed" else examples()[name])
    views = describe_experiment(
        specs_in.store, load_settings(), queries.get_experiment(specs_in.store, made.id)
    ).views
    chart = json.loads(views[f"mlflow.sharedViewState.{COMPARE}"])["compareRunCharts"][0]
    runs = queries.all_runs(specs_in.store, made.id)
    for column in chart.get("selectedParams", ()):
        written = [{param_name(key): str(value) for key, value in run.params.items()} for run in runs]
        texts = [params[column] for params in written]
        assert len(kinds(texts)) == 1, set(texts)
        assert len(set(texts)) == len(
            {run.levels[key] for run in runs for key in run.levels if param_name(key) == column}
        )
        assert kinds(texts) == {"number"} or len(set(texts)) <= 30
        assert max(map(len, texts)) <= 200
