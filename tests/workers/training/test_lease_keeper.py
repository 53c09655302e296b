"""The keeper, against a holder that is a dictionary and can be switched off."""

from __future__ import annotations

from typing import Any

import pytest

from service.entities import MetricPoint
from service.errors import StoreUnavailable
from workers.training.lease_keeper import Keeper


class Book:
    """A database of leases in memory."""

    def __init__(self, attempts: Any) -> None:
        self.attempts = dict(attempts)
        self.cancelled: set[str] = set()
        self.rows: list[Any] = []
        self.away = False
        self.renewals = 0

    def renew(self, claims: Any) -> Any:
        self._answer()
        self.renewals += 1
        return {run for run, attempt in claims.items() if self.attempts.get(run) == attempt}

    def stop_requests(self, run_ids: Any) -> Any:
        self._answer()
        return self.cancelled & set(run_ids)

    def record(self, batch: Any) -> Any:
        self._answer()
        refused = {run for run, sent in batch.items() if self.attempts.get(run) != sent.attempt}
        for run, sent in batch.items():
            if run not in refused:
                self.rows += [(run, point.key, point.step, point.value) for point in sent.points]
                self.rows += [(run, "tag", key, value) for key, value in sent.tags.items()]
        return refused

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("switched off")


class Clock:
    now = 100.0

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Any:
    return Clock()


def keep(book: Any, clock: Any, claims: Any) -> Any:
    return Keeper(book, claims, lease=3.0, poll=2.0, clock=clock)


def test_renews_every_third_of_the_lease(clock: Any) -> None:
    book = Book({"a": 1})
    keeper = keep(book, clock, {"a": 1})
    for _ in range(13):
        keeper.turn()
        clock.now += 0.25
    assert book.renewals == 3
    assert keeper.asked("a") is None


def test_a_newer_attempt_takes_one_lane_only(clock: Any) -> None:
    book = Book({"a": 2, "b": 1})
    keeper = keep(book, clock, {"a": 1, "b": 1})
    clock.now += 1.0
    keeper.turn()
    assert keeper.asked("a") == "lost"
    assert keeper.asked("b") is None


def test_cancellation_is_read_within_the_poll_interval(clock: Any) -> None:
    book = Book({"a": 1})
    keeper = keep(book, clock, {"a": 1})
    keeper.turn()
    book.cancelled = {"a"}
    clock.now += 1.9
    keeper.turn()
    assert keeper.asked("a") is None
    clock.now += 0.1
    keeper.turn()
    assert keeper.asked("a") == "cancelled"


def test_database_away_for_less_than_the_lease_changes_nothing(clock: Any) -> None:
    book = Book({"a": 1})
    keeper = keep(book, clock, {"a": 1})
    keeper.record("a", [MetricPoint("train/loss", 1, 0.5)])
    book.away = True
    for _ in range(5):
        clock.now += 0.5
        with pytest.raises(StoreUnavailable):
            keeper.turn()
    assert keeper.asked("a") is None
    book.away = False
    keeper.turn()
    assert book.rows == [("a", "train/loss", 1, 0.5)]


def test_database_away_for_the_whole_lease_is_a_loss(clock: Any) -> None:
    book = Book({"a": 1})
    keeper = keep(book, clock, {"a": 1})
    book.away = True
    clock.now += 3.01
    assert keeper.asked("a") == "lost"


def test_measurements_are_sent_once_and_refused_ones_are_a_loss(clock: Any) -> None:
    book = Book({"a": 1, "b": 2})
    keeper = keep(book, clock, {"a": 1, "b": 1})
    for run in ("a", "b"):
        keeper.record(run, [MetricPoint("x", 0, None)], {"t": "1"})
    keeper.flush()
    keeper.send()
    assert book.rows == [("a", "x", 0, None), ("a", "tag", "t", "1")]
    assert keeper.asked("b") == "lost"
    assert keeper.waiting() == []


def test_the_thread_works_by_itself() -> None:
    book = Book({"a": 1})
    holder: Any = book
    with Keeper(holder, {"a": 1}, lease=0.3, poll=0.05) as keeper:
        keeper.record("a", [MetricPoint("x", 1, 1.0)])
        keeper._done.wait(0.5)
        assert keeper.asked("a") is None
    assert book.renewals >= 2
    assert len(book.rows) == 1
