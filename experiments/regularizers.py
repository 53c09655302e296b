"""Regularisers by Keras' names and argument names."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from experiments.fields import NonNegative, Strict, named


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
