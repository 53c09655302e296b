"""The values that figures draw."""

from __future__ import annotations

from service.report.figures import _by_step


def test_values_are_gathered_by_step_also_where_some_runs_measured_less() -> None:
    whole = [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert _by_step([whole, [(1, 5.0), (2, 6.0), (3, 7.0)]]) == [
        (1, [1.0, 5.0]),
        (2, [2.0, 6.0]),
        (3, [3.0, 7.0]),
    ]
    ragged: list[list[tuple[int, float | None]]] = [
        [(1, 1.0), (2, 2.0), (3, 3.0)],
        [(1, 5.0)],
        [],
        [(1, None), (3, 9.0)],
        [(2, 8.0), (3, None)],
    ]
    assert _by_step(ragged) == [(1, [1.0, 5.0]), (2, [2.0, 8.0]), (3, [3.0, 9.0])]
