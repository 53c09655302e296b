"""Whether a sweep can be expanded: its strategy, its number of runs and its seeds. Nothing is built here."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.errors import Problem
from experiments.limits import Limits
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
