"""Exploring through HTTP, where no question was fixed: each level at its own best, tuned on the other seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gradus import Comparison
from service import operations
from service.analysis import comparison
from service.entities import Committed, Measured, MetricPoint
from service.report import experiment_note
from service.store import queries
from tests.service.scored_runs import World

GRID = """
name: rates
dataset: {name: digits}
model: {hidden: [16]}
optimizer: {name: sgd}
sweep: {activation: [sigmoid, relu], learning_rate: [0.01, 0.1, 1.0], seeds: 3}
"""
BEST = {"sigmoid": 0.1, "relu": 0.01}
OWN = {"sigmoid": 0.6, "relu": 0.7}


def peaked(run: Any) -> float:
    """Each activation at its best where its rate is its own, 0.1 less for every factor of ten beside it; seeds
    0.01 apart."""
    activation, rate = run.params["activation"], float(run.params["learning_rate"])
    return float(OWN[activation] - 0.1 * abs(math.log10(rate / BEST[activation])) + 0.01 * run.params["seed"])


@pytest.fixture
def client(serve: Any) -> Iterator[Any]:
    with httpx.Client(base_url=serve(), trust_env=False) as made:
        yield made


def explored(client: httpx.Client, id: Any, **parameters: Any) -> Any:
    return client.get(f"/v1/experiments/{id}/comparison", params=parameters).json()


def test_what_is_kept_of_runs_changes_no_comparison(world: World) -> None:
    """A page asks the same runs again whenever one ends, also for another factor or metric; the answer is that of fresh
    runs."""
    made = world.submit(GRID)
    kept = queries.snapshot(world.store, made.id)
    for factor, metric in (("activation", "test/accuracy"), ("learning_rate", "test/loss")) * 3:
        world.work(made.id, peaked, most=4)
        again = comparison.compare_runs(made, kept.runs(), factor=factor, metric=metric)
        fresh = comparison.compare(world.store, made.id, factor=factor, metric=metric)
        assert again.to_json() == fresh.to_json()


def test_a_level_is_compared_at_its_own_best_rate(world: World, client: httpx.Client) -> None:
    """0.7 against 0.6 at every seed; the mean over all rates would have said 0.6 against 0.5333."""
    made = world.submit(GRID)
    world.work(made.id, peaked)
    body = explored(client, made.id, factor="activation", metric="test/accuracy")
    assert (body["kind"], body["verdicts"]) == ("exploratory", [])
    assert body["tuning"] == {"how": "other seeds", "fields": ["learning_rate"], "metric": "val/accuracy"}
    assert "exploratory: each activation at its own best learning_rate" in body["answer"]
    effect = body["effects"][0]
    assert (effect["a"], effect["b"], effect["seeds"], effect["won"]) == ("relu", "sigmoid", 3, 3)
    assert effect["effect"] == pytest.approx(0.1)
    levels = {row["level"]: row for row in body["levels"]}
    assert levels["relu"]["tuned"] == [{"learning_rate": "0.01", "seeds": "0, 1, 2"}]
    assert levels["sigmoid"]["mean"] == pytest.approx(0.61)
    assert levels["sigmoid"]["runs"] == 3
    assert body["warnings"] == ["relu: best at the lowest learning_rate tried, perhaps better beyond"]


@pytest.mark.parametrize("page", ["comparison", "report"])
def test_a_factor_that_is_none_is_refused_with_those_that_are(
    world: World, client: httpx.Client, page: Any
) -> None:
    made = world.submit(GRID)
    answer = client.get(f"/v1/experiments/{made.id}/{page}", params={"factor": "bogus"})
    assert answer.status_code == 422
    (item,) = answer.json()["errors"]
    assert (item["path"], item["allowed"]) == ("query.factor", ["activation", "learning_rate", "seed"])


def test_a_metric_that_no_run_has_is_refused_with_those_that_they_have(
    world: World, client: httpx.Client
) -> None:
    made = world.submit(GRID)
    path = f"/v1/experiments/{made.id}/comparison"
    assert client.get(path, params={"metric": "val/loss"}).status_code == 200  # nothing is measured yet
    assert client.get(path, params={"metric": "bogus"}).status_code == 422
    world.work(made.id, peaked)
    for known in ("val/loss", "layers/0-dense/grad_norm"):
        assert client.get(path, params={"metric": known}).status_code == 200
    refused = client.get(path, params={"metric": "test/acuracy"})
    assert refused.status_code == 422
    (item,) = refused.json()["errors"]
    assert item["path"] == "query.metric"
    assert item["message"] == 'there is no metric "test/acuracy"; did you mean "test/accuracy"?'
    assert {"test/accuracy", "val/loss", "layers/0-dense/grad_norm"} <= set(item["allowed"])
    assert "bogus" not in item["allowed"]


def test_runs_that_measured_next_to_nothing_are_compared_all_the_same(
    world: World, client: httpx.Client
) -> None:
    made = world.submit(GRID)
    for run in queries.all_runs(world.store, made.id):
        (mine,) = operations.claim(world.store, [run.id], worker="w", spool="s", lease_seconds=60)
        operations.record(
            world.store, {run.id: Measured(mine.attempt, [MetricPoint("time/compile_s", 0, 1.0)])}
        )
        operations.cancel_run(world.store, run.id)
        operations.commit(world.store, {run.id: Committed(mine.attempt, "KILLED", "cancelled", {})})
        operations.finish(world.store, {run.id: None})
    assert explored(client, made.id)["metric"] == "test/accuracy"
    refused = explored(client, made.id, metric="test/accuracy")
    assert refused["errors"][0]["allowed"] == ["time/compile_s"]


def test_it_is_said_wherever_people_look(
    world: World, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world.submit(GRID)
    world.work(made.id, peaked)
    words = "for every seed the one with the best val/accuracy on the other seeds"
    shown = str(Comparison.model_validate(explored(client, made.id)))
    assert words in " ".join(shown.split())
    assert "compared at" in shown
    assert "certified (3)" in shown
    assert "0 of 3" in shown
    report = client.get(f"/v1/experiments/{made.id}/report").text
    assert words in report
    assert "learning_rate 0.01 (seeds 0, 1, 2)" in report
    assert "relu is best at 0.01" in report
    first, *_ = experiment_note.markdown(comparison.compare(world.store, made.id)).splitlines()
    assert words in first, "MLflow folds the rest away"


def test_seeds_are_repetitions_and_no_levels(
    world: World, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else was swept: one level with its spread, and no pair that compares a seed with another."""
    made = world.submit("name: again\ndataset: {name: digits}\nmodel: {hidden: [16]}\nsweep: {seeds: 3}\n")
    world.work(made.id, lambda run: 0.5 + 0.1 * run.params["seed"])
    body = explored(client, made.id)
    assert (body["factor"], body["effects"], body["verdicts"]) == ("seed", [], [])
    assert body["answer"].endswith("nothing to compare: the runs differ in their seed alone")
    (level,) = body["levels"]
    assert (level["level"], level["seeds"]) == ("every seed", 3)
    assert level["mean"] == pytest.approx(0.6)
    assert (level["low"], level["high"]) == pytest.approx(
        (0.6 - 4.3027 * 0.1 / 3**0.5, 0.6 + 4.3027 * 0.1 / 3**0.5), abs=1e-4
    )
    out = str(Comparison.model_validate(body))
    assert "a − b" not in out
    assert "[0.3516, 0.8484]" in out


def test_the_rate_of_a_seed_is_not_chosen_by_it(world: World, client: httpx.Client) -> None:
    """relu's 0.1 is far the best at seed 2 alone: seed 2 stands at 0.01 all the same, which the others chose."""

    def lucky(run: Any) -> Any:
        odd = (run.params["activation"], float(run.params["learning_rate"]), run.params["seed"]) == (
            "relu",
            0.1,
            2,
        )
        return 0.99 if odd else peaked(run)

    made = world.submit(GRID)
    world.work(made.id, lucky)
    tuned = {row["level"]: row["tuned"] for row in explored(client, made.id)["levels"]}["relu"]
    assert {setting["learning_rate"]: setting["seeds"] for setting in tuned} == {"0.01": "2", "0.1": "0, 1"}


def test_one_seed_leaves_none_to_tune_on(world: World, client: httpx.Client) -> None:
    """(0.7 + 0.6 + 0.5) / 3 − (0.5 + 0.6 + 0.5) / 3"""
    made = world.submit(GRID.replace(", seeds: 3", ""))
    world.work(made.id, peaked)
    body = explored(client, made.id)
    assert body["tuning"] is None
    assert "the mean over every learning_rate" in body["answer"]
    assert body["effects"][0]["effect"] == pytest.approx(0.2 / 3)


@pytest.mark.parametrize("seeds", [1, 3])
def test_optimizers_are_compared_over_their_rates_one_by_one(
    world: World, client: httpx.Client, seeds: int
) -> None:
    """An optimizer owns its rate, yet runs at other rates are not the same cell."""
    made = world.submit(
        GRID.replace("activation: [sigmoid, relu]", "optimizer: [{name: sgd}, {name: adam}]").replace(
            "seeds: 3", f"seeds: {seeds}"
        )
    )
    best = {"sgd": 1.0, "adam": 0.01}

    def score(run: Any) -> Any:
        return 0.9 - 0.1 * abs(math.log10(float(run.params["learning_rate"]) / best[run.levels["optimizer"]]))

    world.work(made.id, score)
    effect = explored(client, made.id, factor="optimizer")["effects"][0]
    assert effect["effect"] == pytest.approx(0.0)
    assert effect["seeds"] == seeds
    levels = {row["level"]: row for row in explored(client, made.id, factor="optimizer")["levels"]}
    assert levels["adam"]["mean"] == pytest.approx(0.9 if seeds > 1 else 0.8)


def test_a_metric_that_was_never_measured_has_no_numbers(world: World, client: httpx.Client) -> None:
    """`circle` trains an embedding: no accuracy, so neither a mean nor a difference, and chance is none either."""
    made = world.submit(GRID.replace("model:", "loss: circle\nmodel:"))

    def score(run: Any) -> Any:
        return None if run.params["seed"] == 1 else peaked(run)

    world.work(made.id, score, status=lambda run: "FAILED" if run.index == 0 else "FINISHED")
    operations.retry_experiment(world.store, made.id)  # until it is over, it may yet measure an accuracy
    body = explored(client, made.id, factor="activation", metric="test/accuracy")
    assert [level["mean"] for level in body["levels"]] == [None, None]
    assert body["effects"][0]["effect"] is None
    world.work(made.id, score)
    by_loss = explored(client, made.id, factor="activation", metric="test/loss")
    assert by_loss["effects"][0]["seeds"] == 3
    refused = explored(client, made.id, factor="activation", metric="test/accuracy")
    assert "test/accuracy" not in refused["errors"][0]["allowed"]


def test_by_a_loss_that_is_another_for_each_level_no_difference_is_shown(
    world: World, client: httpx.Client
) -> None:
    sweep = "loss: [categorical_crossentropy, mean_squared_error], activation: [sigmoid, relu], seeds: 3}"
    made = world.submit(
        GRID.replace("activation: [sigmoid, relu], learning_rate: [0.01, 0.1, 1.0], seeds: 3}", sweep)
    )
    world.work(made.id, peaked)
    effect = explored(client, made.id, factor="loss", metric="test/loss")["effects"][0]
    assert effect["note"] == "not attributable: what test/loss measures (loss) differs along with loss"
    assert effect["effect"] is None
    for parameters in (
        {"factor": "loss", "metric": "test/accuracy"},
        {"factor": "activation", "metric": "test/loss"},
    ):
        assert explored(client, made.id, **parameters)["effects"][0]["note"] is None


def test_a_random_draw_has_no_grid_to_tune_on(world: World, client: httpx.Client) -> None:
    text = GRID.replace(
        "learning_rate: [0.01, 0.1, 1.0], seeds: 3", "learning_rate: {log: [0.01, 1.0]}, seeds: 2"
    )
    made = world.submit(text.replace("seeds: 2}", "seeds: 2, strategy: random, runs: 8}"))
    world.work(made.id, peaked)
    body = explored(client, made.id, factor="activation")
    assert body["answer"] == "not attributable: learning_rate differs along with activation"
    assert body["effects"][0]["effect"] is None


def test_a_question_without_fresh_seeds_is_explored_on_those_it_tunes_on(
    world: World, client: httpx.Client
) -> None:
    made = world.submit(world.QUESTION)
    world.work(made.id)
    tuning = explored(client, made.id, metric="test/loss")
    assert tuning["tuning"] == {"how": "other seeds", "fields": ["learning_rate"], "metric": "val/loss"}
    assert {effect["seeds"] for effect in tuning["effects"]} == {2}
    asked = world.ask(world.QUESTION)
    fresh = explored(client, asked.id, metric="test/loss")
    assert fresh["tuning"] == {"how": "fresh seeds", "fields": ["learning_rate"], "metric": "val/accuracy"}
    assert {effect["seeds"] for effect in fresh["effects"]} == {5}
    assert "exploratory" in fresh["answer"]
    assert fresh["verdicts"] == []


def test_a_failed_run_takes_its_seed_out_for_every_level(world: World, client: httpx.Client) -> None:
    made = world.submit(GRID)
    world.work(made.id, peaked, status=lambda run: "FAILED" if run.index == 0 else "FINISHED")
    body = explored(client, made.id)
    lost = {row["level"]: (row["seeds"], row["failed"], row["waiting"]) for row in body["levels"]}
    assert lost == {"sigmoid": (2, 1, 0), "relu": (2, 0, 1)}
    assert body["effects"][0]["seeds"] == 2
