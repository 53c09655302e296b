"""From a sweep to runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.layers import Dense, Dropout
from experiments.spec import ExperimentSpec
from experiments.spec.levels import Level, column_texts

BASE: dict[str, Any] = {
    "name": "s",
    "dataset": "mnist",
    "model": {"hidden": [32]},
    "optimizer": {"name": "rmsprop", "rho": 0.8},
    "training": {"epochs": 2},
}


def parse(**fields: Any) -> ExperimentSpec:
    return ExperimentSpec.parse(BASE | fields)


def test_the_grid_is_axes_by_cases_by_seeds() -> None:
    spec = parse(
        seed=7,
        sweep={
            "activation": ["sigmoid", "tanh", "relu"],
            "optimizer": ["sgd", {"name": "adam"}],
            "learning_rate": {"log": [1e-4, 1e-1], "points": 4},
            "training.batch_size": [32, 128],
            "cases": {"wide": {"model.hidden": [32]}, "deep": {"model.hidden": [30, 30, 30]}},
            "seeds": 3,
        },
    )
    points = spec.expand()
    assert len(points) == 3 * 2 * 4 * 2 * 2 * 3
    assert len({point.spec.fingerprint() for point in points}) == len(points)
    assert points[0].levels == {
        "activation": "sigmoid", "optimizer": "sgd", "learning_rate": "0.0001", "batch_size": "32", "case":
        "wide",
        "seed": "7",
    }  # fmt: skip
    last = points[-1].spec
    assert (last.seed, last.training.batch_size, last.optimizer.name, last.optimizer.learning_rate) == (
        9,
        128,
        "adam",
        0.1,
    )
    assert last.architecture == "784-30-30-30-10"
    assert last.params()["activation"] == "relu"
    assert [level.label for level in spec.axes()["learning_rate"]] == ["0.0001", "0.001", "0.01", "0.1"]
    assert [level.value for level in spec.axes()["learning_rate"]] == [1e-4, 1e-3, 1e-2, 1e-1]


def test_a_swept_optimizer_replaces_the_whole_optimizer() -> None:
    points = parse(sweep={"optimizer": ["rmsprop", "sgd"]}).expand()
    assert [point.spec.optimizer.arguments().get("rho") for point in points] == [0.9, None]


def test_a_field_of_a_section_that_the_spec_leaves_out() -> None:
    document = {"name": "s", "dataset": "mnist", "model": {"hidden": [3]}}
    axes = {"learning_rate": [0.1, 0.2], "epochs": [1, 2], "validation_split": [0.1, 0.2]}
    points = ExperimentSpec.parse(document | {"sweep": axes}).expand()
    assert {point.spec.optimizer.name for point in points} == {"rmsprop"}
    assert len({point.spec.fingerprint() for point in points}) == 8


def test_a_linear_axis_has_both_ends() -> None:
    levels = parse(sweep={"optimizer.rho": {"linear": [0, 0.9], "points": 4}}).axes()["rho"]
    assert [level.value for level in levels] == [0, 0.3, 0.6, 0.9]


@pytest.mark.parametrize(
    ("name", "axis", "values"),
    [
        ("training.batch_size", {"linear": [32, 128], "points": 4}, [32, 64, 96, 128]),
        ("batch_size", {"log": [8, 128], "points": 5}, [8, 16, 32, 64, 128]),
        ("epochs", {"linear": [1, 4], "points": 3}, [1, 2, 4]),  # 2.5 to the even one
        ("epochs", {"log": [1, 100], "points": 4}, [1, 5, 22, 100]),
        ("patience", {"linear": [1.0, 3.0], "points": 3}, [1, 2, 3]),
        ("model.hidden[0]", {"linear": [4, 6], "points": 3}, [4, 5, 6]),
        ("optimizer.momentum", {"linear": [0, 1], "points": 3}, [0.0, 0.5, 1.0]),
    ],
)
def test_a_range_over_whole_numbers_has_whole_levels(name: str, axis: Any, values: list[int]) -> None:
    (levels,) = parse(sweep={name: axis}).axes().values()
    assert [level.value for level in levels] == values
    assert {type(level.value) for level in levels} == {type(values[0])}
    tuned = parse(
        training={"epochs": 3, "batch_size": 16},
        sweep={"activation": ["relu", "tanh"]},
        compare={"factor": "activation", "tune": {name: axis}},
    ).tuned()
    assert [level.value for level in next(iter(tuned.values()))] == values


def test_a_draw_from_whole_numbers() -> None:
    sweep = {
        "strategy": "random",
        "runs": 5,
        "batch_size": {"log": [1, 128]},
        "momentum": {"linear": [0, 0.5]},
    }
    spec = parse(sweep=sweep)
    sizes = [point.spec.training.batch_size for point in spec.expand()]
    assert {type(level.value) for level in spec.axes()["batch_size"]} == {int}
    assert {level.value for level in spec.axes()["batch_size"]} == set(sizes)
    assert {type(level.value) for level in spec.axes()["momentum"]} == {float}


def test_any_field_by_its_path() -> None:
    model = {
        "layers": [
            {"type": "dense", "units": 3},
            {"type": "dropout", "rate": 0.5},
            {"type": "dense", "units": 10},
        ]
    }
    points = parse(
        model=model,
        sweep={
            "model.layers[0].units": [3, 4],
            "model.layers.1.rate": [0.1, 0.2],
            "training.stop.patience": [1, 2],
            "dataset.train_samples": [100, 200],
        },
    ).expand()
    last = points[-1].spec
    assert len(points) == 16
    _, dense, dropout, *_ = last.model.layers
    assert isinstance(dense, Dense)
    assert dense.units == 4
    assert isinstance(dropout, Dropout)
    assert dropout.rate == 0.2
    assert last.training.stop.patience == 2
    assert last.data_shape.n_train == 200
    assert points[-1].levels == {
        "model.layers[0].units": "4", "model.layers[1].rate": "0.2", "patience": "2", "train_samples": "200",
    }  # fmt: skip


def test_layers_in_a_case_displace_hidden() -> None:
    points = parse(
        sweep={"cases": {"a": {"hidden": [3]}, "b": {"model.layers": [{"type": "dense", "units": 10}]}}}
    ).expand()
    assert [point.spec.architecture for point in points] == ["784-3-10", "784-10"]
    assert [point.levels for point in points] == [{"case": "a"}, {"case": "b"}]


def test_labels_tell_levels_apart() -> None:
    optimizers = ["sgd", {"name": "sgd", "momentum": 0.9}, "adam"]
    spec = parse(
        sweep={
            "optimizer": optimizers,
            "hidden": [[], [32], [16, 16]],
            "kernel_initializer": ["auto", "zeros"],
        }
    )
    assert [level.label for level in spec.axes()["optimizer"]] == ["sgd", "sgd(momentum=0.9)", "adam"]
    assert [level.label for level in spec.axes()["hidden"]] == ["[]", "32", "16-16"]


def test_a_column_is_of_one_kind() -> None:
    """Numbers among texts are written as texts; an axis of numbers, or of texts, keeps its labels."""

    def texts(*labels: str) -> list[str]:
        return list(column_texts([Level(label, label) for label in labels]).values())

    assert texts("16", "8", "16-16") == ["= 16", "= 8", "16-16"]
    for labels in (("1e-3", "-0.5", "2"), ("relu", "tanh"), ("16-16", "null")):
        assert texts(*labels) == list(labels)
    document = {"name": "s", "dataset": "xor", "model": {"hidden": [2]}}
    spec = ExperimentSpec.parse({**document, "sweep": {"clipnorm": [None, 1.0]}})
    assert [point.params()["clipnorm"] for point in spec.expand()] == ["null", "= 1"]
    assert spec.point({"clipnorm": 1.0}, 0).params()["clipnorm"] == "= 1"
    decays = [
        {"name": "exponential_decay", "initial_learning_rate": 0.1, "decay_steps": 9, "decay_rate": rate}
        for rate in (0.5, 0.9)
    ]
    axis = {
        "learning_rate": [
            0.1,
            *decays,
            {"name": "cosine_decay", "initial_learning_rate": 0.1, "decay_steps": 9},
        ]
    }
    assert [p.params()["learning_rate"] for p in ExperimentSpec.parse({**document, "sweep": axis}).expand()] == [
        "= 0.1", "exponential_decay(decay_rate=0.5)", "exponential_decay(decay_rate=0.9)", "cosine_decay",
    ]  # fmt: skip
    rates = ExperimentSpec.parse({**document, "sweep": {"learning_rate": [0.1, 0.01]}}).expand()
    assert [point.params()["learning_rate"] for point in rates] == [0.1, 0.01]


def test_seeds_as_a_list() -> None:
    spec = parse(sweep={"seeds": [5, 3]})
    assert [point.spec.seed for point in spec.expand()] == [5, 3]
    assert spec.seeds() == (5, 3)


def test_without_a_sweep_there_is_one_point() -> None:
    (point,) = parse(seed=4).expand()
    assert point.levels == {}
    assert point.spec.seed == 4


def test_random_draws_are_distinct_and_repeatable() -> None:
    sweep = {"strategy": "random", "runs": 40, "activation": ["relu", "tanh"],
             "learning_rate": {"log": [1e-4, 1]},
             "momentum": [0.0, 0.5, 0.9], "seeds": 5}  # fmt: skip
    spec = parse(optimizer="sgd", sweep=sweep)
    points = spec.expand()
    assert len({point.spec.fingerprint() for point in points}) == 40
    assert [p.levels for p in points] == [p.levels for p in parse(optimizer="sgd", sweep=sweep).expand()]
    assert points != parse(optimizer="sgd", seed=1, sweep=sweep).expand()
    rates = [point.spec.optimizer.rate for point in points]
    assert all(1e-4 <= rate <= 1 for rate in rates)
    assert 8 <= sum(rate < 1e-2 for rate in rates) <= 32, "half of them, on a logarithmic scale"
    assert len(spec.axes()["learning_rate"]) == 40


def test_random_can_draw_the_whole_grid() -> None:
    points = parse(
        sweep={"strategy": "random", "runs": 6, "activation": ["relu", "tanh"], "seeds": 3}
    ).expand()
    assert len({tuple(point.levels.values()) for point in points}) == 6


def test_random_from_a_grid_too_large_to_expand() -> None:
    axes = {f"optimizer.{f}": {"linear": [0.1, 0.9], "points": 9999} for f in ("rho", "epsilon", "momentum")}
    began = time.process_time()
    assert len(parse(sweep={"strategy": "random", "runs": 3, **axes}).expand()) == 3
    assert time.process_time() - began < 30


def test_equal_parameters_are_required() -> None:
    cases = {"wide": {"model.hidden": [32]}, "deep": {"model.hidden": [30, 30, 30]}}
    assert parse(sweep={"cases": cases, "require": {"equal_parameters": 0.02}}).expand()
    with pytest.raises(SpecError, match=r"25,450 \(case = wide\) and 25,720 \(case = deep\) differ by 1.1%"):
        parse(sweep={"cases": cases, "require": {"equal_parameters": 0.01}})


def test_a_point_of_ones_own() -> None:
    spec = parse(
        optimizer="sgd",
        sweep={"activation": ["relu", "tanh"], "cases": {"a": {"hidden": [3]}}},
        compare={"factor": "activation", "tune": {"learning_rate": [0.1, 0.5], "seeds": 2}, "looks": [5, 10]},
    )
    point = spec.point({"activation": "tanh", "case": "a", "learning_rate": 0.5}, 11)
    assert point.levels == {"activation": "tanh", "case": "a", "learning_rate": "0.5", "seed": "11"}
    assert (point.spec.architecture, point.spec.optimizer.learning_rate, point.spec.seed) == (
        "784-3-10",
        0.5,
        11,
    )
    assert spec.point({"model.activation": "tanh"}, 0).levels["activation"] == "tanh"
    assert [level.value for level in spec.tuned()["learning_rate"]] == [0.1, 0.5]
    with pytest.raises(SpecError, match=r'did you mean "a"|no case'):
        spec.point({"case": "b"}, 0)
    with pytest.raises(SpecError):
        spec.point({"learning_rate": -1.0}, 0)


def test_a_stored_document_is_the_same_spec() -> None:
    spec = parse(
        sweep={"activation": ["relu", "tanh"], "learning_rate": {"log": [0.1, 1], "points": 3}, "seeds": 2}
    )
    for document in (spec.document(), spec.model_dump(mode="json")):
        again = ExperimentSpec.parse(document)
        assert [p.spec.fingerprint() for p in again.expand()] == [p.spec.fingerprint() for p in spec.expand()]
        assert [p.levels for p in again.expand()] == [p.levels for p in spec.expand()]


def test_a_thousand_runs_expand_in_well_under_a_second() -> None:
    sweep = {
        "activation": ["sigmoid", "tanh", "relu", "elu"], "optimizer": ["sgd", "rmsprop", "adam", "nadam",
        "lion"],
        "learning_rate": {"log": [1e-4, 1], "points": 10}, "seeds": 5,
    }  # fmt: skip
    best = min(timed(sweep) for _ in range(3))
    assert best < 0.5


def timed(sweep: dict[str, Any]) -> float:
    began = time.process_time()
    points = parse(sweep=sweep).expand()
    assert len({point.spec.fingerprint() for point in points}) == 1000
    assert len({point.spec.program_key() for point in points}) == 20
    return time.process_time() - began
