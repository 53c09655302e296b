"""Sweep axes: their grammar."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count, NonNegative, Real, Seed, ShortText, Strict

Points = Annotated[int, Field(strict=True, ge=2, le=1_000_000)]
Levels = Annotated[list[JsonValue], Field(min_length=1, max_length=100_000)]
"""Bounded by the body; the product over the axes is checked against the limit before anything is built."""


class Range(Strict):
    """Levels evenly spaced between two ends, both included."""

    points: Points | None = None
    """Number of levels. None: a continuous range, which only a random draw can use."""

    @property
    @abstractmethod
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""

    @abstractmethod
    def at(self, share: float) -> float:
        """The value at a share (0 to 1) of the way, rounded to 12 digits so that the ends are what was written."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        low, high = self.ends
        if not low < high:
            raise PydanticCustomError(
                "misfit", "the ends {a} and {b} do not rise", {"a": low, "b": high, "allowed": "[low, high]"}
            )
        return self


class LogAxis(Range):
    """Levels evenly spaced in the logarithm."""

    log: tuple[
        Annotated[float, Field(strict=True, gt=0, le=1e30)],
        Annotated[float, Field(strict=True, gt=0, le=1e30)],
    ]

    @property
    def ends(self) -> tuple[float, float]:
        return self.log

    def at(self, share: float) -> float:
        low, high = (math.log(end) for end in self.log)
        return float(f"{math.exp(low + share * (high - low)):.12g}")


class LinearAxis(Range):
    """Levels evenly spaced."""

    linear: tuple[Real, Real]

    @property
    def ends(self) -> tuple[float, float]:
        return self.linear

    def at(self, share: float) -> float:
        low, high = self.linear
        return float(f"{low + share * (high - low):.12g}")


def _axis_kind(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, dict) and {"log", "linear"} <= value.keys():
        return None
    if isinstance(value, LinearAxis) or (isinstance(value, dict) and "linear" in value):
        return "linear"
    if isinstance(value, LogAxis) or (isinstance(value, dict) and "log" in value):
        return "log"
    return None


Axis = Annotated[
    Annotated[Levels, Tag("list")] | Annotated[LogAxis, Tag("log")] | Annotated[LinearAxis, Tag("linear")],
    Discriminator(
        _axis_kind,
        custom_error_type="unknown_axis",
        custom_error_message="no axis",
        custom_error_context={"allowed": "a list of levels, {log: [low, high], points: n} or {linear: …}"},
    ),
]
SeedList = Annotated[list[Seed], Field(min_length=1, max_length=100_000)]
SeedCount = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


def _label(label: str) -> str:
    if label.strip() != label or not label:
        raise PydanticCustomError(
            "label",
            "the label is empty or has spaces at its ends",
            {"allowed": "a name without spaces at its ends"},
        )
    return label


Label = Annotated[str, Field(max_length=200), AfterValidator(_label)]
"""Name of a case. It is a key, so hidden characters were refused before."""


class Require(Strict):
    equal_parameters: NonNegative | None = None
    """The largest relative difference between the parameter counts of two runs."""


@dataclass(frozen=True)
class Strategy:
    """How a sweep chooses its runs.

    draws: whether it tries `runs` of the combinations; ranges may then be continuous
    searches: whether results decide what is trained next
    repeats: whether every setting is run with every seed; else a draw chooses a seed too
    """

    draws: bool
    searches: bool = False
    repeats: bool = True


STRATEGIES = {
    "grid": Strategy(draws=False),
    "random": Strategy(draws=True, repeats=False),
    "tpe": Strategy(draws=True, searches=True),
    "halving": Strategy(draws=False, searches=True),
}


class Sweep(Strict):
    """Every combination of the axes, cases and seeds. Whatever is no field below is an axis."""

    model_config = ConfigDict(extra="allow")
    EXTRA: ClassVar[object] = Axis
    __pydantic_extra__: dict[str, Axis] = Field(init=False)

    cases: dict[Label, dict[str, JsonValue]] | None = None
    """Labelled sets of fields that change together."""
    seeds: SeedCount | SeedList | None = None
    """A count from the experiment's seed on, or a list."""
    require: Require | None = None
    strategy: Literal["grid", "random", "tpe", "halving"] = "grid"
    runs: Count | None = None
    """How many runs strategy random draws, or tpe makes: settings times seeds."""
    metric: Annotated[str, Field(pattern=r"^(train|val)/[a-z_]{1,40}$")] | None = None
    """What tpe and halving choose by; null: val/accuracy where it is measured, else val/loss."""
    eta: Annotated[int, Field(strict=True, ge=2, le=100)] | None = None
    """η of strategy halving: the best 1/η of the settings go on to the next rung; null: 2."""
    rungs: Annotated[tuple[Count, ...], Field(min_length=2, max_length=20)] | None = None
    """Epochs of each rung of strategy halving, the last as training.epochs; null: a ninth, a third and all of them."""
    within: ShortText | None = None
    """The factor within whose levels strategy halving chooses, so that none starves another; null: among all."""

    @property
    def axes(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    @property
    def draws(self) -> bool:
        """Whether `runs` of the combinations are tried; else every combination."""
        return STRATEGIES[self.strategy].draws

    @property
    def searches(self) -> bool:
        """Whether results decide what is trained next."""
        return STRATEGIES[self.strategy].searches

    def seed_list(self, first: int) -> tuple[int, ...]:
        """The seeds in the order given; a count starts at `first`. Without seeds: `first` alone."""
        if self.seeds is None:
            return (first,)
        return tuple(self.seeds) if isinstance(self.seeds, list) else tuple(range(first, first + self.seeds))

    @property
    def n_seeds(self) -> int:
        if self.seeds is None:
            return 1
        return len(self.seeds) if isinstance(self.seeds, list) else self.seeds
