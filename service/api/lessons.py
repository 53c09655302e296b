"""`/v1/lessons`: the course, a claim each; test it, and see what was measured."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from experiments.course import Lesson, lessons
from gradus.wire import Page
from gradus.wire_course import LessonCheck, LessonOut
from service.analysis.lessons import Standing, standing, standings
from service.api.figures import SVG
from service.errors import NotFound
from service.http.auth import Reader, Writer
from service.http.dependencies import SettingsDep, StoreDep, UrlsDep
from service.http.problems import documented
from service.http.schemas import Urls
from service.http.submission import prepare, submit_spec
from service.report.lesson_pictures import lesson_picture

router = APIRouter(prefix="/v1/lessons", tags=["lessons"])
Name = Annotated[str, Path(max_length=200)]
Language = Annotated[Literal["en", "zh"], Query(alias="lang", description="of titles and sentences")]


@router.get("", response_model=Page[LessonOut], responses=documented())
def list_lessons(who: Reader, store: StoreDep, urls: UrlsDep, language: Language = "en") -> Page[LessonOut]:
    """Every lesson in the order of the course, with the state that it has for the asker."""
    return Page(items=[_out(row, language, urls) for row in standings(store, who.owner)], next=None)


@router.get("/{name}", response_model=LessonOut, responses=documented(404))
def read(name: Name, who: Reader, store: StoreDep, urls: UrlsDep, language: Language = "en") -> LessonOut:
    """One lesson."""
    return _out(standing(store, _lesson(name), who.owner), language, urls)


@router.post(
    "/{name}",
    status_code=201,
    response_model=LessonOut,
    responses={
        200: {"model": LessonOut, "description": "it is computed on paper: here is the outcome"},
        **documented(404, 429),
    },
)
def start_lesson(
    name: Name,
    who: Writer,
    store: StoreDep,
    settings: SettingsDep,
    urls: UrlsDep,
    response: Response,
    language: Language = "en",
) -> LessonOut:
    """Test a lesson: its runs are queued. Again trains again."""
    lesson = _lesson(name)
    if lesson.trains:
        submit_spec(store, who, prepare(lesson.document(), settings, store, who))
    else:
        response.status_code = 200
    return _out(standing(store, lesson, who.owner), language, urls)


@router.get(
    "/{name}/picture.svg", response_class=Response, responses={**SVG, **documented(404)}, summary="Picture"
)
def picture(name: Name, who: Reader, store: StoreDep, language: Language = "en") -> Response:
    """What a lesson shows: a drawing on paper, or the course of a metric of the asker's runs."""
    drawn = lesson_picture(store, standing(store, _lesson(name), who.owner), language)
    if drawn is None:
        raise NotFound("picture of the lesson", name)
    return Response(drawn.svg, media_type="image/svg+xml")


def _lesson(name: str) -> Lesson:
    known = lessons()
    if name not in known:
        raise NotFound("lesson", name)
    return known[name]


def _out(row: Standing, language: str, urls: Urls) -> LessonOut:
    lesson, outcome = row.lesson, row.outcome
    measured = outcome.measured if outcome is not None else ()
    checks = [
        LessonCheck(
            says=value.check.says.in_language(language),
            expected=value.expected,
            measured=None if math.isnan(value.value) else value.value,
            holds=value.holds,
        )
        for value in measured
    ]
    links = {"self": urls.at(f"/v1/lessons/{lesson.name}")}
    if lesson.picture.draw is not None or row.experiment_id is not None:
        links["picture"] = urls.at(f"/v1/lessons/{lesson.name}/picture.svg")
    if row.experiment_id is not None:
        links["experiment"] = urls.at(f"/v1/experiments/{row.experiment_id}")
    return LessonOut(
        name=lesson.name,
        title=lesson.title.in_language(language),
        claim=lesson.claim.in_language(language),
        formula=lesson.formula,
        trains=lesson.trains,
        state=row.state,
        states=lesson.outcome,
        verdict=outcome.verdict if outcome is not None else None,
        sentence=outcome.sentence(language) if outcome is not None else None,
        checks=checks,
        experiment_id=row.experiment_id,
        spec=lesson.document() if lesson.trains else None,
        links=links,
    )
