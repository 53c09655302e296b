"""What a comparison found: estimates per level, effects per pair of levels, and the same as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from experiments.comparing.design import Question
from experiments.comparing.effects import Estimate, Score, estimate, lower_is_better
from experiments.comparing.progress import Progress
from experiments.comparing.statistics import Judgement
from experiments.spec import ExperimentSpec
from service.analysis.design import plan_of
from service.entities import Experiment, Run

DIAGNOSIS = "gradus.diagnosis."
CERTIFICATE = "gradus.certificate"
REPEATED, EVERY_SEED = "seed", "every seed"
"""A seed repeats a choice and is none: asked about, all of them are one level."""
SEEDS = "seeds"
"""What `Level.tuned` calls the seeds at which a setting was chosen."""


@dataclass(frozen=True)
class Tuning:
    """How each level came by the setting it is compared at."""

    how: Literal["fresh seeds", "other seeds"]
    """`fresh seeds`: chosen on tuning seeds, compared on others; `other seeds`: chosen for every seed on the other
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
    """What it is compared at: the other factors' levels and the tuned fields, each once."""
    certificates: dict[str, int]
    diagnoses: dict[str, int]


@dataclass(frozen=True)
class Effect:
    """A over B: the judgement, and how many runs of either diverged. `judgement.verdict` counts only for a
    question.
    """

    judgement: Judgement
    diverged: dict[str, int]
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The answer, with everything a page or a table needs."""

    experiment: Experiment
    spec: ExperimentSpec
    factor: str
    metric: str
    question: Question | None
    """None: exploratory."""
    progress: Progress | None
    error: float
    levels: tuple[Level, ...]
    effects: tuple[Effect, ...]
    answer: str
    scope: str
    warnings: tuple[str, ...]
    tuning: Tuning | None
    """None: nothing was tuned, every level has all its runs."""
    runs: tuple[Run, ...] = field(repr=False)
    """Every run of the experiment."""
    used: tuple[str, ...] = field(repr=False)
    """Ids of the runs behind the estimates."""

    @property
    def confidence(self) -> float:
        return 1.0 - self.error

    def to_json(self) -> dict[str, Any]:
        """The body of `GET …/comparison`."""
        question = self.question
        body: dict[str, Any] = {
            "experiment": {name: getattr(self.experiment, name) for name in ("id", "name", "stage")},
            "kind": "question" if question else "exploratory",
            "factor": self.factor,
            "metric": self.metric,
            "lower_is_better": lower_is_better(self.metric),
            "confidence": self.confidence,
            "tuning": asdict(self.tuning) if self.tuning else None,
            "delta": question.delta if question else None,
            "alpha": question.alpha if question else None,
            "looks": list(question.looks) if question else None,
            "levels": [_level_json(level) for level in self.levels],
            "effects": [_effect_json(effect, self.factor) for effect in self.effects],
            "verdicts": [_verdict_json(effect) for effect in self.effects] if question else [],
            "answer": self.answer,
            "scope": self.scope,
            "warnings": list(self.warnings),
            "plan": plan_of(question, self.progress) if question and self.progress else None,
        }
        return body


def finite(value: float | None) -> float | None:
    """The value, or None where it is not finite: JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _level_json(level: Level) -> dict[str, Any]:
    one = asdict(level.estimate)
    one["by_seed"] = [{"seed": seed, "value": value} for seed, value in level.estimate.by_seed]
    one |= {"certificates": level.certificates, "diagnoses": level.diagnoses}
    return one | {"tuned": list(level.tuned)}


def _verdict_json(effect: Effect) -> dict[str, Any]:
    one = effect.judgement
    return {
        "a": one.a,
        "b": one.b,
        "verdict": one.verdict,
        "text": one.text,
        "effect": one.effect,
        "low": finite(one.low),
        "high": finite(one.high),
        "seeds": one.seeds,
        "won": one.won,
        "diverged": effect.diverged,
        "needed": one.needed,
        "p": one.p,
    }


def _effect_json(effect: Effect, factor: str) -> dict[str, Any]:
    whole = _verdict_json(effect)
    kept = {key: whole[key] for key in ("a", "b", "effect", "low", "high", "seeds", "won", "diverged")}
    note = not_attributable(effect.differs, factor) if effect.differs else None
    return kept | {"differs": list(effect.differs), "note": note}


def not_attributable(names: Sequence[str], factor: str) -> str:
    """The sentence for a pair that differs in more than the factor."""
    verb = "differs" if len(names) == 1 else "differ"
    return f"not attributable: {', '.join(names)} {verb} along with {factor}"


def level_of(run: Run, factor: str) -> str | None:
    """A run's level of a factor, swept or not; None where it has no such level or parameter."""
    if factor == REPEATED:
        return EVERY_SEED
    if factor in run.levels:
        return run.levels[factor]
    value = run.params.get(factor)
    return None if value is None else str(value)


def signed(value: float | None) -> str:
    """A difference with its sign and three significant digits; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.3g}".replace("-", "−")


def levels_of(
    own: Sequence[Score],
    names: Sequence[str],
    chance: float | None,
    used: Sequence[Run],
    factor: str,
    tuned: Mapping[str, tuple[dict[str, str], ...]],
) -> tuple[Level, ...]:
    by_level: dict[str, list[Score]] = {name: [] for name in names}
    for score in own:
        by_level[score.level].append(score)
    certificates: dict[str, Counter[str]] = {name: Counter() for name in names}
    diagnoses: dict[str, Counter[str]] = {name: Counter() for name in names}
    for run in used:
        label = level_of(run, factor) or ""
        if verdict := run.tags.get(CERTIFICATE):
            certificates[label][verdict] += 1
        diagnoses[label].update(tag.removeprefix(DIAGNOSIS) for tag in run.tags if tag.startswith(DIAGNOSIS))
    return tuple(
        Level(
            estimate(by_level[name], name, chance=chance),
            tuned.get(name, ()),
            dict(certificates[name]),
            dict(diagnoses[name]),
        )
        for name in names
    )


def warnings_of(levels: Sequence[Level]) -> tuple[str, ...]:
    found = []
    for level in levels:
        one = level.estimate
        if level.certificates.get("failed"):
            found.append(f"{one.level}: the gradient check failed; its numbers are not to be trusted")
        if one.diverged:
            found.append(f"{one.level}: {one.diverged} of {one.runs} runs diverged")
        if one.failed:
            found.append(f"{one.level}: {one.failed} of {one.runs} runs failed or were cancelled")
    return tuple(found)


def scope_of(spec: ExperimentSpec) -> str:
    """What the answer holds for (Bouthillier et al. 2021: the data are sampled too)."""
    *others, last = dict.fromkeys(point.spec.dataset.name for point in spec.expand())
    if others:
        where = f"the data sets {', '.join(others)} and {last} and the one split of each"
    else:
        where = f"the data set {last} and the one split of it"
    return (
        f"This holds for {where} that was used. Seeds vary the initial weights and the order of the data, not which "
        "samples were drawn: another sample may order the levels differently."
    )
