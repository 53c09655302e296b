"""The comparison's data: verdicts for the question, estimates for everything else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from experiments.errors import SpecError
from service.analysis import comparison
from service.report import experiment_note, page
from service.settings import load_settings
from tests.service.scored_runs import World

BATCHES = """
name: batches
dataset: {name: digits}
model: {hidden: [16]}
sweep: {"training.batch_size": [32, 64], seeds: 2}
"""


def verdicts(compared: Any) -> Any:
    return {frozenset((verdict["a"], verdict["b"])): verdict for verdict in compared.to_json()["verdicts"]}


def test_the_question_gets_verdicts(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    body = comparison.compare(world.store, experiment.id).to_json()
    json.dumps(body, allow_nan=False)
    assert body["kind"] == "question"
    first = next(verdict for verdict in body["verdicts"] if verdict["text"] == "relu better than sigmoid")
    assert first.keys() >= {"a", "b", "verdict", "text", "effect", "low", "high", "seeds", "won", "diverged"}
    assert (first["a"], first["b"], first["verdict"], first["seeds"], first["won"]) == (
        "relu",
        "sigmoid",
        "better",
        5,
        5,
    )
    assert 0 < first["low"] < first["effect"] < first["high"]
    assert first["diverged"] == {"sigmoid": 0, "relu": 0, "of": 5}
    level = {row["level"]: row for row in body["levels"]}["relu"]
    assert (level["seeds"], level["tuned"], level["certificates"]) == (
        5,
        [{"learning_rate": "0.1"}],
        {"certified": 5},
    )


def test_the_worked_example_of_the_documentation(world: World) -> None:
    """The numbers in docs/comparing.md."""
    experiment = world.ask(world.QUESTION)
    by_pair = verdicts(comparison.compare(world.store, experiment.id))
    pair = by_pair[frozenset(("relu", "tanh"))]
    assert pair["text"] == "relu and tanh equivalent within 0.01"
    assert [round(pair[key], 5) for key in ("effect", "low", "high")] == [0.00339, -0.0008, 0.00759]


RATES = """
name: rates
dataset: {name: digits}
model: {hidden: [16]}
optimizer: {name: sgd}
sweep: {learning_rate: [0.1, 0.01, 1.0]}
compare: {factor: learning_rate, delta: 0.01, looks: [5]}
"""


def test_a_number_is_named_with_its_factor(world: World) -> None:
    """`0.1 better than 0.01` says nothing by itself; a and b stay the labels."""
    mean, spread = {0.1: 0.9, 0.01: 0.8, 1.0: 0.9}, {0.1: 0.001, 0.01: 0.001, 1.0: 0.05}

    def score(run: Any) -> Any:
        rate = run.params["learning_rate"]
        return mean[rate] + spread[rate] * world.noise(rate, run.params["seed"])

    compared = comparison.compare(world.store, world.ask(RATES, score).id)
    verdict = verdicts(compared)[frozenset(("0.1", "0.01"))]
    assert (verdict["a"], verdict["b"]) == ("0.1", "0.01")
    assert verdict["text"] == "learning_rate 0.1 better than learning_rate 0.01"
    assert verdict["text"] in compared.answer
    left = verdicts(compared)[frozenset(("0.1", "1"))]
    assert f"learning_rate {left['a']} and learning_rate {left['b']} undecided" in compared.answer


def test_it_holds_for_every_data_set_that_was_swept(world: World) -> None:
    text = RATES.replace("learning_rate: [0.1, 0.01, 1.0]", "dataset: [digits, mnist, stripes]")
    compared = comparison.compare(
        world.store, world.submit(text.replace("factor: learning_rate", "factor: dataset")).id
    )
    assert compared.scope.startswith(
        "This holds for the data sets digits, mnist and stripes and the one split of each"
    )
    alone = comparison.compare(world.store, world.submit(RATES).id)
    assert alone.scope.startswith("This holds for the data set digits and the one split of it that was used.")


@pytest.mark.parametrize(
    ("factor", "metric"), [("activation", "test/loss"), ("learning_rate", None), ("optimizer", None)]
)
def test_anything_else_is_exploratory(world: World, factor: str, metric: Any) -> None:
    experiment = world.ask(world.QUESTION)
    body = comparison.compare(world.store, experiment.id, factor=factor, metric=metric).to_json()
    assert (body["kind"], body["verdicts"]) == ("exploratory", [])
    assert body["levels"]
    assert "verdict" not in (body["effects"][0] if body["effects"] else {})


@pytest.mark.parametrize(
    ("name", "path"),
    [("activation", "model.activation"), ("learning_rate", "optimizer.learning_rate")],
)
def test_a_factor_goes_by_its_name_or_its_path(world: World, name: str, path: Any) -> None:
    """As `compare.factor` does: the path is what a spec's axis is called."""
    experiment = world.ask(world.QUESTION)
    by_name, by_path = (
        comparison.compare(world.store, experiment.id, factor=factor).to_json() for factor in (name, path)
    )
    assert by_path == by_name
    assert len(by_path["levels"]) > 1


def test_an_axis_written_as_a_path_is_compared_by_it(world: World) -> None:
    experiment = world.submit(BATCHES)
    world.work(experiment.id, lambda run: run.params["batch_size"] / 100)
    body = comparison.compare(world.store, experiment.id, factor="training.batch_size").to_json()
    assert (body["factor"], body["effects"][0]["effect"]) == ("batch_size", pytest.approx(0.32))


def test_a_factor_that_is_none(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    with pytest.raises(SpecError) as refused:
        comparison.compare(world.store, experiment.id, factor="activatoin")
    (problem,) = refused.value.problems
    assert problem.message == 'there is no factor "activatoin"; did you mean "activation"?'
    assert problem.allowed == ["activation", "learning_rate", "seed"]


def test_levels_that_are_truly_alike_are_never_better(world: World) -> None:
    text = world.QUESTION.replace("delta: 0.01", "delta: 0.005")
    experiment = world.ask(
        text, lambda run: 0.9 + 0.004 * ((run.params["seed"] * 7 + len(run.params["activation"])) % 5)
    )
    for verdict in verdicts(comparison.compare(world.store, experiment.id)).values():
        assert verdict["verdict"] in ("equivalent within δ", "undecided")


CASES = """
name: confounded
dataset: {name: digits}
model: {hidden: [16]}
sweep:
  cases:
    modern: {activation: relu, optimizer: {name: adam}}
    classic: {activation: sigmoid, optimizer: {name: sgd}}
  seeds: 5
"""


def test_an_optimizer_that_differs_along_is_named(world: World) -> None:
    experiment = world.ask(CASES, lambda run: 0.9 if run.params["activation"] == "relu" else 0.5)
    body = comparison.compare(world.store, experiment.id, factor="activation").to_json()
    assert body["answer"] == "not attributable: optimizer differs along with activation"
    assert body["effects"][0]["effect"] is None
    assert body["verdicts"] == []


def test_diverged_runs_score_chance_and_are_counted(world: World) -> None:
    def score(run: Any) -> Any:
        return None if run.params["activation"] == "relu" and run.params["seed"] >= 2 else world.accuracy(run)

    experiment = world.ask(world.QUESTION, score)
    compared = comparison.compare(world.store, experiment.id)
    pair = verdicts(compared)[frozenset(("relu", "tanh"))]
    assert (pair["a"], pair["verdict"], pair["diverged"]) == (
        "tanh",
        "better",
        {"tanh": 0, "relu": 5, "of": 5},
    )
    assert pair["effect"] > 0.8
    assert "relu: 5 of 5 runs diverged" in compared.warnings


def test_the_answer_as_markdown(world: World) -> None:
    experiment = world.ask(world.QUESTION)
    text = experiment_note.markdown(
        comparison.compare(world.store, experiment.id), {"report": "http://x/report"}
    )
    assert "| relu | sigmoid | relu better than sigmoid | +0.0615 |" in text
    assert "[report](http://x/report)" in text
    assert "relu better than sigmoid" in text.splitlines()[0], (
        "MLflow shows the first line and folds the rest"
    )
    assert experiment.description in text


def test_before_the_first_look_there_is_no_answer(world: World) -> None:
    experiment = world.submit(world.QUESTION)
    body = comparison.compare(world.store, experiment.id).to_json()
    assert body["answer"] == "no answer yet (tune: 0 of 24 runs)"
    assert {verdict["verdict"] for verdict in body["verdicts"]} == {"undecided"}
    assert page.render(world.store, experiment.id, load_settings())


def test_five_hundred_runs_in_a_second(world: World) -> None:
    text = world.QUESTION.replace("looks: [5, 10]", "looks: [160, 161]")
    experiment = world.ask(text)
    assert experiment.n_runs >= 500
    begun = time.process_time()
    comparison.compare(world.store, experiment.id).to_json()
    middle = time.process_time()
    page.render(world.store, experiment.id, load_settings())
    assert middle - begun < 1.0
    assert time.process_time() - middle < 5.0
