"""The question of an experiment, fixed before there are results: its grammar."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count, Positive, ShortText, Strict
from experiments.spec.sweeps import Axis

ACCURACY_DELTA = 0.002
"""The smallest difference in accuracy that counts, where the question names none."""

MEASURES = ("accuracy", "loss")
"""What is measured of a part of the data; accuracy only where the outputs name a class."""


class Tune(Strict):
    """Fields that are chosen per level on validation data before levels are compared. Whatever is no field
    is one.
    """

    model_config = ConfigDict(extra="allow")
    EXTRA: ClassVar[object] = Axis
    __pydantic_extra__: dict[str, Axis] = Field(init=False)

    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] = 2
    """Tuning seeds per point, beside and never among the seeds of the comparison."""

    @property
    def axes(self) -> dict[str, object]:
        return dict(self.__pydantic_extra__ or {})


class Compare(Strict):
    factor: ShortText
    """The axis (or `case`) whose levels are compared."""
    metric: Annotated[str, Field(pattern=r"^(train|val|test)/[a-z_]{1,40}$")] = "test/accuracy"
    delta: Positive = ACCURACY_DELTA
    """The smallest difference that counts, in the metric's unit."""
    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.5)] = 0.05
    """The error probability over all pairs of levels and all planned looks."""
    tune: Tune | None = None
    looks: tuple[Annotated[int, Field(strict=True, ge=2, le=10_000)], ...] = Field(
        default=(5, 10, 20, 40), min_length=1, max_length=20
    )
    """Seeds per level at which the results may be looked at."""
    budget: Count | None = None
    """The most runs the question may use, tuning included; null: as many as the looks need."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if any(b <= a for a, b in zip(self.looks, self.looks[1:], strict=False)):
            raise PydanticCustomError(
                "misfit",
                "the looks {looks} do not rise",
                {"looks": list(self.looks), "allowed": "rising seed counts"},
            )
        if "delta" not in self.model_fields_set and self.metric.endswith("/loss"):
            raise PydanticCustomError(
                "misfit",
                "delta is missing: for {metric} only you know which difference counts",
                {"metric": self.metric, "allowed": "a number above 0 in the metric's unit"},
            )
        return self
