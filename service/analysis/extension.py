"""What a person asks for beyond what a design queues by itself: the next look, further looks, new levels, more seeds."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from experiments.comparing.design import Design
from experiments.comparing.from_spec import design_of
from experiments.comparing.progress import forced_look, progress
from experiments.comparing.stages import Stage
from experiments.errors import SpecError
from experiments.limits import UNLIMITED, Limits
from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.factors import CASE
from experiments.spec.swept_fields import canonical_factor_name
from service import operations
from service.analysis.design import points_of
from service.analysis.design_document import advice, design_document, options
from service.analysis.longer import lengthen
from service.analysis.observations import observations
from service.entities import Experiment, Json, Run
from service.errors import Conflict
from service.store import Store, queries


def extend(
    store: Store,
    experiment_id: str,
    *,
    seeds: int | Sequence[int] | None = None,
    looks: Sequence[int] = (),
    levels: Sequence[object] | Mapping[str, object] = (),
    epochs: int | None = None,
    reuse: Sequence[str] = (),
    limits: Limits = UNLIMITED,
    quota: int | None = None,
    max_runs: int | None = None,
    idempotency: operations.IdempotencyKey | None = None,
) -> Experiment:
    """Queue the next look, further looks, new levels or, without a design, more seeds.

    The next planned look is queued also past the budget or where all is decided. Equal runs are used as they are.

    Args:
        store: The database.
        experiment_id: The experiment's id.
        seeds: How many seeds more, at least 1, or the seeds themselves. For an experiment with a design only where its
            sweep names its seeds: those of the further looks, in their order.
        looks: Seeds per level of further looks, beyond the planned ones, whose error is added to theirs.
        levels: New levels of the compared factor or, without a design, of the only one; for cases label -> fields.
        epochs: So many epochs more for every run that came to its last one, from its checkpoint; alone, and only
            without a design or a search.
        reuse: Ids of experiments whose equal runs are taken over, now and by all later stages.
        limits: How large a run with more epochs may be.
        quota: How many open runs the owner may have; None: no limit.
        max_runs: How many runs an experiment may have; None: no limit.
        idempotency: The client's name for this request; with it, nothing is queued twice.

    Returns:
        The experiment with the new runs.

    Raises:
        NotFound: There is no such experiment.
        Conflict: A stage is still running, the last planned look is done, or a number of seeds was given where
            looks are planned (or none where they are not).
        SpecError: The looks or levels do not fit, or the experiment would have more than `max_runs` runs.
        QuotaExceeded: The owner would have more than `quota` open runs.
    """
    experiment = queries.get_experiment(store, experiment_id)
    if idempotency and operations.extended_before(store, experiment.owner, idempotency):
        return experiment
    spec = experiment.experiment_spec
    runs = queries.all_runs(store, experiment.id)
    if epochs is not None:
        if seeds is not None or looks or levels or reuse:
            raise Conflict(
                "epochs are added alone: first the epochs, then further seeds, looks, levels or runs"
            )
        return lengthen(store, experiment, runs, epochs, limits=limits, quota=quota, idempotency=idempotency)
    if experiment.search is not None:
        raise Conflict("a search chooses its runs by itself; submit a spec with more runs or other rungs")
    named = seeds if spec.compare is not None and not isinstance(seeds, int) else None
    changed = looks or levels or reuse or named
    revised = revise(spec, looks=looks, levels=levels, seeds=named or (), reuse=reuse) if changed else None
    spec = revised or spec
    design = design_of(spec)
    if design is None:
        points = _further_runs(experiment, spec, runs, seeds, max_runs, new_levels=bool(levels))
        stage, document = experiment.stage, None
    else:
        next_stage, document = _next_stage(design, runs, seeds if isinstance(seeds, int) else None)
        _check_size(experiment, len(next_stage.runs), max_runs)
        points, stage = points_of(spec, next_stage), next_stage.name
    operations.add_runs(
        store,
        experiment,
        points,
        stage=stage,
        design=document,
        spec=revised.document() if revised is not None else None,
        quota=quota,
        idempotency=idempotency,
    )
    return queries.get_experiment(store, experiment.id)


def revise(
    spec: ExperimentSpec,
    *,
    looks: Sequence[int],
    levels: Sequence[object] | Mapping[str, object],
    seeds: Sequence[int] = (),
    reuse: Sequence[str] = (),
) -> ExperimentSpec:
    """The spec with further looks and their seeds, new levels of the compared factor, and experiments to take runs from.

    Raises:
        Conflict: Nothing is compared, or it is not clear what the levels are of.
        SpecError: The looks, levels or seeds do not fit.
    """
    document = copy.deepcopy(spec.document())
    if reuse:
        document["reuse"] = list(dict.fromkeys([*spec.reuse, *reuse]))
    if seeds:
        if spec.sweep is None or not isinstance(spec.sweep.seeds, list):
            raise SpecError.one(
                "seeds",
                "this question counts its seeds from `seed` on, so it cannot use named ones",
                "looks alone, or a question whose sweep.seeds is a list",
            )
        document["sweep"]["seeds"] = [*spec.sweep.seeds, *seeds]
    if looks:
        if spec.compare is None:
            raise Conflict("no question is fixed, so there are no looks; say how many seeds more")
        document["compare"]["further"] = [*spec.compare.further, *looks]
    if levels:
        sweep = document.get("sweep") or {}
        name = spec.asked(spec.compare.factor) if spec.compare is not None else None
        swept = list(spec.axes())
        if name is None and len(swept) != 1:
            raise Conflict(
                f"levels of which factor? This sweep has {', '.join(swept) or 'none'} and no question"
            )
        name = name or swept[0]
        if name == CASE:
            if not isinstance(levels, Mapping):
                raise SpecError.one("levels", "the factor is `case`", "a mapping of label to fields")
            sweep["cases"] = {**sweep["cases"], **levels}
        else:
            key = next(key for key in sweep if canonical_factor_name(key) == name)
            if isinstance(levels, Mapping) or not isinstance(sweep[key], list):
                raise SpecError.one(
                    "levels", f"sweep.{key} takes no single levels", "a list, for an axis that is one"
                )
            sweep[key] = [*sweep[key], *levels]
    return ExperimentSpec.parse(document, UNLIMITED)


def _next_stage(design: Design, runs: list[Run], seeds: int | None) -> tuple[Stage, Json]:
    """(the stage that a person asks for, the design document before it). Raises Conflict."""
    if seeds is not None:
        raise Conflict(
            f"this question has planned looks ({_listed(design.looks)} seeds); extend it without a number of seeds, or by "
            "further looks"
        )
    observed = observations(design, runs)
    now = progress(design, observed, limited=False)
    if now.wait == "running" and now.next is None:
        raise Conflict("the present stage is still running; wait until it has ended")
    if now.wait == "incomplete":
        raise Conflict("a run of this question failed or was cancelled; retry it first")
    stage = now.next or forced_look(design, now, observed)
    if stage is None:
        suggested = advice(design, replace(now, wait="last look"))
        if suggested is None:
            raise Conflict(f"the last look is done, and none may have more than {design.looks[-1]:,} seeds")
        raise Conflict(
            f"the last planned look ({design.looks[-1]} seeds) is done; ask on by further looks, such as "
            f"{json.dumps(suggested)} (`gradus extend ID {options(suggested)}`)"
        )
    return stage, design_document(design, now)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _further_runs(
    experiment: Experiment,
    spec: ExperimentSpec,
    runs: list[Run],
    seeds: int | Sequence[int] | None,
    max_runs: int | None,
    *,
    new_levels: bool,
) -> tuple[Point, ...]:
    """Every combination of levels on the seeds there are and on further ones; runs that exist are used as they are.

    Args:
        seeds: How many further ones, counted from the largest there is on, or the seeds themselves.

    Raises Conflict, SpecError.
    """
    if seeds is None and not new_levels:
        raise Conflict("no question is fixed, so there is no planned look; say how many seeds more")
    if spec.sweep is not None and spec.sweep.draws:
        raise Conflict("a random draw has no grid to extend; submit another experiment")
    known = sorted({run.seed for run in runs})
    first = max(known, default=spec.seed) + 1
    further = range(first, first + (seeds or 0)) if seeds is None or isinstance(seeds, int) else seeds
    wanted = [*(known if new_levels else ()), *further]
    axes = spec.axes()
    combinations = [
        {name: level.label if name == CASE else level.value for name, level in zip(axes, levels, strict=True)}
        for levels in itertools.product(*axes.values())
    ]
    _check_size(experiment, len(combinations) * len(wanted), max_runs)
    return tuple(spec.point(levels, seed) for levels in combinations for seed in wanted)


def _check_size(experiment: Experiment, more: int, allowed: int | None) -> None:
    """Checked before a point is built, because a hundred thousand of them take minutes and gigabytes.

    Raises SpecError.
    """
    total = experiment.n_runs + more
    if allowed is not None and total > allowed:
        raise SpecError.one(
            "",
            f"the experiment has {experiment.n_runs:,} runs and would have {total:,}",
            f"at most {allowed:,} runs of one experiment (GRADUS_MAX_RUNS)",
        )
