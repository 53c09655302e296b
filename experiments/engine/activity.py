"""What happens inside the layers during one forward pass: weighted sums z and activations a.

Keras gives a layer's output and nothing in between. While `noted` is open, every layer with an activation notes
what its function was given and what the layer made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from experiments.engine import models
from experiments.engine.backend import Tensor, array
from experiments.layers import Layer
from experiments.runs import RunSpec

Sums = dict[int, tuple[Tensor, Tensor]]
"""Index of the layer -> (weighted sums, activations). Of a recurrent layer: (samples, steps, units)."""
Histograms = dict[str, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]]
"""Layer's name -> (counts (bins,), edges (bins + 1,))."""

BINS = 40
MOST_POINTS, MOST_VALUES = 512, 4_000_000
"""A picture is made of at most so many points, and of so few that no layer has more than so many activations."""


def active(layers: Sequence[Layer]) -> list[int]:
    """The indices of the layers that have an activation."""
    return [index for index, entry in enumerate(layers) if hasattr(entry, "activation")]


@contextmanager
def noted(layers: Mapping[int, keras.layers.Layer]) -> Iterator[Sums]:
    """Filled when the block ends, inside the graph where there is one; for exactly one forward pass.

    A recurrent layer (unrolled, as `models` builds them) is noted at every step: a is the state it passes on, z all
    that its activation was given, which of an LSTM is the candidate and the cell.
    """
    seen: dict[int, tuple[list[Tensor], list[Tensor]]] = {index: ([], []) for index in layers}
    sums: Sums = {}
    undo: list[Callable[[], None]] = []
    for index, layer in layers.items():
        cell = getattr(layer, "cell", None)
        _watch(layer if cell is None else cell, *seen[index], undo, recurrent=cell is not None)
    try:
        yield sums
        for index, (z, a) in seen.items():
            recurrent = hasattr(layers[index], "cell")
            sums[index] = (ops.stack(z, axis=1), ops.stack(a, axis=1)) if recurrent else (z[0], a[0])
    finally:
        for step in undo:
            step()


def _watch(
    holder: Any, z: list[Tensor], a: list[Tensor], undo: list[Callable[[], None]], *, recurrent: bool
) -> None:
    """Note what the holder's activation is given, and what it gives; of a cell, the state it passes on."""
    function, call = holder.activation, holder.call

    def noting(values: Tensor) -> Tensor:
        z.append(values)
        result = function(values)
        if not recurrent:
            a.append(result)
        return result

    def stepping(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        a.append(result[0])
        return result

    object.__setattr__(holder, "activation", noting)
    undo.append(lambda: object.__setattr__(holder, "activation", function))
    if recurrent:
        object.__setattr__(holder, "call", stepping)
        undo.append(lambda: vars(holder).pop("call"))


def histograms(spec: RunSpec, networks: Mapping[str, keras.Model], x: Any) -> dict[str, Histograms]:
    """Layer's name -> the network's label -> how its activations are distributed over the points.

    networks: label -> network of `spec`, of finite weights. x: (samples, *input) in the network's data format.
    All networks share a layer's bins, so that their distributions can be laid over each other.
    """
    wanted = active(spec.model.layers)
    widest = max(int(np.prod(row.output_shape)) for row in spec.forecast.layers)
    chosen = models.inputs(spec, x[: max(1, min(MOST_POINTS, MOST_VALUES // widest))])
    values: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for label, network in networks.items():
        layers = {index: network.layers[index] for index in wanted}
        with noted(layers) as sums:
            network(chosen, training=False)
        for index, (_, a) in sums.items():
            values.setdefault(layers[index].name, {})[label] = array(a).ravel()
    return {name: _binned(of) for name, of in values.items()}


def _binned(values: Mapping[str, npt.NDArray[Any]]) -> Histograms:
    finite = {label: a[np.isfinite(a)] for label, a in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(finite.values())), BINS)
    return {label: (np.histogram(a, edges)[0].astype(np.float64), edges) for label, a in finite.items()}
