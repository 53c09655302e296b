"""The optimizers of Keras 3.15 by Keras' names and argument names, with Keras' defaults.

Left out because they wrap others: MultiOptimizer, LossScaleOptimizer. REFUSED_FIELDS has Keras' arguments that are
refused, with the reason.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from experiments.fields import CountOrZero, Flag, NonNegative, Positive, Real, Strict, UnitInterval, named
from experiments.schedules import Schedule, ScheduleSpec


def _rate_kind(value: object) -> str:
    return "schedule" if isinstance(value, dict | Schedule) else "number"


LearningRate = Annotated[
    Annotated[Positive, Tag("number")] | Annotated[ScheduleSpec, Tag("schedule")], Discriminator(_rate_kind)
]
Decay = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""Of a running mean: the share that stays."""


class Optimizer(Strict):
    """θ := θ - update(g). `NUMERIC` fields may differ between the lanes of one compiled program."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]
    reference: ClassVar[str]
    slots: ClassVar[int]
    """Tensors as large as the weights that the optimizer keeps, at most."""
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate"})

    name: str
    learning_rate: LearningRate = 0.001
    weight_decay: NonNegative | None = None
    """Decoupled: θ := θ - η · weight_decay · θ before the update."""
    clipnorm: Positive | None = None
    clipvalue: Positive | None = None
    global_clipnorm: Positive | None = None

    @model_validator(mode="after")
    def _one_clip(self) -> Self:
        given = [f for f in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, f) is not None]
        if len(given) > 1:
            raise PydanticCustomError(
                "misfit",
                "{given} are set together",
                {"given": " and ".join(given), "allowed": "one of clipnorm, clipvalue, global_clipnorm"},
            )
        return self

    @property
    def numeric(self) -> frozenset[str]:
        """The per-lane fields, those that every optimizer has among them. 0 and null are structure."""
        return self.NUMERIC | {"weight_decay", "clipnorm", "clipvalue", "global_clipnorm"}

    @property
    def rate(self) -> float:
        """η at the first update."""
        rate = self.learning_rate
        if not isinstance(rate, Schedule):
            return rate
        return rate.first

    def arguments(self) -> dict[str, object]:
        """What keras.optimizers.<keras_name> takes; a schedule is its Keras configuration."""
        values = self.model_dump(exclude={"name", "learning_rate"})
        rate = self.learning_rate
        return {"learning_rate": rate.keras_config() if isinstance(rate, Schedule) else rate} | values

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}

    @cached_property
    def structure(self) -> str:
        """The fields that the compiled program is made of, as JSON text: all but the numeric ones.

        A schedule is part of the program: it is a formula of the update count. So is a zero: Keras leaves the term
        out. Any other number is the lane's own.
        """
        values = self.model_dump(mode="json")
        for field in self.numeric:
            if not isinstance(values[field], dict) and values[field]:
                values[field] = "number"
        return json.dumps(values, sort_keys=True)


class SGD(Optimizer):
    keras_name: ClassVar[str] = "SGD"
    formula: ClassVar[str] = "v := momentum · v - η g; θ := θ + v (nesterov: θ := θ + momentum · v - η g)"
    reference: ClassVar[str] = "Robbins & Monro 1951; Sutskever et al. 2013"
    slots: ClassVar[int] = 1
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "momentum"})
    name: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.01
    momentum: UnitInterval = 0.0
    nesterov: Flag = False
    ascend: Flag = Field(default=False, exclude_if=lambda ascend: not ascend)
    """Climb the loss instead of descending it: θ := θ + η g, the rule that a wrong sign makes."""

    @model_validator(mode="after")
    def _climbs_at_one_rate(self) -> Self:
        if self.ascend and isinstance(self.learning_rate, Schedule):
            raise PydanticCustomError(
                "misfit", "ascend with a schedule", {"allowed": "a number as learning_rate, or no ascend"}
            )
        return self

    @property
    def rate(self) -> float:
        return -super().rate if self.ascend else super().rate

    def arguments(self) -> dict[str, object]:
        arguments = super().arguments()
        arguments.pop("ascend", None)
        return arguments | ({"learning_rate": self.rate} if self.ascend else {})


class RMSprop(Optimizer):
    keras_name: ClassVar[str] = "RMSprop"
    formula: ClassVar[str] = "v := rho · v + (1 - rho) g²; θ := θ - η g / sqrt(v + epsilon)"
    reference: ClassVar[str] = "Tieleman & Hinton 2012, lecture 6.5"
    slots: ClassVar[int] = 3
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "rho", "momentum", "epsilon"})
    name: Literal["rmsprop"] = "rmsprop"
    rho: Decay = 0.9
    momentum: UnitInterval = 0.0
    epsilon: NonNegative = 1e-7
    centered: Flag = False


class Adam(Optimizer):
    keras_name: ClassVar[str] = "Adam"
    formula: ClassVar[str] = (
        "m, v: running means of g, g², corrected for their start; θ := θ - η m / (sqrt(v) + epsilon)"
    )
    reference: ClassVar[str] = "Kingma & Ba 2014, arXiv:1412.6980"
    slots: ClassVar[int] = 3
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "beta_1", "beta_2", "epsilon"})
    name: Literal["adam"] = "adam"
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: NonNegative = 1e-7
    amsgrad: Flag = False


class AdamW(Adam):
    keras_name: ClassVar[str] = "AdamW"
    formula: ClassVar[str] = "Adam after θ := θ - η · weight_decay · θ"
    reference: ClassVar[str] = "Loshchilov & Hutter 2017, arXiv:1711.05101"
    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: NonNegative = 0.004


class Adadelta(Optimizer):
    keras_name: ClassVar[str] = "Adadelta"
    formula: ClassVar[str] = "Δ := -sqrt(E[Δ²] + epsilon) / sqrt(E[g²] + epsilon) · g; θ := θ + η Δ"
    reference: ClassVar[str] = "Zeiler 2012, arXiv:1212.5701"
    slots: ClassVar[int] = 2
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "rho", "epsilon"})
    name: Literal["adadelta"] = "adadelta"
    rho: Decay = 0.95
    epsilon: NonNegative = 1e-7


class Adagrad(Optimizer):
    keras_name: ClassVar[str] = "Adagrad"
    formula: ClassVar[str] = "a := a + g²; θ := θ - η g / sqrt(a + epsilon)"
    reference: ClassVar[str] = "Duchi, Hazan & Singer 2011"
    slots: ClassVar[int] = 1
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "epsilon"})
    name: Literal["adagrad"] = "adagrad"
    initial_accumulator_value: NonNegative = 0.1
    epsilon: NonNegative = 1e-7


class Adamax(Optimizer):
    keras_name: ClassVar[str] = "Adamax"
    formula: ClassVar[str] = "u := max(beta_2 · u, |g|); θ := θ - η m / ((1 - beta_1^t)(u + epsilon))"
    reference: ClassVar[str] = "Kingma & Ba 2014, arXiv:1412.6980, section 7"
    slots: ClassVar[int] = 2
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "beta_1", "beta_2", "epsilon"})
    name: Literal["adamax"] = "adamax"
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: NonNegative = 1e-7


class Adafactor(Optimizer):
    keras_name: ClassVar[str] = "Adafactor"
    formula: ClassVar[str] = "g² kept as row and column means; update clipped at clip_threshold"
    reference: ClassVar[str] = "Shazeer & Stern 2018, arXiv:1804.04235"
    slots: ClassVar[int] = 2
    name: Literal["adafactor"] = "adafactor"
    beta_2_decay: Annotated[float, Field(strict=True, ge=-10, le=0)] = -0.8
    epsilon_1: NonNegative = 1e-30
    """Keras' default underflows in float32 where an input is always 0 (the border of MNIST's images): the run
    diverges. 1e-20 does not."""
    epsilon_2: NonNegative = 0.001
    clip_threshold: Positive = 1.0
    relative_step: Flag = True


class Nadam(Adam):
    keras_name: ClassVar[str] = "Nadam"
    formula: ClassVar[str] = "Adam with Nesterov's momentum"
    reference: ClassVar[str] = "Dozat 2016"
    slots: ClassVar[int] = 2
    name: Literal["nadam"] = "nadam"  # type: ignore[assignment]
    amsgrad: Literal[False] = Field(default=False, exclude=True)


class Ftrl(Optimizer):
    keras_name: ClassVar[str] = "Ftrl"
    formula: ClassVar[str] = "follow the regularised leader"
    reference: ClassVar[str] = "McMahan et al. 2013"
    slots: ClassVar[int] = 2
    name: Literal["ftrl"] = "ftrl"
    learning_rate_power: Annotated[float, Field(strict=True, ge=-10, le=0)] = -0.5
    initial_accumulator_value: NonNegative = 0.1
    l1_regularization_strength: NonNegative = 0.0
    l2_regularization_strength: NonNegative = 0.0
    l2_shrinkage_regularization_strength: NonNegative = 0.0
    beta: NonNegative = 0.0


class Lion(Optimizer):
    keras_name: ClassVar[str] = "Lion"
    formula: ClassVar[str] = "θ := θ - η sign(beta_1 · m + (1 - beta_1) g); m := beta_2 · m + (1 - beta_2) g"
    reference: ClassVar[str] = "Chen et al. 2023, arXiv:2302.06675"
    slots: ClassVar[int] = 1
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "beta_1", "beta_2"})
    name: Literal["lion"] = "lion"
    beta_1: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.9
    beta_2: Decay = 0.99


class Lamb(Optimizer):
    keras_name: ClassVar[str] = "Lamb"
    formula: ClassVar[str] = "Adam's update, scaled per tensor by |θ| / |update|"
    reference: ClassVar[str] = "You et al. 2019, arXiv:1904.00962"
    slots: ClassVar[int] = 2
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "beta_1", "beta_2", "epsilon"})
    name: Literal["lamb"] = "lamb"
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: NonNegative = 1e-7


class Muon(Optimizer):
    """Matrices by an orthogonalised momentum, everything else by AdamW."""

    keras_name: ClassVar[str] = "Muon"
    formula: ClassVar[str] = "θ := θ - η · NewtonSchulz(momentum of g) for matrices; AdamW for the rest"
    reference: ClassVar[str] = "Jordan et al. 2024"
    slots: ClassVar[int] = 2
    name: Literal["muon"] = "muon"
    adam_beta_1: Decay = 0.9
    adam_beta_2: Decay = 0.999
    adam_weight_decay: NonNegative | None = 0.004
    epsilon: NonNegative = 1e-7
    weight_decay: NonNegative | None = 0.004
    muon_a: Real = 3.4445
    muon_b: Real = -4.775
    muon_c: Real = 2.0315
    adam_lr_ratio: Positive = 1.0
    momentum: UnitInterval = 0.95
    ns_steps: Annotated[int, Field(strict=True, ge=1, le=50)] = 5
    nesterov: Flag = True
    rms_rate: Positive | None = 0.2


class ScheduleFreeAdamW(Optimizer):
    keras_name: ClassVar[str] = "ScheduleFreeAdamW"
    formula: ClassVar[str] = "AdamW on a sequence z, gradients taken between z and the mean of its iterates"
    reference: ClassVar[str] = "Defazio et al. 2024, arXiv:2405.15682"
    slots: ClassVar[int] = 2
    NUMERIC: ClassVar[frozenset[str]] = frozenset({"learning_rate", "beta_1", "beta_2", "epsilon"})
    name: Literal["schedule_free_adamw"] = "schedule_free_adamw"
    learning_rate: LearningRate = 0.0025
    beta_1: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.9
    beta_2: Decay = 0.999
    epsilon: NonNegative = 1e-8
    warmup_steps: CountOrZero = 0


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW, "adadelta": Adadelta, "adagrad": Adagrad,
    "adamax": Adamax, "adafactor": Adafactor, "nadam": Nadam, "ftrl": Ftrl, "lion": Lion, "lamb": Lamb,
    "muon": Muon, "schedule_free_adamw": ScheduleFreeAdamW,
}  # fmt: skip

OptimizerSpec = Annotated[
    SGD | RMSprop | Adam | AdamW | Adadelta | Adagrad | Adamax | Adafactor | Nadam | Ftrl | Lion | Lamb | Muon
    | ScheduleFreeAdamW,
    Field(discriminator="name"),
    BeforeValidator(named),
]  # fmt: skip

REFUSED_FIELDS = {
    "use_ema": "the average is applied only when `fit` ends, so it would not be what is measured",
    "ema_momentum": "see use_ema",
    "ema_overwrite_frequency": "see use_ema",
    "gradient_accumulation_steps": "Keras' stateless update raises on it; take a larger training.batch_size",
    "loss_scale_factor": "only half precision needs it; training here is float32",
}
"""Keras arguments of every optimizer that are no choice here, and why."""
