"""Rule 13: the check catches every fault wherever it has a place, and never calls a right program wrong.

The ordinary suite looks at a few seeds of seven networks, the slow one at a hundred of each. Faults one by one are in
test_gradient_check.py; the whole table is printed by bench/gradient_check_power.py, whose networks these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from bench.gradient_check_power import NETWORKS, spec_of
from experiments.datasets import Source
from experiments.gradient_check.check import check
from experiments.gradient_check.differences import Quotients
from experiments.gradient_check.injected_faults import places
from experiments.gradient_check.objective import Objective
from experiments.gradient_check.tensor_check import extrapolated

FEW, MANY = range(2), range(100)


CURVED = (19, 34, 82)
"""Seeds at which the simple RNN's bias bends the loss so sharply that the quotient of h alone fails the gates."""


def alarms(name: str, seeds: Iterable[int]) -> Any:
    """(seed, reason) of the right programs that were not certified."""
    spec = spec_of(NETWORKS[name])
    data = spec.dataset.load(Source())
    reports = [check(spec, data=data, seed=seed, engine=False) for seed in seeds]
    return [
        (report.seed, report.verdict, report.reason) for report in reports if report.verdict != "certified"
    ]


def test_there_are_enough_networks() -> None:
    assert len(NETWORKS) >= 5


@pytest.mark.parametrize("name", NETWORKS)
def test_no_false_alarm_at_a_few_seeds(name: str) -> None:
    assert alarms(name, FEW) == []


def test_the_quotients_own_error_is_no_alarm() -> None:
    assert alarms("simple RNN", CURVED) == []


def test_extrapolation_is_right_to_the_fourth_order() -> None:
    """f = w³ + w⁵ at 1: f′ = 8; n(h) = 8 + 11 h² + h⁴, and (4 n(h) − n(2h))/3 = 8 − 4 h⁴."""

    def quotients(h: Any) -> Any:
        slope = np.array([8 + 11 * h**2 + h**4] * 2)
        return Quotients(np.arange(2), slope, np.full(2, h), np.array([False, h > 0.15]), np.zeros(2, bool))

    found = extrapolated(quotients(0.1), quotients(0.2))
    assert found.slope == pytest.approx([8 - 4e-4, 8 + 0.11 + 1e-4])  # the second crosses a kink at 2h
    assert found.step == pytest.approx([0.1 / 1.5, 0.1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_false_alarm_at_a_hundred_seeds(name: str) -> None:
    assert alarms(name, MANY) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_fault_that_has_a_place_is_caught(name: str) -> None:
    spec = spec_of(NETWORKS[name])
    data = spec.dataset.load(Source())
    found = {
        fault: check(spec, data=data, inject_fault=fault).verdict for fault in places(Objective(spec, data))
    }
    assert len(found) >= 8
    assert set(found.values()) == {"failed"}, found
