"""What a report says about how it was made: the method of its intervals and their price, and the flip map as a table."""

from __future__ import annotations

import math
from typing import Any

from experiments.comparing.design import Design
from experiments.comparing.importance import FlipMap
from experiments.comparing.statistics import half_width, half_width_of_sequence
from experiments.numbers import ABSENT
from service.analysis.result import Comparison


def flip_table(flips: FlipMap | None) -> dict[str, Any] | None:
    """The flip map as rows and columns of a table."""
    if flips is None:
        return None
    columns, rows = (sorted({place[at] for place in flips.winners}) for at in (0, 1))
    return {
        "x": flips.x,
        "y": flips.y,
        "turns": flips.flips,
        "columns": columns,
        "rows": [(y, [flips.winners.get((x, y), ABSENT) for x in columns]) for y in rows],
    }


def method_of(design: Design, comparison: Comparison) -> str:
    """How the intervals were made, and what they cost."""
    confidence, together = f"{100 * comparison.confidence:.2f} %", f"{100 - 100 * design.alpha:g} %"
    pairs = len(design.pairs)
    compared = f"{pairs} pair{'s' if pairs > 1 else ''} of levels"
    if design.control is not None:
        compared = f"{pairs} level{'s' if pairs > 1 else ''} against {design.control}"
    if design.anytime:
        most = max((effect.judgement.seeds for effect in comparison.effects), default=0)
        cost = ""
        if most > 1 and math.isfinite(wide := half_width_of_sequence(1.0, most, design.error)):
            ratio = wide / half_width(1.0, most, design.error)
            cost = f" The price at {most} seeds: {ratio:.2f} times as wide as Student's interval for one planned look."
        return (
            f"One may look after every seed, {compared}: each interval is a confidence sequence at {confidence}, so that "
            f"all of them hold at every moment together with probability {together}.{cost}"
        )
    student = "Student's t"
    if design.test_share is not None:
        student = f"Student's t over splits, its variance s²·(1/n + {design.test_share:.2f}) (Nadeau & Bengio 2003),"
    looks = design.planned_looks
    if design.further:
        later = ", ".join(map(str, design.looks[looks:]))
        together = (
            f"{100 - 100 * design.total_error:g} %; the looks at {later} seeds were asked for after the planned ones, "
            "which have spent their error, and add to it"
        )
    planned = (
        f"{looks} planned look{'s' if looks > 1 else ''} ({', '.join(map(str, design.looks[:looks]))} seeds)"
    )
    if design.best:
        return (
            f"{planned}, {len(design.levels)} levels: each interval is {student} at {confidence}, so that the best level "
            f"stays among those that may be the best with probability {together}."
        )
    return (
        f"{planned}, {compared}: each interval is {student} at {confidence}, so that all of them hold together with "
        f"probability {together}."
    )
