"""Formulas: what is read, what is refused and where, and what is known about them, worked by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from experiments.errors import SpecError
from experiments.formulas import FormulaError, parse, study
from experiments.formulas.grammar import LONGEST
from experiments.formulas.nodes import values
from experiments.formulas.rendering import keras_code
from experiments.formulas.study import NUMPY
from experiments.spec import ExperimentSpec

BUILT_IN = {
    "linear": "x", "sigmoid": "1 / (1 + exp(-x))", "tanh": "tanh(x)", "relu": "max(0, x)",
    "relu6": "min(max(0, x), 6)", "leaky_relu": "where(x > 0, x, 0.2 * x)", "elu": "where(x > 0, x, exp(x) - 1)",
    "celu": "max(0, x) + min(0, exp(x) - 1)",
    "selu": "1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * (exp(x) - 1))", "softplus": "softplus(x)",
    "softsign": "x / (1 + abs(x))", "squareplus": "(x + sqrt(x ** 2 + 4)) / 2", "silu": "x * sigmoid(x)",
    "hard_silu": "x * min(max(0, x / 6 + 1/2), 1)", "gelu": "x * (1 + erf(x / sqrt(2))) / 2",
    "mish": "x * tanh(log(1 + exp(x)))", "exponential": "exp(x)", "hard_sigmoid": "min(max(0, x / 6 + 1/2), 1)",
    "hard_tanh": "min(max(-1, x), 1)", "hard_shrink": "where(abs(x) > 0.5, x, 0)",
    "soft_shrink": "sign(x) * max(0, abs(x) - 0.5)", "tanh_shrink": "x - tanh(x)", "log_sigmoid": "-softplus(-x)",
    "sparse_plus": "where(x <= -1, 0, where(x < 1, (x + 1) ** 2 / 4, x))", "sparse_sigmoid": "min(max(0, (x + 1) / 2), 1)",
}  # fmt: skip
"""Every scalar activation of the table but `step`, whose slope is one by decree, as a formula."""
REFUSED = {
    "": 1, "  ": 1, "x +": 4, "x ^ 2": 3, "2x": 2, "x x": 3, "x(2)": 2, "(x": 3, "x)": 2, "((x)": 5, "sin x": 5,
    "sin(x, 2)": 6, "max(x)": 6, "max(x, )": 8, "max(, x)": 5, "where(x, 1, 2)": 8, "where(x > 0, x)": 15,
    "where(x > 0 x, 1)": 13, "where(0 < x < 1, x, 0)": 13, "x > 0": 3, "y": 1, "x * foo(x)": 5, "relu": 1, "x ** ": 5,
    "* x": 1, "x */ 2": 4, "x = 2": 3, "|x|": 1, "[x]": 1, "x; 2": 2, "1.2.3 * x": 4, "1e * x": 2, "x % 2": 3,
    "x != 0": 3, "x and x": 3, "__import__('os')": 12, "x.real": 2, "lambda x: x": 9, "sin": 4, "sin()": 5,
    "pi(x)": 3, "1e400 * x": 1, "x * 1e31": 5, "−x": 1, "x·2": 2, "x\u200b": 2, "é * x": 1, "exp(exp(x))": 1, "log(x)": 1,
    "1 / x": 3, "x ** 0.5": 3, "2 * sqrt(x)": 5, "3": 1, "sign(x)": 1, "sqrt(abs(x))": 1, "where(x > 0, 1, 0)": 1,
}  # fmt: skip
"""Formula -> the position at which it is refused."""


def refusal(formula: str) -> FormulaError:
    with pytest.raises(FormulaError) as error:
        study(formula)
    return error.value


@pytest.mark.parametrize(("formula", "position"), REFUSED.items())
def test_a_formula_that_is_none_is_refused_where_it_goes_wrong(formula: str, position: int) -> None:
    error = refusal(formula)
    assert error.position == position, error
    assert error.message
    assert error.allowed


def test_two_hundred_formulas_with_one_sign_too_many() -> None:
    """A sign that fits nowhere, put before every sign of every formula, is refused right there."""
    wrong = [
        (f"{formula[:at]}{sign}{formula[at:]}", at + 1)
        for formula, sign in product(BUILT_IN.values(), "$@?~")
        for at in range(0, len(formula), 4)
    ]
    assert len(wrong) >= 200
    for formula, position in wrong:
        assert refusal(formula).position == position, formula


@pytest.mark.parametrize("formula", [text for text in BUILT_IN.values() if text != "x"])
def test_a_formula_that_ends_too_early_or_goes_on_is_refused_at_its_end(formula: str) -> None:
    for cut in (formula + " *", formula + " (", formula + ",", formula + " x"):
        assert refusal(cut).position in (len(formula) + 1, len(formula) + 2, len(formula) + 3), cut


def test_what_is_too_long_or_too_deep() -> None:
    assert refusal("x" + " + x" * LONGEST).position == LONGEST + 1
    assert "nested" in refusal("(" * 60 + "x" + ")" * 60).message
    assert "nested" in refusal("-" * 100 + "x").message


def test_the_path_of_a_refused_formula() -> None:
    document = {
        "name": "n",
        "dataset": {"name": "digits"},
        "model": {"hidden": [4], "activation": {"formula": "x ^ 2"}},
    }
    with pytest.raises(SpecError) as error:
        ExperimentSpec.parse(document)
    (problem,) = error.value.problems
    assert problem.path == "model.activation.formula"
    assert problem.message == 'at position 3: "^" is no part of the notation'
    assert problem.allowed == "the power is written **"


def test_precedence_is_pythons() -> None:
    for formula, value in {
        "-x ** 2": -9.0, "2 ** 3 ** x": 2.0**27, "1 - 2 - x": -4.0, "2 * x / 3 * 4": 8.0, "2 ** -x": 0.125,
        "1 / 2 * x": 1.5, "x - -x": 6.0, "max(1, x, 2)": 3.0, "min(5, 4, x)": 3.0, "x ** 2 + 1e-1": 9.1,
        "(x - 1) ** 3": 8.0, "e ** 0 * pi * x": 3 * math.pi, "where(x >= 3, 10, 20)+0*x": 10.0,
    }.items():  # fmt: skip
        tree = parse(formula)

        assert float(values(tree, np.array([3.0]), NUMPY)[0]) == pytest.approx(value, rel=1e-15), formula


def test_derivatives_worked_by_hand() -> None:
    x = np.array([-2.0, -0.3, 0.4, 1.7])
    s = 1 / (1 + np.exp(-x))
    for formula, slope in {
        "x ** 3 - 2 * x": 3 * x**2 - 2, "x * sigmoid(x)": s + x * s * (1 - s), "sin(x) * cos(x)": np.cos(2 * x),
        "exp(-x ** 2)": -2 * x * np.exp(-(x**2)), "x / (1 + x ** 2)": (1 - x**2) / (1 + x**2) ** 2,
        "atan(x)": 1 / (1 + x**2), "log(1 + x ** 2)": 2 * x / (1 + x**2), "2 ** x": np.log(2) * 2**x,
        "abs(x)": np.sign(x), "max(x, -x / 2)": np.where(x > 0, 1, -0.5), "erf(x)": 2 / np.sqrt(np.pi) * np.exp(-(x**2)),
        "softplus(2 * x)": 2 / (1 + np.exp(-2 * x)), "sqrt(1 + x ** 2)": x / np.sqrt(1 + x**2),
    }.items():  # fmt: skip
        np.testing.assert_allclose(study(formula).slope_at(x), slope, rtol=1e-13, atol=1e-15, err_msg=formula)


def test_smoothness_and_kinks() -> None:
    for formula, expected in {
        "tanh(x)": ("Cinf", (), ()), "max(0, x)": ("C0", (0.0,), ()), "where(x > 0.1, x, 0.1)": ("C0", (0.1,), ()),
        "x * abs(x)": ("C1", (), (0.0,)), "x * abs(x) * x": ("Cinf", (), ()), "where(x < 1, x, x + 1)": ("jump", (1.0,), ()),
        "max(x, -x, 1)": ("C0", (-1.0, 1.0), ()), "max(0, x) + abs(x - 2) * (x - 2)": ("C0", (0.0,), (2.0,)),
        "where(x > 0, x ** 2, x ** 2)": ("Cinf", (), ()),
    }.items():  # fmt: skip
        known = study(formula)
        assert (known.smoothness, known.kinks, known.bends) == expected, formula


def test_ranges() -> None:
    for formula, (low, high, bound) in {
        "x": (-np.inf, np.inf, 1), "x ** 2": (0, np.inf, np.inf), "sin(3 * x)": (-1, 1, 3), "1 - exp(-x ** 2)": (0, 1, None),
        "min(1, abs(x))": (0, 1, 1), "-max(0, 2 * x)": (-np.inf, 0, 2),
    }.items():  # fmt: skip
        known = study(formula)
        assert known.low == pytest.approx(low, abs=1e-4), formula
        assert known.high == pytest.approx(high, abs=1e-4), formula
        assert bound is None or known.derivative_bound == pytest.approx(bound, abs=1e-4), formula


def test_swept_like_a_name() -> None:
    document = {
        "name": "n", "dataset": {"name": "digits"}, "model": {"hidden": [4]},
        "sweep": {"activation": ["relu", {"formula": "x * sigmoid(x)"}, {"name": "leaky_relu", "negative_slope": 0.3}]},
    }  # fmt: skip
    points = ExperimentSpec.parse(document).expand()
    assert [point.levels["activation"] for point in points] == ["relu", "x * sigmoid(x)", "leaky_relu"]
    assert [point.spec.params()["activation"] for point in points] == [
        "relu", "x * sigmoid(x)", "leaky_relu(negative_slope=0.3)"
    ]  # fmt: skip
    assert len({point.spec.fingerprint() for point in points}) == 3
    for point in points:
        assert type(point.spec).model_validate(point.spec.model_dump(mode="json")) == point.spec


def test_a_setting_of_an_activation_is_swept() -> None:
    document = {
        "name": "n", "dataset": {"name": "digits"}, "model": {"hidden": [4], "activation": "leaky_relu"},
        "sweep": {"model.activation.negative_slope": {"linear": [0.0, 0.2], "points": 3}},
    }  # fmt: skip
    runs = [point.spec for point in ExperimentSpec.parse(document).expand()]
    assert [str(run.model.activations[0]) for run in runs] == [
        f"leaky_relu(negative_slope={slope})" for slope in ("0", "0.1", "0.2")
    ]


class Ops:
    """`keras.ops` by NumPy, as far as a formula needs it."""

    def __getattr__(self, name: str) -> object:
        return NUMPY[{"arctan": "atan"}.get(name, name)]


@pytest.mark.parametrize(
    "formula", [*BUILT_IN.values(), "-x ** 2", "2 ** -x", "1 - (2 - x)", "x / (2 * x ** 2 + 1)", "atan(x)"]
)
def test_as_python_code_it_computes_the_same(formula: str) -> None:
    x = np.linspace(-3, 3, 41)
    values_of_code = eval(keras_code(parse(formula)), {"ops": Ops(), "x": x})  # code that we wrote
    np.testing.assert_allclose(values_of_code, study(formula).value(x), rtol=1e-12, atol=1e-15)
