"""Learning-rate schedules by Keras' names and argument names. A step is one update of the weights."""

from __future__ import annotations

import bisect
import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count, CountOrZero, Flag, NonNegative, Positive, Strict, UnitInterval


class Schedule(Strict):
    """η as a function of the number of updates done, k."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]

    @abstractmethod
    def at(self, k: int) -> float:
        """η after k updates, in float64; k from 0. Source: keras.optimizers.schedules."""

    @property
    @abstractmethod
    def span(self) -> tuple[str, int]:
        """The field that says over how many updates η falls, and that number."""

    @property
    def first(self) -> float:
        """η at the first update."""
        return self.at(0)

    def arguments(self) -> dict[str, object]:
        """What keras.optimizers.schedules.<keras_name> takes."""
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}


class _Decay(Schedule):
    """A schedule that falls over `decay_steps` updates."""

    decay_steps: Count

    @property
    def span(self) -> tuple[str, int]:
        return "decay_steps", self.decay_steps


class ExponentialDecay(_Decay):
    keras_name: ClassVar[str] = "ExponentialDecay"
    formula: ClassVar[str] = "η0 · decay_rate^(k / decay_steps)"
    name: Literal["exponential_decay"]
    initial_learning_rate: Positive
    decay_rate: Positive
    staircase: Flag = False

    def at(self, k: int) -> float:
        periods = k // self.decay_steps if self.staircase else k / self.decay_steps
        return self.initial_learning_rate * _power(self.decay_rate, periods)


class InverseTimeDecay(_Decay):
    keras_name: ClassVar[str] = "InverseTimeDecay"
    formula: ClassVar[str] = "η0 / (1 + decay_rate · k / decay_steps)"
    name: Literal["inverse_time_decay"]
    initial_learning_rate: Positive
    decay_rate: NonNegative
    staircase: Flag = False

    def at(self, k: int) -> float:
        periods = k // self.decay_steps if self.staircase else k / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * periods)


class PolynomialDecay(_Decay):
    keras_name: ClassVar[str] = "PolynomialDecay"
    formula: ClassVar[str] = "(η0 - η1) · (1 - k / decay_steps)^power + η1"
    name: Literal["polynomial_decay"]
    initial_learning_rate: Positive
    end_learning_rate: NonNegative = 0.0001
    power: Positive = 1.0
    cycle: Flag = False

    def at(self, k: int) -> float:
        steps = self.decay_steps * (max(1, math.ceil(k / self.decay_steps)) if self.cycle else 1)
        left = math.pow(1 - min(k, steps) / steps, self.power)
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate


class PiecewiseConstantDecay(Schedule):
    keras_name: ClassVar[str] = "PiecewiseConstantDecay"
    formula: ClassVar[str] = "values[i] where boundaries[i-1] < k <= boundaries[i]"
    name: Literal["piecewise_constant_decay"]
    boundaries: tuple[Count, ...] = Field(min_length=1, max_length=100)
    values: tuple[Positive, ...] = Field(min_length=2, max_length=101)

    def at(self, k: int) -> float:
        return self.values[bisect.bisect_left(self.boundaries, k)]

    @property
    def span(self) -> tuple[str, int]:
        return "boundaries", self.boundaries[-1]

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.values) != len(self.boundaries) + 1:
            raise PydanticCustomError(
                "misfit",
                "{values} values for {boundaries} boundaries",
                {
                    "values": len(self.values),
                    "boundaries": len(self.boundaries),
                    "allowed": "one value more than boundaries",
                },
            )
        if any(b <= a for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise PydanticCustomError(
                "misfit", "the boundaries do not rise", {"allowed": "rising update counts"}
            )
        return self


class CosineDecay(_Decay):
    keras_name: ClassVar[str] = "CosineDecay"
    formula: ClassVar[str] = "η0 · ((1 - alpha) (1 + cos(π k / decay_steps)) / 2 + alpha)"
    name: Literal["cosine_decay"]
    initial_learning_rate: NonNegative
    alpha: UnitInterval = 0.0
    warmup_target: Positive | None = None
    warmup_steps: CountOrZero = 0

    def at(self, k: int) -> float:
        if self.warmup_target is None:
            return self.initial_learning_rate * self._share(k)
        if k < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * k / self.warmup_steps
        return self.warmup_target * self._share(k - self.warmup_steps)

    def _share(self, k: int) -> float:
        done = min(k, self.decay_steps) / self.decay_steps
        return (1 - self.alpha) * (1 + math.cos(math.pi * done)) / 2 + self.alpha

    @property
    def span(self) -> tuple[str, int]:
        if self.warmup_target is None:
            return "decay_steps", self.decay_steps
        return "warmup_steps + decay_steps", self.warmup_steps + self.decay_steps


class CosineDecayRestarts(Schedule):
    keras_name: ClassVar[str] = "CosineDecayRestarts"
    formula: ClassVar[str] = "cosine decay, started anew after first_decay_steps · t_mul^i updates"
    name: Literal["cosine_decay_restarts"]
    initial_learning_rate: Positive
    first_decay_steps: Count
    t_mul: Annotated[float, Field(strict=True, ge=1, le=100)] = 2.0
    m_mul: Positive = 1.0
    alpha: UnitInterval = 0.0

    def at(self, k: int) -> float:
        periods = k / self.first_decay_steps
        if self.t_mul == 1:
            restarts = math.floor(periods)
            done = periods - restarts
        else:
            restarts = math.floor(math.log(1 - periods * (1 - self.t_mul)) / math.log(self.t_mul))
            done = (periods - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        height = _power(self.m_mul, restarts) * (1 + math.cos(math.pi * done)) / 2
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)

    @property
    def span(self) -> tuple[str, int]:
        return "first_decay_steps", self.first_decay_steps


def _power(base: float, exponent: float) -> float:
    """base^exponent for a positive base; infinity where float64 ends."""
    return math.pow(base, exponent) if exponent * math.log(base) < 700 else math.inf


ScheduleSpec = Annotated[
    ExponentialDecay
    | InverseTimeDecay
    | PolynomialDecay
    | PiecewiseConstantDecay
    | CosineDecay
    | CosineDecayRestarts,
    Field(discriminator="name"),
]
SCHEDULES: dict[str, type[Schedule]] = {
    "exponential_decay": ExponentialDecay,
    "inverse_time_decay": InverseTimeDecay,
    "polynomial_decay": PolynomialDecay,
    "piecewise_constant_decay": PiecewiseConstantDecay,
    "cosine_decay": CosineDecay,
    "cosine_decay_restarts": CosineDecayRestarts,
}
