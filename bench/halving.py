"""Does successive halving find the winner of the full grid, and at what cost? `python -m bench.halving [REPEATS]`.

Digits, one hidden layer, nine learning rates by three activations, 9 epochs. Each repeat has a seed of its own. The grids
are trained by the engine, the lanes of many repeats side by side. Halving is played on the same curves: a run that goes on
equals one trained that long (tests/experiments/engine/test_restore_and_go_on.py), so its metric at a rung is the grid's at
that epoch. In one repeat halving is also trained by itself, tile by tile from checkpoints, beside the grid, for the wall time
and to check that both play out alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.datasets import Source
from experiments.engine.layouts import WIDTHS
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from experiments.searching.halving import ETA, promoted, rungs_of, updates_share
from experiments.searching.trials import Labels, Trial
from experiments.spec import ExperimentSpec

METRIC, EPOCHS, WIDTH = "val/loss", 9, 8
WIDEST, AT_ONCE = 32, 40
"""Lanes of a tile, and repeats that are trained together, where no time is taken."""
DOCUMENT = {
    "name": "halving",
    "dataset": {"name": "digits"},
    "model": {"hidden": [16]},
    "optimizer": {"name": "sgd"},
    "training": {"epochs": EPOCHS, "batch_size": 32},
    "diagnostics": "off",
    "gradient_check": "off",
    "sweep": {
        "activation": ["relu", "tanh", "sigmoid"],
        "learning_rate": {"log": [1e-3, 10.0], "points": 9},
    },
}
Settings = dict[Labels, RunSpec]
Curves = dict[Labels, list[float]]


@dataclass
class Trained:
    """The metric after each epoch of every setting, and checkpoints to go on from."""

    curves: Curves
    checkpoints: dict[Labels, bytes]


def settings_of(seed: int) -> Settings:
    points = ExperimentSpec.parse(DOCUMENT | {"seed": seed}).expand()
    return {tuple(point.levels.values()): point.spec for point in points}


def trained(settings: Settings, until: int, before: Trained | None = None, *, width: int = WIDTH) -> Trained:
    """Train settings up to an epoch, from where they are, in tiles of one program each.

    Args:
        settings: what to train.
        until: the epoch, counted from 1.
        before: what was trained of them already.
        width: most lanes of a tile, one of `layouts.WIDTHS`.
    """
    result = before or Trained({}, {})
    programs: dict[str, list[Labels]] = {}
    for setting, spec in settings.items():
        programs.setdefault(spec.program_key(), []).append(setting)
    for own in programs.values():
        for first in range(0, len(own), width):
            tile = own[first : first + width]
            lanes = next(w for w in WIDTHS if w >= len(tile))
            recorder = MemoryRecorder()
            train(
                [settings[setting] for setting in tile], recorder, lambda lane: None, width=lanes, source=Source(),
                resume=[result.checkpoints.get(setting) for setting in tile], until=[until] * len(tile),
                keep_final=True, checkpoint_seconds=1e9,
            )  # fmt: skip
            for lane, setting in enumerate(tile):
                series = recorder.history[lane][METRIC]
                result.curves.setdefault(setting, []).extend(series[step] for step in sorted(series) if step)
                if lane in recorder.checkpoints:
                    result.checkpoints[setting] = recorder.checkpoints[lane][1]
    return result


def grids(seeds: Sequence[int]) -> list[Curves]:
    """The curves of whole grids, one for each seed, trained together."""
    every = {(str(seed), *labels): spec for seed in seeds for labels, spec in settings_of(seed).items()}
    curves = trained(every, EPOCHS, width=WIDEST).curves
    return [
        {labels[1:]: curve for labels, curve in curves.items() if labels[0] == str(seed)} for seed in seeds
    ]


def value(curve: Sequence[float], epoch: int) -> float | None:
    """The metric after an epoch; None where the run had diverged."""
    at = curve[epoch - 1] if epoch <= len(curve) else float("nan")
    return at if at == at and at < 1e30 else None


def ranked(curves: Curves, settings: Sequence[Labels], epoch: int) -> list[Trial]:
    return [Trial(s, "finished", epoch, value(curves[s], epoch)) for s in settings]


def winner(trials: Sequence[Trial]) -> Labels:
    return min(trials, key=lambda trial: trial.rank(METRIC)).setting


def played(curves: Curves, rungs: Sequence[int]) -> tuple[Labels, int]:
    """(the setting that halving finds, the epochs that it trained), on the curves of the grid."""
    left, before, spent = list(curves), 0, 0
    for epoch in rungs:
        spent += sum(min(epoch, len(curves[s])) - min(before, len(curves[s])) for s in left)
        trials, before = ranked(curves, left, epoch), epoch
        if epoch < rungs[-1]:
            left = promoted(trials, ETA, METRIC, lambda setting: None)
    return winner(trials), spent


def beside_the_grid(seed: int, rungs: Sequence[int]) -> tuple[float, float, Labels, Labels]:
    """(seconds of the grid, seconds of halving, the setting that each finds), both warm."""
    settings = settings_of(seed)
    for width in (1, 4, 8):  # every program of every width is compiled before the clock runs
        for activation in ("relu", "tanh", "sigmoid"):
            own = {s: replace_epochs(spec) for s, spec in settings.items() if activation in s}
            trained(dict(list(own.items())[:width]), 1)
    began = time.perf_counter()
    grid = trained(settings, EPOCHS)
    middle = time.perf_counter()
    left, state = settings, None
    for epoch in rungs:
        state = trained(left, epoch, state)
        trials = ranked(state.curves, list(left), epoch)
        if epoch < rungs[-1]:
            going = promoted(trials, ETA, METRIC, lambda setting: None)
            left = {setting: settings[setting] for setting in going}
    ended = time.perf_counter()
    return middle - began, ended - middle, winner(ranked(grid.curves, list(settings), EPOCHS)), winner(trials)


def replace_epochs(spec: RunSpec) -> RunSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update={"epochs": 1})})


def main(repeats: int) -> None:
    rungs = rungs_of(EPOCHS)
    same, spent, whole = 0, 0, 0
    for first in range(0, repeats, AT_ONCE):
        seeds = range(first, min(first + AT_ONCE, repeats))
        for curves in grids(seeds):
            best = winner(ranked(curves, list(curves), EPOCHS))
            setting, epochs = played(curves, rungs)
            same += setting == best
            spent += epochs
            whole += sum(len(curve) for curve in curves.values())
        done = seeds.stop
        print(
            f"{done} repeats: the grid's winner in {same / done:.1%}, {spent / whole:.1%} of its updates",
            flush=True,
        )
    print(f"rungs {', '.join(map(str, rungs))}, η = {ETA}, {len(curves)} settings; by formula "
          f"{updates_share(len(curves), rungs, ETA):.1%} of the updates")  # fmt: skip
    grid, halving, best, halved = beside_the_grid(repeats, rungs)
    print(
        f"wall time, warm, one process: grid {grid:.1f} s, halving {halving:.1f} s; {'the same' if best == halved else 'another'} winner"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
