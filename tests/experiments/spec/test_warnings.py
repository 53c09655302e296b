"""What is allowed and will surprise is said before anything is queued: a spec for every rule, and its near miss."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.datasets.table import Column, Table
from experiments.datasets.upload import Upload
from experiments.spec import ExperimentSpec
from experiments.spec.warnings import RULES

BASE: dict[str, Any] = {"name": "w", "dataset": {"name": "digits"}, "model": {"hidden": [16]}}
LINE: dict[str, Any] = {"name": "linear", "slope": 2.0, "intercept": 0.5}
ROWS = [[i / 12, 1 - i / 12] for i in range(12)]


def rows(**fields: Any) -> dict[str, Any]:
    """Twelve rows of three classes in turn, with test rows of their own."""
    given = {"x": ROWS, "y": [0, 1, 2] * 4, "x_test": ROWS[:3], "y_test": [0, 1, 2]}
    data = {"name": "inline", "kind": "classification", **given, **fields}
    return {name: value for name, value in data.items() if value is not None}


def numbers(y: list[float], **fields: Any) -> dict[str, Any]:
    return rows(kind="regression", y=y, y_test=[1.0, 2.0, 3.0], **fields)


def schedule(steps: int, name: str = "exponential_decay") -> dict[str, Any]:
    rate = {"name": name, "initial_learning_rate": 0.1, "decay_steps": steps, "decay_rate": 0.5}
    return {"optimizer": {"name": "sgd", "learning_rate": rate}, "training": {"epochs": 10}}


def numbered(target: str) -> dict[str, Any]:
    """A person's own file of forty numbered rows."""
    columns = (
        Column(name="id", at=0, low=1, high=40, usable=False),
        Column(name="size", at=1, low=2, high=9),
        Column(name="weight", at=2, low=0.5, high=3),
    )
    table = Table(title="bags", sha256="0" * 64, rows=40, columns=columns)
    upload = Upload(id="bags", target=target, kind="regression", table=table)
    return {"dataset": upload.model_dump(mode="json")}


FLAT: list[dict[str, Any]] = [{"type": "flatten"}, {"type": "dense", "units": 1}]
COUNTING = [float(i) for i in range(1, 13)]
# kind: (changes to BASE, words of the warning, a change on top with which it is gone)
CASES: dict[str, tuple[dict[str, Any], list[str], dict[str, Any]]] = {
    "symbols without an embedding": (
        {"dataset": {"name": "recall"}},
        ["that stand for symbols", "from 0 to 31", "embedding"],
        {"model": {"layers": [{"type": "embedding", "output_dim": 4}, *FLAT]}},
    ),
    "rows without a token": (
        {"dataset": {"name": "recall"}, "model": {"layers": [{"type": "embedding", "input_dim": 40, "output_dim": 4}, *FLAT]}},
        ["keep their initial values", "40 rows", "32 tokens"],
        {"model": {"layers": [{"type": "embedding", "output_dim": 4}, *FLAT]}},
    ),
    "inputs to 255": (
        {"dataset": rows(x=[[255 * a, b] for a, b in ROWS])},
        ["not scaled", "from 0 to 233.75", "Divide them by 233.75"],
        {"dataset": rows()},
    ),
    "inputs that are normalised first": (
        {"dataset": rows(x=[[255 * a, b] for a, b in ROWS])},
        ["not scaled"],
        {"model": {"layers": [{"type": "batch_normalization"}, {"type": "dense", "units": 3}]}},
    ),
    "targets beyond a sigmoid": (
        {"dataset": LINE, "model": {"layers": [{"type": "dense", "units": 1, "activation": "sigmoid"}]}},
        ["from -1.5 to 2.5", "sigmoid only from 0 to 1", "activation: linear"],
        {"model": {"layers": [{"type": "dense", "units": 1}]}},
    ),
    "scaled targets beyond a tanh": (
        {"dataset": "diabetes", "model": {"layers": [{"type": "dense", "units": 1, "activation": "tanh"}]}},
        ["from -1.7 to 2.6", "tanh only from -1 to 1"],
        {"model": {"hidden": [4]}},
    ),
    "climbing": (
        {"dataset": LINE, "model": {"hidden": []}, "optimizer": {"name": "sgd", "ascend": True}},
        ["optimizer.ascend", "climbs the loss"],
        {"optimizer": {"name": "sgd"}},
    ),
    "targets to 1000": (
        {"dataset": {"name": "linear", "slope": 1000.0, "intercept": 0.0}, "model": {"hidden": []}},
        ["targets are not scaled", "from -1000 to 1000"],
        {"dataset": LINE},
    ),
    "negative counts": (
        {"dataset": LINE, "model": {"hidden": []}, "loss": "poisson"},
        ["poisson wants targets from 0 on", "-1.5"],
        {"loss": "mean_squared_error"},
    ),
    "convolutions on JAX with a CPU": (
        {"model": {"layers": [{"type": "conv2d", "filters": 2, "kernel_size": 3}, {"type": "flatten"},
                              {"type": "dense", "units": 10}]}, "backend": "jax"},
        ["JAX takes about 7 times as long for convolutions", "backend: auto"],
        {"device": "gpu"},
    ),
    "a percentage of zero": (
        {"dataset": numbers([0.0, *COUNTING[1:]]), "model": {"hidden": []}, "loss": "mape"},
        ["dataset.y[0]", "divides by the target"],
        {"dataset": numbers(COUNTING)},
    ),
    "a percentage on the way through zero": (
        {"dataset": LINE, "model": {"hidden": []}, "loss": "mape"},
        ["some close to 0"],
        {"dataset": LINE | {"intercept": 10.0}},
    ),
    "no test data": (
        {"dataset": rows(x_test=None, y_test=None)},
        ["no test data are given", "3 of the rows", "9 are left for training"],
        {"dataset": rows()},
    ),
    "nothing to test on": (
        {"dataset": rows(x_test=None, y_test=None, test_split=0.0)},
        ["no test part"],
        {"dataset": rows()},
    ),
    "rows sorted by class": (
        {"dataset": rows(y=[0] * 4 + [1] * 4 + [2] * 4, validation_split=0.25)},
        ["sorted by class", "training 3, 3, 3; validation 1, 1, 1"],
        {"dataset": rows(validation_split=0.25)},
    ),
    "the last of sorted rows": (
        {"dataset": rows(y=[0] * 4 + [1] * 4 + [2] * 4, validation_split=0.25, split_seed=None)
         | {"split_seed": None}},
        ["split_seed is null", "training 4, 4, 1; validation 0, 0, 3"],
        {"dataset": rows(validation_split=0.25)},
    ),
    "classes from 1": (
        {"dataset": rows(y=[1, 2, 3] * 4, y_test=[1, 2, 3])},
        ["class 0 has no sample", "there are 4 of them", "subtract 1"],
        {"dataset": rows()},
    ),
    "a row number to predict": (
        numbered("id"),
        ["column id numbers the rows", "Name the column that is to be predicted"],
        numbered("weight"),
    ),
    "a class that is only tested": (
        {"dataset": rows(y=[0, 1, 1] * 4)},
        ["training part has no sample of class 2", "never learned"],
        {"dataset": rows()},
    ),
    "a schedule meant in epochs": (
        schedule(10),
        ["10 counts updates", "An epoch has 41 of them, the training 410", "within the first epoch", "0.1 at first"],
        schedule(41),
    ),
    "a schedule that never comes": (
        schedule(100_000, "inverse_time_decay"),
        ["100,000 counts updates", "after the last one"],
        schedule(400),
    ),
    "far more parameters than samples": (
        {"dataset": {"name": "digits", "train_samples": 50}, "model": {"hidden": [100]}},
        ["7,510 trainable parameters for 50 training samples (150 each)"],
        {"model": {"hidden": [16]}},
    ),
    "a batch of more than all": (
        {"dataset": rows(), "training": {"batch_size": 13}},
        ["13 is more than the 12 training samples"],
        {"training": {"batch_size": 12}},
    ),
    "one tuning seed": (
        {"sweep": {"activation": ["relu", "tanh"]},
         "compare": {"factor": "activation", "tune": {"learning_rate": [0.01, 0.1], "seeds": 1}, "looks": [5]}},
        ["compare.tune.seeds is 1"],
        {"compare": {"factor": "activation", "tune": {"learning_rate": [0.01, 0.1], "seeds": 2}, "looks": [5]}},
    ),
}  # fmt: skip


def warned(document: dict[str, Any]) -> str:
    return "\n".join(ExperimentSpec.parse(document).warnings())


@pytest.mark.parametrize("kind", CASES)
def test_warned_and_not_where_it_is_mended(kind: str) -> None:
    change, words, mended = CASES[kind]
    text = warned(BASE | change)
    for word in words:
        assert word in text, text
    assert words[0] not in warned(BASE | change | mended)


def test_every_rule_is_in_the_table() -> None:
    """One run per case, and every rule speaks for at least one of them."""
    runs = [ExperimentSpec.parse(BASE | change).expand()[0].spec for change, _, _ in CASES.values()]
    assert [rule.check.__name__ for rule in RULES if not any(rule.check(run) for run in runs)] == []


def test_a_warning_names_the_level_that_it_concerns() -> None:
    raw = [[255 * a, b] for a, b in ROWS]
    cases = {"raw": {"dataset.x": raw}, "scaled": {"dataset.x": ROWS}}
    (warning,) = ExperimentSpec.parse(
        BASE | {"dataset": rows(), "training": {"batch_size": 4}, "sweep": {"cases": cases, "seeds": 4}}
    ).warnings()
    assert warning.endswith("(in 4 of 8 runs: case = raw)")


def test_ten_thousand_kinds_of_training_give_fifty_warnings() -> None:
    rates = [schedule(i + 1)["optimizer"]["learning_rate"] for i in range(200)]
    spec = ExperimentSpec.parse(BASE | {"sweep": {"learning_rate": rates}, "training": {"epochs": 1000}})
    assert len(spec.warnings()) <= 50


def test_the_gates_are_all_there_is() -> None:
    assert warned({"name": "w", "dataset": "xor", "model": {"hidden": [4]}}) == ""
