"""Experiments that a request names to take runs from."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.errors import Problem, SpecError
from service.errors import AmbiguousId, NotFound
from service.http.auth import Principal
from service.store import Store, queries

ALLOWED = "ids of experiments that you may read"


def experiments_named(
    ids: Sequence[str], store: Store, who: Principal, *, apart_from: str | None = None
) -> list[str]:
    """The whole ids of experiments.

    Args:
        ids: ids, which may be shortened.
        who: whose experiments may be named.
        apart_from: an experiment that uses its own runs anyway; it is refused.

    Raises:
        SpecError: with every id that is none, by path: `reuse[0]`.
    """
    whole, problems = [], []
    for index, id in enumerate(ids):
        path = f"reuse[{index}]"
        try:
            known = queries.get_experiment(store, id, owner=who.sees).id
        except (NotFound, AmbiguousId) as error:
            problems.append(Problem(path, str(error), ALLOWED))
            continue
        if known == apart_from:
            problems.append(
                Problem(path, "an experiment uses its own runs again by itself", "other experiments")
            )
        whole.append(known)
    if problems:
        raise SpecError(problems)
    return whole


def with_whole_ids(document: object, store: Store, who: Principal) -> object:
    """A spec as plain data, with the whole ids of the experiments that it takes runs from.

    Raises:
        SpecError: there is no such experiment.
    """
    ids = document.get("reuse") if isinstance(document, dict) else None
    if (
        not isinstance(document, dict)
        or not isinstance(ids, list)
        or not all(isinstance(id, str) for id in ids)
    ):
        return document
    return {**document, "reuse": experiments_named(ids, store, who)}
