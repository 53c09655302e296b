"""What MLflow refused is left alone for longer each time."""

from __future__ import annotations

import pytest

from service.tracking.backoff import LONGEST_PAUSE, MANY_REFUSED, Refusals
from service.tracking.records import TrackingUnavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pauses(refusals: Refusals, clock: Clock, times: int) -> list[float]:
    """Seconds until a run that is refused so many times is tried again, each time."""
    waited = []
    for _ in range(times):
        refusals.add("run")
        began = clock.now
        while "run" in refusals.held():
            clock.now += 0.5
        waited.append(clock.now - began)
    return waited


def test_each_refusal_doubles_the_pause_up_to_a_minute() -> None:
    clock = Clock()
    assert pauses(Refusals(1.0, clock), clock, 8) == [2, 4, 8, 16, 32, 60, 60, 60]


def test_what_was_taken_begins_anew() -> None:
    clock = Clock()
    refusals = Refusals(1.0, clock)
    assert pauses(refusals, clock, 3) == [2, 4, 8]
    refusals.clear("run")
    assert refusals.add("run") == 1
    assert pauses(refusals, clock, 1) == [4]


def test_others_are_not_held_up() -> None:
    refusals = Refusals(1.0, Clock())
    refusals.add("run")
    assert set(refusals.held()) == {"run"}


def test_where_everything_is_refused_mlflow_is_at_fault() -> None:
    clock = Clock()
    refusals = Refusals(1.0, clock)
    for number in range(MANY_REFUSED):
        refusals.add(str(number))
    assert len(refusals.held()) == MANY_REFUSED
    refusals.add("one more")
    with pytest.raises(TrackingUnavailable, match=f"refuses all of {MANY_REFUSED + 1} runs"):
        refusals.held()
    clock.now += LONGEST_PAUSE
    assert not refusals.held()
