"""Lines of a program that draw the initial weights as the engine draws them (experiments/engine/initial_weights.py)."""

from __future__ import annotations

import json
from typing import Any

from experiments.initializers import (
    Initializer,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    Scaling,
    TruncatedNormal,
)
from experiments.keras_code.own_code import definitions
from experiments.layers import Layer, Recurrent, Weighted
from experiments.runs import RunSpec
from experiments.spec.resolve import initializer

DEFAULTS = {
    "recurrent_kernel": "orthogonal",
    "bias": "zeros",
    "gamma": "ones",
    "beta": "zeros",
    "alpha": "zeros",
    "embeddings": "random_uniform",
    **{f"{name}_bias": "zeros" for name in ("query", "key", "value", "output")},
}
"""Keras' own initialisers of weights that name none, where that is not glorot_uniform."""


def weight_lines(run: RunSpec) -> list[str]:
    """Code that replaces every weight that is drawn at random; zeros, ones and constants are Keras' own."""
    lines: list[str] = []
    used: list[Initializer] = []
    given: list[str] = []
    for index, (layer, called) in enumerate(zip(run.model.layers, run.model.names, strict=True)):
        own = f"model.layers[{index}]" if run.model.sequential else f"model.get_layer({called!r})"
        if isinstance(layer, Weighted) and layer.weights is not None:
            given += [f"{own}.set_weights([", *_arrays(layer.weights), "])"]
            continue
        for position, (number, name, drawn) in enumerate(_weights(layer)):
            expression = _drawn(drawn)
            if expression is not None:
                used.append(drawn)
                lines += [
                    f'random, weight = generator({index}, "{number}:{name}"), {own}.weights[{position}]',
                    f"weight.assign({expression})",
                ]
    return [*([*_helpers(used), "", *lines] if lines else []), *given]


def _arrays(weights: tuple[Any, ...]) -> list[str]:
    """The values that a person gave."""
    return [f'    np.array({json.dumps(values)}, "float32"),' for values in weights]


def _weights(layer: Layer) -> list[tuple[int, str, Initializer]]:
    """(number of the part, name, initialiser) of a layer's weights in Keras' order. A recurrent layer's are its cell's."""
    number = int(isinstance(layer, Recurrent))
    return [
        (number, name, getattr(layer, field) or initializer(DEFAULTS.get(name, "glorot_uniform")))
        for name, field in layer.drawn().items()
    ]


def _drawn(chosen: Initializer) -> str | None:
    """The draw as an expression of `random` and `weight`; None where nothing is drawn."""
    match chosen:
        case Scaling():
            return f"scaled(weight.shape, random, {', '.join(map(repr, chosen.scaling()))})"
        case RandomNormal():
            return f"random.normal({chosen.mean!r}, {chosen.stddev!r}, weight.shape)"
        case RandomUniform():
            return f"random.uniform({chosen.minval!r}, {chosen.maxval!r}, weight.shape)"
        case TruncatedNormal():
            return f"{chosen.mean!r} + {chosen.stddev!r} * truncated_normal(weight.shape, random)"
        case Orthogonal():
            return f"orthogonal(weight.shape, random, {chosen.gain!r})"
    return None


def _helpers(used: list[Initializer]) -> list[str]:
    names: list[str] = []
    scaled = any(isinstance(chosen, Scaling) for chosen in used)
    if scaled or any(isinstance(chosen, TruncatedNormal) for chosen in used):
        names.append("truncated_normal")
    if scaled:
        names += ["fans", "scaled"]
    if any(isinstance(chosen, Orthogonal) for chosen in used):
        names.append("orthogonal")
    constants = ("TRUNCATED_STDDEV",) if scaled else ()
    helpers = [definitions("initializers.py", *names, constants=constants)] if names else []
    return [
        "# Initial weights: NumPy's Philox by seed, layer and weight, so that they are the same wherever they are drawn.",
        *helpers,
        "",
        "",
        "def generator(layer, weight):",
        "    return weights(SEED, layer, zlib.crc32(weight.encode()))",
        "",
    ]
