"""All that this project asks of TensorFlow or JAX: gradients, vectorised maps, loops, compilation, devices, optimizers.

A backend is one module with these names; `tensorflow` documents them. Which module it is follows from the backend that
Keras was started with (KERAS_BACKEND); a process has one for its whole life. No other module imports either of them
(`make check` holds that).
"""

from __future__ import annotations

from experiments.engine.backend.lean_import import without_unneeded_packages
from experiments.engine.backend.tensors import Tensor, Tree
from experiments.errors import GradusError

with without_unneeded_packages():
    import keras


class BackendError(GradusError):
    """Keras runs on a backend that this project has no module for."""


name: str = keras.backend.backend()
"""The backend of this process: `tensorflow` or `jax`."""

if name == "jax":
    from experiments.engine.backend.jax import (
        array,
        compiled,
        functional,
        largest,
        loop,
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
elif name == "tensorflow":
    from experiments.engine.backend.tensorflow import (
        array,
        compiled,
        functional,
        largest,
        loop,
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
        f"Keras runs on {name}; this project trains on tensorflow or jax: set KERAS_BACKEND to one of them"
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
    "name",
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
