"""A class at a glance: how far each student is, and everybody's answer to one spec."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.course import lessons
from service.analysis.design_document import live_document
from service.analysis.lessons import TAG, Standing, standing
from service.analysis.search_document import live_search
from service.entities import SHIPPING, Experiment
from service.people import ApiKey
from service.store import Store, queries

MOST_EXPERIMENTS = 5000
"""Of a class, the latest first."""
LESSON = TAG.removeprefix("tag.")


@dataclass(frozen=True)
class Progress:
    """What a student has done.

    Attributes:
        experiments: how many there are.
        lessons: how many lessons they have tested.
    """

    owner: str
    key: ApiKey
    experiments: int
    lessons: int


@dataclass(frozen=True)
class Answer:
    """A student's latest answer to one spec; None where they have not submitted it.

    Attributes:
        standing: where the spec is a lesson: its state and outcome.
        text: the answer to the spec's question, where it asks one.
    """

    owner: str
    experiment: Experiment | None
    counts: Mapping[str, int]
    standing: Standing | None
    text: str

    @property
    def is_busy(self) -> bool:
        """Whether runs wait, train or are on their way to MLflow."""
        return any(self.counts.get(state) for state in ("scheduled", "running", SHIPPING))

    @property
    def went_wrong(self) -> int:
        """Runs that failed or diverged."""
        return sum(self.counts.get(state, 0) for state in ("failed", "diverged"))


def progress(store: Store, students: Sequence[ApiKey]) -> list[Progress]:
    """How far every student is, in the order of their names."""
    by_owner: dict[str, list[Experiment]] = defaultdict(list)
    for experiment in _of(store, students):
        by_owner[experiment.owner].append(experiment)
    return [
        Progress(
            key.owner,
            key,
            len(by_owner[key.owner]),
            len({own.tags[LESSON] for own in by_owner[key.owner] if own.tags.get(LESSON) in lessons()}),
        )
        for key in students
    ]


def submitted(store: Store, students: Sequence[ApiKey]) -> list[tuple[str, int]]:
    """(name of a spec, how many students have submitted it), the most frequent first. A lesson's is its own name."""
    pairs = {(spec_name(experiment), experiment.owner) for experiment in _of(store, students)}
    return Counter(name for name, _ in pairs).most_common()


def wall(store: Store, students: Sequence[ApiKey], name: str) -> list[Answer]:
    """Everybody's latest answer to the spec of this name, in the order of their names."""
    latest: dict[str, Experiment] = {}
    for experiment in _of(store, students):
        if spec_name(experiment) == name:
            latest.setdefault(experiment.owner, experiment)
    counts = queries.state_counts(store, [experiment.id for experiment in latest.values()])
    return [_answer(store, key.owner, latest.get(key.owner), counts) for key in students]


def spec_name(experiment: Experiment) -> str:
    """What the same spec of two students has in common."""
    return experiment.tags.get(LESSON) or experiment.name


def _answer(
    store: Store, owner: str, experiment: Experiment | None, counts: Mapping[str, Mapping[str, int]]
) -> Answer:
    if experiment is None:
        return Answer(owner, None, {}, None, "")
    document = live_document(experiment) or live_search(experiment) or {}
    lesson = lessons().get(spec_name(experiment))
    return Answer(
        owner,
        experiment,
        counts.get(experiment.id, {}),
        standing(store, lesson, owner) if lesson is not None else None,
        str(document.get("answer", "")),
    )


def _of(store: Store, students: Sequence[ApiKey]) -> list[Experiment]:
    owners = [key.owner for key in students]
    if not owners:
        return []
    experiments, _ = queries.list_experiments(store, filters={"owner": owners}, limit=MOST_EXPERIMENTS)
    return experiments
