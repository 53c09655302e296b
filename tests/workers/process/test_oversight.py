"""The parent's judgement of its child, with a clock that the test moves."""

from __future__ import annotations

from workers.process.oversight import ChildOversight

TILE = ("a", "b")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def looks(
    oversight: ChildOversight, clock: Clock, seconds: int, *, holds: bool, limit: float = 1e9
) -> int | None:
    """Looks every second; the second in which the child is to be ended, counted from now, None: it is not."""
    for second in range(1, seconds + 1):
        clock.now += 1
        if oversight.look(TILE, holds=holds, seconds=limit):
            return second
    return None


def test_a_child_that_lost_everything_may_go_on_for_its_patience() -> None:
    clock = Clock()
    oversight = ChildOversight(patience=20, clock=clock)
    assert looks(oversight, clock, 50, holds=True) is None
    assert looks(oversight, clock, 50, holds=False) == 22, (
        "20 seconds after the first look at which it was lost"
    )


def test_a_child_that_loads_its_backend_and_holds_nothing_yet_is_left_alone() -> None:
    clock = Clock()
    assert looks(ChildOversight(patience=20, clock=clock), clock, 1000, holds=False) is None


def test_one_run_that_is_still_held_is_enough() -> None:
    clock = Clock()
    oversight = ChildOversight(patience=20, clock=clock)
    for _ in range(10):
        assert looks(oversight, clock, 5, holds=True) is None
        assert looks(oversight, clock, 15, holds=False) is None


def test_a_child_far_beyond_its_time_is_ended() -> None:
    clock = Clock()
    oversight = ChildOversight(patience=20, clock=clock)
    assert looks(oversight, clock, 1000, holds=True, limit=80) == 112, (
        "1 + 80 * 1.125 + 20, and the next look"
    )


def test_the_next_message_begins_anew() -> None:
    clock = Clock()
    oversight = ChildOversight(patience=20, clock=clock)
    assert looks(oversight, clock, 50, holds=True) is None
    clock.now += 1000
    assert oversight.look(("c",), holds=False, seconds=1) is None
    assert oversight.look(None, holds=False, seconds=1) is None
    clock.now += 1000
    assert oversight.look(("c",), holds=True, seconds=1) is None
