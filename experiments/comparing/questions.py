"""A question that goes on by itself: tuning, then look by look until every pair of levels is decided.

Nothing is remembered between steps: `progress` reads the whole state off the runs there are, so that it can
be asked again at any time, by anybody, with the same answer. What is asked for next depends on decided
stages alone.

    tune            every point of the tuning grid, for every level and cell, on the tuning seeds
    tune-extended   more points past an edge at which a level was best, for every level alike
    look-1 …        each level at its own best point, on the first looks[0], looks[1], … fresh seeds
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from experiments.comparing.effects import (
    Score,
    State,
    chance_level,
    differing,
    judge_pair,
    lower_is_better,
    pair,
    validation_of,
)
from experiments.comparing.tuning import Setting, Trial, TuneAxis, Tuned, best
from experiments.errors import SpecError
from experiments.grammar.facets import display, facets, owner
from experiments.spec import ExperimentSpec
from experiments.statistics import Judgement, share_of_error

Cell = tuple[str, ...]
Place = tuple[str, Cell]
"""A level in a cell of the other factors: what is tuned by itself."""
Wait = Literal["running", "decided", "last look", "budget", "incomplete", "nothing to decide"]


@dataclass(frozen=True)
class Result:
    """A run of a question. value: the metric at its last epoch; validation: the same on validation data."""

    level: str
    cell: Cell
    setting: Setting
    seed: int
    state: State
    value: float | None = None
    validation: float | None = None
    diverged: bool = False


@dataclass(frozen=True)
class Ask:
    """A run to be made: what `ExperimentSpec.point` takes."""

    levels: dict[str, object]
    seed: int


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


@dataclass(frozen=True)
class Question:
    """The question in full, with every level's value, ready to be asked."""

    factor: str
    """The axis whose levels are compared, or `case`."""
    about: str
    """What the person asked about: the same, or a field that every case sets."""
    metric: str
    delta: float
    alpha: float
    looks: tuple[int, ...]
    levels: Mapping[str, object]
    others: Mapping[str, Mapping[str, object]]
    axes: tuple[TuneAxis, ...]
    tune_seeds: tuple[int, ...]
    first_seed: int
    chance: float | None = None
    """What a diverged run scores; None where the metric is a loss."""
    budget: int | None = None
    confounded: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Pairs of levels that differ in more than the factor, and in what: nothing may be claimed about them."""
    allows: Callable[[Ask], bool] = field(default=lambda ask: True, repr=False)
    """Whether a run can be made at all: a tuned range is not extended past what a field allows."""

    @property
    def lower(self) -> bool:
        return lower_is_better(self.metric)

    @property
    def validation_metric(self) -> str:
        return validation_of(self.metric)

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(itertools.product(*self.others.values()))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(itertools.combinations(self.levels, 2))

    @property
    def error(self) -> float:
        """α/(K·m), the error allowed to each interval."""
        return share_of_error(self.alpha, len(self.looks), len(self.pairs))

    def seeds(self, look: int) -> tuple[int, ...]:
        """The fresh seeds of a look (from 0)."""
        return tuple(range(self.first_seed, self.first_seed + self.looks[look]))

    def ask(self, level: str, cell: Cell, axes: Sequence[TuneAxis], setting: Setting, seed: int) -> Ask:
        levels: dict[str, object] = {self.factor: level if self.factor == "case" else self.levels[level]}
        for name, label in zip(self.others, cell, strict=True):
            levels[name] = label if name == "case" else self.others[name][label]
        for axis, label in zip(axes, setting, strict=True):
            levels[axis.name] = axis.value(label)
        return Ask(levels, seed)


def question_of(spec: ExperimentSpec) -> Question | None:
    """The question that a spec fixes, or None."""
    compare = spec.compare
    if compare is None:
        return None
    factors = spec.axes()
    name = spec.asked(compare.factor) or compare.factor
    start = spec.seeds()[0]
    axes: list[TuneAxis] = []
    for axis_name, levels in spec.tuned().items():
        axes.append(TuneAxis.of(axis_name, [level.value for level in levels]))
    seeds = compare.tune.seeds if compare.tune is not None else 0

    def allows(ask: Ask) -> bool:
        try:
            spec.point(ask.levels, ask.seed)
        except SpecError:
            return False
        return True

    question = Question(
        factor=name,
        about=compare.factor if name == "case" else name,
        metric=compare.metric,
        delta=compare.delta,
        alpha=compare.alpha,
        looks=tuple(compare.looks),
        levels={level.label: level.value for level in factors[name]},
        others={
            other: {level.label: level.value for level in levels}
            for other, levels in factors.items()
            if other != name
        },
        axes=tuple(axes),
        tune_seeds=tuple(range(start, start + seeds)),
        first_seed=start + seeds,
        chance=chance_level(compare.metric, spec.expand()[0].spec.data_shape.classes),
        budget=compare.budget,
        allows=allows,
    )
    return replace(question, confounded=confounded_pairs(spec, question))


def confounded_pairs(spec: ExperimentSpec, question: Question) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of levels whose runs differ in another field than the factor's own, with the names of those
    fields. A question about a field that cases set is not one about whatever else they set.
    """
    cases = spec.sweep.cases if spec.sweep is not None else None
    owns = owner([question.about, *(axis.name for axis in question.axes)], cases)
    first = tuple(axis.labels[0] for axis in question.axes)
    sides: dict[str, list[dict[str, str]]] = {}
    for level, cell in itertools.product(question.levels, question.cells):
        ask = question.ask(level, cell, question.axes, first, question.first_seed)
        run = spec.point(ask.levels, ask.seed).spec.model_dump(mode="json")
        sides.setdefault(level, []).append(facets(run, owns))
    found = {(a, b): tuple(display(differing(sides[a], sides[b]))) for a, b in question.pairs}
    return {couple: names for couple, names in found.items() if names}


@dataclass(frozen=True)
class Progress:
    """Where a question stands."""

    steps: tuple[Step, ...]
    next: Stage | None
    """What is to be queued now; None while something runs, or when it is over."""
    wait: Wait
    """Why nothing is queued, or `running`."""
    tuned: Mapping[Place, Tuned]
    axes: tuple[TuneAxis, ...]
    """As extended."""
    unfair: Mapping[str, tuple[str, ...]]
    """Level -> where its best point still lies at an edge, in words."""
    judgements: tuple[Judgement, ...]
    """Of every pair at the last planned look that it has reached; before the first look, undecided with no
    seed.
    """

    @property
    def over(self) -> bool:
        return self.next is None and self.wait != "running"


class _State:
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


def progress(question: Question, results: Iterable[Result], *, limited: bool = True) -> Progress:
    """Where the question stands, from its runs. limited: a stage that the budget does not pay for is not begun."""
    state = _State(question, results, limited=limited)
    axes, tuned, stage, wait = _tuning(state)
    unfair = _unfair(tuned) if wait == "decided" else {}
    own = scores(question, tuned, state.results.values())
    open_pairs = claimable(question, unfair)
    for look in range(len(question.looks) if wait == "decided" else 0):
        fresh = question.seeds(look)
        active = [
            level
            for level in question.levels
            if look == 0
            or any(level in couple for couple in open_pairs)
            or _has(state, tuned, level, fresh[-1])
        ]
        if not active:
            break
        places = [place for place in state.places if place[0] in active]
        stage, wait = state.stage(
            f"look-{look + 1}",
            [(place, axes, tuned[place].setting, seed) for place in places for seed in fresh],
        )
        if wait != "decided":
            break
        judged = judge_question(question, own, open_pairs, unfair, upto=look)
        open_pairs = [couple for couple, one in zip(open_pairs, judged, strict=True) if not one.decided]
    if wait == "decided" and open_pairs:
        wait = "last look"
    elif wait == "decided" and not claimable(question, unfair):
        wait = "nothing to decide"
    judgements = judge_question(question, own, question.pairs, unfair)
    return Progress(tuple(state.steps), stage, wait, tuned, axes, unfair, judgements)


def forced_look(question: Question, now: Progress, results: Iterable[Result]) -> Stage | None:
    """The next planned look of every level, also where all is decided already or the budget is spent; None after the
    last one.
    """
    state = _State(question, results, limited=False)
    for look in range(len(question.looks)):
        wanted = [
            (place, now.axes, now.tuned[place].setting, seed)
            for place in state.places
            for seed in question.seeds(look)
        ]
        stage, _ = state.stage(f"look-{look + 1}", wanted)
        if stage is not None:
            return stage
    return None


def claimable(question: Question, unfair: Mapping[str, object]) -> list[tuple[str, str]]:
    """The pairs about which something may be claimed once there are seeds enough."""
    return [
        couple
        for couple in question.pairs
        if couple not in question.confounded and not unfair.keys() & set(couple)
    ]


def _tuning(state: _State) -> tuple[tuple[TuneAxis, ...], dict[Place, Tuned], Stage | None, Wait]:
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
    state: _State, found: Mapping[Place, Tuned], whole: tuple[TuneAxis, ...]
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


def _grid(state: _State, axes: Sequence[TuneAxis]) -> list[tuple[Place, Sequence[TuneAxis], Setting, int]]:
    settings = list(itertools.product(*(axis.labels for axis in axes)))
    return [
        (place, tuple(axes), setting, seed)
        for place in state.places
        for setting in settings
        for seed in state.question.tune_seeds
    ]


def _extend(state: _State, found: Mapping[Place, Tuned], most: int | None = None) -> tuple[TuneAxis, ...]:
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


def _possible(state: _State, position: int, value: object) -> bool:
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


def _unfair(tuned: Mapping[Place, Tuned]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for (level, _), one in tuned.items():
        for name, side in one.edges:
            found.setdefault(level, {})[
                f"the {side}est {name} tried" if side == "high" else f"the lowest {name} tried"
            ] = None
    return {level: tuple(words) for level, words in found.items()}


def _has(state: _State, tuned: Mapping[Place, Tuned], level: str, seed: int) -> bool:
    return any(
        (*place, one.setting, seed) in state.results for place, one in tuned.items() if place[0] == level
    )


def scores(question: Question, tuned: Mapping[Place, Tuned], results: Iterable[Result]) -> list[Score]:
    """The fresh runs at each level's best setting, as a comparison takes them."""
    if not tuned:
        return []
    fresh = range(question.first_seed, question.first_seed + question.looks[-1])
    return [
        Score(r.level, " / ".join(r.cell), r.seed, r.value, r.state, r.diverged)
        for r in results
        if r.seed in fresh and (r.level, r.cell) in tuned and tuned[r.level, r.cell].setting == r.setting
    ]


def reached(question: Question, own: Sequence[Score], a: str, b: str, upto: int | None = None) -> int:
    """How many seeds the pair's last complete planned look has; 0 before the first."""
    places = len(question.cells)
    for look in reversed(range(len(question.looks) if upto is None else upto + 1)):
        wanted = set(question.seeds(look))
        there = [s for s in own if s.level in (a, b) and s.seed in wanted and s.state != "waiting"]
        if len(there) == 2 * places * len(wanted):
            return len(wanted)
    return 0


def judge_question(
    question: Question,
    own: Sequence[Score],
    pairs: Iterable[tuple[str, str]],
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None = None,
) -> tuple[Judgement, ...]:
    """The verdict of each pair at the last planned look it has reached (at most look `upto`, from 0)."""
    return tuple(_judge_one(question, own, a, b, unfair, upto) for a, b in pairs)


def _judge_one(
    question: Question,
    own: Sequence[Score],
    a: str,
    b: str,
    unfair: Mapping[str, tuple[str, ...]],
    upto: int | None,
) -> Judgement:
    names = question.confounded.get((a, b))
    seeds = reached(question, own, a, b, upto)
    first = tuple(range(question.first_seed, question.first_seed + seeds))
    paired = pair(own, a, b, metric=question.metric, chance=question.chance, seeds=first)
    if names:
        verb = "differs" if len(names) == 1 else "differ"
        text = f"not attributable: {', '.join(names)} {verb} along with {question.about}"
        return Judgement(a, b, "not attributable", text, None, None, None, len(paired.seeds), 0)
    if paired.incomplete:
        words = ", ".join(map(str, paired.incomplete))
        text = f"incomplete: a run of seed {words} failed or was cancelled; retry it"
        return Judgement(a, b, "incomplete", text, None, None, None, len(paired.seeds), 0)
    judged = judge_pair(paired, delta=question.delta, level=question.error)
    edges = [f"{level} is best at {' and '.join(unfair[level])}" for level in (a, b) if level in unfair]
    if edges:
        text = f"not fairly tuned: {'; '.join(edges)}"
        return replace(judged, verdict="not fairly tuned", text=text, needed=None)
    return judged
