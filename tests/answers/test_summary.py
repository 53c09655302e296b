"""What MLflow's page of an experiment is told."""

from __future__ import annotations

from service.settings import load_settings
from service.store import queries
from service.summary import summarize


def summary(world, id):
    return summarize(world.store, queries.get_experiment(world.store, id), load_settings(url="http://here:1"))


def test_a_question_is_described_from_its_first_stage_on(world):
    experiment = world.submit(world.QUESTION)
    found = summary(world, experiment.id)
    assert "Three activations" in found.description
    assert "no answer yet" in found.description
    assert found.best is None


def test_an_answered_question_has_its_verdicts_links_and_best_run(world):
    experiment = world.ask(world.QUESTION)
    found = summary(world, experiment.id)
    assert "| relu better than sigmoid |" in found.description
    assert f"[report](http://here:1/experiments/{experiment.id}/report)" in found.description
    runs = queries.all_runs(world.store, experiment.id)
    assert found.best.metrics["val/accuracy"] == max(run.metrics["val/accuracy"] for run in runs)


def test_a_sweep_without_a_question_is_described_once_it_is_over(world):
    experiment = world.submit(world.QUESTION.split("compare:")[0])
    assert (
        summary(world, experiment.id).description == "Three activations, each at its own best learning rate."
    )
    world.work(experiment.id)
    found = summary(world, experiment.id)
    assert "| relu | 0.9" in found.description
    assert "verdict" not in found.description
    assert found.best is not None
