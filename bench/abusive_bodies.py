"""Bodies that once took minutes or gigabytes, and a generator of more: for `bench.abuse` and for a test."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

BASE: dict[str, Any] = {"name": "a", "dataset": {"name": "xor"}, "model": {"hidden": [4]}}
SIGNS = [
    0,
    1,
    -1,
    2.5,
    "relu",
    "sgd",
    None,
    True,
    [],
    {},
    [[1]],
    {"name": "adam"},
    {"log": [1, 9], "points": 3},
]


def swept(**sweep: Any) -> dict[str, Any]:
    return BASE | {"sweep": sweep}


def decay(steps: int) -> dict[str, Any]:
    return {
        "name": "exponential_decay",
        "initial_learning_rate": 0.1,
        "decay_steps": steps,
        "decay_rate": 0.9,
    }


def inline(count: int, **sweep: Any) -> dict[str, Any]:
    data = {"name": "inline", "kind": "regression", "x": [[i] for i in range(count)], "y": list(range(count))}
    return BASE | {"dataset": data, "sweep": sweep}


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "a seed twice in a draw": lambda: swept(strategy="random", runs=2, seeds=[1, 1], activation=["relu"]),
    "more to draw than there is": lambda: swept(strategy="random", runs=9, seeds=[1, 2], epochs=[1, 2]),
    "5,000 axes": lambda: swept(**{f"model.layers[{i}].units": [1, 2] for i in range(5000)}),
    "5,000 axes of one level": lambda: swept(**{f"model.layers[{i}].units": [1] for i in range(5000)}),
    "50 axes of one level": lambda: swept(**{f"model.layers[{i}].units": [1] for i in range(50)}),
    "30,000 unknown axes": lambda: swept(**{f"a{i}": [1] for i in range(30_000)}),
    "50,000 unknown fields": lambda: BASE | {f"learning_rat{i}": 1 for i in range(50_000)},
    "levels of 3,000 keys": lambda: swept(
        optimizer=[{"name": "sgd", **{f"k{i}": i for i in range(3000)}} for _ in range(20)]
    ),
    "cases of 3,000 fields": lambda: swept(
        cases={f"c{j}": {f"model.layers[{i}].units": i for i in range(3000)} for j in range(8)}
    ),
    "30,000 cases": lambda: swept(cases={f"c{j}": {"epochs": j + 1} for j in range(30_000)}),
    "500 networks of 180 layers": lambda: swept(hidden=[[4] * 179 + [i + 1] for i in range(500)]),
    "10,000 networks": lambda: swept(hidden=[[i + 1] for i in range(10_000)]),
    "10,000 schedules": lambda: swept(learning_rate=[decay(i + 1) for i in range(10_000)]),
    "100 levels by 100": lambda: swept(
        batch_size=list(range(1, 101)), learning_rate={"log": [1e-4, 1], "points": 100}
    ),
    "100,000 seeds to draw from": lambda: swept(
        strategy="random", runs=5000, seeds=list(range(100_000)), epochs=[1, 2]
    ),
    "60,000 own rows": lambda: inline(60_000, seeds=50),
    "a hundred data sets": lambda: inline(
        1000, **{"dataset.x": [[[i + j] for i in range(1000)] for j in range(100)]}
    ),
    "data sets as cases": lambda: inline(
        1000,
        learning_rate={"log": [1e-4, 1], "points": 100},
        cases={f"c{j}": {"dataset.x": [[i + j] for i in range(1000)]} for j in range(99)},
    ),
    "20,000 layers": lambda: BASE | {"model": {"layers": [{"type": "dense", "units": 3}] * 20_000}},
    "20,000 layers of no type": lambda: BASE | {"model": {"layers": [{"typ": "dense"}] * 20_000}},
    "a pattern that multiplies": lambda: (
        BASE | {"model": {"pattern": "INPUT-" + "[" * 30 + "FC" + "*1000]" * 30 + "-OUTPUT"}}
    ),
    "one long name": lambda: BASE | {"optimizer": {"name": "s" * 900_000}},
    "impossible combinations": lambda: swept(
        **{f"model.layers[{i}].units": [1, -1, 0] for i in range(8)}, model={"layers": []}
    ),
}


def generated(draw: random.Random) -> dict[str, Any]:
    """A spec with one thing grown to hundreds or thousands, in a place that was not foreseen."""
    many = int(10 ** draw.uniform(1.5, 4))
    value = draw.choice(SIGNS)
    named = {f"{draw.choice(['epochs', 'a', 'model.hidden', ''])}{i}": value for i in range(many)}
    holder = draw.choice(
        ["sweep", "tune", "cases", "case", "levels", "optimizer", "dataset", "tags", "layers"]
    )
    grown: dict[str, dict[str, Any]] = {
        "sweep": {"sweep": named},
        "tune": {"sweep": {"epochs": [1, 2]}, "compare": {"factor": "epochs", "tune": named}},
        "cases": {"sweep": {"cases": {name: {"epochs": i + 1} for i, name in enumerate(named)}}},
        "case": {"sweep": {"cases": {"a": named, "b": {"epochs": 2}}}},
        "levels": {"sweep": {draw.choice(["optimizer", "hidden", "epochs"]): [value] * many}},
        "optimizer": {"optimizer": {"name": "sgd", **named}},
        "dataset": {
            "dataset": {"name": "inline", "kind": "binary", "x": [[value]] * many, "y": [0, 1] * many}
        },
        "tags": {"tags": named},
        "layers": {"model": {"layers": [{"type": "dense", "units": 3, "activation": value}] * many}},
    }
    return BASE | grown[holder]
