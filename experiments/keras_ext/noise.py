"""Random numbers inside a compiled program: a hash of (seed, update, element), not a generator with hidden
state.

Keras' own dropout cannot be mapped over lanes and gives different masks for one seed with and without XLA.
Integer arithmetic modulo 2^32 gives the same bits everywhere. The two words that the hash starts from are a
weight of the layer that no gradient moves, so every lane, checkpoint and resumed run carries its own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
from keras import ops
from keras.src.initializers.random_initializers import RandomInitializer

WORDS = "words"
"""The name of the weight that a layer's random numbers start from."""
_FIRST, _SECOND, _STEP = 0x85EBCA6B, 0xC2B2AE35, 0x9E3779B9


def _word(value: int) -> Any:
    return ops.cast(ops.convert_to_tensor(value, dtype="int64"), "uint32")


def _mixed(bits: Any) -> Any:
    """The finaliser of MurmurHash3 (A. Appleby, 2008): every input bit reaches every output bit. uint32."""
    for shift, factor in ((16, _FIRST), (13, _SECOND)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(shift)))
        bits = ops.multiply(bits, _word(factor))
    return ops.bitwise_xor(bits, ops.right_shift(bits, _word(16)))


def uniform(words: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Uniform in [0, 1) with 23 random bits (u · a then stays below a after rounding), so that float32 and
    float64 hold the same value.

    words: (2,) uint32, the seed and the number of the update; shape: of the result, the batch first.
    """
    key = _mixed(ops.add(ops.multiply(words[1], _word(_STEP)), _mixed(words[0])))
    count = 1
    for length in shape:
        count = count * length
    index = ops.cast(ops.arange(count, dtype="int32"), "uint32")  # (elements,)
    bits = _mixed(ops.bitwise_xor(_mixed(ops.add(index, key)), ops.multiply(key, _word(_FIRST))))
    fraction = ops.multiply(ops.cast(ops.right_shift(bits, _word(9)), dtype), 2.0**-23)
    return ops.reshape(fraction, shape)


class Words(RandomInitializer):  # type: ignore[misc]
    """(seed, 0): a noisy layer's two words before the first update."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        return ops.stack([_word(int(self.seed) & 0xFFFFFFFF), _word(0)])

    def get_config(self) -> dict[str, Any]:
        return {"seed": 0}


class Noisy(keras.layers.Layer):  # type: ignore[misc]
    """A layer that draws while training. Abstract: a subclass writes `noisy` and `still`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words_initializer = Words(seed=0)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.words = self.add_weight(
            name=WORDS, shape=(2,), dtype="uint32", initializer=self.words_initializer, trainable=False,
            autocast=False,
        )  # fmt: skip

    def draw(self, shape: tuple[int, ...]) -> Any:
        """Uniform numbers of this update, and one update further."""
        value = uniform(ops.convert_to_tensor(self.words), shape, self.compute_dtype)
        self.words.assign(ops.add(self.words, ops.stack([_word(0), _word(1)])))
        return value

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.noisy(inputs) if training else self.still(inputs)

    @abstractmethod
    def noisy(self, inputs: Any) -> Any:
        """The outputs while training."""

    @abstractmethod
    def still(self, inputs: Any) -> Any:
        """The outputs otherwise."""


@keras.saving.register_keras_serializable(package="gradus")
class Dropout(Noisy):
    """Training: each value is 0 with probability `rate`, else divided by 1 - rate (Srivastava et al.
    2014)."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def noisy(self, inputs: Any) -> Any:
        kept = ops.greater_equal(self.draw(ops.shape(inputs)), self.rate)
        return ops.where(kept, inputs * (1.0 / (1.0 - self.rate)), ops.zeros_like(inputs))

    def still(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
