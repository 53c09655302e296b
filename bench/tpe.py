"""TPE through this service's rebuilt study beside Optuna's own script with the same sampler: `python -m bench.tpe [SEEDS]`.

Five test spaces of a formula each, so that nothing is trained. Each seed searches a space twice, 40 runs each: as the
service asks, a new study made from the runs for every setting, and as a person would write it with Optuna, one study that
goes on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from statistics import median

import optuna

from experiments.searching.tpe import STARTUP, suggestions
from experiments.searching.trials import Trial
from experiments.spec import ExperimentSpec
from experiments.spec.factors import Factor

RUNS = 40
Axes = dict[str, object]
Score = Callable[..., float]
SPEC = {
    "name": "search",
    "dataset": {"name": "digits"},
    "model": {"hidden": [8]},
    "optimizer": {"name": "sgd"},
}


def factors(**axes: object) -> tuple[Factor, ...]:
    spec = ExperimentSpec.parse(SPEC | {"sweep": {"strategy": "tpe", "runs": 8, **axes}})
    return spec.factors


SPACES: dict[str, tuple[Axes, Score]] = {
    "a rate": ({"learning_rate": {"log": [1e-5, 10.0]}}, lambda r: abs(math.log10(r) + 2)),
    "rate and momentum": (
        {"learning_rate": {"log": [1e-5, 10.0]}, "momentum": {"linear": [0.0, 0.99]}},
        lambda r, m: (math.log10(r / (1 - m)) + 1) ** 2 + 0.3 * (m - 0.9) ** 2,
    ),
    "with a choice": (
        {"learning_rate": {"log": [1e-5, 10.0]}, "activation": ["sigmoid", "tanh", "relu", "elu"]},
        lambda r, a: abs(math.log10(r) + {"sigmoid": 0.0, "tanh": 1.0, "relu": 2.0, "elu": 2.5}[a])
        + {"sigmoid": 0.3, "tanh": 0.1, "relu": 0.0, "elu": 0.05}[a],
    ),
    "whole numbers": (
        {"training.batch_size": {"linear": [1, 256]}, "learning_rate": {"log": [1e-4, 1.0]}},
        lambda b, r: (math.log10(r * 32 / b) + 2) ** 2 + 0.001 * b,
    ),
    "five at once": (
        {
            "learning_rate": {"log": [1e-5, 10.0]}, "momentum": {"linear": [0.0, 0.99]},
            "training.batch_size": {"linear": [1, 256]}, "activation": ["sigmoid", "tanh", "relu"],
            "training.epochs": {"linear": [1, 20]},
        },
        lambda r, m, b, a, e: abs(math.log10(r) + 2) + (m - 0.9) ** 2 + abs(b - 32) / 128
        + {"sigmoid": 0.4, "tanh": 0.1, "relu": 0.0}[a] + abs(e - 10) / 20,
    ),
}  # fmt: skip


def ours(axes: Axes, score: Score, seed: int, runs: int = RUNS, batch: int = 1) -> float:
    """The best after so many runs, asked for in batches as the service asks a fleet of that many workers."""
    varied, known = factors(**axes), list[Trial]()
    while len(known) < runs:
        number = STARTUP if not known else min(batch, runs - len(known))
        settings = suggestions(varied, known, number, metric="val/loss", seed=seed)
        known += [
            Trial(tuple(x.label for x in s), "finished", 1, score(*_values(varied, s))) for s in settings
        ]
    return min(trial.value for trial in known if trial.value is not None)


def _values(varied: Sequence[Factor], setting: Sequence[object]) -> list[object]:
    return [x.label if f.name == "activation" else x.value for f, x in zip(varied, setting, strict=True)]  # type: ignore[attr-defined]


def optunas(axes: Axes, score: Score, seed: int, runs: int = RUNS) -> float:
    """The script that a person would write with Optuna."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        values: list[object] = []
        for path, axis in axes.items():
            name = path.rpartition(".")[
                2
            ]  # as a factor is called: the sampler draws in the order of the names
            if isinstance(axis, list):
                values.append(trial.suggest_categorical(name, axis))
            elif "log" in axis:  # type: ignore[operator]
                values.append(trial.suggest_float(name, *axis["log"], log=True))  # type: ignore[index]
            elif isinstance(axis["linear"][0], int):  # type: ignore[index]
                values.append(trial.suggest_int(name, *axis["linear"]))  # type: ignore[index]
            else:
                values.append(trial.suggest_float(name, *axis["linear"]))  # type: ignore[index]
        return score(*values)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=runs)
    return float(study.best_value)


def both(space: str, seeds: int) -> tuple[list[float], list[float]]:
    """(the best after 40 runs of the service's way, of Optuna's script), one for each seed."""
    axes, score = SPACES[space]
    own = [ours(axes, score, seed) for seed in range(seeds)]
    return own, [optunas(axes, score, seed) for seed in range(seeds)]


def main(seeds: int) -> None:
    print(f"median best after {RUNS} runs over {seeds} seeds; lower is better")
    for space in SPACES:
        own, theirs = both(space, seeds)
        apart = max(abs(a - b) for a, b in zip(own, theirs, strict=True))
        print(
            f"{space:18} gradus {median(own):.4f}   optuna {median(theirs):.4f}   most apart {apart:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
