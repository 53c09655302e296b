"""`/lessons`: the course in its own order; each claim is tested at the press of a button."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from experiments.course import lessons
from experiments.course.paper import curves
from service.analysis.lessons import standings
from service.errors import NotFound
from service.http.submission import prepare, submit_spec
from service.report.charts import Line, chart
from service.web.view import PageRoute, VisitDep
from service.words import Words

router = APIRouter(prefix="/lessons", include_in_schema=False, route_class=PageRoute)


@router.get("")
def course(visit: VisitDep) -> Response:
    """The page."""
    rows = standings(visit.store, visit.person.owner)
    done = sum(row.state == "done" for row in rows)
    pictures = {row.lesson.name: _picture(row.lesson.curve, visit.words) for row in rows if row.lesson.curve}
    return visit.page("lessons.html", rows=rows, done=done, pictures=pictures)


def _picture(activation: str, words: Words) -> str:
    """An activation and its slope as curves."""
    points = curves(activation)
    lines = [
        Line(activation, [(z, value) for z, value, _ in points]),
        Line(words("lessons.slope"), [(z, slope) for z, _, slope in points], colour=1),
    ]
    text = words("lessons.curves", name=activation)
    return chart(lines, title=text, text=text, x_label="z", y_label=activation, height=240)


@router.post("/{name}")
def start_lesson(name: str, visit: VisitDep) -> Response:
    """Train what a lesson needs."""
    lesson = lessons().get(name)
    if lesson is None:
        raise NotFound("lesson", name)
    who = visit.writer
    if lesson.trains:
        submit_spec(visit.store, who, prepare(lesson.document(), visit.settings, visit.store, who))
    return RedirectResponse(f"/lessons#{name}", 303)
