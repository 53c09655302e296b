"""The question of an experiment, fixed before there are results: its grammar."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count, Positive, ShortText, Strict
from experiments.spec.sweeps import Axis

MOST_LOOK_SEEDS = 10_000
AUTOMATIC_SEEDS = 47
"""Under `looks: any`, seeds per level that are queued without a person asking for more."""

ACCURACY_DELTA = 0.002
"""The smallest difference in accuracy that counts, where the question names none."""

MEASURES = ("accuracy", "loss")
"""What is measured of every part of the data; accuracy only where the outputs name a class."""
IN_UNITS_OF_THE_TARGETS = ("/loss", "/mae", "/rmse")
"""Measures without a usual size."""


def any_looks() -> tuple[int, ...]:
    """The seeds at which `looks: any` queues a further stage: from 4 on, about √2 times as many each time."""
    looks = [4]
    while looks[-1] < MOST_LOOK_SEEDS:
        looks.append(min(MOST_LOOK_SEEDS, max(looks[-1] + 1, round(looks[-1] * 2**0.5))))
    return tuple(looks)


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


LookSeeds = Annotated[int, Field(strict=True, ge=2, le=10_000)]
Looks = Annotated[
    Annotated[tuple[LookSeeds, ...], Field(min_length=1, max_length=20), Tag("list")]
    | Annotated[Literal["any"], Tag("any")],
    Discriminator(
        lambda value: "any" if isinstance(value, str) else "list",
        custom_error_type="misfit",
        custom_error_message="no looks",
        custom_error_context={"allowed": "rising seed counts as [5, 10, 20], or any"},
    ),
]


class Compare(Strict):
    """What is compared, by what, and when the results may be looked at."""

    factor: ShortText
    """The axis (or `case`) whose levels are compared."""
    metric: Annotated[str, Field(pattern=r"^(train|val|test)/[a-z0-9_]{1,40}$")] = "test/accuracy"
    delta: Positive = ACCURACY_DELTA
    """The smallest difference that counts, in the metric's unit."""
    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.5)] = 0.05
    """The error probability over all pairs of levels and all planned looks."""
    tune: Tune | None = None
    control: ShortText | None = None
    """The level that all others are compared with; null: every pair of levels is compared."""
    best: bool = False
    """Whether to ask which level is the best, in place of which of two is better."""
    over: Literal["seeds", "splits"] = "seeds"
    """What a seed varies: initial weights and data order on one split, or the split of the data as well."""
    looks: Looks = (5, 10, 20, 40)
    """Seeds per level at which the results may be looked at; `any`: after every seed."""
    further: Annotated[tuple[LookSeeds, ...], Field(max_length=20)] = ()
    """Looks that were asked for after the planned ones, at an error of their own: what `extend` adds."""
    budget: Count | None = None
    """The most runs the question may use, tuning included; null: as many as the looks need."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.best and self.control is not None:
            raise PydanticCustomError(
                "misfit",
                "control and best are two questions",
                {
                    "allowed": "`control: LEVEL` to compare the others with one, or `best: true` to find the best"
                },
            )
        if isinstance(self.looks, str) and self.over == "splits":
            raise PydanticCustomError(
                "misfit",
                "splits of the same data are not independent, so no confidence sequence holds over them",
                {"allowed": "planned looks, as [5, 10, 20]"},
            )
        if isinstance(self.looks, str) and self.further:
            raise PydanticCustomError(
                "misfit", "under `looks: any` there are no further looks", {"allowed": "looks: any alone"}
            )
        looks = () if isinstance(self.looks, str) else (*self.looks, *self.further)
        if any(b <= a for a, b in pairwise(looks)):
            raise PydanticCustomError(
                "misfit",
                "the looks {looks} do not rise",
                {"looks": list(looks), "allowed": "rising seed counts"},
            )
        if "delta" not in self.model_fields_set and self.metric.endswith(IN_UNITS_OF_THE_TARGETS):
            raise PydanticCustomError(
                "misfit",
                "delta is missing: for {metric} only you know which difference counts",
                {"metric": self.metric, "allowed": "a number above 0 in the metric's unit"},
            )
        return self

    @property
    def look_seeds(self) -> tuple[int, ...]:
        """Fresh seeds per level at each look, also at those that only a person asks for under `looks: any`."""
        return any_looks() if isinstance(self.looks, str) else (*self.looks, *self.further)

    @property
    def planned_seeds(self) -> int:
        """Fresh seeds per level that are queued without a person asking for more."""
        return AUTOMATIC_SEEDS if isinstance(self.looks, str) else (*self.looks, *self.further)[-1]
