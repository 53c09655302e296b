"""All that this project asks of TensorFlow: gradients, vectorised maps, loops, compilation, devices, optimizers.

A backend is one module with these names. Which module it is follows from the backend that Keras was started with;
a process has one for its whole life. No other module imports TensorFlow (`make check` holds that).
"""

from __future__ import annotations

import keras

from experiments.engine.backend.tensors import Tensor, Tree
from experiments.errors import GradusError


class BackendError(GradusError):
    """Keras runs on a backend that this project has no module for."""


if keras.backend.backend() == "tensorflow":
    from experiments.engine.backend.tensorflow import (
        array,
        compiled,
        functional,
        largest,
        loop,
        map_tree,
        on,
        over_lanes,
        take,
        tensor,
        threads,
        updated,
        use_threads,
        value_and_gradients,
        versions,
        where,
    )
else:
    raise BackendError(
        f"Keras runs on {keras.backend.backend()}; this project trains on tensorflow: set KERAS_BACKEND=tensorflow"
    )

__all__ = [
    "BackendError",
    "Tensor",
    "Tree",
    "array",
    "compiled",
    "functional",
    "largest",
    "loop",
    "map_tree",
    "on",
    "over_lanes",
    "take",
    "tensor",
    "threads",
    "updated",
    "use_threads",
    "value_and_gradients",
    "versions",
    "where",
]
