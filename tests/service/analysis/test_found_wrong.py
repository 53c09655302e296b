"""Inputs that once went wrong, one of each kind, from the spec to the comparison."""

from __future__ import annotations

import math
from typing import Any

from experiments.comparing.from_spec import design_of
from experiments.spec import ExperimentSpec
from service.analysis.comparison import compare
from service.report import page as report
from service.settings import load_settings
from service.store import queries
from tests.present import present
from tests.service.scored_runs import World

LONG = """
name: label-cut-before-compared
dataset: {name: xor}
model: {activation: linear, hidden: [4]}
optimizer: {name: sgd, learning_rate: 0.01}
training: {epochs: 1, batch_size: 4}
sweep: {hidden: [FIRST, SECOND], seeds: 2}
"""


def test_label_cut_before_compared(world: World) -> None:
    """Two networks that differ after 200 characters are two levels with two labels, everywhere."""
    layers = ["4"] * 103
    text = LONG.replace("FIRST", f"[{','.join(layers)}]").replace(
        "SECOND", f"[{','.join([*layers[:-1], '3'])}]"
    )
    made = world.submit(text)
    world.work(made.id, lambda run: 0.5 + 0.1 * (run.spec["model"]["layers"][-2]["units"] == 3))
    runs = queries.all_runs(world.store, made.id)
    assert len({run.levels["hidden"] for run in runs}) == 2
    assert len({str(run.params["hidden"]) for run in runs}) == 2
    compared = compare(world.store, made.id)
    assert len(compared.levels) == 2
    assert present(compared.effects[0].judgement.effect) > 0.09
    page = report.render(world.store, made.id, load_settings())
    assert all(level.estimate.level in page for level in compared.levels)


NOISE = """
name: tuned-by-noise
dataset: {name: digits}
model: {hidden: [16]}
training: {epochs: 1, batch_size: 64}
sweep: {activation: [relu, tanh]}
compare:
  factor: activation
  metric: test/accuracy
  delta: 0.005
  tune: {learning_rate: {log: [1.0e-3, 1.0], points: 4}, seeds: 1}
  looks: [5]
"""


def test_tuned_by_noise(world: World) -> None:
    """One tuning seed prefers 0.01 for relu by luck. More seeds find that 0.1 is better, and no verdict misleads."""

    def score(run: Any) -> float:
        rate, seed = float(run.params["learning_rate"]), run.params["seed"]
        luck = 0.06 if (run.params["activation"], rate, seed) == ("relu", 0.01, 0) else 0.0
        return (
            0.9
            - 0.03 * abs(math.log10(rate) + 1)
            + luck
            + 0.002 * world.noise(run.params["activation"], rate, seed)
        )

    experiment = world.ask(NOISE, score)
    compared = compare(world.store, experiment.id)
    assert any("compare.tune.seeds is 1" in warning for warning in compared.spec.warnings())
    stages = [stage["name"] for stage in present(compared.plan)["stages"]]
    assert "tune-again-1" in stages
    (verdict,) = compared.to_json()["verdicts"]
    assert verdict["verdict"] not in ("better", "better, but by less than δ")


SEEDS = """
name: explicit-seeds
dataset: {name: digits}
model: {hidden: [16]}
optimizer: {name: sgd, learning_rate: 0.1}
training: {epochs: 2}
sweep: {activation: [relu, tanh], seeds: [100, 200, 300]}
compare: {factor: activation, delta: 0.05, looks: [3]}
"""


def test_explicit_seeds(world: World) -> None:
    made = world.submit(SEEDS)
    assert [run.spec["seed"] for run in queries.all_runs(world.store, made.id)] == [100, 200, 300] * 2
    assert present(design_of(ExperimentSpec.parse(SEEDS))).fresh_seeds(3) == (100, 200, 300)
