"""Initialisers and regularisers by Keras' names and argument names."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from experiments.fields import NonNegative, Positive, Real, Strict, named


class Initializer(Strict):
    """How the weights of a tensor are drawn before training. The seed is the run's, not the initialiser's."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]

    def arguments(self) -> dict[str, object]:
        """What keras.initializers.<keras_name> takes, without the seed."""
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}


class Auto(Initializer):
    """The one the literature pairs with the layer's activation; resolved before anything is built."""

    keras_name: ClassVar[str] = "GlorotUniform"
    formula: ClassVar[str] = "the activation's own (gradus catalog activations)"
    name: Literal["auto"]


class GlorotUniform(Initializer):
    keras_name: ClassVar[str] = "GlorotUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(6 / (fan_in + fan_out))"
    name: Literal["glorot_uniform"]


class GlorotNormal(Initializer):
    keras_name: ClassVar[str] = "GlorotNormal"
    formula: ClassVar[str] = "truncated N(0, 2 / (fan_in + fan_out))"
    name: Literal["glorot_normal"]


class HeUniform(Initializer):
    keras_name: ClassVar[str] = "HeUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(6 / fan_in)"
    name: Literal["he_uniform"]


class HeNormal(Initializer):
    keras_name: ClassVar[str] = "HeNormal"
    formula: ClassVar[str] = "truncated N(0, 2 / fan_in)"
    name: Literal["he_normal"]


class LecunUniform(Initializer):
    keras_name: ClassVar[str] = "LecunUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(3 / fan_in)"
    name: Literal["lecun_uniform"]


class LecunNormal(Initializer):
    keras_name: ClassVar[str] = "LecunNormal"
    formula: ClassVar[str] = "truncated N(0, 1 / fan_in)"
    name: Literal["lecun_normal"]


class RandomNormal(Initializer):
    keras_name: ClassVar[str] = "RandomNormal"
    formula: ClassVar[str] = "N(mean, stddev²)"
    name: Literal["random_normal"]
    mean: Real = 0.0
    stddev: NonNegative = 0.05


class TruncatedNormal(Initializer):
    keras_name: ClassVar[str] = "TruncatedNormal"
    formula: ClassVar[str] = "N(mean, stddev²), redrawn beyond two stddev"
    name: Literal["truncated_normal"]
    mean: Real = 0.0
    stddev: NonNegative = 0.05


class RandomUniform(Initializer):
    keras_name: ClassVar[str] = "RandomUniform"
    formula: ClassVar[str] = "U(minval, maxval)"
    name: Literal["random_uniform"]
    minval: Real = -0.05
    maxval: Real = 0.05


class VarianceScaling(Initializer):
    keras_name: ClassVar[str] = "VarianceScaling"
    formula: ClassVar[str] = "variance scale / n, n by mode"
    name: Literal["variance_scaling"]
    scale: Positive = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"


class Orthogonal(Initializer):
    keras_name: ClassVar[str] = "Orthogonal"
    formula: ClassVar[str] = "gain · Q of a QR decomposition of N(0, 1)"
    name: Literal["orthogonal"]
    gain: Real = 1.0


class Constant(Initializer):
    keras_name: ClassVar[str] = "Constant"
    formula: ClassVar[str] = "value"
    name: Literal["constant"]
    value: Real = 0.0


class Zeros(Initializer):
    keras_name: ClassVar[str] = "Zeros"
    formula: ClassVar[str] = "0"
    name: Literal["zeros"]


class Ones(Initializer):
    keras_name: ClassVar[str] = "Ones"
    formula: ClassVar[str] = "1"
    name: Literal["ones"]


class Identity(Initializer):
    """Only for a square matrix: a dense kernel with as many units as inputs, a recurrent kernel."""

    keras_name: ClassVar[str] = "Identity"
    formula: ClassVar[str] = "gain · I"
    name: Literal["identity"]
    gain: Real = 1.0


InitializerUnion = (
    Auto
    | GlorotUniform
    | GlorotNormal
    | HeUniform
    | HeNormal
    | LecunUniform
    | LecunNormal
    | RandomNormal
    | TruncatedNormal
    | RandomUniform
    | VarianceScaling
    | Orthogonal
    | Constant
    | Zeros
    | Ones
    | Identity
)
InitializerSpec = Annotated[InitializerUnion, Field(discriminator="name"), BeforeValidator(named)]
INITIALIZERS: dict[str, type[Initializer]] = {
    "auto": Auto, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal, "he_uniform": HeUniform,
    "he_normal": HeNormal, "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal,
    "random_normal": RandomNormal, "truncated_normal": TruncatedNormal, "random_uniform": RandomUniform,
    "variance_scaling": VarianceScaling, "orthogonal": Orthogonal, "constant": Constant, "zeros": Zeros,
    "ones": Ones, "identity": Identity,
}  # fmt: skip


class Regularizer(Strict):
    """A penalty on a tensor's weights, added to the loss."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]
    smooth: ClassVar[bool]

    def arguments(self) -> dict[str, object]:
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}


class L1(Regularizer):
    keras_name: ClassVar[str] = "L1"
    formula: ClassVar[str] = "l1 · Σ|w|"
    smooth: ClassVar[bool] = False
    name: Literal["l1"]
    l1: NonNegative = 0.01


class L2(Regularizer):
    keras_name: ClassVar[str] = "L2"
    formula: ClassVar[str] = "l2 · Σw²"
    smooth: ClassVar[bool] = True
    name: Literal["l2"]
    l2: NonNegative = 0.01


class L1L2(Regularizer):
    keras_name: ClassVar[str] = "L1L2"
    formula: ClassVar[str] = "l1 · Σ|w| + l2 · Σw²"
    smooth: ClassVar[bool] = False
    name: Literal["l1_l2"]
    l1: NonNegative = 0.0
    l2: NonNegative = 0.0


class OrthogonalRegularizer(Regularizer):
    """Only for matrices (dense and recurrent kernels)."""

    keras_name: ClassVar[str] = "OrthogonalRegularizer"
    formula: ClassVar[str] = "factor · mean over pairs of rows (columns) of |cosine|"
    smooth: ClassVar[bool] = False
    name: Literal["orthogonal_regularizer"]
    factor: NonNegative = 0.01
    mode: Literal["rows", "columns"] = "rows"


RegularizerSpec = Annotated[
    L1 | L2 | L1L2 | OrthogonalRegularizer, Field(discriminator="name"), BeforeValidator(named)
]
REGULARIZERS: dict[str, type[Regularizer]] = {
    "l1": L1, "l2": L2, "l1_l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer
}  # fmt: skip
