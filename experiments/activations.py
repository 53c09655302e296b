"""The table of activations: those of Keras 3.15 that can be a choice here, and the perceptron's step. What a spec may
name besides: an entry with other settings, or a formula of one's own.

Left out: `glu` (halves its units) and `threshold` (cannot be built by name). `swish` and `hard_swish` are Keras'
second names for `silu` and `hard_silu`. `sparsemax` is our own, since Keras 3.15's is wrong (docs/errata.md).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from experiments.fields import Strict
from experiments.formulas import FormulaError, Study, study

Smoothness = Literal["Cinf", "C1", "C0", "jump"]


@dataclass(frozen=True)
class Activation:
    """What is known about one activation f(z) before anything is trained.

    keras_name: its name in keras.activations; None where the implementation is ours
    smoothness: Cinf; C1 (continuous derivative); C0 (continuous, kinks in the derivative); jump (not continuous)
    kinks: the z where the derivative (C0) or the value (jump) is not continuous
    bends: the z where only the second derivative is not (C1): a difference quotient's error falls there with h, not h²
    derivative_bound: sup |f'(z)| over all z; inf where there is none
    low, high: the range of f
    initializer: the kernel initialiser the literature pairs with it (`kernel_initializer: auto`)
    vectorizable: False where no converter exists for the vectorised map over lanes
    joint: True where a unit's output depends on the other units' z (softmax and its kin)
    identity: True where f(z) = z
    study: of a formula; None for an entry of the table
    """

    name: str
    keras_name: str | None
    formula: str
    smoothness: Smoothness
    kinks: tuple[float, ...]
    derivative_bound: float
    low: float
    high: float
    initializer: str
    reference: str
    vectorizable: bool = True
    joint: bool = False
    identity: bool = False
    bends: tuple[float, ...] = ()
    study: Study | None = None


ACTIVATIONS: dict[str, Activation] = {
    row.name: row
    for row in (
        Activation("linear", "linear", "z", "Cinf", (), 1.0, -inf, inf, "glorot_uniform",
                   "the weighted sum itself", identity=True),
        Activation("step", None, "1 if z >= 0 else 0; the backward pass uses f'(z) = 1 (straight-through)",
                   "jump", (0.0,), 1.0, 0.0, 1.0, "glorot_uniform",
                   "Rosenblatt 1958, The perceptron; Bengio et al. 2013, arXiv:1308.3432"),
        Activation("sigmoid", "sigmoid", "1 / (1 + exp(-z))", "Cinf", (), 0.25, 0.0, 1.0, "glorot_uniform",
                   "Rumelhart, Hinton & Williams 1986"),
        Activation("tanh", "tanh", "tanh(z)", "Cinf", (), 1.0, -1.0, 1.0, "glorot_uniform",
                   "LeCun et al. 1998, Efficient BackProp"),
        Activation("relu", "relu", "max(0, z)", "C0", (0.0,), 1.0, 0.0, inf, "he_normal",
                   "Nair & Hinton 2010; Glorot, Bordes & Bengio 2011"),
        Activation("relu6", "relu6", "min(max(0, z), 6)", "C0", (0.0, 6.0), 1.0, 0.0, 6.0, "he_normal",
                   "Howard et al. 2017, arXiv:1704.04861"),
        Activation("leaky_relu", "leaky_relu", "z if z >= 0 else 0.2 z", "C0", (0.0,), 1.0, -inf, inf,
                   "he_normal", "Maas, Hannun & Ng 2013"),
        Activation("elu", "elu", "z if z > 0 else exp(z) - 1", "C1", (), 1.0, -1.0, inf, "he_normal",
                   "Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289", bends=(0.0,)),
        Activation("celu", "celu", "max(0, z) + min(0, exp(z) - 1)", "C1", (), 1.0, -1.0, inf, "he_normal",
                   "Barron 2017, arXiv:1704.07483", bends=(0.0,)),
        Activation("selu", "selu", "1.0507 (z if z > 0 else 1.6733 (exp(z) - 1))", "C0", (0.0,),
                   1.7580993408473766, -1.7580993408473766, inf, "lecun_normal",
                   "Klambauer et al. 2017, arXiv:1706.02515"),
        Activation("softplus", "softplus", "log(1 + exp(z))", "Cinf", (), 1.0, 0.0, inf, "he_normal",
                   "Dugas et al. 2001; Glorot, Bordes & Bengio 2011"),
        Activation("softsign", "softsign", "z / (1 + |z|)", "C1", (), 1.0, -1.0, 1.0, "glorot_uniform",
                   "Glorot & Bengio 2010", bends=(0.0,)),
        Activation("squareplus", "squareplus", "(z + sqrt(z^2 + 4)) / 2", "Cinf", (),
                   1.0, 0.0, inf, "he_normal",
                   "Barron 2021, arXiv:2112.11687"),
        Activation("silu", "silu", "z sigmoid(z)", "Cinf", (), 1.099839320128867, -0.2784645427610738, inf,
                   "he_normal", "Ramachandran, Zoph & Le 2017, arXiv:1710.05941"),
        Activation("hard_silu", "hard_silu", "z hard_sigmoid(z)", "C0", (-3.0, 3.0), 1.5, -0.375, inf,
                   "he_normal", "Howard et al. 2019, arXiv:1905.02244"),
        Activation("gelu", "gelu", "z (1 + erf(z / sqrt(2))) / 2", "Cinf", (), 1.128904145185155,
                   -0.16997120747990369, inf, "he_normal", "Hendrycks & Gimpel 2016, arXiv:1606.08415"),
        Activation("mish", "mish", "z tanh(softplus(z))",
                   "Cinf", (), 1.0884981612517277, -0.30884341301725043, inf, "he_normal",
                   "Misra 2019, arXiv:1908.08681"),
        Activation("exponential", "exponential", "exp(z)", "Cinf", (), inf, 0.0, inf, "glorot_uniform",
                   "the inverse of the logarithm"),
        Activation("hard_sigmoid", "hard_sigmoid", "min(max(0, z / 6 + 1/2), 1)", "C0", (-3.0, 3.0), 1 / 6,
                   0.0, 1.0, "glorot_uniform", "Courbariaux et al. 2015, arXiv:1511.00363"),
        Activation("hard_tanh", "hard_tanh", "min(max(-1, z), 1)", "C0", (-1.0, 1.0), 1.0, -1.0, 1.0,
                   "glorot_uniform", "Collobert 2004"),
        Activation("hard_shrink", "hard_shrink", "z if |z| > 1/2 else 0", "jump", (-0.5, 0.5), 1.0, -inf, inf,
                   "glorot_uniform", "Donoho & Johnstone 1994"),
        Activation("soft_shrink", "soft_shrink", "sign(z) max(|z| - 1/2, 0)", "C0", (-0.5, 0.5), 1.0, -inf,
                   inf, "glorot_uniform", "Donoho & Johnstone 1994"),
        Activation("tanh_shrink", "tanh_shrink", "z - tanh(z)", "Cinf", (), 1.0, -inf, inf, "glorot_uniform",
                   "Keras"),
        Activation("log_sigmoid", "log_sigmoid", "-log(1 + exp(-z))", "Cinf", (), 1.0, -inf, 0.0,
                   "glorot_uniform", "Keras"),
        Activation("sparse_plus", "sparse_plus", "0 if z <= -1; (z + 1)^2 / 4 if |z| < 1; z if z >= 1",
                   "C1", (),
                   1.0, 0.0, inf, "he_normal", "Keras", bends=(-1.0, 1.0)),
        Activation("sparse_sigmoid", "sparse_sigmoid", "min(max(0, (z + 1) / 2), 1)", "C0", (-1.0, 1.0), 0.5,
                   0.0, 1.0, "glorot_uniform", "Martins & Astudillo 2016, arXiv:1602.02068"),
        Activation("softmax", "softmax", "exp(z_i) / sum_j exp(z_j)", "Cinf", (), 0.5, 0.0, 1.0,
                   "glorot_uniform", "Bridle 1990", joint=True),
        Activation("log_softmax", "log_softmax", "z_i - log sum_j exp(z_j)", "Cinf", (), inf, -inf, 0.0,
                   "glorot_uniform", "Bridle 1990", joint=True),
        Activation("sparsemax", None, "projection of z on the simplex", "C0", (), 1.0, 0.0, 1.0,
                   "glorot_uniform", "Martins & Astudillo 2016, arXiv:1602.02068", vectorizable=False,
                   joint=True),
    )
}  # fmt: skip
"""Name -> what is known. softmax's bound is that of its Jacobian's spectral norm, 1/2."""

ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "identity": "linear"}


def _known(name: str) -> str:
    if name not in ACTIVATIONS:
        raise PydanticCustomError("unknown_name", "no activation is called so", {"names": list(ACTIVATIONS)})
    return name


ActivationName = Annotated[
    str,
    BeforeValidator(lambda name: ALIASES.get(name, name) if isinstance(name, str) else name),
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": sorted(ACTIVATIONS)}),
]


class Adjusted(Strict):
    """An entry of the table with settings of its own, by Keras' argument names. `{}` in a template is the setting."""

    template: ClassVar[str]
    name: str

    @property
    def formula(self) -> str:
        """As a formula in x."""
        (setting,) = (getattr(self, field) for field in type(self).model_fields if field != "name")
        return self.template.replace("{}", repr(float(setting)))

    def __str__(self) -> str:
        settings = (
            f"{field}={getattr(self, field):g}" for field in type(self).model_fields if field != "name"
        )
        return f"{self.name}({', '.join(settings)})"


class LeakyReLU(Adjusted):
    template: ClassVar[str] = "where(x > 0, x, {} * x)"
    name: Literal["leaky_relu"]
    negative_slope: Annotated[float, Field(strict=True, ge=-10, le=10)] = 0.2


class ELU(Adjusted):
    template: ClassVar[str] = "where(x > 0, x, {} * (exp(x) - 1))"
    name: Literal["elu"]
    alpha: Annotated[float, Field(strict=True, gt=0, le=100)] = 1.0


class SoftShrink(Adjusted):
    template: ClassVar[str] = "sign(x) * max(0, abs(x) - {})"
    name: Literal["soft_shrink"]
    threshold: Annotated[float, Field(strict=True, ge=0, le=5)] = 0.5


class Squareplus(Adjusted):
    template: ClassVar[str] = "(x + sqrt(x ** 2 + {})) / 2"
    name: Literal["squareplus"]
    b: Annotated[float, Field(strict=True, gt=0, le=1000)] = 4.0


ADJUSTABLE: dict[str, type[Adjusted]] = {
    "leaky_relu": LeakyReLU, "elu": ELU, "soft_shrink": SoftShrink, "squareplus": Squareplus
}  # fmt: skip
"""Name -> the entry with settings."""


def _readable(formula: str) -> str:
    try:
        study(formula)
    except FormulaError as error:
        allowed = {"position": error.position, "found": error.message, "allowed": error.allowed}
        raise PydanticCustomError("formula", "at position {position}: {found}", allowed) from None
    return formula


class Formula(Strict):
    """f(x) as a person wrote it: `x * sigmoid(1.7 * x)`."""

    formula: Annotated[str, Field(strict=True), AfterValidator(_readable)]

    def __str__(self) -> str:
        return self.formula


def _read(value: object) -> object:
    """A mapping with nothing but a name stands for the name."""
    if isinstance(value, dict) and value.keys() == {"name"}:
        value = value["name"]
    if isinstance(value, dict) and "formula" not in value:
        name = value.get("name")
        if (
            isinstance(name, str)
            and (name := ALIASES.get(name, name)) in ACTIVATIONS
            and name not in ADJUSTABLE
        ):
            raise PydanticCustomError(
                "no_settings",
                "{name} has no settings here",
                {
                    "name": name,
                    "allowed": f"the bare name, settings of {', '.join(ADJUSTABLE)}, or a formula",
                },
            )
        return value
    if not isinstance(value, str | dict | Strict):
        raise PydanticKnownError("string_type")
    return value


def _form(value: Any) -> str:
    """Which of the three forms of an activation a value has."""
    if isinstance(value, str):
        return "activation-name"
    formula = "formula" in value if isinstance(value, dict) else isinstance(value, Formula)
    return "activation-formula" if formula else "activation-settings"


ActivationChoice = Annotated[
    Annotated[ActivationName, Tag("activation-name")]
    | Annotated[Formula, Tag("activation-formula")]
    | Annotated[
        Annotated[LeakyReLU | ELU | SoftShrink | Squareplus, Field(discriminator="name")],
        Tag("activation-settings"),
    ],
    Discriminator(_form),
    BeforeValidator(_read),
]
"""An entry's name, `{name: …}` with its settings, or `{formula: …}`."""


def activation(choice: str | Formula | Adjusted) -> Activation:
    """What is known about an activation that a layer names."""
    return ACTIVATIONS[choice] if isinstance(choice, str) else _of_formula(str(choice), choice.formula)


@functools.lru_cache(maxsize=1024)
def _of_formula(name: str, formula: str) -> Activation:
    known = study(formula)
    one_sided = (known.low == -inf) != (known.high == inf)  # as ReLU: half of the variance is lost
    return Activation(
        name=name, keras_name=None, formula=formula, smoothness=known.smoothness, kinks=known.kinks,
        derivative_bound=known.derivative_bound, low=known.low, high=known.high,
        initializer="he_normal" if one_sided and known.low != -inf else "glorot_uniform",
        reference="a formula of one's own", bends=known.bends, study=known,
    )  # fmt: skip
