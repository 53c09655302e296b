"""Ten thousand schedules of the protocol under simulated time, with crashes at every statement."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from service.store import run_rows
from tests.faults.history import Entry, violations
from tests.faults.simulation import simulate

BATCH = 250


def test_some_schedules_have_no_violation() -> None:
    assert simulate(range(25)) == {}


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_ten_thousand_schedules_have_no_violation() -> None:
    batches = [range(start, start + BATCH) for start in range(0, 10_000, BATCH)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        broken = {seed: why for result in pool.map(simulate, batches) for seed, why in result.items()}
    assert broken == {}, "replay one with tests.faults.simulation.simulate(range(SEED, SEED + 1))"


@pytest.mark.parametrize(
    ("story", "complaint"),
    [
        ([("claimed", 1, "SCHEDULED", "RUNNING"), ("commit", 1), ("commit", 1)], "2 outcomes were committed"),
        (
            [("claimed", 1, "SCHEDULED", "RUNNING"), ("reclaimed", 2, "RUNNING", "RUNNING"), ("record", 1)],
            "attempt 1 did record after attempt 2",
        ),
        (
            [("claimed", 1, "SCHEDULED", "RUNNING"), ("commit", 1), ("reclaimed", 2, "RUNNING", "RUNNING")],
            "claimed after its outcome was committed",
        ),
        (
            [("claimed", 2, "SCHEDULED", "RUNNING"), ("reclaimed", 2, "RUNNING", "RUNNING")],
            "was claimed after 2",
        ),
        ([("finished", 1, "RUNNING", "FINISHED")], "the run was SCHEDULED"),
        ([("claimed", 1, "SCHEDULED", "RUNNING")], "it never ended"),
    ],
)
def test_the_checker_finds_what_is_wrong(story: list[tuple[str, ...]], complaint: str) -> None:
    history, last = [], "SCHEDULED"
    for what, attempt, *ends in story:
        if ends:
            last = ends[1]
            history.append(Entry("r", "status", int(attempt), what, *ends))
        else:
            history.append(Entry("r", what, int(attempt)))  # type: ignore[arg-type]
    assert any(complaint in violation for violation in violations(history, {"r": last}))


def test_the_simulation_finds_a_broken_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation can fail, and a schedule can be replayed: number 67 is one that finds a missing
    fence."""
    monkeypatch.setattr(run_rows, "fenced", lambda rows, claims: list(rows))
    first, again = simulate(range(67, 68)), simulate(range(67, 68))
    assert first == again
    assert "after attempt 2 began" in first[67][0]
