"""A schedule's rate at any update, worked by hand and beside Keras'."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from experiments.datasets import Source
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.schedules import SCHEDULES, Schedule, ScheduleSpec
from experiments.spec import ExperimentSpec

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "exponential_decay": [{"decay_steps": 10, "decay_rate": 0.5},
                          {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}],
    "inverse_time_decay": [{"decay_steps": 10, "decay_rate": 0.5},
                           {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}],
    "polynomial_decay": [{"decay_steps": 20, "power": 2.0}, {"decay_steps": 7, "cycle": True}],
    "piecewise_constant_decay": [{"boundaries": [5, 30], "values": [0.1, 0.05, 0.001]}],
    "cosine_decay": [{"decay_steps": 20, "alpha": 0.1},
                     {"decay_steps": 20, "warmup_target": 0.5, "warmup_steps": 8}],
    "cosine_decay_restarts": [{"first_decay_steps": 6, "t_mul": 2.0, "m_mul": 0.8},
                              {"first_decay_steps": 6, "t_mul": 1.0, "alpha": 0.05}],
}  # fmt: skip
HALVED = {"name": "exponential_decay", "initial_learning_rate": 0.5, "decay_steps": 1, "decay_rate": 0.5}
CASES = [(name, setting) for name, settings in SETTINGS.items() for setting in settings]


def make(name: str, **setting: Any) -> Schedule:
    given = setting if name == "piecewise_constant_decay" else {"initial_learning_rate": 0.1, **setting}
    schedule: Schedule = TypeAdapter(ScheduleSpec).validate_python({"name": name, **given})
    return schedule


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_the_rate_is_keras_rate(name: str, setting: dict[str, Any]) -> None:
    schedule = make(name, **setting)
    theirs = getattr(keras.optimizers.schedules, schedule.keras_name)(**schedule.arguments())
    updates = [0, 1, 4, 5, 6, 7, 9, 10, 11, 13, 17, 18, 19, 20, 21, 29, 30, 31, 41, 43, 100]
    ours = [schedule.at(k) for k in updates]
    np.testing.assert_allclose(ours, [float(theirs(k)) for k in updates], rtol=2e-5, atol=1e-8)


def test_every_schedule_is_held_against_keras() -> None:
    assert set(SETTINGS) == set(SCHEDULES)


@pytest.mark.parametrize(
    ("name", "setting", "update", "rate"),
    [
        ("exponential_decay", {"decay_steps": 10, "decay_rate": 0.5}, 20, 0.1 / 4),
        ("inverse_time_decay", {"decay_steps": 10, "decay_rate": 0.5}, 20, 0.1 / 2),
        ("polynomial_decay", {"decay_steps": 20, "end_learning_rate": 0.0, "power": 2.0}, 10, 0.1 / 4),
        ("piecewise_constant_decay", {"boundaries": [5], "values": [0.1, 0.01]}, 5, 0.1),
        ("piecewise_constant_decay", {"boundaries": [5], "values": [0.1, 0.01]}, 6, 0.01),
        ("cosine_decay", {"decay_steps": 20}, 10, 0.1 / 2),
    ],
)
def test_by_hand(name: str, setting: dict[str, Any], update: int, rate: float) -> None:
    assert make(name, **setting).at(update) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "recorded"), [(0.5, {}), (HALVED, {1: 0.5, 2: 0.25, 3: 0.125})], ids=["number", "schedule"]
)
def test_the_rate_of_a_schedule_is_a_metric_of_every_epoch(rate: Any, recorded: dict[int, float]) -> None:
    """One update an epoch; what is recorded is the rate of the epoch's last one."""
    document = {
        "name": "x", "dataset": {"name": "xor"}, "model": {"hidden": [2]}, "diagnostics": "off",
        "optimizer": {"name": "sgd", "learning_rate": rate}, "training": {"epochs": 3, "batch_size": 4},
    }  # fmt: skip
    recorder = MemoryRecorder()
    (point,) = ExperimentSpec.parse(document).expand()
    train([point.spec], recorder, lambda lane: None, source=Source())
    assert recorder.history[0].get("train/learning_rate", {}) == recorded
