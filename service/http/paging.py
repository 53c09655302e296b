"""Lists: filters from the query, a cursor, and the address of the next page in the body and in `Link`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response

from experiments.errors import Problem, SpecError
from experiments.messages import unknown
from experiments.spec.documents import plain
from experiments.spec.swept_fields import canonical_factor_name, field_path
from gradus.wire import Page
from service.lifecycle import RunStatus
from service.store import Store, queries
from service.store.queries.filters import EXPERIMENTS_OWN, OWN, SEARCH, TAG

T = TypeVar("T")
Out = TypeVar("Out")
LARGEST_PAGE = 1000

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="items on a page")]
Cursor = Annotated[str | None, Query(max_length=500, description="from `next` of the page before")]
RESERVED = frozenset({"limit", "cursor"})
MOST_FILTERS = 50
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,199}")
_COMMON = (
    "status",
    "activation",
    "optimizer",
    "learning_rate",
    "batch_size",
    "seed",
    "dataset",
    "loss",
    "stage",
)
FILTERS: dict[str, Any] = {
    "parameters": [
        {
            "name": "filter",
            "in": "query",
            "style": "form",
            "explode": True,
            "description": "any factor or parameter of a run by its name or path; given twice, either value will do",
            "schema": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in _COMMON},
                "additionalProperties": {"type": "string"},
            },
        }
    ]
}


def filters(request: Request) -> dict[str, list[str]]:
    """Every other query parameter: name to the values any of which is meant.

    Raises:
        SpecError: a name or value that no run can have.
    """
    params = request.query_params
    given = {name: params.getlist(name) for name in params if name not in RESERVED}
    problems = [
        Problem(f"query.{name}", "no factor or parameter has such a name")
        for name in given
        if not _name(name)
    ]
    if len(params.multi_items()) > MOST_FILTERS:
        problems.append(
            Problem("query", f"{len(params.multi_items())} parameters", f"at most {MOST_FILTERS}")
        )
    for value in given.get("status", ()):
        if value not in RunStatus.__members__:
            problems.append(
                Problem("query.status", f"there is no status {value!r}", list(RunStatus.__members__))
            )
    if problems:
        raise SpecError(problems)
    plain({"query": given})
    return by_known_name(given)


def by_known_name(given: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The same under the names that runs have: `training.batch_size`, as a spec writes it, is their `batch_size`."""
    renamed: dict[str, list[str]] = {}
    for name, values in given.items():
        renamed.setdefault(canonical_factor_name(name), []).extend(values)
    return renamed


def _name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def check_names(store: Store, experiment_id: str, given: Mapping[str, object]) -> None:
    """Raises SpecError where a filter names nothing that this experiment's runs have: an empty list would hide it."""
    first, _ = queries.list_runs(store, experiment_id, limit=1)
    known = {*OWN, *(name for run in first for name in (*run.params, *run.levels))}
    problems = [
        Problem(f"query.{name}", f"no run of this experiment has a {name!r}", sorted(known))
        for name in given
        if name not in known
    ]
    if first and problems:
        raise SpecError(problems)


def check_fields(given: Mapping[str, object]) -> None:
    """The same for the filters of experiments, whose runs differ: any field of a spec will do, and nothing else."""
    known = sorted({*EXPERIMENTS_OWN, *OWN, *_COMMON, "case", "architecture", "n_params"})
    problems = [
        Problem(f"query.{name}", unknown("filter", name, known), [*known, "any field of a spec, by its path"])
        for name in given
        if name not in known and name != SEARCH and not name.startswith(TAG) and field_path(name) is None
    ]
    if problems:
        raise SpecError(problems)


Filters = Annotated[dict[str, list[str]], Depends(filters)]


def page(
    request: Request, response: Response, listed: tuple[Iterable[T], str | None], out: Callable[[T], Out]
) -> Page[Out]:
    """A page as the answer, with `Link: <…>; rel="next"` where there is more.

    Args:
        listed: the items, and the cursor of the next page (None: this is the last).
        out: makes the answer's item of a domain object.
    """
    items, cursor = listed
    following = str(request.url.include_query_params(cursor=cursor)) if cursor is not None else None
    if following is not None:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return Page(items=[out(item) for item in items], next=following)
