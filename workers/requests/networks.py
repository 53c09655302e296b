"""A trained network again, from its spec and its stored weights. Loads TensorFlow."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from experiments.engine import backend, models
from experiments.runs import RunSpec

Array = npt.NDArray[np.float32]
BATCH = 1024


@functools.cache
def ready(threads: int) -> None:
    """Set TensorFlow up, once per process."""
    backend.use_threads(threads)


def trained(spec: RunSpec, weights: bytes) -> keras.Model:
    """The network of `spec` with the weights of a Keras `.weights.h5` file."""
    model = models.build(spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        path.write_bytes(weights)
        model.load_weights(path)
    return model


def outputs(model: keras.Model, x: Array) -> Array:
    """The network's outputs for inputs (n, *input): (n, *output), float32."""
    parts = [model(x[start : start + BATCH], training=False) for start in range(0, len(x), BATCH)]
    return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part)) for part in parts])
