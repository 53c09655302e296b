"""Which factor matters, from stored runs: in the comparison, the report and MLflow's note."""

from __future__ import annotations

from typing import Any

import pytest

from service.analysis.comparison import compare
from service.report import page as report
from service.report.experiment_note import markdown
from service.settings import load_settings
from tests.service.scored_runs import World

GRID = """
name: grid
dataset: {name: digits}
model: {hidden: [16]}
optimizer: {name: sgd}
sweep: {activation: [relu, tanh], learning_rate: [0.01, 0.1], batch_size: [32, 64], seeds: 2}
"""


def score(run: Any) -> float:
    """0.9 ± 0.03 by the activation, which turns with the rate, ± 0.01 by the batch size."""
    sign = 1 if run.params["activation"] == "relu" else -1
    turn = 1 if float(run.params["learning_rate"]) == 0.1 else -1
    return 0.9 + 0.03 * sign * turn + 0.01 * (1 if run.params["batch_size"] == 32 else -1)


def test_shares_are_in_the_comparison_the_report_and_the_note(world: World) -> None:
    made = world.submit(GRID)
    world.work(made.id, score)
    compared = compare(world.store, made.id, factor="activation")
    shares = {tuple(part["factors"]): part["share"] for part in compared.to_json()["importance"]}
    assert shares["activation", "learning_rate"] == pytest.approx(0.9)
    assert shares["batch_size",] == pytest.approx(0.1)
    page = report.render(world.store, made.id, load_settings(), factor="activation")
    assert "activation with learning_rate" in page
    assert "Where the winner turns" in page
    assert "<td>tanh</td><td>relu</td>" in page
    assert "activation with learning_rate 90%, batch_size 10%" in markdown(compared)


def test_runs_of_one_factor_have_no_shares(world: World) -> None:
    made = world.submit(GRID.replace(", learning_rate: [0.01, 0.1], batch_size: [32, 64]", ""))
    world.work(made.id, lambda run: 0.9)
    assert compare(world.store, made.id).to_json()["importance"] == []
    assert "Which factor matters" not in report.render(world.store, made.id, load_settings())
