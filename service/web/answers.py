"""The answers that the list of experiments shows: stored ones of questions and searches, and those of what was only explored."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from experiments.errors import GradusError
from service.analysis.comparison import compare_runs
from service.analysis.design_document import live_document
from service.analysis.search_document import live_search
from service.entities import Experiment
from service.store import Store, queries

MOST_RUNS = 150
"""Of an experiment that is compared for the list; its own page compares any."""
MOST_AT_ONCE = 5
"""Comparisons for one request. The list asks again every few seconds, and so has them all soon."""
MOST_KEPT = 500
_kept: WeakKeyDictionary[Store, dict[str, tuple[int, str]]] = WeakKeyDictionary()
"""Experiment id -> the number of the last event that the answer has seen, and the answer."""


def answers_of(store: Store, experiments: Sequence[Experiment]) -> dict[str, str]:
    """Experiment id -> its answer, as far as there is one."""
    asked = {
        experiment.id: live_document(experiment) or live_search(experiment) for experiment in experiments
    }
    answers = {id: str(document["answer"]) for id, document in asked.items() if document}
    explored = [
        experiment
        for experiment in experiments
        if asked[experiment.id] is None and experiment.is_over and experiment.n_runs <= MOST_RUNS
    ]
    latest = queries.latest_events(store, [experiment.id for experiment in explored])
    kept = _kept.setdefault(store, {})
    compared = 0
    for experiment in explored:
        mark, answer = kept.get(experiment.id, (0, ""))
        if mark != latest.get(experiment.id, 0) and compared < MOST_AT_ONCE:
            answer, compared = _explored(store, experiment), compared + 1
            kept[experiment.id] = latest[experiment.id], answer
            if len(kept) > MOST_KEPT:
                kept.pop(next(iter(kept)), None)  # another request may have taken it
        answers[experiment.id] = answer
    return answers


def _explored(store: Store, experiment: Experiment) -> str:
    try:
        return compare_runs(experiment, queries.all_runs(store, experiment.id)).answer
    except (
        GradusError
    ):  # an old spec that is no longer read, or runs that measured nothing: the list goes without
        return ""
