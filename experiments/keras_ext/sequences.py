"""The other order of a sequence's steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="gradus")
class Reverse(keras.layers.Layer):  # type: ignore[misc]
    """(batch, steps, features), the last step first. What Keras does within `keras.layers.Bidirectional`."""

    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=1)
