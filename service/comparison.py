"""Which choice is better, and is that claim warranted: the answer of an experiment as data.

The question that the spec fixed gets verdicts. Any other factor or metric is explored: estimates and
intervals, never a verdict.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.comparing.effects import (
    Estimate,
    Score,
    chance_level,
    differing,
    estimate,
    judge_pair,
    lower_is_better,
    pair,
)
from experiments.comparing.questions import Progress, Question, progress, question_of, reached, scores
from experiments.grammar.facets import display, facets, owner
from experiments.spec import ExperimentSpec
from experiments.statistics import Judgement, number, share_of_error
from service.errors import NotFound
from service.lifecycle import Experiment, Run
from service.questions import answer, plan_of
from service.results import diverged, results, seed_of, state_of
from service.store import Store, queries

METRICS = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/accuracy", "train/loss")
DIAGNOSIS = "gradus.diagnosis."
CERTIFICATE = "gradus.certificate"


@dataclass(frozen=True)
class Level:
    """One level of the factor: its estimate, and what its runs say beside the number."""

    estimate: Estimate
    tuned: tuple[dict[str, str], ...]
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


def _finite(value: float | None) -> float | None:
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
        "low": _finite(one.low),
        "high": _finite(one.high),
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


def compare(
    store: Store, experiment_id: str, *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """The comparison of an experiment; factor and metric are the question's where they are not given.

    Raises:
        NotFound: no such experiment, or no run of it has a level or parameter of that name.
    """
    experiment = queries.get_experiment(store, experiment_id)
    return compare_runs(experiment, queries.all_runs(store, experiment.id), factor=factor, metric=metric)


def compare_runs(
    experiment: Experiment, runs: Sequence[Run], *, factor: str | None = None, metric: str | None = None
) -> Comparison:
    """`compare` on runs that were read before."""
    spec = experiment.experiment_spec()
    question = question_of(spec)
    if question is not None and factor in (None, question.factor) and metric in (None, question.metric):
        return _answered(experiment, spec, question, runs)
    return _explored(experiment, spec, question, runs, factor, metric)


def _answered(
    experiment: Experiment, spec: ExperimentSpec, question: Question, runs: Sequence[Run]
) -> Comparison:
    have = results(question, runs)
    now = progress(question, have)
    own = scores(question, now.tuned, have)
    effects = []
    for (a, b), judged in zip(question.pairs, now.judgements, strict=True):
        seeds = reached(question, own, a, b)
        first = tuple(range(question.first_seed, question.first_seed + seeds))
        both = pair(own, a, b, metric=question.metric, chance=question.chance, seeds=first)
        counts = {a: both.diverged_a, b: both.diverged_b, "of": both.runs}
        effects.append(Effect(judged, counts, question.confounded.get((a, b), ())))
    settings = {(level, cell): one.setting for (level, cell), one in now.tuned.items()}
    seeds_used = {score.seed for score in own}
    used = [
        run
        for run in runs
        if seed_of(run) in seeds_used
        and settings.get(_place(question, run)) == tuple(run.levels.get(a.name, "") for a in now.axes)
    ]
    names = [axis.name for axis in now.axes]
    tuned = {
        level: tuple(
            dict(zip((*question.others, *names), (*cell, *setting), strict=True))
            for (other, cell), setting in settings.items()
            if other == level and setting
        )
        for level in question.levels
    }
    levels = _levels(own, list(question.levels), question.chance, used, question.factor, tuned)
    return Comparison(
        experiment,
        spec,
        question.factor,
        question.metric,
        question,
        now,
        question.error,
        levels,
        tuple(effects),
        answer(question, now),
        scope_of(spec),
        _warnings(levels),
        tuple(runs),
        tuple(run.id for run in used),
    )


def _place(question: Question, run: Run) -> tuple[str, tuple[str, ...]]:
    cell = tuple(run.levels.get(name, "") for name in question.others)
    return run.levels.get(question.factor, ""), cell


def _explored(
    experiment: Experiment,
    spec: ExperimentSpec,
    question: Question | None,
    runs: Sequence[Run],
    factor: str | None,
    metric: str | None,
) -> Comparison:
    factor = factor or (question.factor if question else next(iter(spec.axes()), "seed"))
    considered, owned = _considered(question, runs, factor)
    metric = metric or (question.metric if question else _default_metric(considered))
    cases = spec.sweep.cases if spec.sweep is not None else None
    owns = owner([factor, *owned], cases)
    labelled = [(label, run) for run in considered if (label := level_of(run, factor)) is not None]
    if runs and not labelled:
        raise NotFound("factor", factor)
    known: dict[str, dict[str, str]] = {}
    sides: dict[str, list[dict[str, str]]] = {}
    own = []
    chance = None
    if labelled:
        shape = labelled[0][1].run_spec().data_shape
        chance = chance_level(metric, shape.classes)
    for label, run in labelled:
        others = known.setdefault(run.id, facets(run.spec, owns))
        sides.setdefault(label, []).append(others)
        cell = "\n".join(f"{path}={value}" for path, value in others.items())
        lost = diverged(run, metric)
        own.append(Score(label, cell, seed_of(run), run.metrics.get(metric), state_of(run), lost))
    names = list(dict.fromkeys(label for label, _ in labelled))
    pairs = list(itertools.combinations(names, 2))
    error = share_of_error(0.05, 1, max(1, len(pairs)))
    effects = []
    for a, b in pairs:
        differs = tuple(display(differing(sides[a], sides[b])))
        both = pair((s for s in own if s.level in (a, b)), a, b, metric=metric, chance=chance)
        judged = Judgement(a, b, "undecided", "", None, None, None, 0, 0)
        if both.seeds and not differs:
            judged = judge_pair(both, delta=math.inf, level=error)
        effects.append(Effect(judged, {a: both.diverged_a, b: both.diverged_b, "of": both.runs}, differs))
    levels = _levels(own, names, chance, [run for _, run in labelled], factor, {})
    confounded = sorted({name for effect in effects for name in effect.differs})
    line = "exploratory: no question was fixed for this"
    if confounded:
        line = not_attributable(confounded, factor)
    return Comparison(
        experiment,
        spec,
        factor,
        metric,
        None,
        None,
        error,
        levels,
        tuple(effects),
        line,
        scope_of(spec),
        _warnings(levels),
        tuple(runs),
        tuple(run.id for _, run in labelled),
    )


def _considered(
    question: Question | None, runs: Sequence[Run], factor: str
) -> tuple[list[Run], tuple[str, ...]]:
    """The runs to explore, and the tuned fields. Of a question: the compared runs, or for a tuned field the
    tuning.
    """
    if question is None:
        return list(runs), ()
    names = tuple(axis.name for axis in question.axes)
    tuning = set(question.tune_seeds)
    if factor in names:
        return [run for run in runs if seed_of(run) in tuning], tuple(
            name for name in names if name != factor
        )
    return [run for run in runs if seed_of(run) not in tuning], names


def level_of(run: Run, factor: str) -> str | None:
    """A run's level of a factor, swept or not; None where it has no such level or parameter."""
    if factor in run.levels:
        return run.levels[factor]
    value = run.params.get(factor)
    return None if value is None else str(value)


def _default_metric(runs: Sequence[Run]) -> str:
    there = {key for run in runs for key in run.metrics}
    return next((metric for metric in METRICS if metric in there), METRICS[0])


def _levels(
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


def _warnings(levels: Sequence[Level]) -> tuple[str, ...]:
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
    dataset = spec.dataset.name
    return (
        f"This holds for the data set {dataset} and the one split of it that was used. Seeds vary the initial "
        "weights and the order of the data, not which samples were drawn: another sample may order the levels "
        "differently."
    )


def markdown(comparison: Comparison, links: Mapping[str, str] | None = None) -> str:
    """The answer as MLflow's experiment description: a sentence, a table of verdicts, a table of levels,
    links. The answer comes before a person's own description: MLflow folds all but the first line away.
    """
    question, own = comparison.question, comparison.experiment.description
    lines = [f"**{comparison.answer}**", ""] if question is not None else []
    lines += [own, ""] if own else []
    if question is not None:
        lines += ["| A | B | verdict | A − B | interval | seeds won |", "|---|---|---|---|---|---|"]
        for effect in comparison.effects:
            one = effect.judgement
            interval = f"{signed(one.low)} to {signed(one.high)}" if _finite(one.low) is not None else "–"
            lines.append(
                f"| {_cell(one.a)} | {_cell(one.b)} | {_cell(one.text)} | {signed(one.effect)} | {interval} "
                f"| {one.won} of {one.seeds} |"
            )
        together = f"Intervals hold together with probability {1 - question.alpha:.0%}."
        lines += ["", f"{together} {comparison.scope}", ""]
    lines += [f"| {_cell(comparison.factor)} | {comparison.metric} | seeds | diverged |", "|---|---|---|---|"]
    for level in comparison.levels:
        e = level.estimate
        spread = f" ± {number(e.sd)}" if e.sd is not None else ""
        mean = f"{e.mean:.4g}{spread}" if e.mean is not None else "–"
        lines.append(f"| {_cell(e.level)} | {mean} | {e.seeds} | {e.diverged} of {e.runs} |")
    if links:
        lines += ["", " · ".join(f"[{name}]({url})" for name, url in links.items())]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def signed(value: float | None) -> str:
    """A difference with its sign and three significant digits; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.3g}".replace("-", "−")
