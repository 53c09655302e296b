"""Confounders: the fields in which the runs of two levels differ beside the factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from experiments.comparing.design import Arm, Design
from experiments.spec import ExperimentSpec
from experiments.spec.confounders import display, other_measure, owner, possible_confounders

Confounders = Mapping[str, str]
"""Every field that decides a run's result (path to value), without the compared factor and the seed."""


def differing(a: Iterable[Confounders], b: Iterable[Confounders]) -> tuple[str, ...]:
    """The fields in which the runs of two levels differ.

    Args:
        a: The fields of each run of the first level.
        b: The same of the second level.

    Returns:
        Paths, sorted. Empty where both levels were run in the same cells. Where every single field has the same
        values on both sides, but not in the same combinations, the fields that vary.
    """
    cells_a = {tuple(sorted(fields.items())) for fields in a}
    cells_b = {tuple(sorted(fields.items())) for fields in b}
    if cells_a == cells_b or not cells_a or not cells_b:
        return ()
    paths = sorted({path for cell in cells_a | cells_b for path, _ in cell})

    def values(cells: set[tuple[tuple[str, str], ...]], path: str) -> set[str | None]:
        return {dict(cell).get(path) for cell in cells}

    named = tuple(path for path in paths if values(cells_a, path) != values(cells_b, path))
    return named or tuple(path for path in paths if len(values(cells_a | cells_b, path)) > 1)


def confounded_pairs(spec: ExperimentSpec, design: Design) -> dict[tuple[str, str], tuple[str, ...]]:
    """The pairs of levels about which nothing may be claimed.

    The runs of such a pair differ in a field that the factor does not set, or their metric measures another loss.
    A question about one field of `cases` is confounded by the other fields that the cases set.

    Returns:
        Pair of levels to the names of the confounders.
    """
    cases = spec.sweep.cases if spec.sweep is not None else None
    owned = owner([design.about, *(axis.name for axis in design.axes)], cases)
    written = spec.written_layers()
    settings = [tuple(axis.labels[0] for axis in design.axes)]
    if design.metric.endswith("/loss"):  # a level may end at any setting, and all must measure the same loss
        settings += [
            (*settings[0][:position], label, *settings[0][position + 1 :])
            for position, axis in enumerate(design.axes)
            for label in axis.labels[1:]
        ]
    runs: dict[Arm, list[dict[str, Any]]] = {}
    for arm in design.arms:
        planned = [design.planned_run(arm, design.axes, setting, design.fresh[0]) for setting in settings]
        points = [spec.point(run.levels, run.seed) for run in planned]
        runs[arm] = [point.spec.model_dump(mode="json") for point in points]
    confounded = {}
    for a, b in design.pairs:
        sides = [
            [possible_confounders(runs[level, cell][0], owned, written) for cell in design.cells]
            for level in (a, b)
        ]
        names = dict.fromkeys(display(differing(*sides)))
        for cell in design.cells:
            names |= dict.fromkeys(other_measure(design.metric, [*runs[a, cell], *runs[b, cell]]))
        if names:
            confounded[a, b] = tuple(names)
    return confounded
