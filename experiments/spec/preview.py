"""What a spec would do, without doing it: its runs, the network of every kind of run, costs and warnings.

`gradus validate` and `POST /v1/experiments?dry_run=true` both show this.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from experiments.layers import Shape
from experiments.runs import Point
from experiments.schedules import Schedule
from experiments.spec import ExperimentSpec
from experiments.spec.levels import level_label
from experiments.theory import NetworkForecast, expected_initial_loss

LISTED = 1000
"""Runs that are listed one by one; their number is always exact."""
MAX_ROWS = 50
"""Networks, and kinds of training, that are listed."""


def preview(spec: ExperimentSpec) -> dict[str, Any]:
    """Plain data: runs, factors, question, one entry per distinct network, costs, warnings.

    `flops` is one forward pass of one sample; `training_flops` all of a run's or an experiment's training;
    `memory_bytes` training with one batch.
    """
    points = spec.expand()
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.spec.dataset.canonical, point.spec.model.canonical), []).append(point)
    costs = [_cost(point) for point in points]
    return {
        "name": spec.name,
        "n_runs": len(points),
        "factors": {name: [level.label for level in levels] for name, levels in spec.axes().items()},
        "seeds": list(spec.seeds()),
        "question": _question(spec, points),
        "n_networks": len(groups),
        "networks": [_network(group) for group in itertools.islice(groups.values(), MAX_ROWS)],
        "programs": len({point.spec.program_key() for point in points}),
        "training_flops": sum(costs),
        "memory_bytes": max(point.spec.forecast.memory_bytes for point in points),
        "training": _training(points),
        "warnings": list(spec.warnings()),
        "runs": [{"levels": point.levels, "params": point.params()} for point in points[:LISTED]],
    }


def _cost(point: Point) -> float:
    return point.spec.forecast.training_flops(point.spec.data_shape.n_train, point.spec.training.epochs)


def _network(group: Sequence[Point]) -> dict[str, Any]:
    first = group[0].spec
    forecast = first.forecast
    return {
        "architecture": first.architecture,
        "dataset": first.dataset.title,
        "runs": len(group),
        "input_shape": list(forecast.input_shape),
        "layers": [
            _layer(forecast, index, forecast.layers[index].output_shape)
            for index in range(len(forecast.layers))
        ],
        "parameters": forecast.parameters,
        "trainable": forecast.trainable,
        "flops": forecast.flops,
        "memory_bytes": max(point.spec.forecast.memory_bytes for point in group),
        "training_flops": max(_cost(point) for point in group),
        "expected_initial_loss": expected_initial_loss(first.loss, first.data_shape),
        "warnings": list(forecast.warnings),
    }


def _training(points: Sequence[Point]) -> list[dict[str, Any]]:
    """How many updates there are, and the learning rate at the first and at the last of them; each kind once."""
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for point in points:
        run = point.spec
        rate = run.optimizer.learning_rate
        key = (run.data_shape.n_train, run.training.batch_size, run.training.epochs, rate)
        row = rows.get(key)
        if row is None:
            if len(rows) == MAX_ROWS:
                break
            an_epoch = run.training.updates_per_epoch(run.data_shape.n_train)
            updates = an_epoch * run.training.epochs
            schedule = rate if isinstance(rate, Schedule) else None
            rows[key] = row = {
                "samples": run.data_shape.n_train,
                "batch_size": run.training.batch_size,
                "epochs": run.training.epochs,
                "updates_per_epoch": an_epoch,
                "updates": updates,
                "schedule": None if schedule is None else level_label(schedule.model_dump(mode="json")),
                "first_rate": run.optimizer.rate,
                "last_rate": run.optimizer.rate if schedule is None else schedule.at(updates - 1),
                "runs": 0,
            }
        row["runs"] += 1
    return list(rows.values())


def _layer(forecast: NetworkForecast, index: int, shape: Shape) -> dict[str, Any]:
    row = asdict(forecast.layers[index])
    return {
        **row,
        "output_shape": list(shape),
        "inputs": list(row["inputs"]),
        "warnings": list(row["warnings"]),
    }


def _question(spec: ExperimentSpec, points: Sequence[Point]) -> dict[str, Any] | None:
    """The question with the number of runs it may take: all looks, and tuning before them."""
    if spec.compare is None:
        return None
    cells = len(points) // len(spec.seeds())
    tuning = 0
    if spec.compare.tune is not None:
        tuning = cells * spec.compare.tune.seeds
        for levels in spec.tuned().values():
            tuning *= len(levels)
    looks = [cells * look for look in spec.compare.look_seeds if look <= spec.compare.planned_seeds]
    runs = {"tuning": tuning, "looks": looks}
    return {
        **spec.compare.model_dump(mode="json"),
        "runs": runs,
        "most_runs": tuning + cells * spec.compare.planned_seeds,
    }
