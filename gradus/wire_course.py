"""The JSON of lessons, classes and pasted programs as types, for both sides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from gradus.wire import Links, ProblemItem, Wire


class KerasNote(Wire):
    """What was made of one line of a program."""

    line: int = Field(description="from 1")
    kind: str = Field(description="`read`, `old`, `slip`, `changed` or `left out`")
    text: str = Field(description="what became of it, or what to write instead")


class KerasCodeOut(Wire):
    """A Keras program as a spec."""

    spec: dict[str, Any] = Field(description="plain data, also where something is left out")
    yaml: str = Field(description="the same as a person would write it")
    notes: list[KerasNote] = Field(description="by line")
    errors: list[ProblemItem] = Field(description="what keeps the spec from being run; empty where it can")


class LessonCheck(Wire):
    """One thing that a claim says, and what was measured."""

    says: str
    expected: str = Field(description="`= 4`, `≥ 0.9`")
    measured: float | None = Field(description="null where no run has it")
    holds: bool


class LessonOut(Wire):
    """A claim of the course, and how it stands for the asker."""

    name: str
    title: str
    claim: str
    formula: str
    trains: bool = Field(description="false where it is computed on paper, at once")
    state: str = Field(description="`not yet`, `running` or `done`")
    states: str = Field(description="what the lesson comes to in this version: `confirmed` or `refuted`")
    verdict: str | None = Field(description="what the asker's own test came to; null until it is done")
    sentence: str | None
    checks: list[LessonCheck] = Field(description="empty until it is done")
    experiment_id: str | None
    spec: dict[str, Any] | None = Field(description="what is trained; null on paper")
    links: Links


class ClassOut(Wire):
    """A class: who knows its code gets a key of their own."""

    name: str
    most: int = Field(description="how many may join")
    students: int = Field(description="how many have joined")
    created_at: datetime
    opened_at: datetime | None = Field(
        description="since when its students see each other's results; null: they do not"
    )
    links: Links


class ClassStudent(Wire):
    """Somebody of a class, and how far they are."""

    owner: str
    key_id: str
    joined_at: datetime
    last_used_at: datetime | None
    experiments: int
    lessons: int = Field(description="lessons that they have tested")


class ClassAnswer(Wire):
    """A student's latest answer to one spec; without an experiment where they have not submitted it."""

    owner: str
    experiment_id: str | None
    counts: dict[str, int] = Field(description="state -> number of runs")
    verdict: str | None = Field(description="of a lesson: `confirmed` or `refuted`; null until it is done")
    answer: str
    links: Links


class JoinedClass(Wire):
    """A key of one's own in a class."""

    owner: str
    class_name: str
    key: str
