"""Whole numbers that stand for symbols, as vectors that are learnt."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Units, Wanted
from experiments.regularizers import RegularizerSpec


class Embedding(Layer):
    """A table with a row for every symbol: (steps,) whole numbers become (steps, output_dim)."""

    keras_name: ClassVar[str] = "Embedding"
    formula: ClassVar[str] = "token t becomes row t of the table; parameters input_dim · output_dim"
    reference: ClassVar[str] = "Bengio et al. 2003, A neural probabilistic language model"
    wants: ClassVar[Wanted] = "tokens"
    keeps_sign: ClassVar[bool] = False
    type: Literal["embedding"] = "embedding"
    input_dim: Units | None = None
    """Rows: one more than the largest token. None: as many as the data set has tokens."""
    output_dim: Units
    embeddings_initializer: InitializerSpec | None = None
    embeddings_regularizer: RegularizerSpec | None = None

    def drawn(self) -> dict[str, str]:
        return {"embeddings": "embeddings_initializer"}

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        rows = self.input_dim or 0
        return Forecast(
            output_shape=(*shape, self.output_dim),
            parameters=rows * self.output_dim,
            formula=f"{rows}·{self.output_dim} = {rows * self.output_dim:,} parameters",
        )

    @property
    def label(self) -> str:
        return f"embed{self.output_dim}"
