"""Initialisers by Keras' names and argument names, and their formulas in NumPy."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from experiments.fields import NonNegative, Positive, Real, Strict, named

Array = npt.NDArray[np.float64]
TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of N(0, 1) redrawn beyond 2: dividing by it gives a truncated draw the variance asked for."""


class Initializer(Strict):
    """How the weights of a tensor are drawn before training. The seed is the run's, not the initialiser's."""

    keras_name: ClassVar[str]
    formula: ClassVar[str]

    def arguments(self) -> dict[str, object]:
        """What keras.initializers.<keras_name> takes, without the seed."""
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}

    @abstractmethod
    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        """Values of a weight of this shape, in double precision, by Keras' formula."""


class Auto(Initializer):
    """The one the literature pairs with the layer's activation; resolved before anything is built."""

    keras_name: ClassVar[str] = "GlorotUniform"
    formula: ClassVar[str] = "the activation's own (gradus catalog activations)"
    name: Literal["auto"]

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        raise TypeError("auto stands for another initializer: resolve the spec before its weights are drawn")


class Scaling(Initializer):
    """Variance scale / n around 0, where n is fan_in, fan_out or their mean. Abstract.

    Glorot & Bengio 2010; He et al. 2015, arXiv:1502.01852; LeCun et al. 1998, *Efficient BackProp*.
    """

    @abstractmethod
    def scaling(self) -> tuple[float, str, str]:
        """(scale, mode, distribution) as `variance_scaling` takes them."""

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return scaled(shape, random, *self.scaling())


class GlorotUniform(Scaling):
    keras_name: ClassVar[str] = "GlorotUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(6 / (fan_in + fan_out))"
    name: Literal["glorot_uniform"]

    def scaling(self) -> tuple[float, str, str]:
        return 1.0, "fan_avg", "uniform"


class GlorotNormal(Scaling):
    keras_name: ClassVar[str] = "GlorotNormal"
    formula: ClassVar[str] = "truncated N(0, 2 / (fan_in + fan_out))"
    name: Literal["glorot_normal"]

    def scaling(self) -> tuple[float, str, str]:
        return 1.0, "fan_avg", "truncated_normal"


class HeUniform(Scaling):
    keras_name: ClassVar[str] = "HeUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(6 / fan_in)"
    name: Literal["he_uniform"]

    def scaling(self) -> tuple[float, str, str]:
        return 2.0, "fan_in", "uniform"


class HeNormal(Scaling):
    keras_name: ClassVar[str] = "HeNormal"
    formula: ClassVar[str] = "truncated N(0, 2 / fan_in)"
    name: Literal["he_normal"]

    def scaling(self) -> tuple[float, str, str]:
        return 2.0, "fan_in", "truncated_normal"


class LecunUniform(Scaling):
    keras_name: ClassVar[str] = "LecunUniform"
    formula: ClassVar[str] = "U(-a, a), a = sqrt(3 / fan_in)"
    name: Literal["lecun_uniform"]

    def scaling(self) -> tuple[float, str, str]:
        return 1.0, "fan_in", "uniform"


class LecunNormal(Scaling):
    keras_name: ClassVar[str] = "LecunNormal"
    formula: ClassVar[str] = "truncated N(0, 1 / fan_in)"
    name: Literal["lecun_normal"]

    def scaling(self) -> tuple[float, str, str]:
        return 1.0, "fan_in", "truncated_normal"


class RandomNormal(Initializer):
    keras_name: ClassVar[str] = "RandomNormal"
    formula: ClassVar[str] = "N(mean, stddev²)"
    name: Literal["random_normal"]
    mean: Real = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return random.normal(self.mean, self.stddev, shape)


class TruncatedNormal(Initializer):
    keras_name: ClassVar[str] = "TruncatedNormal"
    formula: ClassVar[str] = "N(mean, stddev²), redrawn beyond two stddev"
    name: Literal["truncated_normal"]
    mean: Real = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return self.mean + self.stddev * truncated_normal(shape, random)


class RandomUniform(Initializer):
    keras_name: ClassVar[str] = "RandomUniform"
    formula: ClassVar[str] = "U(minval, maxval)"
    name: Literal["random_uniform"]
    minval: Real = -0.05
    maxval: Real = 0.05

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return random.uniform(self.minval, self.maxval, shape)


class VarianceScaling(Scaling):
    keras_name: ClassVar[str] = "VarianceScaling"
    formula: ClassVar[str] = "variance scale / n, n by mode"
    name: Literal["variance_scaling"]
    scale: Positive = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"

    def scaling(self) -> tuple[float, str, str]:
        return self.scale, self.mode, self.distribution


class Orthogonal(Initializer):
    """Saxe et al. 2014, arXiv:1312.6120."""

    keras_name: ClassVar[str] = "Orthogonal"
    formula: ClassVar[str] = "gain · Q of a QR decomposition of N(0, 1)"
    name: Literal["orthogonal"]
    gain: Real = 1.0

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return orthogonal(shape, random, self.gain)


class Constant(Initializer):
    keras_name: ClassVar[str] = "Constant"
    formula: ClassVar[str] = "value"
    name: Literal["constant"]
    value: Real = 0.0

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return np.full(shape, self.value)


class Zeros(Initializer):
    keras_name: ClassVar[str] = "Zeros"
    formula: ClassVar[str] = "0"
    name: Literal["zeros"]

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    keras_name: ClassVar[str] = "Ones"
    formula: ClassVar[str] = "1"
    name: Literal["ones"]

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return np.ones(shape)


class Identity(Initializer):
    """Only for a square matrix: a dense kernel with as many units as inputs, a recurrent kernel."""

    keras_name: ClassVar[str] = "Identity"
    formula: ClassVar[str] = "gain · I"
    name: Literal["identity"]
    gain: Real = 1.0

    def draw(self, shape: Sequence[int], random: np.random.Generator) -> Array:
        return self.gain * np.eye(shape[0], shape[1])


def scaled(
    shape: Sequence[int], random: np.random.Generator, scale: float, mode: str, distribution: str
) -> Array:
    """Values of variance scale / n around 0; arguments as those of `variance_scaling`."""
    fan_in, fan_out = fans(shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, n)
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return random.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return random.normal(0.0, math.sqrt(variance), shape)
    return truncated_normal(shape, random) * (math.sqrt(variance) / TRUNCATED_STDDEV)


def orthogonal(shape: Sequence[int], random: np.random.Generator, gain: float) -> Array:
    """gain · Q of a QR decomposition of N(0, 1)."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # else Q would not be uniform over the orthogonal matrices
    return gain * np.reshape(q.T if rows < columns else q, shape)


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a weight; of a convolution's kernel (..., inputs, filters), of its window."""
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def truncated_normal(shape: Sequence[int], random: np.random.Generator) -> Array:
    """N(0, 1), redrawn beyond 2."""
    values = random.standard_normal(math.prod(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = random.standard_normal(int(outside.sum()))
    return values.reshape(shape)


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
