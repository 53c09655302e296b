"""What may mislead beyond one pair at planned looks: peeking, many levels, settings chosen by noise: `python -m
bench.answers [FIGURE…]`, each in some minutes of one core.

Simulated: normal scores per seed with known means. The formulas are the product's, vectorised where whole sequences are
looked at, and checked against it.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.comparing.best_set import best_set
from experiments.comparing.design import Design, Observation
from experiments.comparing.effects import Score
from experiments.comparing.judging import judge_pairs, score_sets
from experiments.comparing.progress import progress
from experiments.comparing.statistics import (
    half_width,
    half_width_of_sequence,
    half_width_over_splits,
    share_of_error,
)
from experiments.comparing.tuning import TuneAxis

LOOKS = (5, 10, 20, 40)
Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def _means_and_spreads(d: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of the first n of each row, for n = 1, 2, …; (repeats, n) each."""
    n = np.arange(1, d.shape[1] + 1)
    mean = np.cumsum(d, axis=1) / n
    squares = np.maximum(np.cumsum(d * d, axis=1) - n * mean**2, 0.0)
    return mean, np.sqrt(squares / np.maximum(n - 1, 1))


def _sequence(last: int, level: float) -> Array:
    """Half the width of the sequence at 1, 2, … seeds with a spread of 1; 1e300 where it is unbounded."""
    widths = [half_width_of_sequence(1.0, n, level) for n in range(1, last + 1)]
    return np.minimum(np.array(widths, dtype=np.float64), 1e300).astype(np.float64)


def peeking_error(repeats: int, pairs: int = 1, last: int = 200, seed: int = 11) -> float:
    """Share of null questions in which some interval, looked at after every seed up to `last`, leaves out 0."""
    random = np.random.default_rng(seed)
    widths = _sequence(last, 0.05 / pairs)
    wrong = np.zeros(repeats, dtype=bool)
    for _ in range(pairs):
        mean, spread = _means_and_spreads(random.normal(size=(repeats, last)))
        wrong |= (np.abs(mean) > widths * spread)[:, 1:].any(axis=1)
    return float(wrong.mean())


def sequence_coverage(repeats: int, last: int = 200, seed: int = 12) -> float:
    """Share of sequences that hold the true mean 0.3 at every number of seeds."""
    mean, spread = _means_and_spreads(np.random.default_rng(seed).normal(0.3, 1.0, (repeats, last)))
    widths = _sequence(last, 0.05)
    return float((np.abs(mean - 0.3) <= widths * spread)[:, 1:].all(axis=1).mean())


def seeds_to_better(repeats: int, effect: float, seed: int = 13) -> tuple[float, float]:
    """(median seeds until 0 is left out, looking after every seed; the same at the planned looks), spread 1.

    Questions that are not decided by 40 seeds count as 40.
    """
    mean, spread = _means_and_spreads(np.random.default_rng(seed).normal(effect, 1.0, (repeats, LOOKS[-1])))
    every = _sequence(LOOKS[-1], 0.05)
    level = share_of_error(0.05, len(LOOKS), 1)
    planned = np.array(
        [half_width(1.0, n, level) if n in LOOKS else math.inf for n in range(1, LOOKS[-1] + 1)]
    )

    def median(widths: Array) -> float:
        out = np.abs(mean) > widths * np.where(spread > 0, spread, np.inf)
        first = np.where(out.any(axis=1), out.argmax(axis=1) + 1, LOOKS[-1])
        return float(np.median(first))

    return median(every), median(planned)


def _plain(levels: int, **changes: object) -> Design:
    names = [f"l{index}" for index in range(levels)]
    settings: dict[str, object] = {
        "factor": "activation", "about": "activation", "metric": "test/accuracy", "delta": 0.01, "alpha": 0.05,
        "looks": LOOKS, "levels": {name: name for name in names}, "others": {}, "axes": (), "tune_seeds": (),
        "fresh": range(10_000), "best": True,
    }  # fmt: skip
    return Design(**{**settings, **changes})  # type: ignore[arg-type]


def best_is_kept(repeats: int, gap: float, levels: int = 10, seed: int = 14) -> tuple[float, float]:
    """(share of questions in which the best of 10 levels is in the set at the end, mean size of the set).

    The best level is ahead of the others, which are alike, by `gap` standard deviations.
    """
    random, design = np.random.default_rng(seed), _plain(levels, delta=1e-9)
    kept, sizes = 0, 0
    for _ in range(repeats):
        values = random.normal(size=(levels, LOOKS[-1]))
        values[0] += gap
        sets = {
            name: (tuple(Score(name, "", s, float(values[index, s])) for s in range(LOOKS[-1])),)
            for index, name in enumerate(design.levels)
        }
        chosen = best_set(design, sets, {})
        kept += "l0" in chosen.levels
        sizes += len(chosen.levels)
    return kept / repeats, sizes / repeats


@dataclass(frozen=True)
class Tuned:
    """How often the verdict misleads, and what it takes."""

    misleading: float
    """Share of questions that call one of two equal levels better."""
    decided: float
    runs: float


def tuned_by_noise(repeats: int, again: bool, tune_seeds: int = 2, seed: int = 15) -> Tuned:
    """Two levels that are alike at their best rates, of which one has a second rate that is worse by one spread.

    again: whether tied settings are tuned on more seeds and both compared. Without it, as before this rule.
    """
    random = np.random.default_rng(seed)
    axis = TuneAxis("learning_rate", (0.001, 0.01, 0.1, 1.0), "log")
    means = {("l0", "0.1"): 0.90, ("l0", "0.01"): 0.89, ("l1", "0.1"): 0.90}
    misleading = decided = runs = 0
    for _ in range(repeats):
        design = _plain(
            2, best=False, delta=0.005, axes=(axis,), tune_seeds=tuple(range(tune_seeds)),
            fresh=range(tune_seeds, 10_000), spare=range(100_000, 100_100) if again else (),
        )  # fmt: skip
        observations: list[Observation] = []
        while (stage := (now := progress(design, observations)).next) is not None:
            for run in stage.runs:
                level, rate = str(run.levels["activation"]), f"{run.levels['learning_rate']:.12g}"
                value = means.get((level, rate), 0.7) + 0.01 * float(random.normal())
                observations.append(Observation(level, (), (rate,), run.seed, "finished", value, value))
        (judged,) = now.judgements
        if not again:
            sets = score_sets(design, now.tuned, observations)
            first = {level: variants[:1] for level, variants in sets.items()}
            (judged,) = judge_pairs(design, first, design.pairs, now.unfair)
        misleading += judged.verdict == "better"
        decided += judged.decided
        runs += len(observations)
    return Tuned(misleading / repeats, decided / repeats, runs / repeats)


SAMPLES, TEST_SHARE = 200, 0.25
"""Samples of a data set; test samples per training sample."""


def _errors(x: Array, y: Array, train: Rows, test: Rows) -> float:
    """Test error of least squares without the last two inputs, less that of least squares with all of them."""
    errors = []
    for used in (x[:, :-2], x):
        w, *_ = np.linalg.lstsq(used[train], y[train], rcond=None)
        errors.append(float(np.mean((used[test] @ w - y[test]) ** 2)))
    return errors[0] - errors[1]


def _sample(random: np.random.Generator, samples: int) -> tuple[Array, Array]:
    """y = Σ x/√10 + noise over 10 inputs."""
    x = random.normal(size=(samples, 10))
    return x, x.sum(axis=1) / math.sqrt(10) + random.normal(size=samples)


def split_coverage(repeats: int, splits: int = 10, seed: int = 16) -> tuple[float, float]:
    """(coverage of the corrected 95 % interval, of the plain one) of the expected difference between two learners.

    Each question has one data set of 200 samples and draws its parts anew for every seed. The truth is the mean over
    20,000 data sets of the same size of the training part.
    """
    random = np.random.default_rng(seed)
    training = round(SAMPLES / (1 + TEST_SHARE))

    def fresh() -> float:
        x, y = _sample(random, training + 400)
        return _errors(x, y, np.arange(training), np.arange(training, training + 400))

    truth = float(np.mean([fresh() for _ in range(20_000)]))
    corrected = plain = 0
    for _ in range(repeats):
        x, y = _sample(random, SAMPLES)
        d = []
        for _ in range(splits):
            order = random.permutation(SAMPLES)
            d.append(_errors(x, y, order[:training], order[training:]))
        off, sd = abs(float(np.mean(d)) - truth), float(np.std(d, ddof=1))
        corrected += off <= half_width_over_splits(sd, splits, 0.05, test_share=TEST_SHARE)
        plain += off <= half_width(sd, splits, 0.05)
    return corrected / repeats, plain / repeats


def peeking(many: int, some: int) -> None:
    for pairs in (1, 3):
        print(
            f"looked at after every seed to 200, {pairs} null pairs ({many})   {peeking_error(many, pairs):.4f}"
        )
    print(f"coverage of the whole sequence ({many})   {sequence_coverage(many):.4f}")
    for effect in (0.5, 1.0, 2.0):
        every, planned = seeds_to_better(many, effect)
        print(f"effect {effect} s: median seeds {every:.0f} after every seed, {planned:.0f} at planned looks")


def best(many: int, some: int) -> None:
    for gap in (0.0, 0.5, 1.0):
        kept, size = best_is_kept(some, gap)
        print(f"best of 10, ahead by {gap} s ({some})   in the set {kept:.4f}, set of {size:.2f}", flush=True)


def splits(many: int, some: int) -> None:
    for number in (5, 10, 20):
        corrected, plain = split_coverage(some * 4, number)
        print(
            f"coverage over {number} splits of 200 samples ({some * 4})   {corrected:.3f}, plain {plain:.3f}",
            flush=True,
        )


def tuning(many: int, some: int) -> None:
    for again in (False, True):
        tuned = tuned_by_noise(some, again)
        print(
            f"equal levels, tied settings {'compared too' if again else 'ignored'} ({some})   {tuned}",
            flush=True,
        )


FIGURES = {"peeking": peeking, "best": best, "splits": splits, "tuning": tuning}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)}; default: all")
    parser.add_argument("--repeats", type=int, default=20_000, help="simulated questions per figure")
    given = parser.parse_args()
    for name in given.figures or FIGURES:
        began = time.perf_counter()
        FIGURES[name](given.repeats, max(100, given.repeats // 40))
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
