"""The stages of a question: what of each is there, what is missing, and whether it has ended; first the tuning.

tune            every point of the tuning grid, for every level and cell, on the tuning seeds
tune-extended   more points past an edge at which a level was best, for every level alike
look-1 …        each level at its own best point, on the first looks[0], looks[1], … fresh seeds
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.comparing.design import Ask, Place, Question, Result
from experiments.comparing.tuning import Setting, Trial, TuneAxis, Tuned, best

Wait = Literal["running", "decided", "last look", "budget", "incomplete", "nothing to decide"]


@dataclass(frozen=True)
class Stage:
    name: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class Step:
    """One stage as it went or is going. runs: asked for; ended: of these; state: done, running or planned."""

    name: str
    runs: int
    ended: int
    state: Literal["done", "running", "planned"]


class Stages:
    """The runs by place, setting and seed, and what is asked of them."""

    def __init__(self, question: Question, results: Iterable[Result], *, limited: bool = True) -> None:
        self.question = question
        self.limited = limited
        self.results = {(r.level, r.cell, r.setting, r.seed): r for r in results}
        self.places: list[Place] = list(itertools.product(question.levels, question.cells))
        self.steps: list[Step] = []

    def stage(
        self, name: str, wanted: Sequence[tuple[Place, Sequence[TuneAxis], Setting, int]]
    ) -> tuple[Stage | None, Wait]:
        """What of a stage is missing, and whether it has ended."""
        found = [self.results.get((*place, setting, seed)) for place, _, setting, seed in wanted]
        missing = tuple(
            self.question.ask(*place, axes, setting, seed)
            for (place, axes, setting, seed), result in zip(wanted, found, strict=True)
            if result is None
        )
        ended = sum(result is not None and result.state != "waiting" for result in found)
        budget = self.question.budget if self.limited else None
        unpaid = bool(missing) and budget is not None and len(self.results) + len(missing) > budget
        state: Literal["done", "running", "planned"] = "running"
        if len(missing) == len(wanted) or unpaid:  # a look has the runs of the look before, begun or not
            state = "planned"
        elif ended == len(wanted):
            state = "done"
        self.steps.append(Step(name, len(wanted), ended, state))
        if missing:
            return (None, "budget") if unpaid else (Stage(name, missing), "running")
        if any(result is not None and result.state in ("failed", "killed") for result in found):
            return None, "incomplete"
        return None, "running" if ended < len(wanted) else "decided"

    def trials(self, place: Place, axes: Sequence[TuneAxis]) -> list[Trial]:
        trials = []
        for setting in itertools.product(*(axis.labels for axis in axes)):
            runs = [self.results.get((*place, setting, seed)) for seed in self.question.tune_seeds]
            if all(run is not None and run.state == "finished" for run in runs):
                values = tuple(None if run is None or run.diverged else run.validation for run in runs)
                trials.append(Trial(setting, values))
        return trials


def tuning(state: Stages) -> tuple[tuple[TuneAxis, ...], dict[Place, Tuned], Stage | None, Wait]:
    """(axes as extended, best per place, stage to queue, wait); wait is `decided` once every place has its
    best.
    """
    question = state.question
    if not question.axes:
        return (), {place: Tuned((), None, ()) for place in state.places}, None, "decided"
    stage, wait = state.stage("tune", _grid(state, question.axes))
    if stage is not None or wait != "decided":
        return question.axes, {}, stage, wait
    found = {
        place: best(state.trials(place, question.axes), question.axes, lower=question.lower)
        for place in state.places
    }
    whole = _extend(state, found)
    axes = _affordable(state, found, whole)
    if axes != question.axes:
        before = {(place, setting, seed) for place, _, setting, seed in _grid(state, question.axes)}
        new = [one for one in _grid(state, axes) if (one[0], *one[2:]) not in before]
        stage, wait = state.stage("tune-extended", new)
        if stage is not None or wait != "decided":
            return axes, found, stage, wait
        found = {place: best(state.trials(place, axes), axes, lower=question.lower) for place in state.places}
    settled = {place: _settled(one, question.axes, whole) for place, one in found.items()}
    return axes, settled, None, "decided"


def _affordable(
    state: Stages, found: Mapping[Place, Tuned], whole: tuple[TuneAxis, ...]
) -> tuple[TuneAxis, ...]:
    """The axes extended as far as the budget also pays for the first look: an extension that leaves none would
    be tuning without an answer.
    """
    question, axes = state.question, whole
    most = max(len(axis.values) for axis in question.axes)
    look = len(state.places) * question.looks[0]
    while question.budget is not None and most > 0 and len(_grid(state, axes)) + look > question.budget:
        most -= 1
        axes = _extend(state, found, most)
    return axes


def _grid(state: Stages, axes: Sequence[TuneAxis]) -> list[tuple[Place, Sequence[TuneAxis], Setting, int]]:
    settings = list(itertools.product(*(axis.labels for axis in axes)))
    return [
        (place, tuple(axes), setting, seed)
        for place in state.places
        for setting in settings
        for seed in state.question.tune_seeds
    ]


def _extend(state: Stages, found: Mapping[Place, Tuned], most: int | None = None) -> tuple[TuneAxis, ...]:
    """The axes with further values wherever some level was best at an edge; for all levels alike. most: so many
    values at an edge and no more.
    """
    extended = []
    for position, axis in enumerate(state.question.axes):
        sides: set[Literal["low", "high"]] = {
            side for one in found.values() for name, side in one.edges if name == axis.name
        }
        new = [
            value
            for side in sorted(sides)
            for value in axis.beyond(side, most)
            if _possible(state, position, value)
        ]
        extended.append(axis.extended(new) if new else axis)
    return tuple(extended)


def _possible(state: Stages, position: int, value: object) -> bool:
    question = state.question
    axis = question.axes[position]
    if axis.spacing == "log" and not float(value) > 0:  # type: ignore[arg-type]
        return False
    for level, cell in state.places:
        ask = question.ask(
            level, cell, question.axes, tuple(a.labels[0] for a in question.axes), question.tune_seeds[0]
        )
        if not question.allows(Ask(ask.levels | {axis.name: value}, ask.seed)):
            return False
    return True


def _settled(tuned: Tuned, before: Sequence[TuneAxis], after: Sequence[TuneAxis]) -> Tuned:
    """Without the edges past which no value is allowed: such a range cannot be extended, so its end is
    fair.
    """
    natural = {
        (axis.name, side)
        for axis, wider in zip(before, after, strict=True)
        for side, end in (("low", 0), ("high", -1))
        if wider.values[end] == axis.values[end]
    }
    return Tuned(tuned.setting, tuned.mean, tuple(edge for edge in tuned.edges if edge not in natural))


def unfair_levels(tuned: Mapping[Place, Tuned]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for (level, _), one in tuned.items():
        for name, side in one.edges:
            found.setdefault(level, {})[
                f"the {side}est {name} tried" if side == "high" else f"the lowest {name} tried"
            ] = None
    return {level: tuple(words) for level, words in found.items()}
