"""The result of a comparison: estimates per level, effects per pair of levels, and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from experiments.comparing.design import Design
from experiments.comparing.effects import lower_is_better
from experiments.comparing.estimates import Estimate
from experiments.comparing.judging import not_attributable
from experiments.comparing.progress import Progress
from experiments.comparing.verdicts import Judgement
from experiments.numbers import finite
from experiments.spec import ExperimentSpec
from service.analysis.design_document import best_document, design_document
from service.analysis.sensitivity import Sensitivity, sensitivity
from service.entities import Experiment, Run

DIAGNOSIS = "gradus.diagnosis."
CERTIFICATE = "gradus.certificate"
SEEDS = "seeds"
"""The key in `Level.tuned` of the seeds at which a setting was chosen."""


@dataclass(frozen=True)
class Tuning:
    """How each level got the setting at which it is compared."""

    how: Literal["fresh seeds", "other seeds"]
    """`fresh seeds`: chosen on tuning seeds, compared on others. `other seeds`: chosen for every seed on the other
    seeds, which is exploratory.
    """
    fields: tuple[str, ...]
    metric: str
    """The validation metric that chose."""


@dataclass(frozen=True)
class Level:
    """One level of the factor: its estimate, and what its runs say beside the number."""

    estimate: Estimate
    tuned: tuple[dict[str, str], ...]
    """The settings at which it is compared: the other factors' levels and the tuned fields, each combination once."""
    certificates: dict[str, int]
    diagnoses: dict[str, int]


@dataclass(frozen=True)
class Effect:
    """A over B: the judgement, and how many runs of either diverged. A verdict counts only where a design is."""

    judgement: Judgement
    diverged: dict[str, int]
    differs: tuple[str, ...] = ()
    """The confounders."""


@dataclass(frozen=True)
class Comparison:
    """A comparison with everything that a page or a table shows."""

    experiment: Experiment
    spec: ExperimentSpec
    factor: str
    metric: str
    design: Design | None
    """None: exploratory."""
    progress: Progress | None
    error: float
    """The error allowed to each interval."""
    levels: tuple[Level, ...]
    effects: tuple[Effect, ...]
    answer: str
    scope: str
    warnings: tuple[str, ...]
    tuning: Tuning | None
    """None: nothing was tuned, and every level has all its runs."""
    runs: tuple[Run, ...] = field(repr=False)
    """Every run of the experiment."""
    used: tuple[str, ...] = field(repr=False)
    """Ids of the runs behind the estimates."""

    @property
    def confidence(self) -> float:
        return 1.0 - self.error

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """How much each swept factor matters, from all runs."""
        return sensitivity(self.runs, self.factor, self.metric)

    @property
    def plan(self) -> dict[str, Any] | None:
        """The design with its stages and present answer; None where none was fixed."""
        return design_document(self.design, self.progress) if self.design and self.progress else None

    def to_json(self) -> dict[str, Any]:
        """The body of `GET …/comparison`."""
        design = self.design
        return {
            "experiment": {name: getattr(self.experiment, name) for name in ("id", "name", "stage")},
            "kind": "question" if design else "exploratory",
            "factor": self.factor,
            "metric": self.metric,
            "lower_is_better": lower_is_better(self.metric),
            "confidence": self.confidence,
            "tuning": asdict(self.tuning) if self.tuning else None,
            "delta": design.delta if design else None,
            "alpha": design.alpha if design else None,
            "looks": [look for look in design.looks if look <= design.automatic] if design else None,
            "anytime": design.anytime if design else None,
            "control": design.control if design else None,
            "best": best_document(self.progress.best) if self.progress else None,
            "levels": [_level_json(level) for level in self.levels],
            "effects": [_effect_json(effect, self.factor) for effect in self.effects],
            "verdicts": [_verdict_json(effect) for effect in self.effects] if design else [],
            "answer": self.answer,
            "scope": self.scope,
            "warnings": list(self.warnings),
            "plan": self.plan,
            "importance": [
                asdict(share) | {"factors": list(share.factors)} for share in self.sensitivity.shares
            ],
        }


def _level_json(level: Level) -> dict[str, Any]:
    return asdict(level.estimate) | {
        "by_seed": [{"seed": seed, "value": value} for seed, value in level.estimate.by_seed],
        "certificates": level.certificates,
        "diagnoses": level.diagnoses,
        "tuned": list(level.tuned),
    }


def _verdict_json(effect: Effect) -> dict[str, Any]:
    judgement = effect.judgement
    return {
        "a": judgement.a,
        "b": judgement.b,
        "verdict": judgement.verdict,
        "text": judgement.text,
        "effect": judgement.effect,
        "favours": judgement.favours,
        "low": finite(judgement.low),
        "high": finite(judgement.high),
        "seeds": judgement.seeds,
        "won": judgement.won,
        "diverged": effect.diverged,
        "needed": judgement.needed,
        "p": judgement.p,
    }


def _effect_json(effect: Effect, factor: str) -> dict[str, Any]:
    """Without what only a question may claim: verdict, sentence and p value."""
    verdict = _verdict_json(effect)
    shown = {
        key: verdict[key]
        for key in ("a", "b", "effect", "favours", "low", "high", "seeds", "won", "diverged")
    }
    note = not_attributable(effect.differs, factor) if effect.differs else None
    return shown | {"differs": list(effect.differs), "note": note}
