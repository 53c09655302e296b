"""A class: its students, the wall of their answers, and the page on which one joins."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from experiments.course import lessons
from experiments.fields import hidden_character
from service import operations
from service.analysis.class_wall import progress, submitted, wall
from service.errors import ClassFull, NameTaken, NotFound
from service.http.problems import Forbidden
from service.people import ApiKey, Classroom
from service.web.sessions import logged_in
from service.web.view import PageRoute, Visit, VisitDep

router = APIRouter(include_in_schema=False, route_class=PageRoute)
MOST_LETTERS = 60
"""Of a student's name."""


@router.get("/classes")
def all_classes(visit: VisitDep) -> Response:
    """The classes, for their lecturer; a student is sent to the own one."""
    if visit.person.class_name is not None:
        return RedirectResponse(f"/classes/{quote(visit.person.class_name)}", 303)
    _check_lecturer(visit)
    return visit.page("classes.html", classes=operations.list_classes(visit.store))


@router.get("/classes/{name}")
def class_page(name: str, visit: VisitDep, spec: str = "") -> Response:
    """The students of a class and the wall of their answers to one spec."""
    known, students = _open_to(visit, name)
    specs = submitted(visit.store, students)
    chosen = spec or (specs[0][0] if specs else "")
    lesson = lessons().get(chosen)
    return visit.page(
        "class.html",
        classroom=known,
        rows=progress(visit.store, students),
        specs=specs,
        chosen=chosen,
        title=lesson.title.in_language(visit.words.language) if lesson is not None else chosen,
        answers=wall(visit.store, students, chosen) if chosen else [],
        lecturer=visit.person.may("admin"),
    )


@router.post("/classes/{name}/open")
def open_class(name: str, visit: VisitDep, opened: Annotated[bool, Form()]) -> Response:
    """Let the students see each other's results, or hide them again."""
    _check_lecturer(visit)
    operations.open_class(visit.store, name, opened)
    return RedirectResponse(f"/classes/{quote(name)}", 303)


@router.get("/join")
def join_page(visit: VisitDep, code: str = "") -> Response:
    """The form that asks for a name."""
    return visit.page("join.html", code=code, student="", problem="")


@router.post("/join")
def join(
    visit: VisitDep,
    code: Annotated[str, Form(max_length=100)],
    student: Annotated[str, Form(max_length=MOST_LETTERS)],
) -> Response:
    """Make a key for whoever knows the code, show it once, and log them in."""
    student = student.strip()
    problem = ""
    if not student or hidden_character(student) is not None:
        problem = visit.words("class.no_name")
    else:
        try:
            key, secret = operations.join_class(visit.store, code, student)
        except NotFound:
            problem = visit.words("class.no_code")
        except NameTaken:
            problem = visit.words("class.taken", name=student)
        except ClassFull as error:
            problem = visit.words("class.full", most=error.most)
    if problem:
        return visit.page("join.html", 422, code=code, student=student, problem=problem)
    shown = visit.page("joined.html", owner=key.owner, secret=secret)
    return logged_in(visit, secret, shown) or shown


def _check_lecturer(visit: Visit) -> None:
    if not visit.person.may("admin"):
        raise Forbidden(visit.words("class.for_lecturers"), allowed="a key with the scope admin")


def _open_to(visit: Visit, name: str) -> tuple[Classroom, list[ApiKey]]:
    """The class, where the visitor may see it: its lecturer always, its students once it is open.

    Raises:
        NotFound: there is no such class, or it is another one than the student's.
        Forbidden: it is not open yet.
    """
    who = visit.person
    if not who.may("admin") and who.class_name != name:
        raise NotFound("class", name)
    known, students = operations.class_and_students(visit.store, name)
    if not who.may("admin") and known.opened_at is None:
        raise Forbidden(visit.words("class.closed"), allowed="its lecturer, or its students once it is open")
    return known, students
