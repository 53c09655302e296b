"""The values that figures draw."""

from __future__ import annotations

import pytest

from service.analysis.comparison import compare_runs
from service.analysis.gradient_flow import Curves
from service.report import figures as drawing
from service.report.figure import Figure
from service.report.figures import _by_step, effects_figure, figures, level_names, training_figure
from service.store import queries
from service.words import Words
from tests.service.scored_runs import World


def test_values_are_gathered_by_step_also_where_some_runs_measured_less() -> None:
    whole = [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert _by_step([whole, [(1, 5.0), (2, 6.0), (3, 7.0)]]) == [
        (1, [1.0, 5.0]),
        (2, [2.0, 6.0]),
        (3, [3.0, 7.0]),
    ]
    ragged: list[list[tuple[int, float | None]]] = [
        [(1, 1.0), (2, 2.0), (3, 3.0)],
        [(1, 5.0)],
        [],
        [(1, None), (3, 9.0)],
        [(2, 8.0), (3, None)],
    ]
    assert _by_step(ragged) == [(1, [1.0, 5.0]), (2, [2.0, 8.0]), (3, [3.0, 9.0])]


SIX = "[sigmoid, tanh, relu, elu, selu, silu]"
EXPLORED = "name: explored\ndataset: {{name: digits}}\nmodel: {{hidden: [2]}}\nsweep: {{activation: {levels}, seeds: {seeds}}}\n"


def differences(world: World, levels: str, seeds: int) -> Figure:
    experiment = world.submit(EXPLORED.format(levels=levels, seeds=seeds))
    ahead = {"relu": 0.9, "tanh": 0.8}
    world.work(
        experiment.id, lambda run: ahead.get(run.levels["activation"], 0.7) + 0.001 * run.index * run.seed
    )
    comparison = compare_runs(experiment, queries.all_runs(world.store, experiment.id))
    return effects_figure(comparison, Words("en"))


def test_of_many_levels_the_differences_from_the_leading_one_are_drawn(world: World) -> None:
    few = differences(world, "[sigmoid, tanh, relu]", 2)
    assert few.svg.count("<circle") == 3
    assert "pairs" not in few.text
    many = differences(world, SIX, 2)
    assert many.svg.count("<circle") == 5
    assert "Of the 15 pairs of levels those of relu" in many.text
    assert "selu − elu" not in many.text


def test_against_a_control_every_difference_is_drawn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_PAIRS", 2)
    question = "compare: {factor: activation, delta: 0.01, control: sigmoid, looks: [3]}\n"
    text = EXPLORED.format(levels="[sigmoid, tanh, relu, elu]", seeds=3).replace(", seeds: 3", "")
    experiment = world.ask(text + question, lambda run: 0.7 + 0.01 * run.index + 0.001 * run.index * run.seed)
    comparison = compare_runs(experiment, queries.all_runs(world.store, experiment.id))
    assert effects_figure(comparison, Words("en")).svg.count("<circle") == 3


def test_one_seed_has_no_intervals_to_draw(world: World) -> None:
    assert differences(world, SIX, 1).svg == ""


def test_a_run_that_stopped_keeps_its_last_value_in_the_mean(world: World) -> None:
    experiment = world.submit(EXPLORED.format(levels="[relu]", seeds=3))
    world.work(experiment.id, lambda run: None if run.seed == 2 else 0.5)
    stopped, trained, diverged = queries.all_runs(world.store, experiment.id)
    whole: list[tuple[int, float | None]] = [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]
    curves: Curves = {
        stopped.id: {"train/loss": [(1, 4.0), (2, 0.0)]},
        trained.id: {"train/loss": whole},
        diverged.id: {"train/loss": [(1, 4.0), (2, None)]},
    }
    figure = training_figure("train/loss", {"relu": [stopped, trained, diverged]}, curves, Words("en"))
    assert figure.text.endswith(
        "At the end: relu 0.5 (2 of 3 runs; 1 diverged; 1 stopped earlier, and its last value counts on)."
    )


def test_a_level_that_is_a_number_is_called_with_its_factor(world: World) -> None:
    text = "name: x\ndataset: {name: digits}\nmodel: {hidden: [4]}\ntraining: {epochs: 2}\n"
    made = world.submit(text + "sweep: {training.batch_size: [16, 32], seeds: 2}\n")
    world.work(made.id, lambda run: 0.5 + 0.01 * run.index * run.seed)
    comparison = compare_runs(made, queries.all_runs(world.store, made.id))
    assert level_names(comparison, Words("en")) == {"16": "batch_size 16", "32": "batch_size 32"}
    shown = {figure.id: figure for figure in figures(comparison, {}, Words("en"))}
    assert ">batch_size 32 − 16<" in shown["effects"].svg
    made = world.submit(text + "sweep: {activation: [relu, tanh], seeds: 2}\n")
    world.work(made.id)
    comparison = compare_runs(made, queries.all_runs(world.store, made.id))
    assert level_names(comparison, Words("en")) == {"relu": "relu", "tanh": "tanh"}


def test_of_a_mixed_factor_only_numbers_are_called_with_it(world: World) -> None:
    decay = "{name: cosine_decay, initial_learning_rate: 0.1, decay_steps: 9}"
    text = "name: x\ndataset: {name: digits}\nmodel: {hidden: [4]}\noptimizer: {name: sgd}\n"
    made = world.submit(text + f"sweep: {{optimizer.learning_rate: [0.1, {decay}], seeds: 2}}\n")
    comparison = compare_runs(made, queries.all_runs(world.store, made.id))
    assert level_names(comparison, Words("en")) == {
        "0.1": "learning_rate 0.1",
        "cosine_decay": "cosine_decay",
    }
