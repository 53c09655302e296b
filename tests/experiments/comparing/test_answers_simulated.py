"""Peeking, many levels and settings within noise, by simulation with fixed seeds. Figures: docs/comparing.md."""

from __future__ import annotations

import pytest

from bench.answers import (
    best_is_kept,
    peeking_error,
    sequence_coverage,
    split_coverage,
    tuned_by_noise,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("pairs", [1, 3])
def test_looking_after_every_seed_errs_in_at_most_five_percent(pairs: int) -> None:
    assert peeking_error(20_000, pairs) <= 0.05


def test_the_whole_sequence_covers() -> None:
    assert sequence_coverage(20_000) >= 0.95


@pytest.mark.parametrize("gap", [0.0, 0.5])
def test_the_best_of_ten_is_in_the_set(gap: float) -> None:
    kept, size = best_is_kept(300, gap)
    assert kept >= 0.95
    assert size <= 10


def test_tied_settings_mislead_less_often() -> None:
    before, after = (tuned_by_noise(200, again) for again in (False, True))
    assert after.misleading < 0.5 * before.misleading


def test_the_corrected_interval_covers_over_splits() -> None:
    """Of a difference whose truth is known; the plain interval does not."""
    corrected, plain = split_coverage(1000)
    assert corrected >= 0.92
    assert plain < 0.85
