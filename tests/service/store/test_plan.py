"""Which runs become a tile, how wide, and in which order: the planner without a database."""

from __future__ import annotations

from typing import Any

import pytest

from service.planner import LADDER, Candidate, plan, shape
from service.store.dispatch_rows import Waiting


def waiting(number: int, program: str = "p", **changes: Any) -> Any:
    fields = {
        "index": number, "program": program, "max_width": 32, "device": "auto", "seed": number, "epochs": 2,
        "resume_key": None, "resume_width": None, "single_lane": False, "width": None,
    }  # fmt: skip
    return Waiting(id=f"{program}{number}", **{**fields, **changes})


def tiles(runs: Any, slots: int = 100, workers: int = 1, wait: Any = None) -> Any:
    candidate = Candidate("e", "me", 0, 0.0, 0, list(runs))
    wait = {"gradus.any": wait or len(candidate.runs)}
    planned = plan([candidate], {"gradus.any": slots}, {"gradus.any": workers}, wait)
    return [(len(tile.run_ids), tile.width) for tile in planned]


@pytest.mark.parametrize(
    ("number", "most", "expected"),
    [(100, 32, (32, 32)), (12, 32, (12, 16)), (9, 32, (8, 8)), (3, 32, (3, 4)), (2, 32, (1, 1)), (20, 32, (20, 32)),
     (5, 4, (4, 4)), (7, 1, (1, 1)), (1, 32, (1, 1)), (1000, 4096, (1000, 1024)), (300, 500, (256, 256))],
)  # fmt: skip
def test_shape(number: int, most: Any, expected: Any) -> None:
    assert shape(number, most) == expected


def test_every_worker_has_work_before_a_tile_is_widened() -> None:
    assert tiles(map(waiting, range(64)), workers=2) == [(32, 32), (32, 32)]
    assert tiles(map(waiting, range(8)), workers=2) == [(4, 4), (4, 4)]
    assert tiles(map(waiting, range(8)), workers=8) == [(1, 1)] * 8
    assert tiles((waiting(n, max_width=1) for n in range(3)), workers=1) == [(1, 1)] * 3
    assert tiles(map(waiting, range(64)), workers=50, wait=5000) == [(32, 32)] * 2


def test_only_one_program_in_a_tile() -> None:
    runs = [waiting(n, program) for n in range(4) for program in "ab"]
    candidate = Candidate("e", "me", 0, 0.0, 0, runs)
    planned = plan([candidate], {"gradus.any": 9}, {"gradus.any": 1}, {"gradus.any": 8})
    assert [{id[0] for id in tile.run_ids} for tile in planned] == [{"a"}, {"b"}]


def test_resumed_lanes_keep_their_company_and_width() -> None:
    old = [waiting(n, resume_key="t1:3:8:s", resume_width=8) for n in range(5)]
    other = [waiting(n, resume_key="t2:3:8:s", resume_width=8) for n in range(5, 7)]
    fresh = [waiting(n) for n in range(7, 11)]
    assert tiles([*old, *other, *fresh]) == [(5, 8), (2, 8), (4, 4)]


def test_lanes_of_a_lost_tile_go_alone_at_the_old_width() -> None:
    lost = [waiting(n, single_lane=True, width=8) for n in range(3)]
    kept = [
        waiting(n, single_lane=True, width=8, resume_key="t:1:16:s", resume_width=16) for n in range(3, 5)
    ]
    assert tiles([*lost, *kept]) == [(1, 8)] * 3 + [(1, 16)] * 2


def test_priority_first_then_whoever_has_least_at_work() -> None:
    def candidate(id: Any, owner: Any, priority: int = 0, active: int = 0) -> Any:
        runs = [waiting(n, id, max_width=1) for n in range(3)]
        return Candidate(id, owner, priority, 0.0, active, runs)

    planned = plan(
        [candidate("a", "x", active=5), candidate("b", "y"), candidate("c", "y"), candidate("u", "z", 1)],
        {"gradus.any": 7},
        {"gradus.any": 1},
        {"gradus.any": 12},
        owners={"x": 5, "y": 4},
    )
    assert [tile.experiment_id for tile in planned] == ["u", "u", "u", "b", "c", "a", "b"]


def test_widths_are_of_the_ladder() -> None:
    for number in range(1, 70):
        for workers in (1, 2, 5):
            cut = tiles(map(waiting, range(number)), workers=workers)
            assert sum(lanes for lanes, _ in cut) == number
            assert all(width in LADDER and lanes <= width for lanes, width in cut)


def test_a_class_of_thirty_takes_turns_with_a_large_sweep() -> None:
    """A sweep of 1,000 runs is in training when 30 students submit three runs each: everybody has a tile before the sweep
    has its next one, and nobody has two before everybody has one."""
    sweep = Candidate("sweep", "lecturer", 0, 0.0, 64, [waiting(n, "s") for n in range(1000)])
    students = [
        Candidate(f"e{i}", f"student-{i}", 0, 1.0 + i, 0, [waiting(n, f"p{i}-{n}") for n in range(3)])
        for i in range(30)
    ]
    planned = plan(
        [sweep, *students], {"gradus.any": 40}, {"gradus.any": 2}, {"gradus.any": 1090}, {"lecturer": 64}
    )
    order = [tile.experiment_id for tile in planned]
    assert sorted(order[:30]) == sorted(student.id for student in students)
    assert "sweep" not in order
