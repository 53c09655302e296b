"""A comparison takes over the runs of an earlier experiment, now and at every later stage, and says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from experiments.errors import SpecError
from service import operations
from service.analysis import design, extension
from service.analysis.comparison import compare
from service.store import queries
from tests.present import present
from tests.service.scored_runs import World

GRID = """
name: earlier
dataset: {name: digits}
model: {hidden: [16]}
sweep: {activation: [tanh, gelu], seeds: 6}
"""
QUESTION = """
name: question
dataset: {name: digits}
model: {hidden: [16]}
sweep: {activation: [relu, tanh]}
compare: {factor: activation, delta: 0.01, looks: [4, 8]}
"""


def score(run: Any) -> float:
    """relu ahead of tanh and gelu by 0.002, with a spread of about 0.03: undecided at 4 seeds."""
    name, seed = run.params["activation"], run.params["seed"]
    value: float = 0.9 + 0.002 * (name == "relu") + 0.03 * World.noise(name, seed)
    return value


@pytest.fixture
def client(serve: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(), trust_env=False, timeout=30) as made:
        yield made


def settle(world: World, id: str) -> int:
    """Train what waits and let MLflow have what was taken over; how many were trained."""
    taken = [run for run in queries.all_runs(world.store, id) if run.substatus == "shipping"]
    operations.finish(world.store, {run.id: None for run in taken})
    return world.work(id, score)


def test_a_question_trains_only_what_no_earlier_experiment_has(world: World) -> None:
    earlier = world.submit(GRID)
    world.work(earlier.id, score)
    asked = world.submit(QUESTION + f"reuse: [{earlier.id}]\n")
    assert asked.n_runs == 8
    assert settle(world, asked.id) == 4, "relu on four seeds; tanh is there"
    assert design.advance(world.store) == 1
    assert queries.get_experiment(world.store, asked.id).stage == "look-2"
    assert settle(world, asked.id) == 4 + 2, "tanh on seeds 6 and 7, which no experiment has"
    runs = queries.all_runs(world.store, asked.id)
    assert Counter(operations.REUSED_FROM in run.tags for run in runs) == {True: 6, False: 10}
    answer = compare(world.store, asked.id)
    assert any("6 of the 16 compared runs are taken over" in warning for warning in answer.warnings)
    (verdict,) = answer.to_json()["verdicts"]
    assert verdict["seeds"] == 8


def test_what_is_taken_over_changes_no_number(world: World) -> None:
    earlier = world.submit(GRID)
    world.work(earlier.id, score)
    verdicts = []
    for text in (QUESTION, QUESTION + f"reuse: [{earlier.id}]\n"):
        asked = world.submit(text)
        for _ in range(4):
            settle(world, asked.id)
            design.advance(world.store)
        verdicts.append(compare(world.store, asked.id).to_json()["verdicts"])
    assert verdicts[0] == verdicts[1]


def test_extend_adds_a_level_from_another_experiment(world: World, client: httpx.Client) -> None:
    earlier, asked = world.submit(GRID), world.submit(QUESTION)
    world.work(earlier.id, score)
    settle(world, asked.id)
    while design.advance(world.store):
        settle(world, asked.id)
    before = queries.get_experiment(world.store, asked.id).n_runs
    extended = client.post(
        f"/v1/experiments/{asked.id}/extend", json={"levels": ["gelu"], "reuse": [earlier.id[:8]]}
    )
    assert extended.status_code == 202, extended.text
    assert settle(world, asked.id) == 0, "gelu's seeds 0 to 3 are all there"
    assert queries.get_experiment(world.store, asked.id).n_runs == before + 4
    spec = queries.get_experiment(world.store, asked.id).experiment_spec
    assert spec.reuse == (earlier.id,)
    assert design.advance(world.store) == 1
    assert settle(world, asked.id) == 2, "its seeds 6 and 7"


@pytest.mark.parametrize("body", [{"reuse": ["nobody"]}, {"seeds": 1, "reuse": ["SELF"]}])
def test_an_experiment_that_is_none_or_itself_is_refused(
    world: World, client: httpx.Client, body: dict[str, Any]
) -> None:
    made = world.submit(GRID)
    body = {**body, "reuse": [made.id if id == "SELF" else id for id in body["reuse"]]}
    refused = client.post(f"/v1/experiments/{made.id}/extend", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "reuse[0]"
    assert queries.get_experiment(world.store, made.id).n_runs == 12


def test_a_spec_that_names_an_unknown_experiment_is_refused_and_a_short_id_is_known(
    world: World, client: httpx.Client
) -> None:
    earlier = world.submit(GRID)
    world.work(earlier.id, score)
    headers = {"Content-Type": "application/yaml"}
    for query in ({}, {"dry_run": "true"}):
        refused = client.post(
            "/v1/experiments", params=query, content=QUESTION + "reuse: [x]\n", headers=headers
        )
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "reuse[0]")
    made = client.post(
        "/v1/experiments", content=QUESTION + f"reuse: [{earlier.id[:8]}]\n", headers=headers
    ).json()
    assert made["status"]["SCHEDULED"] == 4
    assert queries.get_experiment(world.store, made["id"]).spec["reuse"] == [earlier.id]


NAMED = QUESTION.replace("tanh]}", "tanh], seeds: [50, 40, 30, 20]}").replace("[4, 8]", "[4]")


def test_named_seeds_are_extended_by_named_seeds_in_their_order(world: World) -> None:
    """The advice names them, and what it names can be sent as it is."""
    asked = world.submit(NAMED)
    settle(world, asked.id)
    design.advance(world.store)
    advice = present(present(queries.get_experiment(world.store, asked.id).design)["advice"])
    assert advice["seeds"] == list(range(51, 51 + advice["looks"][0] - 4))
    with pytest.raises(SpecError, match="seeds are named"):
        extension.extend(world.store, asked.id, looks=[6])
    extended = extension.extend(world.store, asked.id, looks=[6], seeds=[7, 3])
    assert extended.n_runs == 12
    runs = queries.all_runs(world.store, asked.id)
    assert {run.spec["seed"] for run in runs} == {50, 40, 30, 20, 7, 3}


def test_what_the_advice_says_is_what_extend_takes(world: World, client: httpx.Client) -> None:
    for text in (QUESTION, NAMED, QUESTION.replace("8]}", "8], budget: 8}")):
        asked = world.submit(text)
        for _ in range(4):
            settle(world, asked.id)
            design.advance(world.store)
        plan = client.get(f"/v1/experiments/{asked.id}").json()["plan"]
        assert plan["wait"] in ("last look", "budget"), plan["answer"]
        extended = client.post(f"/v1/experiments/{asked.id}/extend", json=plan["advice"])
        assert extended.status_code == 202, extended.text
        assert extended.json()["status"]["SCHEDULED"] > 0


def test_without_a_question_seeds_may_be_named(world: World, client: httpx.Client) -> None:
    made = world.submit(GRID)
    world.work(made.id, score)
    extended = client.post(f"/v1/experiments/{made.id}/extend", json={"seeds": [5, 99, 17]})
    assert extended.json()["n_runs"] == 12 + 4, "seed 5 is there already"
    assert {run.spec["seed"] for run in queries.all_runs(world.store, made.id)} == {*range(6), 99, 17}
    assert client.post(f"/v1/experiments/{made.id}/extend", json={"seeds": [-1]}).status_code == 422


def test_a_question_that_counts_its_seeds_takes_no_named_ones(world: World) -> None:
    asked = world.submit(QUESTION)
    with pytest.raises(SpecError, match="counts its seeds"):
        extension.extend(world.store, asked.id, looks=[16], seeds=[1, 2])
