"""Whether the question of an experiment can be asked of its sweep and its data."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.datasets import DataShape
from experiments.errors import Problem, SpecError
from experiments.field_paths import Path
from experiments.limits import Limits
from experiments.messages import short, unknown
from experiments.metrics import METRICS, measures
from experiments.runs import Point
from experiments.spec.compare import MEASURES, Compare
from experiments.spec.expansion import Expansion
from experiments.spec.factors import Factor, combinations, conflicts, factors_of
from experiments.spec.impossible import level_problems
from experiments.spec.run_builder import Builder
from experiments.spec.sweeps import Sweep
from experiments.spec.swept_fields import field_path

SPLIT_SEED: Path = ("dataset", "split_seed")


def question_problems(
    question: Compare,
    factor: Factor | None,
    sweep: Sweep,
    factors: Sequence[Factor],
    points: Sequence[Point],
    limits: Limits,
) -> list[Problem]:
    """Everything that is wrong with the question but for the levels of its tuned fields.

    Args:
        factor: the factor that the question compares; None where nothing varies it
        factors: all factors of the sweep
        points: all points of the sweep
    """
    problems = []
    if factor is None:
        swept = sorted(other.name for other in factors)
        problems.append(
            Problem(
                "compare.factor",
                f"{short(question.factor)} is not swept",
                swept or "an axis of the sweep, or `case`; this spec has no sweep",
            )
        )
    elif factor.size == 1:
        problems.append(
            Problem("compare.factor", f"{factor.name} has one level", "a factor with two levels or more")
        )
    elif question.control is not None and question.control not in (
        labels := [level.label for level in factor.levels()]
    ):
        problems.append(
            Problem("compare.control", unknown("level", question.control, labels), sorted(labels))
        )
    problems += _seed_problems(question, sweep)
    problems += _split_problems(question, sweep, points)
    if sweep.strategy != "grid":
        message = f"strategy {sweep.strategy} does not give every level the same runs"
        problems.append(Problem("compare", message, "strategy: grid"))
    shape = points[0].spec.data_shape
    problems += _metric_problems(question.metric, shape, points)
    problems += _tune_problems(question, factors, shape, limits)
    return problems


def _seed_problems(question: Compare, sweep: Sweep) -> list[Problem]:
    """Seeds that are named must all be used, in their order: first those for tuning, then those of the looks."""
    if not isinstance(sweep.seeds, list):
        return []
    tuning = question.tune.seeds if question.tune is not None else 0
    needed = tuning + question.planned_seeds
    if len(sweep.seeds) == needed:
        return []
    first = f"{tuning} for tuning and " if tuning else ""
    message = f"{len(sweep.seeds)} seeds are named, and the question uses {first}{question.planned_seeds} to compare"
    return [Problem("sweep.seeds", message, f"{needed} seeds, or none: then they are counted from `seed` on")]


def _split_problems(question: Compare, sweep: Sweep, points: Sequence[Point]) -> list[Problem]:
    """Splits can be drawn where all data are in one set, of which a seed draws the parts."""
    if question.over == "seeds":
        return []
    if fixed := next((why for point in points if (why := point.spec.dataset.one_split)), None):
        return [Problem("compare.over", fixed, "over: seeds, or a data set with a split_seed")]
    if any(field_path(name) == SPLIT_SEED for name in sweep.axes):
        return [Problem("compare.over", "the sweep sets split_seed too", "one of them")]
    if any(point.spec.data_shape.n_test == 0 for point in points):
        return [Problem("compare.over", "nothing is held out for testing", "a data set with a test part")]
    return []


def _metric_problems(metric: str, shape: DataShape, points: Sequence[Point]) -> list[Problem]:
    """A metric that does not exist, or that some run of the sweep does not measure."""
    part, measure = metric.split("/")
    known = [*MEASURES, *(measures(points[0].spec.metrics) if part != "train" else ())]
    if measure not in known:
        names = [f"{part}/{name}" for name in known]
        if measure in measures(list(METRICS)):
            where = "is not measured" if part != "train" else "is measured on validation and test data alone"
            remedy = f"metrics: [{measure}] in the spec, and val/{measure} or test/{measure} here"
            return [Problem("compare.metric", f"{metric} {where}", remedy)]
        return [Problem("compare.metric", unknown("metric", metric, names), names)]
    if part == "val" and shape.n_validation == 0:
        return [Problem("compare.metric", f"{metric}: nothing is set aside", "dataset.validation_split")]
    if part == "test" and shape.n_test == 0:
        return [
            Problem(
                "compare.metric",
                f"{metric}: there are no rows to test on",
                f"train/{measure}, or a data set with a test part",
            )
        ]
    runs = (point.spec for point in points)
    without = next((run for run in runs if measure == "accuracy" and not run.measures_accuracy), None)
    if without is not None:
        regression = without.data_shape.kind == "regression"
        what = "regression" if regression else f"the loss {without.loss.name}"
        return [Problem("compare.metric", f"{metric}: {what} has no accuracy", "test/loss, val/loss")]
    return []


def _tune_problems(
    question: Compare, factors: Sequence[Factor], shape: DataShape, limits: Limits
) -> list[Problem]:
    """What is wrong with the tuned axes, and with the number of runs that the question may take."""
    cells = combinations(factors)
    least = cells * question.look_seeds[0]
    runs, product = cells * question.planned_seeds, f"{cells} · {question.planned_seeds} seeds"
    tuned: list[Factor] = []
    problems: list[Problem] = []
    if question.tune is not None:
        tuned, problems = factors_of(question.tune.axes, "compare.tune")
        if not question.tune.axes:
            problems.append(
                Problem("compare.tune", "nothing is tuned", "at least one axis, as learning_rate")
            )
        if shape.n_validation == 0:
            problems.append(
                Problem(
                    "compare.tune",
                    "tuning needs validation data, nothing is set aside",
                    "dataset.validation_split above 0",
                )
            )
        points = combinations(tuned)
        runs += cells * points * question.tune.seeds
        least += cells * points * question.tune.seeds
        product += f" + {cells} · {points} · {question.tune.seeds} tuning"
    if runs > limits.max_runs:
        problems.append(
            Problem("compare", f"up to {product} = {runs:,} runs", f"at most {limits.max_runs:,}")
        )
    if question.budget is not None and question.budget < least:
        message = f"{question.budget:,} runs do not pay for the first look"
        problems.append(Problem("compare.budget", message, f"at least {least:,}"))
    return problems or conflicts([*factors, *tuned])


def tuned_level_problems(
    factors: Sequence[Factor], tuned: Sequence[Factor], builder: Builder, seed: int
) -> list[Problem]:
    """Levels of tuned fields that are given twice, or that a run of the sweep cannot have."""
    if not tuned:
        return []
    every = [*factors, *tuned]
    problems = level_problems(builder, every, seed)
    if problems:
        return problems
    try:
        Expansion(builder, every, (seed,), seeds_swept=False, draws=None, seed=seed).points()
    except SpecError as error:
        return list(error.problems)
    return []
