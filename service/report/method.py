"""What a report says about how it was made: the method of its intervals and their price, and the flip map as a table."""

from __future__ import annotations

import math
from typing import Any

from experiments.comparing.design import Design
from experiments.comparing.importance import FlipMap
from experiments.comparing.statistics import half_width, half_width_of_sequence
from experiments.numbers import ABSENT
from service.analysis.result import Comparison
from service.words import Words


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


def method_of(design: Design, comparison: Comparison, say: Words) -> str:
    """How the intervals were made, and what they cost, in the reader's language."""
    confidence, together = f"{100 * comparison.confidence:.2f} %", f"{100 - 100 * design.alpha:g} %"
    pairs = len(design.pairs)
    compared = say("report.pairs", n=pairs)
    if design.control is not None:
        compared = say("report.against", n=pairs, control=design.control)
    if design.anytime:
        most = max((effect.judgement.seeds for effect in comparison.effects), default=0)
        cost = ""
        if most > 1 and math.isfinite(wide := half_width_of_sequence(1.0, most, design.error)):
            ratio = wide / half_width(1.0, most, design.error)
            cost = say("report.anytime_cost", n=most, ratio=f"{ratio:.2f}")
        return say("report.anytime", compared=compared, confidence=confidence, together=together) + cost
    student = say("report.student")
    if design.test_share is not None:
        student = say("report.student_splits", share=f"{design.test_share:.2f}")
    looks = design.planned_looks
    if design.further:
        later = ", ".join(map(str, design.looks[looks:]))
        together = say("report.further", p=f"{100 - 100 * design.total_error:g}", seeds=later)
    seeds = ", ".join(map(str, design.looks[:looks]))
    given = {
        "planned": say("report.planned", n=looks, seeds=seeds),
        "student": student,
        "confidence": confidence,
        "together": together,
    }
    if design.best:
        return say("report.interval_best", levels=len(design.levels), **given)
    return say("report.interval_pairs", compared=compared, **given)
