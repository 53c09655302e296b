"""What the reading of a spec accepts, has a first stage: `validate`, a dry run and a submission cannot disagree."""

from __future__ import annotations

import random
from typing import Any

from experiments.errors import SpecError
from experiments.limits import Limits
from experiments.spec import ExperimentSpec
from service.analysis import design

BASE: dict[str, Any] = {"name": "a", "dataset": {"name": "digits"}, "model": {"hidden": [4]}}
FIELDS: dict[str, list[Any]] = {
    "optimizer": ["sgd", "adam", {"name": "rmsprop"}], "activation": ["relu", "tanh", "sigmoid"],
    "learning_rate": [0.001, 0.1, 0.5], "momentum": [0.0, 0.9], "beta_1": [0.8, 0.9], "rho": [0.9, 0.95],
    "batch_size": [16, 64], "epochs": [1, 2, 3], "hidden": [[4], [8, 8]], "model.layers[0].units": [3, 4],
    "loss": ["mse", "mae", "categorical_crossentropy"], "validation_split": [0.0, 0.1],
}  # fmt: skip


def asked(draw: random.Random) -> dict[str, Any]:
    """A question over fields that do not always fit together."""

    def axes(most: int) -> dict[str, list[Any]]:
        names = draw.sample(list(FIELDS), draw.randint(1, most))
        return {name: draw.sample(FIELDS[name], draw.randint(1, len(FIELDS[name]))) for name in names}

    sweep: dict[str, Any] = axes(3)
    question: dict[str, Any] = {
        "factor": draw.choice([*sweep, draw.choice(list(FIELDS))]),
        "delta": 0.01,
        "metric": draw.choice(["test/accuracy", "val/loss", "test/loss"]),
        "looks": draw.choice([[2], [2, 4], "any"]),
    }
    if draw.random() < 0.7:
        question["tune"] = axes(2) | {"seeds": draw.randint(1, 2)}
    if draw.random() < 0.4:
        question["budget"] = draw.choice([1, 10, 40, 200])
    return BASE | {"sweep": sweep, "compare": question}


def test_what_is_accepted_has_a_first_stage() -> None:
    draw, accepted = random.Random(20), 0
    for _ in range(1000):
        document = asked(draw)
        try:
            spec = ExperimentSpec.parse(document, Limits(max_runs=2000))
        except SpecError:
            continue
        points, stage, plan = design.initial_points(spec)  # raises where the two disagree
        assert points, document
        assert stage in ("tune", "look-1")
        assert plan is not None
        accepted += 1
    assert accepted >= 40
