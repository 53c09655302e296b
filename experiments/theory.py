"""What can be said about a network without building it: shapes, parameters, FLOPs, memory, first loss.

FLOPs: one forward pass of one sample, multiplication and addition counted as one each. Training costs about
three times that (forward, gradient by inputs, gradient by weights). Memory: float32, one lane, one batch:
weights, their gradient and the optimizer's tensors; every layer's output and its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.datasets import DataShape
from experiments.errors import Problem, SpecError
from experiments.layers import Join, Layer, Shape, Weighted
from experiments.layers.base import DataFormat, Forecast, size
from experiments.layers.own_weights import check_weights
from experiments.limits import Limits
from experiments.losses import Loss
from experiments.networks import INPUT, ModelSpec

FLOAT = 4
"""Bytes of a float32."""
TRAINING_PASSES = 3
RANKS = {"vector": 1, "tokens": 1, "sequence": 2, "image": 3}


@dataclass(frozen=True)
class LayerRow:
    """One row of the layer table; output_shape without the batch, memory in bytes.

    inputs: names of the layers that it reads, where that is not the one before it alone; `input`: the network's input
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    output_shape: Shape
    parameters: int
    frozen: int
    flops: int
    memory_bytes: int
    formula: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class NetworkForecast:
    """The whole network.

    flops: of one forward pass of one sample
    memory_bytes: of training with one batch
    warnings: what a person should know though nothing is wrong, with the layer's name
    """

    input_shape: Shape
    layers: tuple[LayerRow, ...]
    parameters: int
    trainable: int
    flops: int
    memory_bytes: int
    warnings: tuple[str, ...]

    @property
    def output_shape(self) -> Shape:
        return self.layers[-1].output_shape

    def training_flops(self, samples: int, epochs: int) -> float:
        """Of a whole run on `samples` training samples."""
        return float(TRAINING_PASSES) * self.flops * samples * epochs


def forecast_network(
    model: ModelSpec, shape: DataShape, *, batch_size: int = 32, slots: int = 2
) -> NetworkForecast:
    """Shapes, parameters, FLOPs and memory of every layer and of the whole network.

    Args:
        shape: the data's shapes
        batch_size: samples per update, which decides the memory
        slots: tensors as large as the weights that the optimizer keeps (Adam: 2)

    Raises:
        SpecError: a layer does not fit its input; with the path `layers[i]…`.
    """
    start, rows = shape.formatted(model.data_format), list[LayerRow]()
    for index, (layer, inputs) in enumerate(zip(model.layers, model.wiring, strict=True)):
        read = [start if source == INPUT else rows[source].output_shape for source in inputs]
        try:
            forecast = step(layer, read, model.data_format)
        except SpecError as error:
            raise error.under(f"layers[{index}]") from None
        named = (
            () if inputs == (index - 1,) else tuple("input" if s == INPUT else model.names[s] for s in inputs)
        )
        rows.append(_row(model.names[index], layer, named, forecast, batch_size, slots))
    return NetworkForecast(
        input_shape=start,
        layers=tuple(rows),
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.parameters - row.frozen for row in rows),
        flops=sum(row.flops for row in rows),
        memory_bytes=sum(row.memory_bytes for row in rows) + FLOAT * batch_size * size(start),
        warnings=tuple(f"{row.name}: {warning}" for row in rows for warning in row.warnings),
    )


def step(layer: Layer, shapes: Sequence[Shape], data_format: DataFormat) -> Forecast:
    """One layer's forecast, from the shapes of its inputs. Raises SpecError where it takes none of these shapes."""
    if isinstance(layer, Join):
        return layer.joined(shapes, data_format)
    (shape,) = shapes
    rank = RANKS.get(layer.wants)
    if rank is not None and len(shape) != rank and not (layer.wants == "vector" and len(shape) == 2):
        raise SpecError.one(
            "",
            f"{layer.type} takes {_KINDS[layer.wants]}, its input has the shape {_shape(shape)}",
            _REMEDIES[layer.wants],
        )
    forecast = layer.forecast(shape, data_format)
    if isinstance(layer, Weighted) and layer.weights is not None:
        check_weights(layer.weights, layer.weight_shapes(shape, data_format))
    return forecast


_KINDS = {
    "vector": "a vector",
    "tokens": "tokens (steps)",
    "sequence": "a sequence (steps, features)",
    "image": "an image (height, width, channels)",
}
_REMEDIES = {
    "vector": "a flatten layer before it",
    "tokens": "a data set of tokens, and no layer before it",
    "sequence": "a reshape layer before it, an embedding of tokens, or return_sequences: true in the recurrent layer before it",
    "image": "image data, and no flatten or dense layer before it",
}


def _shape(shape: Shape) -> str:
    return "(" + ", ".join(str(n) for n in shape) + ")"


def _row(
    name: str, layer: Layer, inputs: tuple[str, ...], forecast: Forecast, batch_size: int, slots: int
) -> LayerRow:
    """One row of the table from a layer's forecast."""
    weights = forecast.parameters * (2 + slots)
    values = 2 * batch_size * size(forecast.output_shape) + batch_size * forecast.held
    return LayerRow(
        name=name,
        type=layer.type,
        inputs=inputs,
        output_shape=forecast.output_shape,
        parameters=forecast.parameters,
        frozen=forecast.frozen,
        flops=forecast.flops,
        memory_bytes=FLOAT * (weights + values),
        formula=forecast.formula,
        warnings=forecast.warnings,
    )


def expected_initial_loss(loss: Loss, shape: DataShape) -> float | None:
    """The loss of a network that knows nothing yet: ln C for cross-entropy over C balanced classes.

    None where it depends on the targets' scale. Source: CS231n, "look for correct loss at chance performance".
    """
    return loss.at_chance(shape.classes) if shape.classes else None


def limit_problems(forecast: NetworkForecast, samples: int, epochs: int, limits: Limits) -> list[Problem]:
    """What exceeds the limits, with the formula that decides.

    Args:
        samples: training samples
        epochs: passes over them
    """
    problems = []
    if forecast.parameters > limits.max_parameters:
        largest = max(forecast.layers, key=lambda row: row.parameters)
        problems.append(
            Problem(
                "model",
                f"{forecast.parameters:,} parameters, {forecast.memory_bytes / 2**30:.1f} GiB to train them; the largest "
                f"layer is {largest.name}: {largest.formula}, {largest.memory_bytes / 2**30:.1f} GiB",
                f"at most {limits.max_parameters:,} parameters",
            )
        )
    if forecast.memory_bytes > limits.max_memory_bytes:
        largest = max(forecast.layers, key=lambda row: row.memory_bytes)
        problems.append(
            Problem(
                "model",
                f"training needs about {forecast.memory_bytes / 2**30:.1f} GiB; most of it in {largest.name} "
                f"({largest.memory_bytes / 2**30:.1f} GiB, output {_shape(largest.output_shape)})",
                f"at most {limits.max_memory_bytes / 2**30:.1f} GiB: fewer units or filters, or a "
                f"smaller batch",
            )
        )
    total = forecast.training_flops(samples, epochs)
    if total > limits.max_flops:
        problems.append(
            Problem(
                "training.epochs",
                f"a run needs {TRAINING_PASSES} · {forecast.flops:,} · {samples:,} samples · {epochs} epochs = "
                f"{total:.2g} FLOPs",
                f"at most {limits.max_flops:.2g} FLOPs a run",
            )
        )
    if epochs > limits.max_epochs:
        problems.append(Problem("training.epochs", f"{epochs} epochs", f"at most {limits.max_epochs}"))
    return problems
