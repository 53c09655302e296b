"""Self-attention whose weights are its own, so that one layer with named tensors is drawn, checked and measured.

Keras' layers are called with a query and a value, and Keras' multi-head attention holds four layers that it makes when the
shape is known. These compute the same operations in the same order; `keras_own` gives Keras' layer for a network that is to
be loaded elsewhere.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


class SelfAttention(keras.layers.Layer):  # type: ignore[misc]
    """Every step of (batch, steps, features) attends to all steps. Abstract."""

    def softmax(self, scores: Any) -> Any:
        """The scores as shares that add up to 1 along the last axis, the steps that are attended to."""
        return ops.softmax(scores, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    @abstractmethod
    def shares(self, inputs: Any) -> Any:
        """How much each step takes from every step: (batch, heads, steps, steps)."""

    @abstractmethod
    def keras_own(self) -> Callable[[Any], Any]:
        """Keras' own layer with the same name and settings, as a function of the sequence."""


@keras.saving.register_keras_serializable(package="gradus")
class Attention(SelfAttention):
    """`keras.layers.Attention` of a sequence with itself: softmax(X Xᵀ) X, or softmax(s X Xᵀ) X with s learnt."""

    def __init__(self, use_scale: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones") if self.use_scale else None

    def shares(self, inputs: Any) -> Any:
        return ops.expand_dims(self._shares(inputs), 1)

    def _shares(self, inputs: Any) -> Any:
        scores = ops.matmul(inputs, ops.swapaxes(inputs, -2, -1))
        return self.softmax(scores if self.scale is None else ops.multiply(scores, self.scale))

    def call(self, inputs: Any) -> Any:
        return ops.matmul(self._shares(inputs), inputs)

    def keras_own(self) -> Callable[[Any], Any]:
        own = keras.layers.Attention(use_scale=self.use_scale, name=self.name, dtype=self.dtype_policy)
        return lambda inputs: own([inputs, inputs])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_scale": self.use_scale}


@keras.saving.register_keras_serializable(package="gradus")
class MultiHeadAttention(SelfAttention):
    """`keras.layers.MultiHeadAttention` of a sequence with itself (Vaswani et al. 2017, section 3.2).

    Kernels of queries, keys and values: (features, heads, dim); of the output: (heads, value_dim, features).
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features, value_dim = input_shape[-1], self.value_dim or self.key_dim
        assert features is not None
        asked, given = (features, self.num_heads, self.key_dim), (features, self.num_heads, value_dim)
        self.query = self._linear("query", asked, asked[1:])
        self.key = self._linear("key", asked, asked[1:])
        self.value = self._linear("value", given, given[1:])
        self.output_weights = self._linear("output", (*given[1:], features), (features,))

    def _linear(self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]) -> list[Any]:
        """The kernel and, where there is one, the bias of a linear map."""
        weights = [
            self.add_weight(
                name=f"{name}_kernel",
                shape=kernel,
                initializer=self.kernel_initializer,
                regularizer=self.kernel_regularizer,
            )
        ]
        if self.use_bias:
            weights.append(
                self.add_weight(
                    name=f"{name}_bias",
                    shape=bias,
                    initializer=self.bias_initializer,
                    regularizer=self.bias_regularizer,
                )
            )
        return weights

    def scaled(self, query: Any) -> Any:
        """Queries over √key_dim, so that the scores' variance does not grow with key_dim (Vaswani et al., footnote 4)."""
        return ops.multiply(query, self.key_dim**-0.5)

    def shares(self, inputs: Any) -> Any:
        query, key = (_mapped("btf,fhd->bthd", inputs, weights) for weights in (self.query, self.key))
        return self.softmax(ops.einsum("bshd,bthd->bhts", key, self.scaled(query)))

    def call(self, inputs: Any) -> Any:
        value = _mapped("btf,fhd->bthd", inputs, self.value)
        heads = ops.einsum("bhts,bshd->bthd", self.shares(inputs), value)
        return _mapped("bthd,hdf->btf", heads, self.output_weights)

    def keras_own(self) -> Callable[[Any], Any]:
        settings = {key: value for key, value in self.get_config().items() if key != "trainable"}
        own = keras.layers.MultiHeadAttention(**settings, flash_attention=False)
        # Asked for the shares too, it takes the same way on every backend; on JAX the other one wants value_dim = key_dim.
        return lambda inputs: own(inputs, inputs, return_attention_scores=True)[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }


def _mapped(equation: str, inputs: Any, weights: list[Any]) -> Any:
    """inputs · kernel, plus the bias where there is one."""
    kernel, *bias = weights
    product = ops.einsum(equation, inputs, kernel)
    return ops.add(product, bias[0]) if bias else product
