"""The losses of Keras 3.15 by Keras' names and argument names, and ½Σ(t−y)².

In the formulas t is the target and y the output of one sample; a batch's loss is the mean over its samples. Each
class says what it needs from the last layer, so that a misfit is refused before anything is queued.
Left out: CTC, whose targets have another length than the outputs.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from experiments.fields import Flag, Fraction, NonNegative, Positive, Strict, UnitInterval

Encoding = Literal["one_hot", "integer", "value"]
Wanted = Literal["any", "probabilities", "distribution", "non_negative", "above_minus_one"]


class Loss(Strict):
    """One loss.

    output: the activation of a last layer that names none
    wants: the outputs for which it is defined: `distribution` (softmax and its kin over 2 or more units, or
        independent probabilities that Keras normalises), `probabilities`, ...
    integer_targets: class numbers instead of one-hot vectors
    kinds: the kinds of data it fits
    smoothness: as in activations, in y; kinks at y = t unless `margin`
    """

    keras_name: ClassVar[str | None]
    formula: ClassVar[str]
    reference: ClassVar[str] = "Keras"
    output: ClassVar[str] = "linear"
    wants: ClassVar[Wanted] = "any"
    kinds: ClassVar[frozenset[str]] = frozenset({"classification", "binary", "regression"})
    integer_targets: ClassVar[bool] = False
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "Cinf"
    two_units: ClassVar[bool] = False
    """True where a single output says nothing: two classes need two, and one target number is too few."""
    any_units: ClassVar[bool] = False
    """True where the number of outputs is free (embeddings)."""
    lanes: ClassVar[bool] = True
    coupled: ClassVar[bool] = False
    """True where a sample's share depends on the others of its batch, so that the batch size decides the value."""
    reads_sums_of: ClassVar[str | None] = None
    """The output activation that Keras' loss undoes. Where a softmax or a sigmoid kept its weighted sums, Keras computes
    this activation's loss from them, whatever the network's outputs are.
    """
    divides_by_targets: ClassVar[bool] = False
    """True where a target of 0 makes the loss meaningless."""
    lowest_target: ClassVar[float] = -math.inf
    """The smallest target for which the loss is defined."""
    margin_at_zero: ClassVar[bool] = False
    """True where the sign of a single output names the class."""

    name: str

    def at_chance(self, classes: int) -> float | None:
        """The loss when every one of `classes` balanced classes gets the same probability. None where no such value
        is known.
        """
        return None

    def arguments(self) -> dict[str, object]:
        """What keras.losses.<keras_name> takes."""
        return self.model_dump(exclude={"name"})

    def keras_config(self) -> dict[str, object]:
        return {"class_name": self.keras_name, "config": self.arguments()}

    @property
    def logits(self) -> bool:
        """True where the outputs are weighted sums before a softmax or sigmoid."""
        return bool(getattr(self, "from_logits", False))

    @property
    def threshold(self) -> float:
        """Above it, a single output names class 1."""
        return 0.0 if self.logits or self.margin_at_zero else 0.5

    @property
    def output_activation(self) -> str:
        return "linear" if self.logits else self.output

    def encoding(self, kind: str, units: int) -> Encoding:
        """How the targets of a data set of kind `kind` are written for `units` outputs."""
        if kind == "regression" or (kind == "binary" and units == 1):
            return "integer" if self.integer_targets else "value"
        return "integer" if self.integer_targets else "one_hot"


class _Classes(Loss):
    kinds: ClassVar[frozenset[str]] = frozenset({"classification", "binary"})


class _Distribution(_Classes):
    two_units: ClassVar[bool] = True
    output: ClassVar[str] = "softmax"
    wants: ClassVar[Wanted] = "distribution"


class _Probability(_Classes):
    output: ClassVar[str] = "sigmoid"
    wants: ClassVar[Wanted] = "probabilities"


class _Overlap(_Classes):
    output: ClassVar[str] = "sigmoid"
    wants: ClassVar[Wanted] = "probabilities"


class CategoricalCrossentropy(_Distribution):
    keras_name: ClassVar[str | None] = "CategoricalCrossentropy"
    formula: ClassVar[str] = "-Σ t log y"
    reference: ClassVar[str] = "Bridle 1990"
    reads_sums_of: ClassVar[str | None] = "softmax"
    name: Literal["categorical_crossentropy"] = "categorical_crossentropy"
    from_logits: Flag = False
    label_smoothing: UnitInterval = 0.0

    def at_chance(self, classes: int) -> float | None:
        return math.log(classes)


class SparseCategoricalCrossentropy(_Distribution):
    keras_name: ClassVar[str | None] = "SparseCategoricalCrossentropy"
    formula: ClassVar[str] = "-log y[class]"
    reference: ClassVar[str] = "Bridle 1990"
    integer_targets: ClassVar[bool] = True
    reads_sums_of: ClassVar[str | None] = "softmax"
    name: Literal["sparse_categorical_crossentropy"] = "sparse_categorical_crossentropy"
    from_logits: Flag = False
    ignore_class: Annotated[int, Field(strict=True, ge=0, le=10**6)] | None = None

    def at_chance(self, classes: int) -> float | None:
        return math.log(classes)


class BinaryCrossentropy(_Probability):
    keras_name: ClassVar[str | None] = "BinaryCrossentropy"
    formula: ClassVar[str] = "-mean(t log y + (1 - t) log(1 - y))"
    reference: ClassVar[str] = "Bishop 1995"
    reads_sums_of: ClassVar[str | None] = "sigmoid"
    name: Literal["binary_crossentropy"] = "binary_crossentropy"
    from_logits: Flag = False
    label_smoothing: UnitInterval = 0.0

    def at_chance(self, classes: int) -> float | None:
        return math.log(2)


class BinaryFocalCrossentropy(_Probability):
    keras_name: ClassVar[str | None] = "BinaryFocalCrossentropy"
    formula: ClassVar[str] = "binary cross-entropy · (1 - p)^gamma, p the probability given to the truth"
    reference: ClassVar[str] = "Lin et al. 2017, arXiv:1708.02002"
    reads_sums_of: ClassVar[str | None] = "sigmoid"
    name: Literal["binary_focal_crossentropy"] = "binary_focal_crossentropy"
    apply_class_balancing: Flag = False
    alpha: UnitInterval = 0.25
    gamma: NonNegative = 2.0
    from_logits: Flag = False
    label_smoothing: UnitInterval = 0.0


class CategoricalFocalCrossentropy(_Distribution):
    keras_name: ClassVar[str | None] = "CategoricalFocalCrossentropy"
    formula: ClassVar[str] = "-alpha Σ (1 - y)^gamma t log y"
    reference: ClassVar[str] = "Lin et al. 2017, arXiv:1708.02002"
    name: Literal["categorical_focal_crossentropy"] = "categorical_focal_crossentropy"
    alpha: UnitInterval = 0.25
    gamma: NonNegative = 2.0
    from_logits: Flag = False
    label_smoothing: UnitInterval = 0.0


class CategoricalGeneralizedCrossEntropy(_Distribution):
    keras_name: ClassVar[str | None] = "CategoricalGeneralizedCrossEntropy"
    formula: ClassVar[str] = "(1 - y[class]^q) / q"
    reference: ClassVar[str] = "Zhang & Sabuncu 2018, arXiv:1805.07836"
    integer_targets: ClassVar[bool] = True
    name: Literal["categorical_generalized_cross_entropy"] = "categorical_generalized_cross_entropy"
    q: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.5


class KLDivergence(_Distribution):
    keras_name: ClassVar[str | None] = "KLDivergence"
    formula: ClassVar[str] = "Σ t log(t / y)"
    reference: ClassVar[str] = "Kullback & Leibler 1951"
    name: Literal["kl_divergence"] = "kl_divergence"


class Poisson(Loss):
    keras_name: ClassVar[str | None] = "Poisson"
    formula: ClassVar[str] = "mean(y - t log y)"
    output: ClassVar[str] = "softplus"
    wants: ClassVar[Wanted] = "non_negative"
    lowest_target: ClassVar[float] = 0.0
    name: Literal["poisson"] = "poisson"


class MeanSquaredError(Loss):
    keras_name: ClassVar[str | None] = "MeanSquaredError"
    formula: ClassVar[str] = "mean((t - y)²)"
    reference: ClassVar[str] = "Gauss 1809"
    name: Literal["mean_squared_error"] = "mean_squared_error"


class HalfSquaredError(Loss):
    """½Σ(t−y)²: the loss of the delta rule. Keras' mean over K outputs has 2/K times its gradient."""

    keras_name: ClassVar[str | None] = None
    formula: ClassVar[str] = "½ Σ (t - y)²"
    reference: ClassVar[str] = "Widrow & Hoff 1960; Nielsen 2015, ch. 1"
    name: Literal["half_squared_error"] = "half_squared_error"


class MeanAbsoluteError(Loss):
    keras_name: ClassVar[str | None] = "MeanAbsoluteError"
    formula: ClassVar[str] = "mean|t - y|"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    name: Literal["mean_absolute_error"] = "mean_absolute_error"


class MeanAbsolutePercentageError(Loss):
    """For targets that are not 0. Most targets of classes are 0, so it is only for regression."""

    divides_by_targets: ClassVar[bool] = True

    kinds: ClassVar[frozenset[str]] = frozenset({"regression"})
    keras_name: ClassVar[str | None] = "MeanAbsolutePercentageError"
    formula: ClassVar[str] = "100 mean|(t - y) / t|"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    name: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Loss):
    keras_name: ClassVar[str | None] = "MeanSquaredLogarithmicError"
    formula: ClassVar[str] = "mean((log(t + 1) - log(y + 1))²)"
    output: ClassVar[str] = "softplus"
    wants: ClassVar[Wanted] = "non_negative"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    lowest_target: ClassVar[float] = 0.0
    name: Literal["mean_squared_logarithmic_error"] = "mean_squared_logarithmic_error"


class Huber(Loss):
    keras_name: ClassVar[str | None] = "Huber"
    formula: ClassVar[str] = "mean(½ e² if |e| <= delta else delta |e| - ½ delta²), e = t - y"
    reference: ClassVar[str] = "Huber 1964"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C1"
    name: Literal["huber"] = "huber"
    delta: Positive = 1.0


class LogCosh(Loss):
    keras_name: ClassVar[str | None] = "LogCosh"
    formula: ClassVar[str] = "mean(log cosh(y - t))"
    name: Literal["log_cosh"] = "log_cosh"


class CosineSimilarity(Loss):
    two_units: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "CosineSimilarity"
    formula: ClassVar[str] = "-Σ t y / (|t| |y|)"
    name: Literal["cosine_similarity"] = "cosine_similarity"


class Hinge(_Classes):
    margin_at_zero: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "Hinge"
    formula: ClassVar[str] = "mean(max(1 - t y, 0)), t in {-1, 1}"
    reference: ClassVar[str] = "Cortes & Vapnik 1995"
    output: ClassVar[str] = "linear"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    name: Literal["hinge"] = "hinge"


class SquaredHinge(_Classes):
    margin_at_zero: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "SquaredHinge"
    formula: ClassVar[str] = "mean(max(1 - t y, 0)²), t in {-1, 1}"
    reference: ClassVar[str] = "Cortes & Vapnik 1995"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C1"
    name: Literal["squared_hinge"] = "squared_hinge"


class CategoricalHinge(_Classes):
    two_units: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "CategoricalHinge"
    formula: ClassVar[str] = "max(max((1 - t) y) - Σ t y + 1, 0)"
    reference: ClassVar[str] = "Crammer & Singer 2001"
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    name: Literal["categorical_hinge"] = "categorical_hinge"


class Dice(_Overlap):
    """Over the whole batch at once, as Keras computes it."""

    coupled: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "Dice"
    formula: ClassVar[str] = "1 - 2 Σ t y / (Σ t + Σ y)"
    reference: ClassVar[str] = "Milletari et al. 2016, arXiv:1606.04797"
    name: Literal["dice"] = "dice"


class Tversky(_Overlap):
    """Over the whole batch at once, as Keras computes it."""

    coupled: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "Tversky"
    formula: ClassVar[str] = "1 - Σ t y / (Σ t y + alpha Σ (1 - t) y + beta Σ t (1 - y))"
    reference: ClassVar[str] = "Salehi et al. 2017, arXiv:1706.05721"
    name: Literal["tversky"] = "tversky"
    alpha: NonNegative = 0.5
    beta: NonNegative = 0.5


class Circle(_Classes):
    """Metric learning: the outputs are an embedding; no class is predicted, so accuracy is not measured."""

    coupled: ClassVar[bool] = True
    keras_name: ClassVar[str | None] = "Circle"
    formula: ClassVar[str] = "log(1 + Σ exp(gamma a_n (s_n - margin)) Σ exp(-gamma a_p (s_p - 1 + margin)))"
    reference: ClassVar[str] = "Sun et al. 2020, arXiv:2002.10857"
    integer_targets: ClassVar[bool] = True
    any_units: ClassVar[bool] = True
    smoothness: ClassVar[Literal["Cinf", "C1", "C0"]] = "C0"
    name: Literal["circle"] = "circle"
    gamma: Positive = 80.0
    margin: Fraction = 0.4
    remove_diagonal: Flag = True


LOSSES: dict[str, type[Loss]] = {
    str(entry.model_fields["name"].default): entry
    for entry in (
        CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy, BinaryFocalCrossentropy,
        CategoricalFocalCrossentropy, CategoricalGeneralizedCrossEntropy, KLDivergence, Poisson,
        MeanSquaredError, HalfSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError, Huber, LogCosh, CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge,
        Dice, Tversky, Circle,
    )
}  # fmt: skip

ALIASES = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence", "bce": "binary_crossentropy",
    "logcosh": "log_cosh",
}  # fmt: skip
"""Keras' own short names."""


def _named(value: object) -> object:
    if isinstance(value, str):
        return {"name": ALIASES.get(value, value)}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value | {"name": ALIASES.get(value["name"], value["name"])}
    return value


LossSpec = Annotated[
    CategoricalCrossentropy | SparseCategoricalCrossentropy | BinaryCrossentropy | BinaryFocalCrossentropy
    | CategoricalFocalCrossentropy | CategoricalGeneralizedCrossEntropy | KLDivergence | Poisson
    | MeanSquaredError | HalfSquaredError | MeanAbsoluteError | MeanAbsolutePercentageError
    | MeanSquaredLogarithmicError | Huber | LogCosh | CosineSimilarity | Hinge | SquaredHinge
    | CategoricalHinge | Dice | Tversky | Circle,
    Field(discriminator="name"),
    BeforeValidator(_named),
]  # fmt: skip
