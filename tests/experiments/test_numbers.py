"""How numbers are written."""

from __future__ import annotations

import math

import pytest

from experiments import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.001, "0.001"), (1e-4, "1e−4"), (-2.5e-6, "−2.5e−6"), (99_999.0, "99999"), (1e5, "1e5")],
)
def test_numbers_on_an_axis(value: float, text: str) -> None:
    assert numbers.axis_label(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_dash(value: float | None) -> None:
    assert numbers.finite(value) is None
    assert numbers.figure(value) == numbers.signed(value) == "–"


def test_differences_have_a_sign_and_three_digits() -> None:
    assert [numbers.signed(value) for value in (0.061532, -0.000801, 0.0)] == ["+0.0615", "−0.000801", "+0"]
    assert [numbers.figure(value) for value in (0.938417, -2.0)] == ["0.9384", "−2"]


def test_powers_of_ten_are_written_as_such() -> None:
    assert [numbers.figure(value) for value in (1.009e9, -8.308e-8, 1e-5)] == [
        "1.009·10⁹",
        "−8.308·10⁻⁸",
        "1·10⁻⁵",
    ]
    assert [numbers.rough(value) for value in (812.0, 23_870.0, 5.47e7)] == ["810", "24,000", "5.5·10⁷"]


def test_a_label_is_a_number_or_none() -> None:
    assert (numbers.parsed("0.1"), numbers.parsed("exponential_decay")) == (0.1, None)
