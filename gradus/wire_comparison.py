"""The JSON of a comparison as types, for both sides."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gradus.wire import Open, Plan, Wire


class SeedValue(Wire):
    """A level's value at one seed: the mean over the other factors' cells; null where it is not a number."""

    seed: int
    value: float | None


class LevelOut(Open):
    """One level of the factor: its mean over the seeds with a pointwise 95 % interval, and what its runs say."""

    level: str
    mean: float | None
    low: float | None
    high: float | None
    sd: float | None = Field(description="standard deviation over the seeds")
    seeds: int
    runs: int
    diverged: int
    failed: int
    waiting: int
    by_seed: list[SeedValue]
    certificates: dict[str, int] = Field(description="result of the gradient check to number of runs")
    diagnoses: dict[str, int] = Field(description="name of a diagnosis to number of runs")
    tuned: list[dict[str, str]] = Field(description="the settings it is compared at")


class EffectOut(Open):
    """The difference of two levels, a minus b; a is the level ahead."""

    a: str
    b: str
    effect: float | None = Field(description="mean of a − b over the seeds, in the metric's unit")
    favours: str | None = Field(None, description="the level that the effect favours")
    low: float | None
    high: float | None
    seeds: int
    won: int = Field(description="seeds in which a was strictly ahead")
    diverged: dict[str, int]
    differs: list[str] = Field(default=[], description="fields that differ along with the factor")
    note: str | None = None


class VerdictOut(Open):
    """What may be said of two levels of the question's factor."""

    a: str
    b: str
    verdict: str
    text: str = Field(description="the verdict as a sentence")
    effect: float | None = Field(description="mean of a − b over the seeds, in the metric's unit")
    favours: str | None = Field(None, description="the level that the effect favours")
    low: float | None
    high: float | None
    seeds: int
    won: int
    diverged: dict[str, int]
    needed: int | None = Field(description="about how many seeds in all would decide it")
    p: float | None = Field(description="p value of the sign test, where that decided")


class TuningOut(Open):
    """How each level came by the setting it is compared at."""

    how: str = Field(description="`fresh seeds`, or `other seeds`, which is exploratory")
    fields: list[str]
    metric: str


class ComparedExperiment(Wire):
    """The experiment that a comparison is of."""

    id: str
    name: str
    stage: str


class BestLevel(Wire):
    """A level that may be the best."""

    level: str
    behind: float | None = Field(
        description="the most by which it may be behind the best; null: not known yet"
    )


class BestOut(Open):
    """The levels that may be the best; the best one is among them with probability 1 − α."""

    levels: list[BestLevel]
    seeds: int
    decided: bool
    text: str


class ImportanceOut(Wire):
    """The share of the variance between combinations of levels that a factor, or two together, explain."""

    factors: list[str]
    share: float
    estimated: bool = Field(False, description="by a forest, because the runs fill no grid")


class ComparisonOut(Open):
    """Estimates, intervals and, for the question that the spec fixed, verdicts."""

    experiment: ComparedExperiment
    kind: Literal["question", "exploratory"]
    factor: str
    metric: str
    lower_is_better: bool
    confidence: float
    tuning: TuningOut | None
    delta: float | None
    alpha: float | None
    looks: list[int] | None
    anytime: bool | None = Field(None, description="whether one may look after every seed")
    control: str | None = Field(None, description="the level that the others are compared with")
    best: BestOut | None = Field(None, description="the levels that may be the best, where that is asked")
    levels: list[LevelOut]
    effects: list[EffectOut]
    verdicts: list[VerdictOut]
    answer: str
    scope: str
    warnings: list[str]
    plan: Plan | None
    importance: list[ImportanceOut] = Field(
        default=[], description="the factors that matter most first; empty where fewer than two vary"
    )
