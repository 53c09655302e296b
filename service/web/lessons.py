"""`/lessons`: the course in its own order; each claim is tested at the press of a button."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from experiments.course import Lesson, lessons
from service.analysis.lessons import Standing, standings
from service.analysis.observations import state_of
from service.entities import Run
from service.errors import NotFound
from service.http.submission import prepare, submit_spec
from service.report.lesson_pictures import lesson_picture
from service.store import queries
from service.web.view import PageRoute, Visit, VisitDep

MOST_FILMS = 8
router = APIRouter(prefix="/lessons", include_in_schema=False, route_class=PageRoute)


@router.get("")
def course(visit: VisitDep) -> Response:
    """The page."""
    rows = standings(visit.store, visit.person.owner)
    trained = [row for row in rows if row.lesson.trains]
    done = sum(row.state == "done" for row in trained)
    pictures = {row.lesson.name: lesson_picture(visit.store, row, visit.words.language) for row in rows}
    films = {row.lesson.name: _filmed(visit, row) for row in rows if row.lesson.film and row.state == "done"}
    running = any(row.state == "running" for row in rows)
    return visit.page(
        "lessons.html",
        rows=rows,
        done=done,
        trained=len(trained),
        running=running,
        pictures=pictures,
        films=films,
    )


def _filmed(visit: Visit, row: Standing) -> list[Run]:
    """The runs of a lesson whose films are played side by side."""
    runs, _ = queries.list_runs(visit.store, row.experiment_id or "", limit=MOST_FILMS)
    ended = (run for run in runs if state_of(run) == "finished")
    return [run for run in ended if run.spec.get("diagnostics", {}).get("film")]


@router.get("/{name}")
def one_lesson(name: str, visit: VisitDep) -> Response:
    """A lesson's place on the page."""
    return RedirectResponse(f"/lessons#{_known(name).name}", 303)


@router.post("/{name}")
def start_lesson(name: str, visit: VisitDep) -> Response:
    """Train what a lesson needs."""
    lesson, who = _known(name), visit.writer
    if lesson.trains:
        submit_spec(visit.store, who, prepare(lesson.document(), visit.settings, visit.store, who))
    return RedirectResponse(f"/lessons#{name}", 303)


def _known(name: str) -> Lesson:
    """Raises NotFound: there is no such lesson."""
    lesson = lessons().get(name)
    if lesson is None:
        raise NotFound("lesson", name)
    return lesson
