"""Learning-rate schedules by Keras' names and argument names. A step is one update of the weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import Count, CountOrZero, Flag, NonNegative, Positive, Strict, UnitInterval


class Schedule(Strict):
    """η as a function of the number of updates done, k."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]

    @property
    def first(self) -> float:
        """η at the first update."""
        return float(getattr(self, "initial_learning_rate"))  # noqa: B009  every schedule but one has it

    def arguments(self) -> dict[str, object]:
        """What keras.optimizers.schedules.<keras_name> takes."""
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}


class ExponentialDecay(Schedule):
    keras_name: ClassVar[str] = "ExponentialDecay"
    formula: ClassVar[str] = "η0 · decay_rate^(k / decay_steps)"
    name: Literal["exponential_decay"]
    initial_learning_rate: Positive
    decay_steps: Count
    decay_rate: Positive
    staircase: Flag = False


class InverseTimeDecay(Schedule):
    keras_name: ClassVar[str] = "InverseTimeDecay"
    formula: ClassVar[str] = "η0 / (1 + decay_rate · k / decay_steps)"
    name: Literal["inverse_time_decay"]
    initial_learning_rate: Positive
    decay_steps: Count
    decay_rate: NonNegative
    staircase: Flag = False


class PolynomialDecay(Schedule):
    keras_name: ClassVar[str] = "PolynomialDecay"
    formula: ClassVar[str] = "(η0 - η1) · (1 - k / decay_steps)^power + η1"
    name: Literal["polynomial_decay"]
    initial_learning_rate: Positive
    decay_steps: Count
    end_learning_rate: NonNegative = 0.0001
    power: Positive = 1.0
    cycle: Flag = False


class PiecewiseConstantDecay(Schedule):
    keras_name: ClassVar[str] = "PiecewiseConstantDecay"
    formula: ClassVar[str] = "values[i] where boundaries[i-1] < k <= boundaries[i]"
    name: Literal["piecewise_constant_decay"]
    boundaries: tuple[Count, ...] = Field(min_length=1, max_length=100)
    values: tuple[Positive, ...] = Field(min_length=2, max_length=101)

    @property
    def first(self) -> float:
        return self.values[0]

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


class CosineDecay(Schedule):
    keras_name: ClassVar[str] = "CosineDecay"
    formula: ClassVar[str] = "η0 · ((1 - alpha) (1 + cos(π k / decay_steps)) / 2 + alpha)"
    name: Literal["cosine_decay"]
    initial_learning_rate: NonNegative
    decay_steps: Count
    alpha: UnitInterval = 0.0
    warmup_target: Positive | None = None
    warmup_steps: CountOrZero = 0


class CosineDecayRestarts(Schedule):
    keras_name: ClassVar[str] = "CosineDecayRestarts"
    formula: ClassVar[str] = "cosine decay, started anew after first_decay_steps · t_mul^i updates"
    name: Literal["cosine_decay_restarts"]
    initial_learning_rate: Positive
    first_decay_steps: Count
    t_mul: Annotated[float, Field(strict=True, ge=1, le=100)] = 2.0
    m_mul: Positive = 1.0
    alpha: UnitInterval = 0.0


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
