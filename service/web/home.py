"""The start page: experiments with their answers, a dot for every run, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from experiments.course import lessons
from experiments.datasets import DATASETS
from experiments.errors import GradusError
from service.entities import Experiment, RunMark
from service.lifecycle import RunStatus
from service.store import Store, queries
from service.web.answers import answers_of
from service.web.dots import COLOURS, METRIC, STATUS, Colour, Shaded, shaded
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
    answer: str
    shaded: Shaded | None


@dataclass(frozen=True)
class Wish:
    """What the list is narrowed to; an empty text narrows nothing."""

    q: str = ""
    owner: str = ""
    tag: str = ""
    dataset: str = ""
    status: str = ""
    sort: queries.Sort = "-created"
    colour: Colour = STATUS

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
    colour: Colour = STATUS,
    cursor: str | None = None,
) -> Response:
    """The page."""
    who = visit.person
    order: queries.Sort = sort if sort in ORDERS else "-created"  # type: ignore[assignment]
    wish = Wish(
        q.strip()[:200], owner.strip()[:200], tag.strip()[:200], dataset[:200], status[:20], order, colour
    )
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
        entries=entries(visit.store, experiments, colour),
        wish=wish,
        filtered=bool(wish.filters()) or cursor is not None,
        problems=problems,
        more=f"{more.path}?{more.query}" if more else None,
        datasets=sorted(DATASETS),
        orders=ORDERS,
        colours=COLOURS,
        statuses=[status.value for status in RunStatus],
        firsts=[lessons()[name] for name in FIRST_LESSONS],
    )


FIRST_LESSONS = ("01-perceptron-and", "04-xor-hidden", "23-regression")
"""What somebody presses who sees the page for the first time."""


def entries(store: Store, experiments: Sequence[Experiment], colour: Colour) -> list[Entry]:
    """Experiments with their answers and the dots of their runs."""
    ids = [experiment.id for experiment in experiments]
    marks = queries.run_marks(store, ids, most=MOST_DOTS, metrics=colour == METRIC)
    counts, answers = queries.state_counts(store, ids), answers_of(store, experiments)
    return [
        Entry(
            experiment,
            own := marks.get(experiment.id, []),
            counts.get(experiment.id, {}),
            answers.get(experiment.id, ""),
            shaded(experiment, own, colour),
        )
        for experiment in experiments
    ]
