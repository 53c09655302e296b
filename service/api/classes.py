"""`/v1/classes`: a class whose students join with a code and get a key of their own."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import AfterValidator, Field

from experiments.fields import ShortText
from gradus.wire import Page
from gradus.wire_course import ClassAnswer, ClassOut, ClassStudent, JoinedClass
from service import operations
from service.analysis.class_wall import progress, wall
from service.api.keys import printable
from service.http.auth import Admin, Reader
from service.http.bodies import json_body, json_of
from service.http.dependencies import StoreDep, UrlsDep
from service.http.paging import page
from service.http.problems import Forbidden, documented
from service.http.schemas import Strict, Urls
from service.people import Classroom

router = APIRouter(prefix="/v1/classes", tags=["classes"])
Name = Annotated[str, Path(max_length=200)]
Shown = Annotated[ShortText, Field(max_length=60), AfterValidator(printable)]


class NewClass(Strict):
    """A class to make."""

    name: Annotated[Shown, Field(pattern=r"^[\w.-]+$", description="letters, digits, - _ .")]
    count: int = Field(30, ge=1, le=500, description="how many students may join")


class Joining(Strict):
    """Who joins which class."""

    code: str = Field(max_length=100, description="of the class, as its lecturer has told it")
    name: Shown = Field(description="yours; with the class' name before it, it owns what you do")


class CreatedClass(ClassOut):
    """A new class with its code."""

    code: str = Field(description="told here only; who knows it may join")


@router.post(
    "",
    status_code=201,
    response_model=CreatedClass,
    responses=documented(409, 415),
    openapi_extra=json_body(NewClass),
)
def create(
    who: Admin, body: Annotated[NewClass, Depends(json_of(NewClass))], store: StoreDep, urls: UrlsDep
) -> CreatedClass:
    """Make a class. The answer is the only place where its code is shown."""
    made, code = operations.create_class(store, body.name, body.count)
    out = _out(made, urls)
    return CreatedClass(
        **{**out.model_dump(), "links": {**out.links, "join": urls.at(f"/join?code={code}")}}, code=code
    )


@router.get("", response_model=Page[ClassOut], responses=documented())
def list_classes(
    who: Admin, request: Request, response: Response, store: StoreDep, urls: UrlsDep
) -> Page[ClassOut]:
    """All classes."""
    return page(request, response, (operations.list_classes(store), None), lambda row: _out(row, urls))


@router.post(
    "/join",
    status_code=201,
    response_model=JoinedClass,
    responses=documented(404, 409, 415),
    openapi_extra=json_body(Joining),
)
def join(body: Annotated[Joining, Depends(json_of(Joining))], store: StoreDep) -> JoinedClass:
    """Join a class with its code. The answer holds a key of your own, which is shown once, here. No key is needed."""
    key, secret = operations.join_class(store, body.code, body.name)
    return JoinedClass(owner=key.owner, class_name=key.class_name or "", key=secret)


@router.get("/{name}/students", response_model=Page[ClassStudent], responses=documented(404))
def students(name: Name, who: Admin, store: StoreDep) -> Page[ClassStudent]:
    """The students of a class, and how far each is."""
    _, keys = operations.class_and_students(store, name)
    rows = [
        ClassStudent(
            owner=row.owner,
            key_id=row.key.id,
            joined_at=row.key.created_at,
            last_used_at=row.key.last_used_at,
            experiments=row.experiments,
            lessons=row.lessons,
        )
        for row in progress(store, keys)
    ]
    return Page(items=rows, next=None)


@router.get("/{name}/wall", response_model=Page[ClassAnswer], responses=documented(404))
def answers(name: Name, spec: str, who: Reader, store: StoreDep, urls: UrlsDep) -> Page[ClassAnswer]:
    """Everybody's latest answer to one spec: the name of a lesson or of an experiment. For the lecturer, and for the class
    once it is open."""
    known, keys = operations.class_and_students(store, name)
    if not who.may("admin") and (who.class_name != name or known.opened_at is None):
        raise Forbidden(
            "the answers of this class are not open to you",
            allowed="its lecturer, or its students once it is open",
        )
    rows = []
    for row in wall(store, keys, spec):
        outcome = row.standing.outcome if row.standing is not None else None
        rows.append(
            ClassAnswer(
                owner=row.owner,
                experiment_id=row.experiment.id if row.experiment is not None else None,
                counts=dict(row.counts),
                verdict=outcome.verdict if outcome is not None else None,
                answer=outcome.sentence("en") if outcome is not None else row.text,
                links={"experiment": urls.at(f"/v1/experiments/{row.experiment.id}")}
                if row.experiment
                else {},
            )
        )
    return Page(items=rows, next=None)


@router.post("/{name}/open", response_model=ClassOut, responses=documented(404))
def open_class(name: Name, who: Admin, store: StoreDep, urls: UrlsDep) -> ClassOut:
    """Let the students of a class see each other's results."""
    return _out(operations.open_class(store, name, True), urls)


@router.post("/{name}/close", response_model=ClassOut, responses=documented(404))
def close_class(name: Name, who: Admin, store: StoreDep, urls: UrlsDep) -> ClassOut:
    """Hide the results of a class from each other again."""
    return _out(operations.open_class(store, name, False), urls)


def _out(made: Classroom, urls: Urls) -> ClassOut:
    return ClassOut(
        name=made.name,
        most=made.most,
        students=made.students,
        created_at=made.created_at,
        opened_at=made.opened_at,
        links={"page": urls.at(f"/classes/{quote(made.name)}")},
    )
