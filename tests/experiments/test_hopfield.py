"""Hopfield networks: weights and energies worked by hand, what never happens, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.hopfield import RECALLED, binary, capacity, disturbed, energy, hebbian, overlap, recall


def test_weights_and_energies_by_hand() -> None:
    """One pattern + − + over 3 units: wᵢⱼ = pᵢpⱼ/3; the pattern has −½ · 6/3 = −1, with one unit turned 1/3."""
    weights = hebbian(np.array([[1.0, -1.0, 1.0]]))
    np.testing.assert_allclose(weights, np.array([[0, -1, 1], [-1, 0, -1], [1, -1, 0]]) / 3)
    assert energy(weights, np.array([1.0, -1.0, 1.0])) == pytest.approx(-1)
    assert energy(weights, np.array([1.0, 1.0, 1.0])) == pytest.approx(1 / 3)


def test_two_patterns_by_hand() -> None:
    """+ + + + and + + − −: between units 1 and 2 the weight is 2/4, between 1 and 3 it is 0."""
    weights = hebbian(np.array([[1.0, 1, 1, 1], [1, 1, -1, -1]]))
    assert weights[0, 1] == 0.5
    assert weights[0, 2] == 0.0


def test_a_turned_unit_comes_back() -> None:
    pattern = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    recalled = recall(hebbian(pattern[None]), pattern * [1, 1, -1, 1, 1], np.random.default_rng(0))
    np.testing.assert_array_equal(recalled.state, pattern)
    assert recalled.sweeps == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_energy_never_rises_and_the_end_is_stable(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = hebbian(random.choice([-1.0, 1.0], (int(random.integers(1, 20)), 60)))
    recalled = recall(weights, random.choice([-1.0, 1.0], 60), random)
    assert all(
        after <= before + 1e-12
        for before, after in zip(recalled.energies, recalled.energies[1:], strict=False)
    )
    assert np.all(recalled.state * (weights @ recalled.state) >= -1e-12)
    assert recalled.energies[-1] == pytest.approx(energy(weights, recalled.state))


def test_a_pattern_and_its_negative_are_stored_together() -> None:
    pattern = np.random.default_rng(0).choice([-1.0, 1.0], 40)
    weights = hebbian(pattern[None])
    assert energy(weights, pattern) == energy(weights, -pattern)
    np.testing.assert_array_equal(recall(weights, -pattern, np.random.default_rng(1)).state, -pattern)


def test_few_random_patterns_come_back_from_noise() -> None:
    random = np.random.default_rng(0)
    patterns = random.choice([-1.0, 1.0], (5, 200))
    weights = hebbian(patterns)
    for pattern in patterns:
        assert overlap(recall(weights, disturbed(pattern, 0.2, random), random).state, pattern) > RECALLED


def test_the_capacity_lies_near_0_14_of_the_units() -> None:
    held = capacity(300, (0.08, 0.2), trials=3)
    assert held[0.08] > 0.95
    assert held[0.2] < 0.3


def test_noise_turns_the_share_that_was_asked_for() -> None:
    pattern = np.ones(50)
    assert overlap(disturbed(pattern, 0.1, np.random.default_rng(0)), pattern) == pytest.approx(0.8)
    assert np.all(pattern == 1)


def test_weights_that_may_never_settle_are_refused() -> None:
    with pytest.raises(ValueError, match="symmetric"):
        recall(np.array([[0.0, 1.0], [-1.0, 0.0]]), np.ones(2), np.random.default_rng(0))
    with pytest.raises(ValueError, match="diagonal"):
        recall(np.eye(2), np.ones(2), np.random.default_rng(0))


def test_images_become_patterns() -> None:
    np.testing.assert_array_equal(binary(np.array([[[0.2, 0.9], [0.5, 0.6]]])), [[-1, 1, -1, 1]])
