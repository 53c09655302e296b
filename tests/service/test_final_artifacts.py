"""Which runs of a finished experiment keep their model and get pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from experiments.errors import SpecError
from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from service import operations
from service.analysis import design, final_artifacts
from service.analysis.comparison import compare
from service.entities import ENDED_STAGES, Committed, Measured, MetricPoint, Shipped, Worker
from service.lifecycle import RunStatus
from service.store import Store, queries, request_rows
from service.store.tables import experiments
from tests.databases import make_tables

SPEC = {
    "name": "many",
    "dataset": {"name": "digits"},
    "model": {"hidden": [4]},
    "optimizer": {"name": "sgd"},
    "sweep": {"activation": ["tanh", "relu"], "learning_rate": [0.01, 0.1], "seeds": 6},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path / 'gradus.db'}"
    make_tables(url)
    made = Store(url)
    yield made
    made.close()


def finished(store: Store, accuracy: Any, **changes: Any) -> Any:
    """An experiment whose runs are FINISHED; accuracy: run -> its validation accuracy (None: it diverged)."""
    spec = ExperimentSpec.parse({**SPEC, **changes})
    experiment = operations.submit(store, spec, spec.expand(), owner="")
    finish(store, experiment.id, accuracy)
    return queries.get_experiment(store, experiment.id)


def finish(store: Store, experiment_id: str, accuracy: Any) -> None:
    """What waits of an experiment ends with this accuracy."""
    for run in queries.all_runs(store, experiment_id):
        if run.status != RunStatus.SCHEDULED:
            continue
        operations.claim(store, [run.id], worker="w", spool="s", lease_seconds=60)
        value = accuracy(run)
        operations.record(store, {run.id: Measured(1, [MetricPoint("val/accuracy", 1, value)])})
        reason = "diverged" if value is None else "epochs"
        operations.commit(store, {run.id: Committed(1, "FINISHED", reason, {})})
        operations.finish(store, {run.id: Shipped(run.change, "m", "FINISHED")})


def forget_optimizer(store: Store, experiment_id: str) -> None:
    """The stored spec names an optimizer that there is not."""
    spec = {**queries.get_experiment(store, experiment_id).spec, "optimizer": {"name": "gone"}}
    changed = update(experiments).where(experiments.c.id == experiment_id).values(spec=spec)
    store.write(lambda connection: connection.execute(changed))


def beat(store: Store, name: str, state: str = "idle") -> None:
    """A worker that trains says that it is alive."""
    operations.beat(
        store, Worker(name=name, kind="train", host="h", pid=1, spool="s", versions={}, state=state)
    )


def requests(store: Store) -> Any:
    """What is asked for, one after the other, each answered at once."""
    asked = []
    while due := operations.take_due_requests(store, resend_seconds=60):
        for request in due:
            assert request.run_id is not None
            asked.append((request.kind, queries.get_run(store, request.run_id).index))
            operations.claim_request(store, request.id, worker="w", lease_seconds=60)
            operations.finish_request(store, request.id, 1, result={})
    return asked


def test_a_large_experiment_keeps_the_best_model_and_draws_the_best_of_each_level(store: Store) -> None:
    """24 runs, better the later; of relu and 0.1 the last is best, so tanh's and 0.01's best come on their own."""
    experiment = finished(store, lambda run: run.index / 24)
    assert final_artifacts.request_artifacts(store) == 4
    runs = {run.index: run for run in queries.all_runs(store, experiment.id)}
    asked = requests(store)
    assert [index for kind, index in asked if kind == "model"] == [23]
    drawn = [runs[index].levels for kind, index in asked if kind == "picture"]
    assert {levels["activation"] for levels in drawn} == {"tanh", "relu"}
    assert len({levels["learning_rate"] for levels in drawn}) == 2
    assert final_artifacts.request_artifacts(store) == 0


def test_they_give_way_to_training(store: Store) -> None:
    """Nothing is sent while a run waits; then one at a time with fewer than four workers, and two with four."""
    finished(store, lambda run: run.index / 24)
    final_artifacts.request_artifacts(store)
    spec = ExperimentSpec.parse({**SPEC, "name": "next", "sweep": {"seeds": 1}})
    waiting = operations.submit(store, spec, spec.expand(), owner="")
    assert operations.take_due_requests(store, resend_seconds=60) == []
    operations.cancel_experiment(store, waiting.id)
    assert len(operations.take_due_requests(store, resend_seconds=60)) == 1
    assert operations.take_due_requests(store, resend_seconds=60) == [], "one is out"
    for number in range(4):
        beat(store, f"w{number}")
    assert len(operations.take_due_requests(store, resend_seconds=60)) == 1, "one more for four workers"


def test_they_wait_for_a_worker_that_is_idle(store: Store) -> None:
    """Else the one that trains nothing would draw them, and whoever asks for a prediction would wait behind a picture."""
    finished(store, lambda run: run.index / 24)
    final_artifacts.request_artifacts(store)
    beat(store, "w0", "busy")
    assert operations.take_due_requests(store, resend_seconds=60) == []
    beat(store, "w1", "idle")
    assert len(operations.take_due_requests(store, resend_seconds=60)) == 1


def test_what_a_person_asks_for_never_waits(store: Store) -> None:
    experiment = finished(store, lambda run: run.index / 24)
    final_artifacts.request_artifacts(store)
    spec = ExperimentSpec.parse({**SPEC, "name": "next", "sweep": {"seeds": 1}})
    operations.submit(store, spec, spec.expand(), owner="")
    run = queries.all_runs(store, experiment.id)[0]
    made = {
        operations.create_request(store, run.id, kind=kind, payload={}).id for kind in ("plot", "predict")
    }
    # As sets: two that were asked for within a millisecond, the tick of SQLite's clock, have no order.
    assert {request.id for request in operations.take_due_requests(store, resend_seconds=60)} == made


def test_training_does_not_hold_them_back_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(store, lambda run: run.index / 24)
    final_artifacts.request_artifacts(store)
    spec = ExperimentSpec.parse({**SPEC, "name": "next", "sweep": {"seeds": 1}})
    operations.submit(store, spec, spec.expand(), owner="")
    monkeypatch.setattr(request_rows, "BACKGROUND_WITHIN_SECONDS", -1.0)
    assert len(operations.take_due_requests(store, resend_seconds=60)) == 1


QUESTION = {
    **SPEC,
    "sweep": {"activation": ["tanh", "relu"]},
    "compare": {
        "factor": "activation",
        "tune": {"learning_rate": [0.001, 0.01, 0.1], "seeds": 2},
        "looks": [2],
    },
}


def test_nothing_is_kept_between_two_stages_of_a_question(store: Store) -> None:
    """After tuning the best run is not known yet, and what is drawn then would be drawn again."""
    spec = ExperimentSpec.parse(QUESTION)
    points, stage, plan = design.initial_points(spec)
    experiment = operations.submit(store, spec, points, owner="", stage=stage, design=plan)
    stages = [stage]
    while stages[-1] not in ENDED_STAGES:
        finish(store, experiment.id, lambda run: 0.5)
        assert final_artifacts.request_artifacts(store) == 0
        assert design.advance(store) == 1
        stages.append(str(queries.get_experiment(store, experiment.id).stage))
    assert final_artifacts.request_artifacts(store) > 0
    assert stages == ["tune", "tune-extended", "tune-again-1", "tune-again-2", "look-1", "last look reached"]


def test_one_whose_spec_can_no_longer_be_read_holds_no_other_up(store: Store) -> None:
    """As after an upgrade that takes a name away."""
    whole = finished(store, lambda run: 0.5, sweep={"seeds": 2})
    lost = finished(store, lambda run: 0.5, sweep={"seeds": 2})
    forget_optimizer(store, lost.id)
    assert final_artifacts.request_artifacts(store) == 1
    (request,) = operations.take_due_requests(store, resend_seconds=60)
    assert request.run_id is not None
    assert queries.get_run(store, request.run_id).experiment_id == whole.id
    assert queries.experiments_due_final_artifacts(store) == [], "it is not tried again and again"


def test_what_was_accepted_under_larger_limits_keeps_its_best_model(store: Store) -> None:
    """81 million parameters; it can also be compared."""
    large = {**SPEC, "model": {"hidden": [9000, 9000]}, "sweep": {"activation": ["tanh", "relu"], "seeds": 2}}
    with pytest.raises(SpecError, match="parameters"):
        ExperimentSpec.parse(large)
    spec = ExperimentSpec.parse(large, Limits(max_parameters=10**9))
    experiment = operations.submit(store, spec, spec.expand(), owner="")
    finish(store, experiment.id, lambda run: 0.5)
    assert final_artifacts.request_artifacts(store) == 1
    assert compare(store, experiment.id).factor == "activation"


def test_a_small_one_is_drawn_already(store: Store) -> None:
    finished(store, lambda run: 0.5, sweep={"seeds": 2})
    assert final_artifacts.request_artifacts(store) == 1
    assert requests(store) == [("model", 0)]


def test_what_diverged_is_never_the_best(store: Store) -> None:
    finished(store, lambda run: None if run.index == 1 else 0.1, sweep={"seeds": 3})
    final_artifacts.request_artifacts(store)
    assert requests(store) == [("model", 0)]


@pytest.mark.parametrize(("model", "number"), [("none", 0), ("all", 3)])
def test_as_the_spec_says(store: Store, model: Any, number: int) -> None:
    finished(store, lambda run: 0.5, sweep={"seeds": 3}, artifacts={"plots": "none", "model": model})
    assert final_artifacts.request_artifacts(store) == number
