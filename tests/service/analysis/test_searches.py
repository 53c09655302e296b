"""Halving and TPE from submission to their end through the real store."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from service import operations
from service.analysis import design, extension
from service.entities import Committed, Measured, MetricPoint
from service.errors import Conflict, StaleStage
from service.lifecycle import RunStatus
from service.store import queries
from tests.present import present
from tests.service.scored_runs import World

HALVING = """
name: halving
dataset: {name: digits}
model: {hidden: [8]}
optimizer: {name: sgd}
training: {epochs: 9}
sweep:
  activation: [relu, tanh, sigmoid]
  learning_rate: [0.1, 0.01, 0.001]
  seeds: 2
  strategy: halving
  eta: 3
"""
TPE = """
name: tpe
dataset: {name: digits}
model: {hidden: [8]}
optimizer: {name: sgd}
training: {epochs: 2}
sweep:
  activation: [relu, tanh, sigmoid]
  learning_rate: {log: [1.0e-4, 1.0]}
  seeds: 2
  strategy: tpe
  runs: 28
"""


def train(world: World, experiment_id: str) -> int:
    """What a worker does with every waiting run: from where it is to `run.epochs`."""
    waiting = [r for r in queries.all_runs(world.store, experiment_id) if r.status == RunStatus.SCHEDULED]
    for run in operations.claim(
        world.store, [r.id for r in waiting], worker="w", spool="s", lease_seconds=60
    ):
        value = world.accuracy(run) - 0.01 / run.epochs - 0.01 * (run.params["activation"] == "tanh")
        points = [
            MetricPoint("val/accuracy", run.epochs, value),
            MetricPoint("val/loss", run.epochs, 1 - value),
        ]
        operations.record(world.store, {run.id: Measured(run.attempt, points, {})})
        location = {
            "spool": "s",
            "name": f"checkpoint-{run.attempt}-{run.epochs}",
            "epoch": run.epochs,
            "width": 4,
        }
        operations.record_checkpoints(world.store, {run.id: run.attempt}, {run.id: location})
        reason = "epochs" if run.epochs == run.spec["training"]["epochs"] else "halved"
        operations.commit(
            world.store, {run.id: Committed(run.attempt, "FINISHED", reason, {"epochs": run.epochs})}
        )
        operations.finish(world.store, {run.id: None})
    return len(waiting)


def test_halving_goes_from_rung_to_rung_with_the_same_runs(world: World) -> None:
    experiment = world.submit(HALVING)
    assert (experiment.stage, experiment.n_runs) == ("rung-1", 18)
    assert {run.epochs for run in queries.all_runs(world.store, experiment.id)} == {1}
    trained = [train(world, experiment.id)]
    while design.advance(world.store):
        trained.append(train(world, experiment.id))
    assert trained == [18, 6, 2, 0]
    done = queries.get_experiment(world.store, experiment.id)
    assert (done.stage, done.n_runs, done.is_settled) == ("done", 18, True)
    runs = queries.all_runs(world.store, experiment.id)
    assert Counter((run.epochs, run.reason) for run in runs) == {
        (1, "halved"): 12,
        (3, "halved"): 4,
        (9, "epochs"): 2,
    }
    best = [run for run in runs if run.epochs == 9]
    assert {(run.levels["activation"], run.levels["learning_rate"]) for run in best} == {("relu", "0.1")}
    assert {run.attempt for run in best} == {3}
    search = present(done.search)
    assert search["answer"].startswith("best found: activation relu, learning_rate 0.1 (val/accuracy")
    assert [(s["runs"], s["epochs"], s["state"]) for s in search["stages"]] == [
        (18, 1, "done"), (6, 3, "done"), (2, 9, "done"),
    ]  # fmt: skip
    assert done.design is None


def test_a_run_that_goes_on_keeps_its_checkpoint_and_may_be_packed_anew(world: World) -> None:
    experiment = world.submit(HALVING)
    train(world, experiment.id)
    design.advance(world.store)
    going = [r for r in queries.all_runs(world.store, experiment.id) if r.status == RunStatus.SCHEDULED]
    assert len(going) == 6
    assert {(r.checkpoint or {})["epoch"] for r in going} == {1}
    assert {(r.outcome, r.ended_at, r.epochs) for r in going} == {(None, None, 3)}


def test_halving_within_levels_starves_none(world: World) -> None:
    experiment = world.submit(HALVING + "  within: activation\n")
    train(world, experiment.id)
    design.advance(world.store)
    going = [r for r in queries.all_runs(world.store, experiment.id) if r.status == RunStatus.SCHEDULED]
    assert Counter(run.levels["activation"] for run in going) == {"relu": 2, "tanh": 2, "sigmoid": 2}


def test_two_maintenance_loops_take_a_rung_once(world: World) -> None:
    experiment = world.submit(HALVING)
    train(world, experiment.id)
    assert design.advance(world.store) == 1
    with pytest.raises(StaleStage):
        operations.continue_runs(world.store, experiment, {}, going_on=(), packed_anew=True, stage="rung-2")
    assert design.advance(world.store) == 0


def test_what_failed_or_diverged_never_goes_on(world: World) -> None:
    experiment = world.submit(HALVING)
    waiting = queries.all_runs(world.store, experiment.id)
    bad = [run.id for run in waiting if run.levels["learning_rate"] == "0.1"]
    for run in operations.claim(world.store, bad, worker="w", spool="s", lease_seconds=60):
        operations.commit(world.store, {run.id: Committed(run.attempt, "FAILED", "error", {"epochs": 0})})
        operations.finish(world.store, {run.id: None})
    train(world, experiment.id)
    assert design.advance(world.store) == 1
    going = [r for r in queries.all_runs(world.store, experiment.id) if r.status == RunStatus.SCHEDULED]
    assert len(going) == 6
    assert not {run.id for run in going} & set(bad)


def test_tpe_asks_batch_by_batch_until_its_runs_are_spent(world: World) -> None:
    experiment = world.submit(TPE)
    assert (experiment.stage, experiment.n_runs) == ("search-1", 20)
    stages = []
    for _ in range(10):
        train(world, experiment.id)
        if not design.advance(world.store):
            break
        stages.append(queries.get_experiment(world.store, experiment.id).stage)
    assert stages == ["search-2", "search-3", "search-4", "search-5", "done"]
    done = queries.get_experiment(world.store, experiment.id)
    runs = queries.all_runs(world.store, experiment.id)
    assert done.n_runs == len(runs) == 28
    assert len({(run.levels["activation"], run.levels["learning_rate"]) for run in runs}) == 14
    assert done.is_settled
    assert (
        present(done.search)["best"]["value"]
        == pytest.approx(
            max(
                (a.metrics["val/accuracy"] + b.metrics["val/accuracy"]) / 2  # type: ignore[operator]
                for a, b in zip(runs[::2], runs[1::2], strict=True)
            )
        )
    )


def parse(text: str, **sweep: Any) -> ExperimentSpec:
    document: Any = parse_yaml(text)
    document["sweep"] |= sweep
    return ExperimentSpec.parse(document)


@pytest.mark.parametrize(
    ("text", "sweep", "path", "says"),
    [
        (HALVING, {"metric": "test/accuracy"}, "sweep.metric", "test/accuracy"),
        (HALVING, {"rungs": [3, 6]}, "sweep.rungs", "do not rise to training.epochs, 9"),
        (HALVING, {"within": "optimizer"}, "sweep.within", 'no factor "optimizer"'),
        (HALVING, {"training.epochs": [3, 9]}, "sweep.strategy", "halving decides the epochs"),
        (HALVING, {"strategy": "grid", "eta": 2}, "sweep.eta", "strategy grid has no rungs"),
        (HALVING, {"strategy": "grid", "metric": "val/loss"}, "sweep.metric", "chooses nothing"),
        (TPE, {"runs": 27}, "sweep.runs", "27 runs are no whole number of settings with 2 seeds each"),
        (TPE, {"runs": None}, "sweep.runs", "needs to know how many runs"),
        (TPE, {"rungs": [1, 2]}, "sweep.rungs", "strategy tpe has no rungs"),
    ],
)
def test_refusals_name_the_field(text: str, sweep: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(text, **sweep)
    problem = refused.value.problems[0]
    assert problem.path == path
    assert says in f"{problem.message} {problem.path}"


def test_a_search_without_validation_data_is_refused() -> None:
    with pytest.raises(SpecError, match="validation"):
        ExperimentSpec.parse(HALVING.replace("{name: digits}", "{name: digits, validation_split: 0.0}"))


PLAIN = """
name: longer
dataset: {name: digits}
model: {hidden: [8]}
training: {epochs: 2}
sweep: {activation: [relu, tanh], seeds: 2}
"""


def test_extend_with_epochs_goes_on_in_the_tiles_there_were(world: World) -> None:
    experiment = world.submit(PLAIN)
    with pytest.raises(Conflict, match="still open"):
        extension.extend(world.store, experiment.id, epochs=3)
    train(world, experiment.id)
    before = {run.id: run for run in queries.all_runs(world.store, experiment.id)}
    key = operations.IdempotencyKey("once", "body")
    for _ in range(2):
        extended = extension.extend(world.store, experiment.id, epochs=3, idempotency=key)
    assert extended.counts["SCHEDULED"] == extended.n_runs == 4
    assert extended.experiment_spec.training.epochs == 5
    for run in queries.all_runs(world.store, experiment.id):
        assert (run.epochs, run.params["epochs"], run.tags["gradus.epochs"]) == (5, 5, "5")
        assert run.run_spec().training.epochs == 5
        assert run.fingerprint == run.run_spec().fingerprint() != before[run.id].fingerprint
        assert run.checkpoint == before[run.id].checkpoint
    assert train(world, experiment.id) == 4
    assert extension.extend(world.store, experiment.id, seeds=1).n_runs == 6


def test_a_question_and_a_search_have_their_epochs(world: World) -> None:
    asked, searched = world.submit(world.QUESTION), world.submit(HALVING)
    for experiment in (asked, searched):
        with pytest.raises(Conflict, match="fixed before results"):
            extension.extend(world.store, experiment.id, epochs=1)
    with pytest.raises(Conflict, match="chooses its runs by itself"):
        extension.extend(world.store, searched.id, seeds=1)


def test_page_api_comparison_and_note_say_how_a_search_stands(world: World, serve: Any) -> None:
    experiment = world.submit(HALVING)
    url = serve()
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        page = client.get(f"/experiments/{experiment.id}").text
        assert "Which setting is the best by val/accuracy?" in page
        assert "no answer yet (rung-1: 0 of 18 runs)" in page
        while train(world, experiment.id):
            design.advance(world.store)
        document = client.get(f"/v1/experiments/{experiment.id}").json()
        assert document["plan"] is None
        answer = document["search"]["answer"]
        assert answer.startswith("best found: activation relu, learning_rate 0.1")
        assert answer in client.get(f"/experiments/{experiment.id}").text
        assert answer in client.get("/").text
        compared = client.get(f"/v1/experiments/{experiment.id}/comparison").json()
        assert compared["answer"].startswith(answer)
        assert "16 runs that halving ended before their last epoch are left out" in compared["warnings"]
        assert client.get(f"/v1/experiments/{experiment.id}/report").status_code == 200
        refused = client.post(f"/v1/experiments/{experiment.id}/extend", json={"epochs": 2})
        assert refused.status_code == 409
