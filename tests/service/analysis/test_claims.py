"""What may be claimed, asked for over HTTP: nothing where more differs, nothing of levels that are alike; and no run
is made twice for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service import operations
from service.analysis import design
from service.store import queries
from tests.service.scored_runs import World

ALONG = """
name: along
dataset: {name: digits}
model: {hidden: [16]}
sweep:
  cases:
    modern: {activation: relu, optimizer: {name: adam}}
    classic: {activation: sigmoid, optimizer: {name: sgd}}
compare: {factor: activation, looks: [5, 10]}
"""
ALIKE = """
name: alike
dataset: {name: digits}
model: {hidden: [16]}
sweep: {activation: [tanh, relu]}
compare: {factor: activation, delta: 0.005, looks: [5, 10, 20]}
"""


@pytest.fixture
def client(serve: Any) -> Iterator[Any]:
    with httpx.Client(base_url=serve(), trust_env=False, timeout=30) as made:
        yield made


def answered(world: World, client: httpx.Client, text: Any, score: Any) -> Any:
    """Submit a question and let workers and maintenance go on until it is over; (experiment, comparison)."""
    made = client.post("/v1/experiments", content=text, headers={"content-type": "application/yaml"}).json()
    for _ in range(20):
        world.work(made["id"], score)
        if not design.advance(world.store):
            break
    path = f"/v1/experiments/{made['id']}"
    return client.get(path).json(), client.get(f"{path}/comparison").json()


def test_where_the_optimizer_differs_too_nothing_is_claimed(world: World, client: httpx.Client) -> None:
    experiment, compared = answered(
        world, client, ALONG, lambda run: 0.9 if run.params["activation"] == "relu" else 0.5
    )
    assert compared["kind"] == "question"
    text = "not attributable: optimizer differs along with activation"
    verdict = compared["verdicts"][0]
    assert (verdict["verdict"], verdict["text"]) == ("not attributable", text)
    assert (verdict["effect"], verdict["low"], verdict["high"]) == (None, None, None)
    assert text in compared["answer"]
    assert (experiment["stage"], experiment["n_runs"]) == ("nothing to decide", 10)
    again = client.get(
        f"/v1/experiments/{experiment['id']}/comparison", params={"factor": "activation"}
    ).json()
    assert again["verdicts"] == compared["verdicts"]
    pair = ALONG.replace("factor: activation", "factor: case")
    _, compared = answered(
        world, client, pair, lambda run: 0.9 if run.params["activation"] == "relu" else 0.5
    )
    assert compared["answer"] == "modern better than classic", "the pair itself may be asked about"


@pytest.mark.parametrize("draw", range(8))
@pytest.mark.parametrize("spread", [0.001, 0.01])
def test_levels_that_are_alike_are_never_better(
    world: World, client: httpx.Client, draw: Any, spread: Any
) -> None:
    """Noise and nothing else; the plain t interval would call one in twenty of such looks."""

    def score(run: Any) -> Any:
        return 0.9 + spread * world.noise(draw, run.params["activation"], run.params["seed"])

    _, compared = answered(world, client, ALIKE, score)
    assert compared["verdicts"][0]["verdict"] in ("equivalent within δ", "undecided")
    assert compared["verdicts"][0]["seeds"] in (5, 10, 20)


def test_a_look_uses_the_runs_there_are_and_none_is_trained_twice(world: World, client: httpx.Client) -> None:
    """Two workers and two maintenance loops; then further looks, each asked for by four people at once."""
    trained: Counter[str] = Counter()
    lock = threading.Lock()

    def score(run: Any) -> Any:
        with lock:
            trained[run.fingerprint] += 1
        return world.accuracy(run)

    made = world.submit(world.QUESTION)
    ended = threading.Event()

    def go_on(step: Any) -> None:
        while not ended.wait(0.01):
            step()

    steps = [lambda: world.work(made.id, score)] * 2 + [lambda: design.advance(world.store)] * 2
    with ThreadPoolExecutor(8) as pool:
        loops = [pool.submit(go_on, step) for step in steps]
        try:
            until(lambda: queries.get_experiment(world.store, made.id).is_settled)
            assert queries.get_experiment(world.store, made.id).n_runs == 24 + 15
            asked = list(pool.map(lambda _: client.post(f"/v1/experiments/{made.id}/extend"), range(4)))
            assert sorted(response.status_code for response in asked)[0] == 202
            assert {response.status_code for response in asked} <= {202, 409}
            until(lambda: queries.get_experiment(world.store, made.id).is_settled)
        finally:
            ended.set()
        for loop in loops:
            loop.result()
    runs = queries.all_runs(world.store, made.id)
    assert len(runs) == 24 + 30, "the second look has the first one's runs and five seeds more a level"
    assert {run.attempt for run in runs} == {1}
    assert trained == {run.fingerprint: 1 for run in runs}


def until(true: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


ITSELF = """
name: not-attributable-to-itself
dataset: {name: digits}
model:
  activation: relu
  layers:
    - {type: dense, units: 16}
    - {type: batch_normalization, momentum: 0.99}
    - {type: activation}
    - {type: dense, units: 10}
sweep:
  cases:
    slow: {"model.layers[1].momentum": 0.99}
    quick: {"model.layers[1].momentum": 0.5}
  seeds: 3
"""


@pytest.mark.parametrize("flatten", ["", "    - {type: flatten}\n"])
def test_not_attributable_to_itself(world: World, client: httpx.Client, flatten: str) -> None:
    """The network of an image has a flatten layer in front, written or implied."""
    text = ITSELF.replace("  layers:\n", "  layers:\n" + flatten)
    if flatten:
        text = text.replace("layers[1]", "layers[2]")
    _, compared = answered(world, client, text, lambda run: 0.9 - 0.001 * run.params["seed"])
    assert compared["effects"][0]["differs"] == []
    assert "; exploratory" in compared["answer"]


def test_progress_is_as_it_is(world: World, client: httpx.Client) -> None:
    """While a stage runs, the API says how many of its runs have ended."""
    made = world.submit(world.QUESTION)

    def stage() -> Any:
        return client.get(f"/v1/experiments/{made.id}").json()["plan"]

    assert (stage()["stages"][0]["ended"], stage()["stages"][0]["state"]) == (0, "planned")
    runs = queries.all_runs(world.store, made.id)
    operations.cancel_run(world.store, runs[0].id)
    assert (stage()["stages"][0]["ended"], stage()["stages"][0]["state"]) == (1, "running")
    assert stage()["answer"] == "no answer yet (tune: 1 of 24 runs)"
