"""What every layer of the table says about itself before anything is built.

Shapes are without the batch. FLOPs are of one forward pass of one sample, a multiplication and an addition
counted as one each.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.activations import ActivationChoice
from experiments.errors import SpecError
from experiments.fields import Flag, Strict
from experiments.initializers import Initializer, InitializerSpec
from experiments.layers.own_weights import OwnWeights
from experiments.regularizers import Regularizer, RegularizerSpec

Shape = tuple[int, ...]
DataFormat = Literal["channels_last", "channels_first"]
Units = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Wanted = Literal["any", "vector", "sequence", "image", "tokens"]


@dataclass(frozen=True)
class Forecast:
    """What a layer makes of an input shape.

    parameters: all weights; frozen: those among them that no gradient moves (moving means and variances)
    formula: how the output's size or the parameter count comes about, with the numbers filled in
    warnings: what a person should know though nothing is wrong
    held: numbers for one sample that are kept for the way back, beside the outputs
    """

    output_shape: Shape
    parameters: int = 0
    frozen: int = 0
    flops: int = 0
    formula: str = ""
    warnings: tuple[str, ...] = ()
    held: int = 0


class Layer(Strict):
    """One layer. Field names are Keras' argument names; None stands for the model's default."""

    keras_name: ClassVar[str]
    """Its name in keras.layers; for `stochastic_pool2d` and `dropout` that of our own class."""
    formula: ClassVar[str]
    reference: ClassVar[str] = "Keras"
    lanes: ClassVar[bool] = True
    """False where the vectorised map over lanes has no converter for it."""
    alone: ClassVar[bool] = False
    """True where its lanes were held against keras.fit on no backend: such a network trains one run at a time everywhere."""
    coupled: ClassVar[bool] = False
    """True where a sample's output in training depends on the others of its batch."""
    kinked: ClassVar[bool] = False
    """True where the layer itself has kinks (max pooling: where two inputs tie)."""
    wants: ClassVar[Wanted] = "any"
    """The rank it takes: the resolver flattens or makes rows where that fits. tokens: a row of whole numbers."""
    non_negative: ClassVar[bool] = False
    """True where it takes no negative inputs."""
    keeps_sign: ClassVar[bool] = True
    """False where inputs that are not negative can give outputs that are (where it has no activation)."""
    has_data_format: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    """True where it is an activation as a layer of its own, so that a layer before it is linear."""
    follows: ClassVar[dict[str, str]] = {}
    """Field -> the model's default that it takes, where that has another name."""
    default_activation: ClassVar[str | None] = None
    """What stands for an activation that neither the layer nor the model names; None: the layer has none."""
    keras_call: ClassVar[str] = "x"
    """The arguments that Keras' own layer is called with, of the input x."""
    idle: ClassVar[tuple[str, ...]] = ()
    """Weights that change no output, whatever their values, so that their derivative is 0."""

    type: str

    @abstractmethod
    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        """The output shape and costs for an input of `shape`. Raises SpecError (path within the layer)."""

    def arguments(self, data_format: DataFormat = "channels_last") -> dict[str, object]:
        """What keras.layers.<keras_name> takes. Initialisers and regularisers are Keras configurations."""
        values: dict[str, object] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in ("type", "weights"):
                continue
            if isinstance(value, Initializer | Regularizer):
                value = value.keras_config()
            elif name.endswith("initializer") and value is None:
                continue
            values[name] = value
        if self.has_data_format:
            values["data_format"] = data_format
        return values

    def drawn(self) -> dict[str, str]:
        """Name of each trainable weight that it has, in Keras' order -> the field of its initialiser."""
        return {}

    def fan_in(self, kernel: Shape) -> int:
        """How many inputs one unit of the first kernel, of shape `kernel`, adds up."""
        return prod(kernel[:-1])

    @property
    def label(self) -> str:
        """A few characters for the one-line architecture; empty for a layer that is not shown there."""
        return self.type


class Weighted(Layer):
    """A layer with kernels, a bias and an activation."""

    default_activation: ClassVar[str | None] = "relu"
    kernels: ClassVar[dict[str, str]] = {"kernel": "kernel_initializer"}
    """Name of each kernel in Keras' order -> the field of its initialiser."""
    activation: ActivationChoice | None = None
    use_bias: Flag = True
    bias_initializer: InitializerSpec | None = None
    bias_regularizer: RegularizerSpec | None = None
    activity_regularizer: RegularizerSpec | None = None
    weights: OwnWeights | None = None
    """The values to begin with, in place of drawn ones: [kernel, bias], each as nested lists in Keras' shape."""

    @model_validator(mode="after")
    def _drawn_or_given(self) -> Self:
        drawn = [
            name for name in type(self).model_fields if name.endswith("_initializer") and getattr(self, name)
        ]
        if self.weights is not None and drawn:
            raise PydanticCustomError(
                "misfit",
                "{drawn} draws nothing where `weights` gives the values",
                {"drawn": drawn[0], "allowed": "one of the two"},
            )
        return self

    def drawn(self) -> dict[str, str]:
        return {**self.kernels, **({"bias": "bias_initializer"} if self.use_bias else {})}

    @abstractmethod
    def weight_shapes(self, shape: Shape, data_format: DataFormat) -> dict[str, Shape]:
        """Name -> shape of every weight for an input of `shape`, in Keras' order."""


class OneKernel(Weighted):
    """A layer with one kernel for its inputs, and Keras' names for what concerns it."""

    kernel_initializer: InitializerSpec | None = None
    kernel_regularizer: RegularizerSpec | None = None


def refuse(field: str, message: str, allowed: str) -> SpecError:
    return SpecError.one(field, message, allowed)


def spatial(shape: Shape, data_format: DataFormat) -> tuple[int, int, int]:
    """(height, width, channels) of an image shape in either format."""
    if data_format == "channels_last":
        return shape[0], shape[1], shape[2]
    return shape[1], shape[2], shape[0]


def image(height: int, width: int, channels: int, data_format: DataFormat) -> Shape:
    """The inverse of `spatial`."""
    return (height, width, channels) if data_format == "channels_last" else (channels, height, width)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def size(shape: Shape) -> int:
    return prod(shape)


def times(shape: Shape) -> str:
    return "x".join(str(n) for n in shape)
