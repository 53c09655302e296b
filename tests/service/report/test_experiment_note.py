"""What MLflow's page of an experiment is told."""

from __future__ import annotations

import json
from typing import Any

from service.report.experiment_note import describe_experiment
from service.settings import load_settings
from service.store import queries
from service.tracking.urls import COMPARE, GROUPED
from tests.present import present
from tests.service.scored_runs import World


def summary(world: World, id: Any) -> Any:
    return describe_experiment(
        world.store, load_settings(url="http://here:1"), queries.get_experiment(world.store, id)
    )


def test_a_question_is_described_from_its_first_stage_on(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    found = summary(world, experiment.id)
    assert "Three activations" in found.description
    assert "no answer yet" in found.description
    assert found.best is None


def test_an_answered_question_has_its_verdicts_links_and_best_run(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    found = summary(world, experiment.id)
    assert "| relu better than sigmoid |" in found.description
    assert f"[report](http://here:1/experiments/{experiment.id}/report)" in found.description
    runs = queries.all_runs(world.store, experiment.id)
    assert found.best.metrics["val/accuracy"] == max(present(run.metrics["val/accuracy"]) for run in runs)


def test_the_report_and_the_views_of_mlflow_go_along(world: World) -> None:
    found = summary(world, world.submit(world.QUESTION).id)
    assert (found.best, found.report) == (None, "")
    found = summary(world, world.ask(world.QUESTION).id)
    assert "relu better than sigmoid" in found.report
    side_by_side, grouped = (
        json.loads(found.views[f"mlflow.sharedViewState.{key}"]) for key in (COMPARE, GROUPED)
    )
    parallel = side_by_side["compareRunCharts"][0]
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (
        ["activation", "learning_rate"],
        ["test/accuracy"],
    )
    assert grouped["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "activation"}]
    assert all(len(tag) <= 5000 for tag in found.views.values()), "MLflow keeps 5,000 characters"


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
    found = summary(world, experiment.id)
    assert "| relu | 0.9" in found.description
    assert "verdict" not in found.description
    assert found.best is not None
