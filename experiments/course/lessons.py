"""The lessons that come with the package: `lessons/` of the project, in a checkout and in a wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from experiments.course.demonstrations import DEMONSTRATIONS
from experiments.course.paper import FORMULAS
from experiments.course.pictures import DRAWINGS, Drawing
from experiments.errors import SpecError
from experiments.fields import CountOrZero, Real, Strict
from experiments.keras_code import import_keras
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from experiments.spec.examples import examples
from experiments.spec.problems import explain

PAPER = {**FORMULAS, **DEMONSTRATIONS}
"""Name in a lesson -> what is computed for it."""
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
    """A computation of `experiments/course/paper.py` or `demonstrations.py`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    metric: str | None = None
    """A metric of the runs at their end: `test/accuracy`."""
    step: CountOrZero | None = None
    """The metric after so many epochs, 0 before training; None: at the end."""
    reason: str | None = None
    """Share of the runs that ended for this reason: `train_errors`."""
    pick: dict[str, str] = Field(default_factory=dict)
    """Only runs with these levels: factor -> label."""
    minus: dict[str, str] | None = None
    """The levels of other runs, whose value is taken off that of `pick`."""
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


class Picture(Strict):
    """What a lesson shows: a drawing on paper, or the course of a metric of its runs."""

    draw: str | None = None
    """A drawing of `experiments/course/pictures.py`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    metric: str | None = None
    """A metric of the runs over the epochs, a line for each level."""
    says: Words

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.draw is None) == (self.metric is None):
            raise ValueError("either draw or metric")
        if self.draw is not None and self.draw not in DRAWINGS:
            raise ValueError(f"no drawing is called {self.draw}; there are {', '.join(DRAWINGS)}")
        return self


class Lesson(Strict):
    """A claim of the course, and how it is tested.

    outcome: what the test comes to in this version: some claims of the text are wrong, and their lessons say so
    slow: whether the training takes more than a few seconds
    film: whether its runs are filmed, so that all seeds can be watched while they learn
    """

    name: str = ""
    title: Words
    claim: Words
    formula: str = ""
    picture: Picture
    example: str | None = None
    """The spec, as the name of an example."""
    code: str | None = None
    """The spec, as a Keras program of `examples/keras` that is read as a person would paste it."""
    spec: dict[str, Any] | None = None
    """The spec itself; beside `code`, what is written over what the program says."""
    checks: tuple[Check, ...] = Field(min_length=1)
    outcome: Verdict
    confirmed: Words
    refuted: Words
    slow: bool = False
    film: bool = False

    @model_validator(mode="after")
    def _trains_or_not(self) -> Self:
        if any(check.paper is None for check in self.checks) != self.trains:
            raise ValueError(
                "a lesson has a spec where a check measures runs, and none where all are on paper"
            )
        return self

    @property
    def trains(self) -> bool:
        """Whether runs are trained for it; else it is computed at once."""
        return self.example is not None or self.code is not None or self.spec is not None

    def document(self) -> dict[str, Any]:
        """The spec to submit, tagged so that it is found again."""
        document: Any = {}
        if self.example is not None:
            document = parse_yaml(examples()[self.example])
        elif self.code is not None:
            document = import_keras(program(self.code), self.code).document
        document = {**document, **(self.spec or {})}
        if self.film:
            document["diagnostics"] = {**document.get("diagnostics", {}), "film": True}
        return {**document, "tags": {**document.get("tags", {}), "lesson": self.name}}


@cache
def program(name: str) -> str:
    """The text of a Keras program of `examples/keras`."""
    return (files("experiments") / "examples" / "keras" / f"{name}.py").read_text("utf-8")


@cache
def lessons() -> dict[str, Lesson]:
    """Every lesson by name, in the order of the course.

    Raises:
        SpecError: a file is no lesson; with its name.
    """
    folder = files("experiments") / "lessons"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): _read(name, (folder / name).read_text("utf-8")) for name in names}


@cache
def drawing(name: str) -> Drawing:
    """The drawing of a lesson whose picture is none of its runs."""
    picture = lessons()[name].picture
    return DRAWINGS[picture.draw or ""](**picture.arguments)


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
