"""Rule 13: the check catches every fault wherever it has a place, and never calls a right program wrong.

The ordinary suite looks at a few programs, the slow one at every entry of every table at a few seeds; the whole table
is printed by bench/gradient_check_power.py, whose programs these are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from bench.gradient_check_power import Tally, measure
from bench.gradient_check_programs import Program, entries_alone, layers_of, programs
from experiments.activations import ACTIVATIONS
from experiments.datasets import Source
from experiments.gradient_check.check import Checker
from experiments.gradient_check.differences import Quotients
from experiments.gradient_check.tensor_check import extrapolated
from experiments.layers import LAYERS
from experiments.losses import LOSSES
from tests.present import present

CURVED = (19, 34, 82)
"""Seeds at which the simple RNN's bias bends the loss so sharply that the quotient of h alone fails the gates."""
FEW = (
    "losses: mean_absolute_error",
    "activations: gelu",
    "layers: simple_rnn",
    "pairs of layers: conv2d + max_pool2d",
)


pytestmark = pytest.mark.usefixtures("without_xla")


@cache
def all_programs() -> dict[str, Program]:
    return {str(program): program for program in programs()}


def wrong_answers(program: Program, seeds: int) -> int:
    return measure(
        program, program.spec.dataset.load(Source(), program.spec.model.data_format), seeds, Tally()
    )


def test_every_loss_and_activation_has_a_program_and_most_layers_do() -> None:
    """Alone, a reshape to 8×8 and every layer that takes an image have one; what a spec refuses has none."""
    named = all_programs()
    assert {f"losses: {name}" for name in LOSSES} <= set(named)
    assert {f"activations: {name}" for name in ACTIVATIONS} <= set(named)
    assert len([name for name in named if name.startswith("layers: ")]) >= len(LAYERS) - 1
    assert len([name for name in named if name.startswith("pairs of layers: ")]) > 150


@pytest.mark.parametrize("name", FEW)
def test_no_false_alarm_and_no_fault_missed(name: str) -> None:
    assert wrong_answers(all_programs()[name], 1) == 0


def test_the_quotients_own_error_is_no_alarm() -> None:
    spec = present(layers_of("simple_rnn"))
    checker = Checker(spec, spec.dataset.load(Source()))
    assert [checker.report(seed, engine=False).verdict for seed in CURVED] == ["certified"] * len(CURVED)


def test_extrapolation_is_right_to_the_fourth_order() -> None:
    """f = w³ + w⁵ at 1: f′ = 8; n(h) = 8 + 11 h² + h⁴, and (4 n(h) − n(2h))/3 = 8 − 4 h⁴."""

    def quotients(h: Any) -> Any:
        slope = np.array([8 + 11 * h**2 + h**4] * 2)
        return Quotients(np.arange(2), slope, np.full(2, h), np.array([False, h > 0.15]), np.zeros(2, bool))

    result = extrapolated(quotients(0.1), quotients(0.2))
    assert result.slope == pytest.approx([8 - 4e-4, 8 + 0.11 + 1e-4])  # the second crosses a kink at 2h
    assert result.step == pytest.approx([0.1 / 1.5, 0.1])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [str(program) for program in entries_alone()])
def test_no_false_alarm_and_no_fault_missed_in_any_entry(name: str) -> None:
    assert wrong_answers(all_programs()[name], 3) == 0
