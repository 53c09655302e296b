"""The lessons that come with the package: `lessons/` of the project, in a checkout and in a wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from experiments.course.paper import PAPER
from experiments.errors import SpecError
from experiments.fields import Real, Strict
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from experiments.spec.examples import examples
from experiments.spec.problems import explain

Verdict = Literal["confirmed", "refuted"]
Language = Literal["en", "zh"]


class Words(Strict):
    """A text in both languages. `{0}`, `{1}` … stand for what the checks measured."""

    en: Annotated[str, Field(min_length=1)]
    zh: Annotated[str, Field(min_length=1)]

    def in_language(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


class Check(Strict):
    """One thing that the claim says, as a quantity and what it has to be.

    Exactly one of `paper`, `metric` and `reason` says what is measured, and at least one of `equals`, `at_least` and
    `at_most` what the claim wants.
    """

    says: Words
    paper: str | None = None
    """A computation of `experiments/course/paper.py`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    metric: str | None = None
    """A metric of the runs at their end: `test/accuracy`."""
    reason: str | None = None
    """Share of the runs that ended for this reason: `train_errors`."""
    pick: dict[str, str] = Field(default_factory=dict)
    """Only runs with these levels: factor -> label."""
    take: Literal["min", "max", "mean"] = "mean"
    """Of several runs."""
    equals: Real | None = None
    at_least: Real | None = None
    at_most: Real | None = None
    tolerance: Annotated[float, Field(ge=0)] = 1e-9
    """For `equals`."""
    measured: Annotated[float, Field(ge=-1e30, le=1e30)] | None = None
    """What this version of the project measures; a test fails where it drifts by more than `within`."""
    within: Annotated[float, Field(ge=0)] = 1e-6

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.paper, self.metric, self.reason)) != 1:
            raise ValueError("exactly one of paper, metric and reason")
        if all(part is None for part in (self.equals, self.at_least, self.at_most)):
            raise ValueError("one of equals, at_least and at_most")
        if self.paper is not None and self.paper not in PAPER:
            raise ValueError(f"no computation is called {self.paper}; there are {', '.join(PAPER)}")
        return self

    def holds(self, value: float) -> bool:
        """Whether a measured value is what the claim says."""
        if self.equals is not None and not abs(value - self.equals) <= self.tolerance:
            return False
        if self.at_least is not None and not value >= self.at_least:
            return False
        return self.at_most is None or value <= self.at_most


class Lesson(Strict):
    """A claim of the course, and how it is tested.

    outcome: what the test comes to in this version: some claims of the text are wrong, and their lessons say so
    slow: whether the training takes more than a few seconds
    """

    name: str = ""
    title: Words
    claim: Words
    formula: str = ""
    curve: Literal["sigmoid", "tanh", "relu"] | None = None
    """The activation whose values and slopes are drawn."""
    example: str | None = None
    """The spec, as the name of an example."""
    spec: dict[str, Any] | None = None
    """The spec itself."""
    checks: tuple[Check, ...] = Field(min_length=1)
    outcome: Verdict
    confirmed: Words
    refuted: Words
    slow: bool = False

    @model_validator(mode="after")
    def _trains_or_not(self) -> Self:
        trained = any(check.paper is None for check in self.checks)
        if trained != (self.example is not None or self.spec is not None):
            raise ValueError(
                "a lesson has a spec where a check measures runs, and none where all are on paper"
            )
        return self

    @property
    def trains(self) -> bool:
        """Whether runs are trained for it; else it is computed at once."""
        return self.example is not None or self.spec is not None

    def document(self) -> dict[str, Any]:
        """The spec to submit, tagged so that it is found again."""
        document: Any = (
            parse_yaml(examples()[self.example]) if self.example is not None else dict(self.spec or {})
        )
        return {**document, "tags": {**document.get("tags", {}), "lesson": self.name}}


@cache
def lessons() -> dict[str, Lesson]:
    """Every lesson by name, in the order of the course.

    Raises:
        SpecError: a file is no lesson; with its name.
    """
    folder = files("experiments") / "lessons"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): _read(name, (folder / name).read_text("utf-8")) for name in names}


def _read(file: str, text: str) -> Lesson:
    name = file.removesuffix(".yaml")
    document = parse_yaml(text)
    try:
        lesson = Lesson.model_validate({**(document if isinstance(document, dict) else {}), "name": name})
        if lesson.trains:
            ExperimentSpec.parse(lesson.document())
    except ValidationError as error:
        raise explain(error, Lesson).under(file) from error
    except SpecError as error:
        raise error.under(file) from error
    return lesson
