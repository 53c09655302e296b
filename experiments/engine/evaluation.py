"""Loss, accuracy and what other metrics need, of every lane on data it does not train on, inside one program.

The samples go through in chunks. A chunk gives a tuple of measurements per lane: its mean loss, its hits and, only where
the spec has metrics, a confusion matrix or sums of errors. The tuple is what the loops carry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from experiments.engine import backend
from experiments.engine.backend import Tensor
from experiments.engine.lane_axis import LaneAxis
from experiments.runs import RunSpec

CHUNK = 1024
"""Samples evaluated at a time; more would not be faster and take more memory."""


def measures_accuracy(spec: RunSpec) -> bool:
    """True where outputs name a class."""
    return spec.measures_accuracy


def named(spec: RunSpec, outputs: Tensor) -> Tensor:
    """The class that each sample's outputs name. outputs: (batch, units) -> (batch,) int32

    Of two classes told apart by one unit: 1 above the loss' threshold, else 0. Of a unit per class: the largest.
    """
    if spec.encoding == "value":
        return keras.ops.cast(outputs[:, 0] > spec.loss.threshold, "int32")
    return backend.largest(outputs)


def height(spec: RunSpec, outputs: Tensor) -> Tensor:
    """One number that shows what each sample's outputs say. outputs: (batch, units) -> (batch,)

    Of two classes: above the loss' threshold for one unit, above 0 for a unit each, where class 1 is named. Of more
    classes: the one named. Of a regression: the first output.
    """
    classes = spec.data_shape.classes if spec.measures_accuracy else 0
    if classes > 2:
        return named(spec, outputs)
    return outputs[:, 1] - outputs[:, 0] if classes == 2 and spec.encoding != "value" else outputs[:, 0]


def true_classes(spec: RunSpec, y: Tensor) -> Tensor:
    """The class that each sample has. y: targets as the loss takes them -> (batch,) int32"""
    if spec.encoding == "one_hot":
        return backend.largest(y)
    return keras.ops.cast(y if spec.encoding == "integer" else y[:, 0], "int32")


def counted(spec: RunSpec, y: Tensor, outputs: Tensor) -> tuple[Tensor, ...]:
    """What the spec's metrics are computed of: nothing, or a confusion matrix (classes, classes) int32 with a row per
    true class, or Σ|y − t| and Σ(y − t)² per output, float64.
    """
    ops = keras.ops
    counts: tuple[Tensor, ...] = ()
    if spec.counts_classes:
        each = ops.arange(spec.data_shape.classes, dtype="int32")
        truth, answer = (
            ops.cast(ops.equal(classes[:, None], each), "float32")
            for classes in (true_classes(spec, y), named(spec, outputs))
        )
        # Exact in single precision: a chunk has fewer than 2²⁴ samples.
        counts += (ops.cast(ops.matmul(ops.transpose(truth), answer), "int32"),)
    if spec.counts_errors:
        error = ops.cast(outputs, "float64") - ops.cast(y, "float64")
        counts += (ops.sum(ops.abs(error), axis=0), ops.sum(ops.square(error), axis=0))
    return counts


def weighed(spec: RunSpec, y: Tensor, share: Tensor | None = None) -> Tensor | None:
    """What each sample counts in the mean of the training loss: its share times its class's weight; None: all count alike.

    share: (batch,), of the samples in their batch; None: all equal
    """
    if not spec.training.class_weight:
        return share
    known = dict(spec.training.class_weight)
    numbers = [known.get(number, 1.0) for number in range(spec.data_shape.classes)]
    floatx = keras.config.floatx()
    weights = keras.ops.take(keras.ops.convert_to_tensor(np.asarray(numbers, floatx)), true_classes(spec, y))
    return weights if share is None else weights * share


def right(spec: RunSpec, y: Tensor, outputs: Tensor, share: Tensor | None = None) -> Tensor:
    """How many of the samples that count are classified rightly; 0 where nothing is classified. int32

    share: (batch,), 0 for a sample that does not count; None: all count
    """
    ops = keras.ops
    if not measures_accuracy(spec):
        return ops.zeros((), "int32")
    hits = ops.equal(named(spec, outputs), true_classes(spec, y))
    return ops.sum(ops.cast(hits if share is None else ops.logical_and(hits, share > 0), "int32"))


@dataclass(frozen=True)
class Evaluation:
    """The evaluating half of a program. Final."""

    spec: RunSpec
    axis: LaneAxis
    model: keras.Model
    loss: Callable[..., Tensor]

    def run(
        self, weights: list[Tensor], frozen: list[Tensor], data: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, tuple[Tensor, ...]]:
        """Per part of the data: mean loss, samples classified rightly and `counted`, each (width, ...), in inference mode; at the
        end every sample's `height`, (width, samples), where a metric needs it.

        weights, frozen: carried
        """
        lanes = (self.axis.flat(weights), self.axis.flat(frozen))
        sums = self._sums(lanes, data)
        if not self.spec.keeps_scores:
            return sums
        return {name: (*part, self._scores(lanes, data[name][0])) for name, part in sums.items()}

    def _sums(self, lanes: Any, data: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, ...]]:
        """What is summed up over the samples of each part."""
        sizes = {name: x.shape[0] for name, (x, _) in data.items()}
        common = self._chunk(math.gcd(*sizes.values()))
        if len(data) == 1 or common < CHUNK // 4 or any(size % common for size in sizes.values()):
            return {name: self._part(lanes, *part) for name, part in data.items()}
        return self._joined(lanes, data, common)

    def _joined(
        self, lanes: Any, data: Mapping[str, tuple[Tensor, Tensor]], size: int
    ) -> dict[str, tuple[Tensor, ...]]:
        """All parts in one loop over chunks of one size: half the program to compile."""
        ops = keras.ops
        parts = [
            ops.reshape(
                ops.concatenate([part[i] for part in data.values()]), (-1, size, *any_part[i].shape[1:])
            )
            for any_part in [next(iter(data.values()))]
            for i in (0, 1)
        ]
        counts = [x.shape[0] // size for x, _ in data.values()]
        part_of = backend.tensor(np.repeat(np.arange(len(counts), dtype=np.int32), counts))

        def body(i: Tensor, carry: Any) -> Any:
            measured = self._measured(lanes, *(backend.take(v, i) for v in parts))
            here = ops.equal(ops.arange(len(counts), dtype="int32"), backend.take(part_of, i))
            return tuple(
                old + backend.where(ops.reshape(here, (-1, *(1,) * len(new.shape))), new, ops.zeros_like(new))
                for old, new in zip(carry, measured, strict=True)
            )

        chunks = backend.tensor(sum(counts), "int32")
        sums = backend.loop(backend.tensor(0, "int32"), chunks, body, self._zeros(len(counts)))
        return {
            name: self._by_lane(sums[0][i] / counts[i], *(total[i] for total in sums[1:]))
            for i, name in enumerate(data)
        }

    def _part(self, lanes: Any, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        samples = x.shape[0]
        size = self._chunk(samples)
        whole = samples // size
        split = [keras.ops.reshape(v[: whole * size], (whole, size, *v.shape[1:])) for v in (x, y)]

        def add(carry: Any, x: Tensor, y: Tensor) -> Any:
            loss, *counts = self._measured(lanes, x, y)
            new = (loss * x.shape[0], *counts)
            return tuple(old + more for old, more in zip(carry, new, strict=True))

        if whole == 1:  # a loop takes longer to trace and to compile
            sums = add(self._zeros(), x[:size], y[:size])
        else:
            body = lambda i, carry: add(carry, *(backend.take(v, i) for v in split))  # noqa: E731
            chunks = backend.tensor(whole, "int32")
            sums = backend.loop(backend.tensor(0, "int32"), chunks, body, self._zeros())
        if samples % size:
            sums = add(sums, x[whole * size :], y[whole * size :])
        return self._by_lane(sums[0] / samples, *sums[1:])

    def _scores(self, lanes: Any, x: Tensor) -> Tensor:
        """`height` of every sample of one part, (width, samples)."""
        ops, samples = keras.ops, x.shape[0]
        size = self._chunk(samples)
        whole = samples // size
        split = ops.reshape(x[: whole * size], (whole, size, *x.shape[1:]))
        width = () if self.axis.absent else (self.axis.layout.width,)

        def of(x: Tensor) -> Tensor:
            def score(weights: list[Tensor], frozen: list[Tensor]) -> Tensor:
                return height(self.spec, self.model.stateless_call(weights, frozen, x, training=False)[0])

            return self.axis.over(score, *lanes)

        def body(i: Tensor, carry: Any) -> Any:
            here = ops.reshape(
                ops.equal(ops.arange(whole, dtype="int32"), i), (whole, *(1,) * (1 + len(width)))
            )
            return (backend.where(here, of(backend.take(split, i))[None], carry[0]),)

        start = (ops.zeros((whole, *width, size), keras.config.floatx()),)
        (scores,) = backend.loop(backend.tensor(0, "int32"), backend.tensor(whole, "int32"), body, start)
        joined = ops.reshape(ops.moveaxis(scores, 0, -2), (-1, whole * size))
        rest = [ops.reshape(of(x[whole * size :]), (-1, samples - whole * size))] if samples % size else []
        return ops.concatenate([joined, *rest], axis=-1)

    def _zeros(self, *parts: int) -> tuple[Tensor, ...]:
        """The sums of no chunk: (parts, width, ...) each."""
        spec, lanes = self.spec, () if self.axis.absent else (self.axis.layout.width,)
        kinds: list[tuple[str, tuple[int, ...]]] = [(keras.config.floatx(), ()), ("int32", ())]
        if spec.counts_classes:
            kinds.append(("int32", (spec.data_shape.classes,) * 2))
        if spec.counts_errors:
            kinds += [("float64", spec.forecast.output_shape)] * 2
        return tuple(keras.ops.zeros((*parts, *lanes, *shape), dtype) for dtype, shape in kinds)

    def _by_lane(self, *sums: Tensor) -> tuple[Tensor, ...]:
        """The sums of one part, (width, ...) each."""
        lanes = 0 if self.axis.absent else 1
        return tuple(keras.ops.reshape(value, (-1, *value.shape[lanes:])) for value in sums)

    def _measured(self, lanes: Any, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """(mean loss, samples classified rightly, counts) of every lane on the same samples."""

        def measure_lane(weights: list[Tensor], frozen: list[Tensor]) -> tuple[Tensor, ...]:
            outputs, _, penalties = self.model.stateless_call(
                weights, frozen, x, training=False, return_losses=True
            )
            loss = sum(penalties, self.loss(y, outputs))
            return loss, right(self.spec, y, outputs), *counted(self.spec, y, outputs)

        return tuple(self.axis.over(measure_lane, *lanes))

    def _chunk(self, samples: int) -> int:
        """Samples at a time: the largest divisor near CHUNK; a batch where the loss couples its samples."""
        if self.spec.loss.coupled:
            return min(samples, self.spec.training.batch_size)
        if samples <= CHUNK:
            return samples
        return next((size for size in range(CHUNK, CHUNK // 4, -1) if samples % size == 0), CHUNK)
