"""Self-attention over sequences (steps, features): every step is a mean of all steps, weighted by what it asks for."""

from __future__ import annotations

from typing import ClassVar, Literal

from experiments.fields import Flag
from experiments.initializers import InitializerSpec
from experiments.layers.base import DataFormat, Forecast, Layer, Shape, Units, Wanted
from experiments.regularizers import RegularizerSpec

LONE = "a sequence of one step attends to itself alone: what is asked for changes nothing"


class SelfAttention(Layer):
    """Queries, keys and values are made of one sequence. Abstract."""

    wants: ClassVar[Wanted] = "sequence"
    keeps_sign: ClassVar[bool] = False


class Attention(SelfAttention):
    """Queries, keys and values are the inputs themselves: no weights, but for a factor of the scores that may be learnt."""

    keras_name: ClassVar[str] = "Attention"
    formula: ClassVar[str] = "softmax(X Xᵀ) X, over the steps; use_scale: softmax(s X Xᵀ) X with s learnt"
    reference: ClassVar[str] = "Luong, Pham & Manning 2015, arXiv:1508.04025"
    keras_call: ClassVar[str] = "[x, x]"
    type: Literal["attention"] = "attention"
    use_scale: Flag = False

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        steps, features = shape
        scores = steps * steps
        scaled = int(self.use_scale)
        return Forecast(
            output_shape=shape,
            parameters=scaled,
            flops=scores * (2 * features - 1 + scaled) + 3 * scores + steps * features * (2 * steps - 1),
            held=2 * scores,
            formula=f"{steps}·{steps} scores",
            warnings=(LONE,) if steps == 1 else (),
        )

    @property
    def label(self) -> str:
        return "attn"


class MultiHeadAttention(SelfAttention):
    """Each head has its own linear layers for queries, keys and values; a last one puts the heads together."""

    keras_name: ClassVar[str] = "MultiHeadAttention"
    formula: ClassVar[str] = (
        "head = softmax(Q Kᵀ / √key_dim) V with Q = X W_q + b_q, …; all heads · W_o + b_o. "
        "2 (features + 1) · heads · key_dim + (features + 1) · heads · value_dim + (heads · value_dim + 1) · features"
    )
    reference: ClassVar[str] = "Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762"
    keras_call: ClassVar[str] = "x, x"
    idle: ClassVar[tuple[str, ...]] = ("key_bias",)
    type: Literal["multi_head_attention"] = "multi_head_attention"
    num_heads: Units
    key_dim: Units
    value_dim: Units | None = None
    """None: as key_dim."""
    use_bias: Flag = True
    kernel_initializer: InitializerSpec | None = None
    bias_initializer: InitializerSpec | None = None
    kernel_regularizer: RegularizerSpec | None = None
    bias_regularizer: RegularizerSpec | None = None

    def drawn(self) -> dict[str, str]:
        drawn: dict[str, str] = {}
        for name in ("query", "key", "value", "output"):
            drawn[f"{name}_kernel"] = "kernel_initializer"
            if self.use_bias:
                drawn[f"{name}_bias"] = "bias_initializer"
        return drawn

    def fan_in(self, kernel: Shape) -> int:
        """Of the queries: (features, heads, key_dim)."""
        return kernel[0]

    def forecast(self, shape: Shape, data_format: DataFormat) -> Forecast:
        (steps, features), heads, bias = shape, self.num_heads, int(self.use_bias)
        asked, given = heads * self.key_dim, heads * (self.value_dim or self.key_dim)
        scores = heads * steps * steps
        parameters = (features + bias) * (2 * asked + given) + (given + bias) * features
        return Forecast(
            output_shape=shape,
            parameters=parameters,
            flops=steps * (2 * features - 1 + bias) * (2 * asked + given)
            + scores * (2 * self.key_dim - 1 + 1)
            + 3 * scores
            + steps * given * (2 * steps - 1)
            + steps * features * (2 * given - 1 + bias),
            held=2 * scores + steps * (2 * asked + 2 * given),
            formula=f"2·({features} + {bias})·{asked} + ({features} + {bias})·{given} + ({given} + {bias})·{features} = "
            f"{parameters:,} parameters; {heads} heads of {steps}·{steps} scores",
            warnings=(LONE,) if steps == 1 else (),
        )

    @property
    def label(self) -> str:
        return f"attn{self.num_heads}x{self.key_dim}"
