"""How often the verdicts err, how many seeds they take, and how fast 500 runs are compared: `python
bench/comparison.py`.

Simulated: normal effects per seed with a known mean and spread, judged exactly as `experiments.comparing.verdicts` does. Measured: a comparison and a report over a store of 500 finished runs.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from experiments.comparing.statistics import (
    repeated_interval,
    seeds_needed,
    share_of_error,
    t_quantile,
)
from experiments.comparing.verdicts import judge

LOOKS = (5, 10, 20, 40)
DELTA = 1.0
STEPS = ((0.1, 0.25, 0.01), (0.1, 0.5, 0.002), (0.75, 1 / 360, 0.002))
"""(share of seeds that differ, by how much, δ): XOR's four points, a run in ten that stays at chance, and one of the
360 test digits in three runs of four."""


def coverage(seeds: int, repeats: int, level: float = 0.05, seed: int = 1) -> float:
    """Share of intervals at `level` that hold the true mean."""
    draws = np.random.default_rng(seed).normal(0.3, 1.0, (repeats, seeds))
    half = t_quantile(level, seeds) * draws.std(axis=1, ddof=1) / math.sqrt(seeds)
    checked = repeated_interval([float(x) for x in draws[0]], level)
    assert math.isclose(checked.high - checked.mean, half[0])  # the vectorised formula is the product's
    return float((np.abs(draws.mean(axis=1) - 0.3) <= half).mean())


def family_wise_error(repeats: int, levels: int = 3, looks: tuple[int, ...] = LOOKS, seed: int = 2) -> float:
    """Share of questions with truly equal levels in which some pair is called better at some look."""
    random = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(levels) for b in range(a)]
    error = share_of_error(0.05, len(looks), len(pairs))
    wrong = np.zeros(repeats, dtype=bool)
    scores = random.normal(size=(repeats, levels, looks[-1])) + random.normal(size=(repeats, 1, looks[-1]))
    for a, b in pairs:
        d = scores[:, a] - scores[:, b]
        for n in looks:
            half = t_quantile(error, n) * d[:, :n].std(axis=1, ddof=1) / math.sqrt(n)
            wrong |= np.abs(d[:, :n].mean(axis=1)) > half
    return float(wrong.mean())


def naive_error(repeats: int, last: int = 30, seed: int = 3) -> float:
    """The same for a plain 95 % t interval looked at after every seed from 3 on: what the rules avoid."""
    d = np.random.default_rng(seed).normal(size=(repeats, last))
    wrong = np.zeros(repeats, dtype=bool)
    for n in range(3, last + 1):
        half = t_quantile(0.05, n) * d[:, :n].std(axis=1, ddof=1) / math.sqrt(n)
        wrong |= np.abs(d[:, :n].mean(axis=1)) > half
    return float(wrong.mean())


def wrong_equivalence(repeats: int, spread: float, seed: int = 4) -> float:
    """Share of single pairs with a true effect of exactly δ that are called equivalent at some look."""
    random = np.random.default_rng(seed)
    error = share_of_error(0.05, len(LOOKS), 1)
    return _share(
        decided(random.normal(DELTA, spread, LOOKS[-1]), error)[0].startswith("equivalent")
        for _ in range(repeats)
    )


def wrong_equivalence_of_steps(repeats: int, share: float, step: float, delta: float, seed: int = 7) -> float:
    """Share of single pairs called equivalent at some look where a metric with few values hides the effect: it is 0
    at most seeds, and `step` at a `share` of them so large that the mean effect exceeds δ.
    """
    assert share * step >= delta
    random = np.random.default_rng(seed)
    error = share_of_error(0.05, len(LOOKS), 1)
    effects = np.where(random.random((repeats, LOOKS[-1])) < share, step, 0.0)
    return _share(decided(row, error, delta=delta)[0].startswith("equivalent") for row in effects)


def _share(hits: Iterable[bool]) -> float:
    outcomes = list(hits)
    return sum(outcomes) / len(outcomes)


def decided(effects: np.ndarray, error: float, delta: float = DELTA) -> tuple[str, int]:
    """(verdict, seeds used) of a question by accuracy that stops at the first look that decides."""
    for n in LOOKS:
        judged = judge("A", "B", [float(x) for x in effects[:n]], delta=delta, level=error, largest=1.0)
        if judged.decided:
            return judged.verdict, n
    return "undecided", LOOKS[-1]


def seeds_to_decision(
    repeats: int, effect: float, spread: float, seed: int = 5
) -> tuple[float, float, dict[str, int]]:
    """(mean seeds used, share decided, verdict counts) for one pair with this effect and spread, in units
    of δ.
    """
    random = np.random.default_rng(seed)
    error = share_of_error(0.05, len(LOOKS), 1)
    decisions = [decided(random.normal(effect, spread, LOOKS[-1]), error) for _ in range(repeats)]
    counts: dict[str, int] = {}
    for verdict, _ in decisions:
        counts[verdict] = counts.get(verdict, 0) + 1
    return float(np.mean([n for _, n in decisions])), 1 - counts.get("undecided", 0) / repeats, counts


def forecast(repeats: int, spread: float = 1.0, seed: int = 6) -> tuple[float, float, float]:
    """(seeds that theory needs with the true spread, median forecast from 5 seeds, share of forecasts that
    suffice).
    """
    random = np.random.default_rng(seed)
    error = share_of_error(0.05, len(LOOKS), 1)
    truth = next(n for n in range(2, 10_000) if n >= (2 * t_quantile(error, n) * spread / DELTA) ** 2)
    needed = [
        seeds_needed(float(random.normal(0, spread, 5).std(ddof=1)), 5, DELTA, error) for _ in range(repeats)
    ]
    values = np.array([n or 10**6 for n in needed])
    return truth, float(np.median(values)), float((values >= truth).mean())


def speed() -> tuple[int, float, float, int]:
    """(runs, seconds of a comparison, seconds of a report, its bytes); medians of five, on a fresh SQLite
    file.
    """

    from service.analysis import comparison
    from service.report import page as report
    from service.settings import load_settings
    from tests.service.scored_runs import QUESTION, World

    text = QUESTION.replace("looks: [5, 10]", "looks: [160, 161]").replace("delta: 0.01", "delta: 0.00001")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        experiment = world.ask(text)
        compared, rendered, page = [], [], ""
        for _ in range(5):
            begun = time.perf_counter()
            comparison.compare(world.store, experiment.id).to_json()
            middle = time.perf_counter()
            page = report.render(world.store, experiment.id, load_settings())
            compared.append(middle - begun)
            rendered.append(time.perf_counter() - middle)
        world.store.close()
        return experiment.n_runs, float(np.median(compared)), float(np.median(rendered)), len(page.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20_000, help="simulated questions per figure")
    parser.add_argument("--no-speed", action="store_true", help="leave the measurement of 500 runs out")
    given = parser.parse_args()
    many, some = given.repeats, max(200, given.repeats // 10)
    print(f"coverage of the 95 % interval ({many} repeats)")
    for seeds in (3, 5, 10, 20):
        print(f"  {seeds:2d} seeds   {coverage(seeds, many):.4f}")
    print(f"family-wise error, 3 equal levels, 4 looks ({many})   {family_wise_error(many):.4f}")
    print(f"for contrast, a plain t looked at after every seed from 3 to 30   {naive_error(many):.4f}")
    for spread in (0.25, 0.5, 1.0):
        print(
            f"wrong equivalence at an effect of δ, s = {spread} δ ({some})   {wrong_equivalence(some, spread):.4f}"
        )
    for share, step, delta in STEPS:
        wrong = wrong_equivalence_of_steps(some, share, step, delta)
        print(
            f"wrong equivalence, {share:g} of the seeds lose {step:.3g}, δ = {delta} ({some})   {wrong:.4f}"
        )
    for effect, spread in ((0.0, 0.5), (0.0, 1.0), (2.0, 0.5), (2.0, 1.0), (0.5, 0.2)):
        mean, share, counts = seeds_to_decision(some, effect, spread)
        print(f"effect {effect} δ, s = {spread} δ: {mean:.1f} seeds used, {share:.3f} decided, {counts}")
    truth, median, enough = forecast(some)
    print(f"forecast from 5 seeds, s = δ: theory {truth}, median forecast {median:.0f}, {enough:.2f} suffice")
    if not given.no_speed:
        runs, compared, rendered, size = speed()
        print(f"{runs} runs: comparison {compared:.3f} s, report {rendered:.3f} s ({size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
