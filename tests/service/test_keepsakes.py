"""Which runs of a finished experiment keep their model and get pictures."""

from __future__ import annotations

import pytest

from experiments.spec import ExperimentSpec
from service import keepsakes, operations
from service.lifecycle import MetricPoint, Shipped
from service.store import Store, queries
from service.store.migrate import upgrade

SPEC = {
    "name": "many",
    "dataset": {"name": "digits"},
    "model": {"hidden": [4]},
    "optimizer": {"name": "sgd"},
    "sweep": {"activation": ["tanh", "relu"], "learning_rate": [0.01, 0.1], "seeds": 6},
}


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'gradus.db'}"
    upgrade(url)
    made = Store(url)
    yield made
    made.close()


def finished(store, accuracy, **changes):
    """An experiment whose runs are FINISHED; accuracy: run -> its validation accuracy (None: it diverged)."""
    spec = ExperimentSpec.parse({**SPEC, **changes})
    experiment = operations.submit(store, spec, spec.expand(), owner="")
    for run in queries.all_runs(store, experiment.id):
        operations.claim(store, [run.id], worker="w", spool="s", lease_seconds=60)
        value = accuracy(run)
        operations.record(store, run.id, 1, [MetricPoint("val/accuracy", 1, value)])
        reason = "diverged" if value is None else "epochs"
        operations.commit(store, run.id, 1, status="FINISHED", reason=reason, outcome={})
        operations.finish(store, run.id, Shipped(run.change, "m", "FINISHED"))
    return queries.get_experiment(store, experiment.id)


def requests(store):
    due = operations.due_requests(store, resend_seconds=60)
    return [(request.kind, queries.get_run(store, request.run_id).index) for request in due]


def test_a_large_experiment_keeps_the_best_model_and_draws_the_best_of_each_level(store):
    """24 runs, better the later; of relu and 0.1 the last is best, so tanh's and 0.01's best come on their own."""
    experiment = finished(store, lambda run: run.index / 24)
    assert keepsakes.keep(store) == 4
    runs = {run.index: run for run in queries.all_runs(store, experiment.id)}
    asked = requests(store)
    assert asked[0] == ("model", 23)
    drawn = [runs[index].levels for kind, index in asked if kind == "plot"]
    assert {levels["activation"] for levels in drawn} == {"tanh", "relu"}
    assert len({levels["learning_rate"] for levels in drawn}) == 2
    assert keepsakes.keep(store) == 0


def test_a_small_one_is_drawn_already(store):
    finished(store, lambda run: 0.5, sweep={"seeds": 2})
    assert keepsakes.keep(store) == 1
    assert requests(store) == [("model", 0)]


def test_what_diverged_is_never_the_best(store):
    finished(store, lambda run: None if run.index == 1 else 0.1, sweep={"seeds": 3})
    keepsakes.keep(store)
    assert requests(store) == [("model", 0)]


@pytest.mark.parametrize(("model", "number"), [("none", 0), ("all", 3)])
def test_as_the_spec_says(store, model, number):
    finished(store, lambda run: 0.5, sweep={"seeds": 3}, artifacts={"plots": "none", "model": model})
    assert keepsakes.keep(store) == number
