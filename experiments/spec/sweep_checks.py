"""Whether a sweep can be expanded: its strategy, its number of runs and its seeds. Nothing is built here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from experiments.errors import Problem
from experiments.limits import Limits
from experiments.messages import unknown
from experiments.runs import Point
from experiments.spec.factors import Factor, combinations
from experiments.spec.sweeps import STRATEGIES, Sweep

MAX_SEED = 2**31


def sweep_problems(sweep: Sweep, factors: Sequence[Factor], first_seed: int, limits: Limits) -> list[Problem]:
    """What is wrong with the strategy, the number of runs and the seeds."""
    return [
        *_strategy_problems(sweep),
        *_seed_problems(sweep, first_seed),
        *(_draw_problems(sweep, factors, limits) if sweep.draws else _grid_problems(sweep, factors, limits)),
    ]


def _strategy_problems(sweep: Sweep) -> list[Problem]:
    if sweep.draws and sweep.runs is None:
        message = f"strategy {sweep.strategy} needs to know how many runs to draw"
        return [Problem("sweep.runs", message, "a count")]
    if sweep.runs is not None and not sweep.draws:
        drawing = [name for name, strategy in STRATEGIES.items() if strategy.draws]
        message = f"only strategy {' or '.join(drawing)} draws a number of runs"
        return [Problem("sweep.runs", message, f"strategy: {drawing[0]}")]
    problems = []
    if sweep.metric is not None and not sweep.searches:
        searching = [name for name, strategy in STRATEGIES.items() if strategy.searches]
        message = f"strategy {sweep.strategy} chooses nothing by a metric"
        problems.append(Problem("sweep.metric", message, f"strategy: {' or '.join(searching)}, or no metric"))
    for name in ("eta", "rungs", "within"):
        if getattr(sweep, name) is not None and sweep.strategy != "halving":
            message = f"strategy {sweep.strategy} has no rungs"
            problems.append(Problem(f"sweep.{name}", message, "strategy: halving"))
    if sweep.searches and not (sweep.axes or sweep.cases):
        problems.append(Problem("sweep", "nothing is swept, so nothing can be searched", "an axis or cases"))
    runs, seeds = sweep.runs or 0, sweep.n_seeds
    if sweep.strategy == "tpe" and runs % seeds:
        message = f"{runs:,} runs are no whole number of settings with {seeds} seeds each"
        nearest = [n for n in (runs - runs % seeds, runs - runs % seeds + seeds) if n]
        problems.append(Problem("sweep.runs", message, " or ".join(map(str, nearest))))
    return problems


def search_problems(sweep: Sweep, factors: Sequence[Factor], points: Sequence[Point]) -> list[Problem]:
    """What is wrong with a search, once its first runs are known."""
    if not sweep.searches:
        return []
    problems = _searched_metric_problems(sweep, points)
    return problems + (_rung_problems(sweep, factors, points) if sweep.strategy == "halving" else [])


def _searched_metric_problems(sweep: Sweep, points: Sequence[Point]) -> list[Problem]:
    """A search chooses by data that were not trained on, by a metric that every run measures."""
    part, measure = searched_metric(sweep, points).split("/")
    if part == "val" and not all(point.spec.data_shape.n_validation for point in points):
        message = "a search chooses by validation data, and no rows are set aside"
        return [Problem("sweep.metric", message, "dataset.validation_split above 0, or metric: train/loss")]
    if measure not in ("loss", "accuracy"):
        return [Problem("sweep.metric", f"no metric {part}/{measure}", "val/accuracy or val/loss")]
    if measure == "accuracy" and not all(point.spec.measures_accuracy for point in points):
        return [Problem("sweep.metric", "not every run of this sweep has an accuracy", "val/loss")]
    return []


def searched_metric(sweep: Sweep, points: Sequence[Point]) -> str:
    """What a search chooses by."""
    accuracy = all(point.spec.measures_accuracy for point in points)
    return sweep.metric or ("val/accuracy" if accuracy else "val/loss")


def _rung_problems(sweep: Sweep, factors: Sequence[Factor], points: Sequence[Point]) -> list[Problem]:
    epochs = {point.spec.training.epochs for point in points}
    if len(epochs) > 1:
        return [
            Problem("sweep.strategy", "halving decides the epochs, and this sweep varies them", "one number")
        ]
    (last,) = epochs
    if sweep.rungs is not None and (sweep.rungs[-1] != last or any(b <= a for a, b in pairwise(sweep.rungs))):
        message = f"the rungs {', '.join(map(str, sweep.rungs))} do not rise to training.epochs, {last}"
        return [Problem("sweep.rungs", message, "epochs that rise, the last as training.epochs")]
    if last < 2:
        return [Problem("training.epochs", "one epoch leaves nothing to halve", "2 or more")]
    names = [factor.name for factor in factors]
    if sweep.within is not None and sweep.within not in names:
        return [Problem("sweep.within", unknown("factor", sweep.within, names), names)]
    return []


def _product(sweep: Sweep, factors: Sequence[Factor]) -> tuple[int, str]:
    """Combinations times seeds, and how that number comes about."""
    parts = [*(f"{factor.size or 1} ({factor.name})" for factor in factors), f"{sweep.n_seeds} (seeds)"]
    total = combinations(factors) * sweep.n_seeds
    return total, f"{' · '.join(parts)} = {total:,}"


def _grid_problems(sweep: Sweep, factors: Sequence[Factor], limits: Limits) -> list[Problem]:
    total, product = _product(sweep, factors)
    if total > limits.max_runs:
        return [Problem("sweep", f"{product} runs", f"at most {limits.max_runs:,} runs")]
    return []


def _draw_problems(sweep: Sweep, factors: Sequence[Factor], limits: Limits) -> list[Problem]:
    """A draw against the limit, and against what there is to draw from."""
    limit, draws = limits.max_runs, sweep.runs or 0
    if draws > limit:
        return [Problem("sweep.runs", f"{draws:,} runs", f"at most {limit:,} runs")]
    total, product = _product(sweep, factors)
    if draws > total and all(factor.size for factor in factors):
        return [Problem("sweep.runs", f"{draws:,} runs to draw from {product}", f"at most {total:,}")]
    problems = [
        Problem(factor.source, f"{factor.size:,} levels", f"at most {limit:,} levels")
        for factor in factors
        if factor.size > limit
    ]
    if sweep.n_seeds > limit:
        problems.append(Problem("sweep.seeds", f"{sweep.n_seeds:,} seeds", f"at most {limit:,}"))
    return problems


def _seed_problems(sweep: Sweep, first: int) -> list[Problem]:
    if isinstance(sweep.seeds, int) and first + sweep.seeds > MAX_SEED:
        return [Problem("sweep.seeds", f"{sweep.seeds} seeds from {first} on", "seeds below 2^31")]
    if isinstance(sweep.seeds, list) and len(set(sweep.seeds)) < len(sweep.seeds):
        return [Problem("sweep.seeds", "a seed is given twice", "each seed once")]
    return []
