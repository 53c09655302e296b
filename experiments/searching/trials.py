"""What a search sees of its runs: settings, each with the mean of its metric over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.comparing.effects import State, lower_is_better

Labels = tuple[str, ...]
"""One setting: the label of its level on every factor, in the order of the sweep."""


@dataclass(frozen=True)
class Observed:
    """A run as a search sees it.

    value: the metric at its last epoch; None where it has none
    """

    setting: Labels
    seed: int
    epochs: int
    state: State
    value: float | None
    diverged: bool = False


@dataclass(frozen=True)
class Trial:
    """A setting with all its seeds.

    state: `waiting` while one of its runs is; `failed` where one has no value, or diverged
    epochs: the fewest that one of its runs has completed
    value: the mean of the metric over the seeds; None where that is not known
    """

    setting: Labels
    state: Literal["waiting", "finished", "failed"]
    epochs: int
    value: float | None

    def rank(self, metric: str) -> tuple[bool, float]:
        """A key that puts the better setting first. Those without a value come last."""
        if self.value is None:
            return True, 0.0
        return False, self.value if lower_is_better(metric) else -self.value


def trials(runs: Iterable[Observed]) -> list[Trial]:
    """The settings of these runs, in the order of their first run."""
    by_setting: dict[Labels, list[Observed]] = {}
    for run in runs:
        by_setting.setdefault(run.setting, []).append(run)
    return [_trial(setting, own) for setting, own in by_setting.items()]


def _trial(setting: Labels, runs: Sequence[Observed]) -> Trial:
    epochs = min(run.epochs for run in runs)
    if any(run.state == "waiting" for run in runs):
        return Trial(setting, "waiting", epochs, None)
    values = [run.value for run in runs if run.state == "finished" and not run.diverged]
    known = [value for value in values if value is not None]
    if len(known) < len(runs):
        return Trial(setting, "failed", epochs, None)
    return Trial(setting, "finished", epochs, sum(known) / len(known))
