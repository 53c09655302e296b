"""A formula computes and trains as the built-in activation that it writes out, on the backend of this process."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest

from experiments.activations import ACTIVATIONS, Formula, LeakyReLU
from experiments.datasets import Source
from experiments.engine import backend, models
from experiments.gradient_check.check import Checker, check
from tests.experiments.engine.conftest import ONE_GROUP
from tests.experiments.formulas.test_formulas import BUILT_IN

WITHIN = 1e-6
pytestmark = pytest.mark.usefixtures("float64")


def value_and_slope(function: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def total(at: Any) -> Any:
        values = function(at[0])
        return keras.ops.sum(values), values

    (_, values), (slope,) = backend.value_and_gradients(total, [backend.tensor(x)])
    return backend.array(values), backend.array(slope)


def test_every_scalar_entry_of_the_table_is_written_out() -> None:
    scalar = {name for name, entry in ACTIVATIONS.items() if not entry.joint} - {"step"}
    assert set(BUILT_IN) == scalar


@pytest.mark.parametrize("name", BUILT_IN)
def test_values_and_slopes_are_those_of_the_built_in(name: str) -> None:
    x = np.concatenate([np.linspace(-9.013, 9.017, 997), [-30.0, 30.0]])
    ours = value_and_slope(models.activation(Formula(formula=BUILT_IN[name])), x)
    for mine, theirs in zip(ours, value_and_slope(models.activation(name), x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=WITHIN, atol=WITHIN)


def test_a_branch_that_is_not_taken_spoils_no_slope() -> None:
    """exp(800) is infinite in double precision; the branch beside it is taken."""
    _, slope = value_and_slope(models.activation(Formula(formula=BUILT_IN["elu"])), np.array([800.0, -1.0]))
    np.testing.assert_allclose(slope, [1.0, np.exp(-1.0)], rtol=1e-14)


FEW = ("silu",)
FEW_UPDATES = {
    "training": {"epochs": 2, "batch_size": 16},
    "dataset": {"name": "digits", "train_samples": 32, "validation_split": 0.0},
}


@pytest.mark.usefixtures("without_xla")
@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in BUILT_IN]
)
def test_lanes_train_as_with_the_built_in(name: str, specs: Any, engine: Any, tmp_path: Any) -> None:
    trained = [
        engine(specs(sweep=ONE_GROUP, model={"hidden": [6, 6], "activation": choice}, **FEW_UPDATES))
        for choice in (name, {"formula": BUILT_IN[name]})
    ]
    for lane in (0, 1):
        for built_in, formula in zip(*(run.weights(lane, tmp_path) for run in trained), strict=True):
            np.testing.assert_allclose(formula, built_in, rtol=0, atol=WITHIN)


@pytest.mark.usefixtures("without_xla")
def test_a_swept_slope_trains_each_of_its_values_as_keras_does(
    specs: Any, engine: Any, fit: Any, tmp_path: Any
) -> None:
    """Each slope is a program (docs/decisions/0007), its seeds are lanes of it; all end where keras.fit ends with Keras' own."""
    slopes = (0.0, 0.3)
    runs = specs(
        model={"hidden": [6], "activation": {"name": "leaky_relu", "negative_slope": 0.2}},
        sweep={"model.activation.negative_slope": list(slopes), "seeds": 2},
        **FEW_UPDATES,
    )  # fmt: skip
    tiles: dict[str, list[Any]] = {}
    for run in runs:
        tiles.setdefault(run.program_key(), []).append(run)
    assert [len(tile) for tile in tiles.values()] == [2, 2]
    for slope, tile in zip(slopes, tiles.values(), strict=True):
        trained = engine(tile)
        for lane, run in enumerate(tile):
            assert run.model.activations[0] == LeakyReLU(name="leaky_relu", negative_slope=slope)
            model = models.build(run)
            own = next(layer for layer in model.layers if getattr(layer, "units", 0) == 6)
            own.activation = functools.partial(keras.activations.leaky_relu, negative_slope=slope)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(models, "build", lambda spec, model=model: model)
                theirs, _ = fit(run)
            for mine, right in zip(trained.weights(lane, tmp_path), theirs.weights, strict=True):
                np.testing.assert_allclose(mine, np.asarray(right.numpy()), rtol=0, atol=1e-9)


def test_the_certificate_of_a_formula_and_of_a_setting(specs: Any) -> None:
    for choice in ({"formula": "x * sigmoid(1.7 * x)"}, {"name": "leaky_relu", "negative_slope": 0.3}):
        (spec,) = specs(model={"hidden": [6], "activation": choice})
        report = check(spec)
        assert report.verdict == "certified", report.reason


def test_a_wrong_slope_of_a_formula_is_caught(specs: Any) -> None:
    (spec,) = specs(model={"hidden": [6], "activation": {"formula": "x * sigmoid(1.7 * x)"}})
    checker = Checker(spec, spec.dataset.load(Source()))
    for fault in ("scale", "slope", "drop-bias"):
        assert checker.with_fault(fault).report(0, engine=False).verdict == "failed", fault


def test_a_formula_that_jumps_is_refused_a_certificate(specs: Any) -> None:
    (spec,) = specs(model={"hidden": [6], "activation": {"formula": "where(x > 0, x, x - 1)"}})
    report = check(spec)
    assert report.verdict == "refused"
    assert "where(x > 0, x, x - 1) jumps" in str(report.reason)


def test_a_setting_is_keras_own() -> None:
    x = np.linspace(-3, 3, 101)
    ours = models.activation(LeakyReLU(name="leaky_relu", negative_slope=0.3))
    np.testing.assert_allclose(value_and_slope(ours, x)[0], np.where(x > 0, x, 0.3 * x), rtol=1e-15)
