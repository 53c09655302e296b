"""A question from submission to its answer through the real store."""

from __future__ import annotations

import html
import math
import time
from collections import Counter
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import update

import gradus
from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from gradus.cli import listings
from service import operations
from service.analysis import design, extension
from service.errors import Conflict, StaleStage
from service.store import queries
from service.store.tables import experiments
from tests.present import present
from tests.service.scored_runs import World


def stages(world: World, id: Any) -> Any:
    return Counter(run.stage for run in queries.all_runs(world.store, id))


def test_a_question_is_answered_stage_by_stage(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    assert (experiment.stage, experiment.n_runs) == ("tune", 24)
    assert design.advance(world.store) == 0  # nothing has ended
    world.work(experiment.id)
    assert design.advance(world.store) == 1
    assert design.advance(world.store) == 0  # queued once
    assert stages(world, experiment.id) == {"tune": 24, "look-1": 15}
    world.work(experiment.id)
    assert design.advance(world.store) == 1
    stored = queries.get_experiment(world.store, experiment.id)
    assert stored.stage == "decided"
    assert "relu better than sigmoid" in present(stored.design)["answer"]
    assert [(stage["name"], stage["state"]) for stage in present(stored.design)["stages"]] == [
        ("tune", "done"), ("look-1", "done"), ("look-2", "not needed"),
    ]  # fmt: skip
    assert design.advance(world.store) == 0


def test_two_maintenance_loops_queue_a_stage_once(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    world.work(experiment.id)
    design.advance(world.store)
    with pytest.raises(StaleStage):  # the second one comes with the stage it saw
        operations.add_runs(world.store, experiment, (), stage="look-1")
    assert stages(world, experiment.id)["look-1"] == 15


def test_a_loop_that_came_too_late_looks_again_when_the_question_is_open_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not move, because another loop had, is no state in which nothing is to be done."""
    experiment = world.submit(world.QUESTION)
    for _ in range(2):
        world.work(experiment.id)
        seen = queries.staged_experiments(world.store)
        assert design.advance(world.store) == 1
    with monkeypatch.context() as late:
        late.setattr(queries, "staged_experiments", lambda store: seen)
        assert design.advance(world.store) == 0
    over = queries.get_experiment(world.store, experiment.id)
    assert (over.stage, seen[0].stage) == ("decided", "look-1")
    operations.add_runs(world.store, over, (), stage="look-1")
    assert design.advance(world.store) == 1
    assert queries.get_experiment(world.store, experiment.id).stage == "decided"


def test_who_read_a_question_before_its_last_look_cannot_ask_for_that_look_again(world: World) -> None:
    """It is `decided` before and after; the runs say that they are not the same."""
    before = world.ask(world.QUESTION)
    extension.extend(world.store, before.id)
    world.work(before.id)
    design.advance(world.store)
    assert queries.get_experiment(world.store, before.id).stage == before.stage == "decided"
    with pytest.raises(StaleStage, match=r"changed meanwhile: it is at stage 'decided' with 54 runs"):
        operations.add_runs(world.store, before, (), stage="look-2")


@pytest.mark.parametrize("asked", [{"seeds": 2}, {"levels": ["elu"]}, {"epochs": 2}])
def test_of_two_extensions_of_a_grid_that_was_read_at_once_none_is_forgotten(
    world: World, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = world.submit(world.QUESTION.split("compare:")[0])
    world.work(experiment.id)
    seen = queries.get_experiment(world.store, experiment.id)
    extension.extend(world.store, experiment.id, levels=["selu"])
    world.work(experiment.id, lambda run: 0.9)
    with monkeypatch.context() as late:
        late.setattr(queries, "get_experiment", lambda store, id: seen)
        with pytest.raises(StaleStage):
            extension.extend(world.store, experiment.id, **asked)
    spec = extension.extend(world.store, experiment.id, **asked).experiment_spec
    labels = [level.label for level in spec.axes()["activation"]]
    assert labels == ["sigmoid", "tanh", "relu", "selu", *asked.get("levels", ())]


def test_a_question_that_cannot_be_read_holds_no_other_up(world: World) -> None:
    """As after an upgrade that takes a name away. The broken one is the older, so it comes first."""
    broken, whole = world.submit(world.QUESTION), world.submit(world.QUESTION)
    spec = {**broken.spec, "optimizer": {"name": "gone"}}
    changed = update(experiments).where(experiments.c.id == broken.id).values(spec=spec)
    world.store.write(lambda connection: connection.execute(changed))
    for experiment in (broken, whole):
        world.work(experiment.id)
    with structlog.testing.capture_logs() as lines:
        assert design.advance(world.store) == 1
        assert design.advance(world.store) == 0
    assert stages(world, whole.id)["look-1"] == 15
    told = [line["error"] for line in lines if line.get("experiment") == broken.id]
    assert len(told) == 1, "once, not every second"
    assert "gone" in told[0]


def test_extend_queues_the_next_planned_look(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    extended = extension.extend(world.store, experiment.id)
    assert (extended.stage, extended.n_runs) == ("look-2", 24 + 30)
    with pytest.raises(Conflict, match="still running"):
        extension.extend(world.store, experiment.id)
    world.work(experiment.id)
    assert design.advance(world.store) == 1
    with pytest.raises(Conflict, match="last planned look"):
        extension.extend(world.store, experiment.id)


def test_extend_goes_past_the_budget_to_the_next_look_and_tunes_no_more(world: World) -> None:
    """All are best below the range; the budget of 45 pays for one of two further points, and for no second look."""

    def lower_is_better(run: Any) -> Any:
        return world.accuracy(run) - 0.1 * abs(math.log10(float(run.params["learning_rate"])) + 6)

    experiment = world.submit(world.QUESTION + "  budget: 45\n")
    for _ in range(5):
        world.work(experiment.id, lower_is_better)
        design.advance(world.store)
    assert stages(world, experiment.id) == {"tune": 24, "tune-extended": 6, "look-1": 15}
    assert queries.get_experiment(world.store, experiment.id).stage == "nothing to decide"
    assert extension.extend(world.store, experiment.id).stage == "look-2"
    world.work(experiment.id, lower_is_better)
    assert design.advance(world.store) == 1
    assert stages(world, experiment.id) == {"tune": 24, "tune-extended": 6, "look-1": 15, "look-2": 15}


def test_a_planned_question_takes_no_number_of_seeds(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    with pytest.raises(Conflict, match="planned looks"):
        extension.extend(world.store, experiment.id, seeds=3)


def test_without_a_question_extend_adds_seeds(world: World) -> None:
    text = world.QUESTION.split("compare:")[0] + "seed: 4\n"
    experiment = world.submit(text)
    with pytest.raises(Conflict, match="how many"):
        extension.extend(world.store, experiment.id)
    extended = extension.extend(world.store, experiment.id, seeds=2)
    assert (extended.stage, extended.n_runs) == ("grid", 3 + 6)
    assert {run.spec["seed"] for run in queries.all_runs(world.store, experiment.id)} == {4, 5, 6}


def test_extend_keeps_to_the_runs_of_one_experiment(world: World, serve: Any) -> None:
    """Three runs, ten allowed: two seeds more make nine. Refused before a run is built: 10,000 seeds take a minute."""
    url = serve(max_runs=10)
    experiment = world.submit(world.QUESTION.split("compare:")[0])
    with httpx.Client(base_url=f"{url}/v1/experiments/{experiment.id}", trust_env=False) as client:
        asked = time.process_time()
        refused = client.post("/extend", json={"seeds": 10_000})
        assert refused.status_code == 422
        assert time.process_time() - asked < 2
        (finding,) = refused.json()["errors"]
        assert "has 3 runs and would have 30,003" in finding["message"]
        assert finding["allowed"] == "at most 10 runs of one experiment (GRADUS_MAX_RUNS)"
        assert client.post("/extend", json={"seeds": 2}).json()["n_runs"] == 9
        assert client.post("/extend", json={"seeds": 1}).status_code == 422
    assert queries.get_experiment(world.store, experiment.id).n_runs == 9


def test_a_look_that_is_larger_than_an_experiment_may_be_is_not_queued(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    with pytest.raises(SpecError, match=r"has 39 runs and would have 54 \(allowed: at most 50 runs"):
        extension.extend(world.store, experiment.id, max_runs=50)
    assert extension.extend(world.store, experiment.id, max_runs=54).stage == "look-2"


def test_seeds_that_exist_add_no_run(world: World) -> None:
    """Four seeds of three activations, three of them there already: three runs are new, none is made again."""
    text = world.QUESTION.split("compare:")[0]
    experiment = world.submit(text.replace("relu]}", "relu], seeds: 3}"))
    before = {run.fingerprint: run.id for run in queries.all_runs(world.store, experiment.id)}
    world.work(experiment.id)
    for new in (3, 0):
        points = ExperimentSpec.parse(text.replace("relu]}", "relu], seeds: 4}")).expand()
        got = operations.add_runs(
            world.store, queries.get_experiment(world.store, experiment.id), points, stage="grid"
        )
        assert len(got) == 12
        assert {run.fingerprint: run.id for run in got}.items() >= before.items()
        assert queries.get_experiment(world.store, experiment.id).n_runs == 12
        assert world.work(experiment.id) == new


def test_a_budget_that_pays_for_nothing_is_refused(world: World) -> None:
    with pytest.raises(SpecError, match="at least 39"):
        world.submit(world.QUESTION + "  budget: 38\n")


def test_a_failed_run_holds_the_question_until_it_is_retried(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    world.work(experiment.id, status=lambda run: "FAILED" if run.index == 3 else "FINISHED")
    design.advance(world.store)
    stored = queries.get_experiment(world.store, experiment.id)
    assert stored.stage == "tune"
    assert "incomplete" in present(stored.design)["answer"]
    operations.retry_experiment(world.store, experiment.id)
    world.work(experiment.id)
    assert design.advance(world.store) == 1
    assert queries.get_experiment(world.store, experiment.id).stage == "look-1"


@pytest.mark.parametrize(
    ("budget", "stage", "wait", "states"),
    [
        ("", "last look reached", "last look", ["done", "done", "done"]),
        ("  budget: 40\n", "budget spent", "budget", ["done", "done", "not paid for"]),
    ],
)
def test_a_question_that_ends_undecided_says_why(
    world: World,
    serve: Any,
    capsys: pytest.CaptureFixture[str],
    budget: Any,
    stage: Any,
    wait: Any,
    states: Any,
) -> None:
    """The same word in the API, on the start page and in the terminal, the same sentence in the report."""

    def alike(run: Any) -> Any:  # no activation is ahead, but the seeds differ by more than δ
        own = world.noise(run.params["activation"], run.params["seed"])
        return 0.9 - 0.03 * abs(math.log10(float(run.params["learning_rate"])) + 1) + 0.03 * own

    experiment = world.ask(world.QUESTION + budget, alike)
    assert "undecided" in experiment.design["answer"]
    address = serve()
    with httpx.Client(base_url=address, trust_env=False) as http:
        document = http.get(f"/v1/experiments/{experiment.id}").json()
        listed = http.get("/").text
        report = http.get(f"/v1/experiments/{experiment.id}/report").text
        compared = http.get(f"/v1/experiments/{experiment.id}/comparison").json()
        ended = http.get(f"/v1/experiments/{experiment.id}/events").text
    assert (document["stage"], document["plan"]["wait"]) == (stage, wait)
    assert [state["state"] for state in document["plan"]["stages"]] == states
    assert f"stage {stage}" in listed
    assert "decided</" not in listed
    assert compared["plan"] == document["plan"]
    assert html.escape(document["plan"]["standing"]) in report
    assert "event: end" in ended
    capsys.readouterr()
    client = gradus.Client(str(address))
    listings.show(client.experiment(experiment.id))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"stage {stage}," in shown
    assert document["plan"]["standing"] in shown
    assert document["plan"]["standing"] in str(client.experiment(experiment.id).compare())


def test_a_question_with_a_failed_run_waits_for_a_person(world: World) -> None:
    """Whoever watches is told, instead of waiting for ever; a retry lets it go on."""
    experiment = world.submit(world.QUESTION)
    world.work(experiment.id, status=lambda run: "FAILED" if run.index == 3 else "FINISHED")
    assert not queries.get_experiment(world.store, experiment.id).is_settled
    design.advance(world.store)
    assert queries.get_experiment(world.store, experiment.id).is_settled
    operations.retry_experiment(world.store, experiment.id)
    world.work(experiment.id)
    assert not queries.get_experiment(world.store, experiment.id).is_settled


def test_a_cancelled_question_does_not_grow(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    operations.cancel_experiment(world.store, experiment.id)
    assert design.advance(world.store) == 0
    assert stages(world, experiment.id) == {"tune": 24}
