"""Questions that go on by themselves: the first stage at submission, then each next one as the one before
ends.
"""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakKeyDictionary

import structlog

from experiments.comparing.design import Question, question_of
from experiments.comparing.progress import Progress, forced_look, progress
from experiments.comparing.stages import Stage, Wait
from experiments.errors import GradusError, Problem, SpecError
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from service import operations
from service.analysis.observations import results, seed_of
from service.entities import QUESTION_OVER, Experiment, Json, Run
from service.errors import Conflict, StaleStage, StoreUnavailable
from service.store import Store, queries

log = structlog.get_logger(__name__)
_seen: WeakKeyDictionary[Store, dict[str, tuple[object, ...]]] = WeakKeyDictionary()
"""What each open experiment looked like when nothing could be queued for it, so that it is not worked out
again.
"""


def initial_points(spec: ExperimentSpec) -> tuple[tuple[Point, ...], str, Json | None]:
    """The first runs of an experiment, the name of their stage, and the question's plan (None without one).

    Raises:
        SpecError: the budget does not even pay for tuning and the first look.
    """
    question = question_of(spec)
    if question is None:
        return spec.expand(), "grid", None
    now = progress(question, ())
    least = least_runs(question)
    if question.budget is not None and question.budget < least:
        raise SpecError(
            [
                Problem(
                    "compare.budget",
                    f"{question.budget} runs do not pay for the first look",
                    f"at least {least}",
                )
            ]
        )
    if now.next is None:
        raise SpecError(
            [Problem("compare", "there is nothing to run", "a factor with levels and at least one look")]
        )
    return _points(spec, now.next), now.next.name, plan_of(question, now)


def least_runs(question: Question) -> int:
    """Runs up to the end of the first look, as long as no tuned range has to be extended."""
    places = len(question.levels) * len(question.cells)
    grid = 1
    for axis in question.axes:
        grid *= len(axis.values)
    return places * (grid * len(question.tune_seeds) + question.looks[0])


def advance(store: Store) -> int:
    """Queue the next stage of every question whose present stage has ended; how many questions moved.

    One that cannot go on is logged, once for each state it is in, and does not keep the others from going on.
    """
    moved = 0
    seen = _seen.setdefault(store, {})
    for experiment in queries.staged_experiments(store):
        mark = (experiment.stage, experiment.n_runs, tuple(sorted(experiment.counts.items())))
        if seen.get(experiment.id) == mark:
            continue
        try:
            went_on = _advance(store, experiment)
        except StoreUnavailable:
            raise
        except GradusError as error:
            log.error("a question cannot go on", experiment=experiment.id, error=str(error))
            went_on = False
        if went_on:
            moved += 1
            seen.pop(experiment.id, None)
        else:
            seen[experiment.id] = mark
    return moved


def _advance(store: Store, experiment: Experiment) -> bool:
    spec = experiment.experiment_spec
    question = question_of(spec)
    if question is None:
        return False
    now = progress(question, results(question, queries.all_runs(store, experiment.id)))
    plan = plan_of(question, now)
    try:
        if now.next is not None:
            points = _points(spec, now.next)
            operations.add_runs(
                store,
                experiment.id,
                points,
                stage=now.next.name,
                expected_stage=experiment.stage,
                design=plan,
            )
            log.info("next stage", experiment=experiment.id, stage=now.next.name, runs=len(points))
            return True
        if now.over and now.wait in QUESTION_OVER:
            stage = QUESTION_OVER[now.wait]
            operations.set_design(store, experiment.id, plan, stage=stage, expected_stage=experiment.stage)
            log.info("question over", experiment=experiment.id, why=now.wait, answer=plan["answer"])
            return True
        if plan != experiment.design:
            operations.set_design(
                store, experiment.id, plan, stage=experiment.stage, expected_stage=experiment.stage
            )
    except StaleStage:
        log.info("somebody else moved it on", experiment=experiment.id)
    return False


def extend(
    store: Store,
    experiment_id: str,
    *,
    seeds: int | None = None,
    quota: int | None = None,
    max_runs: int | None = None,
) -> Experiment:
    """Queue the next planned look, also past the budget or where all is decided; without a question `seeds`
    more.

    Raises:
        NotFound; Conflict: a stage is still running, the last planned look is done, or a number of seeds
        was given where looks are planned (or none where they are not); SpecError: the experiment would have more
        than `max_runs` runs; QuotaExceeded.
    """
    experiment = queries.get_experiment(store, experiment_id)
    spec = experiment.experiment_spec
    question = question_of(spec)
    runs = queries.all_runs(store, experiment.id)
    if question is None:
        chosen, first, seeds = _more_seeds(spec, runs, seeds)
        _check_size(experiment, len(chosen) * seeds, max_runs)
        points = tuple(spec.point(levels, seed) for levels in chosen for seed in range(first, first + seeds))
        stage, plan = experiment.stage, None
    else:
        if seeds is not None:
            planned = ", ".join(map(str, question.looks))
            raise Conflict(
                f"this question has planned looks ({planned} seeds); extend it without a number of seeds"
            )
        have = results(question, runs)
        now = progress(question, have, limited=False)
        if now.wait == "running" and now.next is None:
            raise Conflict("the present stage is still running; wait until it has ended")
        if now.wait == "incomplete":
            raise Conflict("a run of this question failed or was cancelled; retry it first")
        next_stage = now.next or forced_look(question, now, have)
        if next_stage is None:
            raise Conflict(
                f"the last planned look ({question.looks[-1]} seeds) is done; ask a new question for more"
            )
        _check_size(experiment, len(next_stage.asks), max_runs)
        points, stage, plan = _points(spec, next_stage), next_stage.name, plan_of(question, now)
    operations.add_runs(
        store, experiment.id, points, stage=stage, expected_stage=experiment.stage, design=plan, quota=quota
    )
    return queries.get_experiment(store, experiment.id)


def _check_size(experiment: Experiment, more: int, allowed: int | None) -> None:
    """Before a point is built: a hundred thousand of them take minutes and gigabytes. Raises SpecError."""
    whole = experiment.n_runs + more
    if allowed is not None and whole > allowed:
        raise SpecError.one(
            "",
            f"the experiment has {experiment.n_runs:,} runs and would have {whole:,}",
            f"at most {allowed:,} runs of one experiment (GRADUS_MAX_RUNS)",
        )


def _more_seeds(
    spec: ExperimentSpec, runs: list[Run], seeds: int | None
) -> tuple[list[dict[str, object]], int, int]:
    """The combinations of levels, the first seed that none of them has, and how many seeds are asked for."""
    if seeds is None:
        raise Conflict("no question is fixed, so there is no planned look; say how many seeds more")
    if spec.sweep is not None and spec.sweep.strategy == "random":
        raise Conflict("a random draw has no grid to extend; submit another experiment")
    first = max((seed_of(run) for run in runs), default=spec.seed) + 1
    axes = spec.axes()
    combinations = itertools.product(*axes.values())
    chosen: list[dict[str, object]] = [
        {name: level.label if name == "case" else level.value for name, level in zip(axes, one, strict=True)}
        for one in combinations
    ]
    return chosen, first, seeds


def _points(spec: ExperimentSpec, stage: Stage) -> tuple[Point, ...]:
    return tuple(spec.point(ask.levels, ask.seed) for ask in stage.asks)


def plan_of(question: Question, now: Progress) -> dict[str, Any]:
    """The plan as people see it: the question, its stages so far and to come, and the present answer."""
    known = {step.name for step in now.steps}
    planned = _LEFT.get(now.wait, "planned") if now.over else "planned"
    stages: list[dict[str, Any]] = [
        {
            "name": step.name,
            "runs": step.runs,
            "ended": step.ended,
            "state": planned if step.state == "planned" else step.state,
        }
        for step in now.steps
    ]
    for look in range(len(question.looks)):
        name = f"look-{look + 1}"
        if name not in known:
            places = len(question.levels) * len(question.cells)
            runs = places * question.looks[look]
            stages.append({"name": name, "runs": runs, "ended": 0, "state": planned})
    return {
        "factor": question.factor,
        "metric": question.metric,
        "delta": question.delta,
        "alpha": question.alpha,
        "looks": list(question.looks),
        "budget": question.budget,
        "stages": stages,
        "wait": now.wait,
        "standing": _STANDING[now.wait].format(budget=question.budget),
        "tuned": [
            {
                "level": level,
                "cell": list(cell),
                **dict(zip((a.name for a in now.axes), one.setting, strict=False)),
            }
            for (level, cell), one in now.tuned.items()
            if one.setting
        ],
        "answer": answer(question, now),
    }


def answer(question: Question, now: Progress) -> str:
    """The present answer in a line."""
    return "; ".join(answers(question, now))


def answers(question: Question, now: Progress) -> list[str]:
    """The same, a sentence for every pair of levels."""
    if not any(one.seeds for one in now.judgements) and not question.confounded:
        step = now.steps[-1] if now.steps else None
        if now.wait == "incomplete":
            return ["incomplete: a tuning run failed or was cancelled; retry it"]
        where = f" ({step.name}: {step.ended} of {step.runs} runs)" if step else ""
        return [f"no answer yet{where}"]
    return [
        one.text
        if one.verdict not in _BARE
        else f"{question.named(one.a)} / {question.named(one.b)} {one.text}"
        for one in now.judgements
    ]


_LEFT = {"decided": "not needed", "nothing to decide": "not needed", "budget": "not paid for"}
"""What becomes of the stages that were planned still, by why the question is over."""
_STANDING: dict[Wait, str] = {
    "running": "The question goes on by itself.",
    "decided": "Every pair of levels that can be decided is, so no further look is needed.",
    "last look": "The last planned look is done; what is undecided stays so.",
    "budget": "The budget of {budget} runs does not pay for the next stage; `gradus extend` queues it all the same.",
    "incomplete": "A run failed or was cancelled; `gradus retry` lets the question go on.",
    "nothing to decide": "No pair of levels can be claimed about.",
}
_BARE = frozenset({"undecided", "incomplete", "not attributable", "not fairly tuned"})
"""Verdicts whose sentence does not name the levels."""
