"""The start page: experiments with their answers, a dot for every run, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from experiments.course import lessons
from experiments.datasets import DATASETS
from experiments.errors import GradusError
from service.analysis.design_document import live_document
from service.analysis.search_document import live_search
from service.entities import Experiment, RunMark
from service.lifecycle import RunStatus
from service.store import Store, queries
from service.web.view import PageRoute, VisitDep

router = APIRouter(include_in_schema=False, route_class=PageRoute)
ON_A_PAGE = 50
ORDERS = ("-created", "created", "name", "-name")
"""`queries.Sort`, in the order of the menu."""
MOST_DOTS = 200
"""Dots of one experiment on the list; its own page has all."""


@dataclass(frozen=True)
class Entry:
    """An experiment on the list."""

    experiment: Experiment
    marks: Sequence[RunMark]
    counts: Mapping[str, int]
    """State of a dot -> number of runs, those without a dot included."""

    @property
    def answer(self) -> str:
        document = live_document(self.experiment) or live_search(self.experiment) or {}
        return str(document.get("answer", ""))


@dataclass(frozen=True)
class Wish:
    """What the list is narrowed to; an empty text narrows nothing."""

    q: str = ""
    owner: str = ""
    tag: str = ""
    dataset: str = ""
    status: str = ""
    sort: queries.Sort = "-created"

    def filters(self) -> dict[str, list[str]]:
        """As `queries.list_experiments` takes them. A tag without `=` is looked for as a word."""
        name, equals, value = self.tag.partition("=")
        given = {
            "q": " ".join(part for part in (self.q, "" if equals else name) if part),
            "owner": self.owner,
            f"tag.{name.strip()}": value.strip() if equals else "",
            "dataset": self.dataset,
            "status": self.status,
        }
        return {field: [text] for field, text in given.items() if text}


@router.get("/")
def home(
    visit: VisitDep,
    q: str = "",
    owner: str = "",
    tag: str = "",
    dataset: str = "",
    status: str = "",
    sort: str = "-created",
    cursor: str | None = None,
) -> Response:
    """The page."""
    who = visit.person
    order: queries.Sort = sort if sort in ORDERS else "-created"  # type: ignore[assignment]
    wish = Wish(q.strip()[:200], owner.strip()[:200], tag.strip()[:200], dataset[:200], status[:20], order)
    experiments: list[Experiment] = []
    following, problems = None, []
    try:
        experiments, following = queries.list_experiments(
            visit.store, filters=wish.filters(), cursor=cursor, limit=ON_A_PAGE, owner=who.sees, sort=order
        )
    except GradusError as error:
        problems = visit.problems(error)
    more = visit.request.url.include_query_params(cursor=following) if following else None
    return visit.page(
        "home.html",
        422 if problems else 200,
        entries=entries(visit.store, experiments),
        wish=wish,
        filtered=bool(wish.filters()) or cursor is not None,
        problems=problems,
        more=f"{more.path}?{more.query}" if more else None,
        datasets=sorted(DATASETS),
        orders=ORDERS,
        statuses=[status.value for status in RunStatus],
        firsts=[lessons()[name] for name in FIRST_LESSONS],
    )


FIRST_LESSONS = ("01-perceptron-and", "04-xor-hidden", "23-regression")
"""What somebody presses who sees the page for the first time."""


def entries(store: Store, experiments: Sequence[Experiment]) -> list[Entry]:
    """Experiments with the dots of their runs."""
    ids = [experiment.id for experiment in experiments]
    marks, counts = queries.run_marks(store, ids, most=MOST_DOTS), queries.state_counts(store, ids)
    return [
        Entry(experiment, marks.get(experiment.id, ()), counts.get(experiment.id, {}))
        for experiment in experiments
    ]
