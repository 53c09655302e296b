"""What a finished experiment takes afterwards: further looks at an error of their own, new levels, advice that works."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from experiments import runs as run_specs
from experiments.errors import SpecError
from service.analysis import design, extension
from service.analysis.comparison import compare
from service.errors import Conflict
from service.report import page as report
from service.settings import load_settings
from service.store import queries
from tests.present import present
from tests.service.scored_runs import World

CLOSE = """
name: close
dataset: {name: digits}
model: {hidden: [16]}
sweep: {activation: [tanh, relu]}
compare: {factor: activation, delta: 0.002, looks: [4]}
"""


@pytest.fixture
def client(serve: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(), trust_env=False, timeout=30) as made:
        yield made


def close(world: World) -> Any:
    """relu ahead by 0.001, with a spread of about 0.004."""
    return lambda run: (
        0.9 + 0.001 * (run.params["activation"] == "relu")
        + 0.004 * world.noise(run.params["activation"], run.params["seed"])
    )  # fmt: skip


def go_on(world: World, id: str, score: Any) -> None:
    for _ in range(10):
        world.work(id, score)
        if not design.advance(world.store):
            return


def test_what_the_answer_suggests_can_be_done(world: World, client: httpx.Client) -> None:
    """`about 69 seeds`, and then no way to have them: the sentence names the command, and it works."""
    score = close(world)
    experiment = world.ask(CLOSE, score)
    plan = present(experiment.design)
    assert experiment.stage == "last look reached"
    seeds = int(present(re.search(r"--looks (\d+)", plan["standing"]))[1])
    refused = client.post(f"/v1/experiments/{experiment.id}/extend")
    assert refused.status_code == 409
    assert f"--looks {seeds}" in refused.json()["detail"]
    extended = client.post(f"/v1/experiments/{experiment.id}/extend", json={"looks": [seeds]})
    assert extended.status_code == 202
    assert extended.json()["stage"] == "look-2"
    go_on(world, experiment.id, score)
    (verdict,) = compare(world.store, experiment.id).to_json()["verdicts"]
    assert verdict["seeds"] == seeds


def test_further_looks_say_what_they_cost(world: World) -> None:
    """α for the planned look, α/2 for the first further one: 7.5 % in all."""
    experiment = world.ask(CLOSE, close(world))
    extension.extend(world.store, experiment.id, looks=[8, 16])
    go_on(world, experiment.id, close(world))
    comparison = compare(world.store, experiment.id)
    asked = present(comparison.design)
    assert [asked.error_at(seeds) for seeds in (4, 8, 16)] == pytest.approx([0.05, 0.025, 0.0125])
    assert present(comparison.plan)["total_error"] == pytest.approx(0.0875)
    assert "91.25 %; the looks at 8, 16 seeds were asked for after" in report.render(
        world.store, experiment.id, load_settings()
    )


def test_a_new_level_is_tuned_and_compared_and_nothing_is_trained_twice(world: World) -> None:
    trained: Counter[str] = Counter()

    def score(run: Any) -> Any:
        trained[run.fingerprint] += 1
        known = "relu" if run.params["activation"] == "gelu" else run.params["activation"]
        return world.accuracy(_as(run, known)) + 0.03 * (run.params["activation"] == "gelu")

    experiment = world.ask(world.QUESTION, score)
    extended = extension.extend(world.store, experiment.id, levels=["gelu"])
    assert extended.stage == "tune"
    assert extended.n_runs == experiment.n_runs + 8, "four rates on two seeds"
    go_on(world, experiment.id, score)
    comparison = compare(world.store, experiment.id)
    assert set(present(comparison.design).levels) == {"sigmoid", "tanh", "relu", "gelu"}
    assert comparison.answer.startswith("gelu better than")
    assert set(trained.values()) == {1}
    spec = queries.get_experiment(world.store, experiment.id).experiment_spec
    assert present(spec.sweep).axes["activation"] == ["sigmoid", "tanh", "relu", "gelu"]


class _as:  # noqa: N801
    """A run with another activation."""

    def __init__(self, run: Any, activation: str) -> None:
        self.params = {**run.params, "activation": activation}


def test_without_a_question_a_new_level_gets_the_seeds_there_are(world: World) -> None:
    made = world.submit(
        "name: g\ndataset: {name: digits}\nmodel: {hidden: [8]}\nsweep: {activation: [relu], seeds: 3}\n"
    )
    world.work(made.id, lambda run: 0.9)
    extended = extension.extend(world.store, made.id, levels=["tanh"])
    assert extended.n_runs == 6
    runs = queries.all_runs(world.store, made.id)
    assert Counter(run.levels["activation"] for run in runs) == {"relu": 3, "tanh": 3}


def test_runs_of_an_earlier_version_are_not_used_beside_new_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """relu has 0.9 by the numerics of 0.1.0 and 0.8 by those of this version, and tanh is compared with the latter."""
    monkeypatch.setattr(run_specs, "NUMERICS", 1)
    run_specs._begun.cache_clear()
    made = world.submit(
        "name: g\ndataset: {name: digits}\nmodel: {hidden: [8]}\nsweep: {activation: [relu], seeds: 3}\n"
    )
    world.work(made.id, lambda run: 0.9)
    monkeypatch.undo()
    run_specs._begun.cache_clear()
    extended = extension.extend(world.store, made.id, levels=["tanh"])
    assert extended.n_runs == 9, "relu is trained again"
    world.work(made.id, lambda run: 0.8)
    compared = compare(world.store, made.id)
    assert {level.estimate.level: level.estimate.mean for level in compared.levels} == {
        "relu": pytest.approx(0.8), "tanh": pytest.approx(0.8)
    }  # fmt: skip
    assert len(compared.used) == 6


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"looks": [3]}, SpecError),
        ({"levels": ["swihs"]}, SpecError),
        ({"levels": ["relu"]}, SpecError),
        ({"levels": {"wide": {}}}, SpecError),
        ({"seeds": 3}, Conflict),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    world: World, more: Any, error: type[Exception]
) -> None:
    experiment = world.ask(CLOSE, close(world))
    with pytest.raises(error):
        extension.extend(world.store, experiment.id, **more)
    after = queries.get_experiment(world.store, experiment.id)
    assert (after.n_runs, after.spec, after.stage) == (experiment.n_runs, experiment.spec, experiment.stage)
