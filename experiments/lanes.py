"""The engine: the runs of one program, compiled and trained together.

A lane is one run: its own weights, optimizer state, learning rate and other numeric settings, seeds. A
program is compiled for one layout (layouts.py). A run alone is a program of width 1, without a lane axis,
through the same code; so is every network with a layer that cannot be mapped over lanes (convolutions).

State is carried with the lane axis beside the last axis of matrices: the wide matrix product of a group and
the update then read memory in order (measured: 0.071 instead of 0.089 s per lane and epoch at width 32).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from experiments import models
from experiments.engine import backend
from experiments.engine.backend import Tensor
from experiments.engine.lane_numbers import settings as lane_settings
from experiments.engine.layouts import Layout
from experiments.engine.weights_file import Template, template
from experiments.runs import RunSpec

Array = npt.NDArray[Any]
CHUNK = 1024
"""Samples evaluated at a time; more would not be faster and take more memory."""


@dataclass(frozen=True)
class State:
    """All lanes between two updates. Lists of carried tensors; `loss`, `hits`: sums over the epoch so far.

    loss: Σ over batches of (mean loss × samples), (groups, lanes); hits: samples classified rightly.
    """

    weights: list[Tensor]
    frozen: list[Tensor]
    optimizer: list[Tensor]
    loss: Tensor
    hits: Tensor

    def parts(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor, Tensor]:
        return self.weights, self.frozen, self.optimizer, self.loss, self.hits


@dataclass(frozen=True)
class LaneState:
    """One lane of a State as arrays: what a checkpoint holds and a file of weights is made of."""

    weights: list[Array]
    frozen: list[Array]
    optimizer: list[Array]
    loss: float
    hits: int


@dataclass(frozen=True)
class Batches:
    """Updates of an epoch. rows: (groups, updates, batch) int32, indices into the training data.

    shares: (updates, batch), what each sample weighs in its batch's mean (1 in a full one), or None: all equal
    """

    rows: Tensor
    shares: Tensor | None

    @property
    def updates(self) -> int:
        return int(self.rows.shape[1])


class Program:
    """One compiled program and the Keras model it was made of."""

    def __init__(self, spec: RunSpec, layout: Layout, device: str) -> None:
        self.spec, self.layout, self.device = spec, layout, device
        self.floatx = keras.config.floatx()
        self.fused = device != "cpu" or spec.max_width() > 1
        with backend.on(device):
            self.model, self.draws = models.drawn(spec)
            self._trainable = [_index(self.model.variables, v) for v in self.model.trainable_variables]
            self._frozen = [_index(self.model.variables, v) for v in self.model.non_trainable_variables]
            self.loss = models.loss(spec.loss)
            self.optimizer, self._slots = _optimizer(spec, self.model)
        self.numbers = _numbers(spec)
        self._train = backend.compiled(self._train_steps, fused=self.fused)
        self._evaluate = backend.compiled(self._evaluate_all, fused=self.fused)
        self._apply = self._update_lane if self.fused else backend.compiled(self._update_lane, fused=True)
        self._seen: set[Any] = set()
        self._template: Template | None = None
        self.compile_seconds = 0.0
        self.instruments: dict[str, Any] = {}
        """What else was compiled for this program and is freed with it (the probe of diagnostics)."""

    # ------------------------------------------------------------------ state

    def initial(self, specs: Sequence[RunSpec]) -> list[LaneState]:
        """The lanes of `specs` before their first update."""
        drawn: dict[int, list[Array]] = {}
        lanes = []
        for spec in specs:
            if spec.seed not in drawn:
                drawn[spec.seed] = models.initial_weights(self.draws, spec.seed)
            values = drawn[spec.seed]
            weights = [values[i] for i in self._trainable]
            lanes.append(
                LaneState(
                    weights,
                    [values[i] for i in self._frozen],
                    [slot.value(weights, spec) for slot in self._slots],
                    0.0,
                    0,
                )
            )
        return lanes

    def stack(self, lanes: Mapping[int, LaneState]) -> State:
        """place -> lane. Places without a lane get a copy of some lane, to be masked."""
        some = next(iter(lanes.values()))
        rows = [lanes.get(place, some) for place in range(self.layout.width)]
        with backend.on(self.device):
            weights, frozen, optimizer = (
                [self._carry(column) for column in zip(*(getattr(row, part) for row in rows), strict=True)]
                for part in ("weights", "frozen", "optimizer")
            )
            loss = self._carry([np.asarray(row.loss, self.floatx) for row in rows])
            return State(
                weights, frozen, optimizer, loss, self._carry([np.asarray(row.hits, "int32") for row in rows])
            )

    def lane(self, state: State, place: int) -> LaneState:
        """One lane of the state, on the host."""
        return self.lanes(state, [place])[0]

    def lanes(self, state: State, places: Sequence[int]) -> list[LaneState]:
        weights, frozen, optimizer = ([backend.array(value) for value in part] for part in state.parts()[:3])
        loss, hits = backend.array(state.loss), backend.array(state.hits)

        def one(place: int) -> LaneState:
            return LaneState(
                weights=[self._slice(value, place) for value in weights],
                frozen=[self._slice(value, place) for value in frozen],
                optimizer=[self._slice(value, place) for value in optimizer],
                loss=float(self._slice(loss, place)),
                hits=int(self._slice(hits, place)),
            )

        return [one(place) for place in places]

    def _carry(self, values: Sequence[Array]) -> Tensor:
        """Per-lane arrays of one shape as one carried tensor."""
        if self.layout.width == 1:
            return backend.tensor(values[0])
        stacked = np.stack(values).reshape(self.layout.groups, self.layout.lanes, *values[0].shape)
        return backend.tensor(
            np.ascontiguousarray(np.moveaxis(stacked, 1, -2) if stacked.ndim > 3 else stacked)
        )

    def _slice(self, value: Array, place: int) -> Array:
        if self.layout.width == 1:
            return value
        group, lane = divmod(place, self.layout.lanes)
        return np.ascontiguousarray(value[group][..., lane, :]) if value.ndim > 3 else value[group, lane]

    def per_lane(self, values: Mapping[int, float], dtype: str) -> Tensor:
        """place -> number, as the tensor that the program takes; 0 where there is no lane."""
        row = np.zeros(self.layout.width, dtype)
        row[list(values)] = list(values.values())
        shape = () if self.layout.width == 1 else (self.layout.groups, self.layout.lanes)
        return backend.tensor(row.reshape(shape))

    # --------------------------------------------------------------- training

    def train(
        self, state: State, numbers: Mapping[str, Tensor], active: Tensor, batches: Batches, start: int,
        stop: int, data: tuple[Tensor, Tensor],
    ) -> State:  # fmt: skip
        """Updates start..stop-1 of `batches` for the active lanes.

        numbers: see `settings`; active: bool per lane
        """

        def run(start: int, stop: int) -> State:
            span = backend.tensor(start), backend.tensor(stop)
            rows = batches.rows, batches.shares
            new = State(*self._train(state.parts(), dict(numbers), active, rows, *span, data))
            backend.array(new.hits)  # waits for the device
            return new

        with backend.on(self.device):
            self._timed(("train", tuple(batches.rows.shape)), lambda: run(start, start))
            return run(start, stop)

    def batches(self, orders: Array) -> list[Batches]:
        """An epoch's updates. orders: (groups, samples) int32, the order in which each group reads its data.

        The short last batch is filled up with samples that weigh nothing, so that one compiled loop serves the
        whole epoch. Where samples of a batch touch each other it is a second, shorter program.
        """
        groups, samples = orders.shape
        size = min(self.spec.training.batch_size, samples)
        whole, rest = divmod(samples, size)
        full = orders[:, : whole * size].reshape(groups, whole, size)
        with backend.on(self.device):
            if not rest:
                return [Batches(backend.tensor(full), None)]
            last = orders[:, None, whole * size :]
            if not _independent(self.spec):
                return [Batches(backend.tensor(full), None), Batches(backend.tensor(last), None)]
            filled = np.concatenate([last, np.zeros((groups, 1, size - rest), np.int32)], axis=2)
            shares = np.ones((whole + 1, size), self.floatx)
            shares[-1, :rest], shares[-1, rest:] = size / rest, 0
            rows = np.concatenate([full, filled], axis=1)
            return [Batches(backend.tensor(rows), backend.tensor(shares))]

    def _timed(self, key: Any, compile_it: Callable[[], object]) -> None:
        """Compile at the first call with these shapes, on the clock of `compile_seconds`."""
        if key not in self._seen:
            began = time.perf_counter()
            compile_it()
            self.compile_seconds += time.perf_counter() - began
            self._seen.add(key)

    def settings(self, lanes: Mapping[int, RunSpec]) -> dict[str, Tensor]:
        """The numeric optimizer settings that are no part of the program, per lane, float64."""
        return {
            name: self.per_lane(
                {place: float(getattr(spec.optimizer, name)) for place, spec in lanes.items()}, "float64"
            )
            for name in self.numbers
        }

    def evaluate(
        self, state: State, data: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, tuple[Array, Array]]:
        """Per part of the data: (mean loss, samples classified rightly), each (width,), in inference mode."""

        def run() -> dict[str, tuple[Array, Array]]:
            results = self._evaluate(state.weights, state.frozen, dict(data))
            return {
                name: (backend.array(loss), backend.array(hits)) for name, (loss, hits) in results.items()
            }

        key, found = ("evaluate", *sorted(data)), {}
        with backend.on(self.device):
            if key in self._seen:
                return run()
            self._timed(key, lambda: found.update(run()))
            return found

    # ---------------------------------------------------------------- results

    def sums(self, state: State) -> list[tuple[float, int]]:
        """(Σ loss × samples, hits) of the epoch so far, by place."""
        pairs = zip(backend.array(state.loss).reshape(-1), backend.array(state.hits).reshape(-1), strict=True)
        return [(float(loss), int(hits)) for loss, hits in pairs]

    def restarted(self, state: State) -> State:
        """The state with the sums of the epoch at 0."""
        return replace(state, loss=keras.ops.zeros_like(state.loss), hits=keras.ops.zeros_like(state.hits))

    def architecture(self) -> bytes:
        """The network as Keras' JSON."""
        return str(self.model.to_json()).encode()

    def weights_file(self, lane: LaneState) -> bytes:
        """A lane's weights as a Keras `.weights.h5` file."""
        if self._template is None:
            self._template = template(self.model)
        values: list[Array] = [np.empty(0)] * len(self.draws)
        for index, value in zip(
            [*self._trainable, *self._frozen], [*lane.weights, *lane.frozen], strict=True
        ):
            values[index] = value
        return self._template.filled(values)

    # ------------------------------------------------------- inside the graph

    def _train_steps(
        self, parts: Any, numbers: dict[str, Tensor], active: Tensor, batches: tuple[Tensor, Tensor | None],
        start: Tensor, stop: Tensor, data: tuple[Tensor, Tensor],
    ) -> Any:  # fmt: skip
        (x, y), (rows, shares) = data, batches

        def body(i: Tensor, carry: Any) -> Any:
            weights, frozen, optimizer, loss, hits = carry
            index = backend.take(rows, i, axis=1)  # (groups, batch)
            share = None if shares is None else backend.take(shares, i)  # (batch,)
            weights, frozen, optimizer, mean, right = self._mapped(
                partial(self._step, share=share),
                (self._inward(weights), self._inward(frozen), self._inward(optimizer), numbers),
                (backend.take(x, index), backend.take(y, index)),
            )
            size = index.shape[1] if share is None else keras.ops.sum(keras.ops.cast(share > 0, self.floatx))
            carry = self._outward(weights), self._outward(frozen), self._outward(optimizer)
            return *carry, loss + mean * size, hits + right

        result = backend.loop(start, stop, body, tuple(parts))
        if self.layout.width == 1:
            return result
        keep = lambda new, old: backend.where(self._mask(active, new), new, old)  # noqa: E731
        return backend.map_tree(keep, result, tuple(parts))

    def _mask(self, active: Tensor, value: Tensor) -> Tensor:
        """`active` (groups, lanes) in the shape of a carried tensor."""
        groups, lanes, rank = self.layout.groups, self.layout.lanes, len(value.shape)
        if rank > 3:
            return keras.ops.reshape(active, (groups, *(1,) * (rank - 3), lanes, 1))
        return keras.ops.reshape(active, (groups, lanes, *(1,) * (rank - 2)))

    def _inward(self, values: list[Tensor]) -> list[Tensor]:
        return [self._moved(value, to_front=True) for value in values]

    def _outward(self, values: list[Tensor]) -> list[Tensor]:
        return [self._moved(value, to_front=False) for value in values]

    def _moved(self, value: Tensor, *, to_front: bool) -> Tensor:
        """Carried tensor <-> (groups, lanes, ...)."""
        rank = len(value.shape)
        if self.layout.width == 1 or rank <= 3:
            return value
        source, target = (rank - 2, 1) if to_front else (1, rank - 2)
        return keras.ops.moveaxis(value, source, target)

    def _mapped(self, function: Callable[..., Any], lanes: tuple[Any, ...], groups: tuple[Any, ...]) -> Any:
        """`function(*lane's slices, *group's slices)` for every lane; results (groups, lanes, ...)."""
        tree = backend.map_tree
        if self.layout.width == 1:
            return function(*lanes, *tree(lambda v: v[0], groups))
        if self.layout.groups == 1:
            shared = tree(lambda v: v[0], groups)
            result = backend.over_lanes(lambda *a: function(*a, *shared), *tree(lambda v: v[0], lanes))
            return tree(lambda v: v[None], result)
        if self.layout.lanes == 1:
            result = backend.over_lanes(function, *tree(lambda v: v[:, 0], lanes), *groups)
            return tree(lambda v: v[:, None], result)

        def group(*slices: Any) -> Any:
            own, shared = slices[: len(lanes)], slices[len(lanes) :]
            return backend.over_lanes(lambda *a: function(*a, *shared), *own)

        return backend.over_lanes(group, *lanes, *groups)

    def _step(
        self, weights: list[Tensor], frozen: list[Tensor], state: list[Tensor], numbers: dict[str, Tensor],
        x: Tensor, y: Tensor, *, share: Tensor | None,
    ) -> Any:  # fmt: skip
        """One update of one lane: (weights, frozen, optimizer state, mean loss, samples classified rightly).

        share: of each sample in the mean loss, 1 in a full batch; None: all equal
        """
        (loss, (outputs, frozen)), gradients = self.gradients(weights, frozen, x, y, share)
        weights, state = self._apply(state, gradients, weights, numbers)
        return weights, frozen, state, loss, self._right(y, outputs, share)

    def gradients(
        self, weights: list[Tensor], frozen: list[Tensor], x: Tensor, y: Tensor, share: Tensor | None = None
    ) -> Any:
        """((loss, (outputs, frozen)), gradients) of one lane's batch in training mode, penalties included."""

        def objective(at: list[Tensor]) -> tuple[Tensor, Any]:
            outputs, after, penalties = self.model.stateless_call(
                at, frozen, x, training=True, return_losses=True
            )
            return sum(penalties, self.loss(y, outputs, sample_weight=share)), (outputs, after)

        return backend.value_and_gradients(objective, weights)

    def _update_lane(
        self, state: list[Tensor], gradients: list[Tensor], weights: list[Tensor], numbers: dict[str, Tensor]
    ) -> Any:
        with lane_settings(self.optimizer, numbers):
            return backend.updated(self.optimizer, state, gradients, weights)

    def _evaluate_all(
        self, weights: list[Tensor], frozen: list[Tensor], data: dict[str, tuple[Tensor, Tensor]]
    ) -> Any:
        lanes = (self._flat(self._inward(weights)), self._flat(self._inward(frozen)))
        sizes = {name: x.shape[0] for name, (x, _) in data.items()}
        common = self._chunk(math.gcd(*sizes.values()))
        if len(data) == 1 or common < CHUNK // 4 or any(size % common for size in sizes.values()):
            return {name: self._evaluate_part(lanes, *part) for name, part in data.items()}
        return self._evaluate_joined(lanes, data, common)

    def _evaluate_joined(self, lanes: Any, data: dict[str, tuple[Tensor, Tensor]], size: int) -> Any:
        """All parts in one loop over chunks of one size: half the program to compile."""
        ops = keras.ops
        parts = [
            ops.reshape(
                ops.concatenate([one[i] for one in data.values()]), (-1, size, *any_part[i].shape[1:])
            )
            for any_part in [next(iter(data.values()))]
            for i in (0, 1)
        ]
        counts = [x.shape[0] // size for x, _ in data.values()]
        part_of = backend.tensor(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
        shape = (len(counts), *(() if self.layout.width == 1 else (self.layout.width,)))

        def body(i: Tensor, carry: Any) -> Any:
            loss, right = self._measured(lanes, *(backend.take(v, i) for v in parts))
            here = ops.equal(ops.arange(len(counts), dtype="int32"), backend.take(part_of, i))
            here = ops.reshape(here, (-1, *(1,) * (len(shape) - 1)))
            return tuple(
                old + backend.where(here, new, ops.zeros_like(new))
                for old, new in zip(carry, (loss, right), strict=True)
            )

        start = (ops.zeros(shape, self.floatx), ops.zeros(shape, "int32"))
        loss, hits = backend.loop(backend.tensor(0), backend.tensor(sum(counts)), body, start)
        return {
            name: (ops.reshape(loss[i] / counts[i], (-1,)), ops.reshape(hits[i], (-1,)))
            for i, name in enumerate(data)
        }

    def _measured(self, lanes: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(mean loss, samples classified rightly) of every lane on the same samples, (width,)."""

        def one(weights: list[Tensor], frozen: list[Tensor]) -> tuple[Tensor, Tensor]:
            return self._measure(weights, frozen, x, y)

        result = one(*lanes) if self.layout.width == 1 else backend.over_lanes(one, *lanes)
        return result[0], result[1]

    def _flat(self, values: list[Tensor]) -> list[Tensor]:
        if self.layout.width == 1:
            return values
        return [keras.ops.reshape(value, (self.layout.width, *value.shape[2:])) for value in values]

    def _evaluate_part(self, lanes: Any, x: Tensor, y: Tensor) -> Any:
        samples = x.shape[0]
        size = self._chunk(samples)
        whole = samples // size
        split = [keras.ops.reshape(v[: whole * size], (whole, size, *v.shape[1:])) for v in (x, y)]
        shape = () if self.layout.width == 1 else (self.layout.width,)
        sums = (keras.ops.zeros(shape, self.floatx), keras.ops.zeros(shape, "int32"))

        def add(carry: Any, x: Tensor, y: Tensor) -> Any:
            loss, right = self._measured(lanes, x, y)
            return carry[0] + loss * x.shape[0], carry[1] + right

        body = lambda i, carry: add(carry, *(backend.take(v, i) for v in split))  # noqa: E731
        sums = backend.loop(backend.tensor(0), backend.tensor(whole), body, sums)
        if samples % size:
            sums = add(sums, x[whole * size :], y[whole * size :])
        return keras.ops.reshape(sums[0] / samples, (-1,)), keras.ops.reshape(sums[1], (-1,))

    def _chunk(self, samples: int) -> int:
        """Samples at a time: the largest divisor near CHUNK; a batch where the loss couples its samples."""
        if self.spec.loss.coupled:
            return min(samples, self.spec.training.batch_size)
        if samples <= CHUNK:
            return samples
        return next((size for size in range(CHUNK, CHUNK // 4, -1) if samples % size == 0), CHUNK)

    def _measure(
        self, weights: list[Tensor], frozen: list[Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        outputs, _, penalties = self.model.stateless_call(
            weights, frozen, x, training=False, return_losses=True
        )
        return sum(penalties, self.loss(y, outputs)), self._right(y, outputs)

    def _right(self, y: Tensor, outputs: Tensor, share: Tensor | None = None) -> Tensor:
        """How many of the samples that count are classified rightly; 0 where nothing is classified. int32"""
        ops, spec = keras.ops, self.spec
        if not measures_accuracy(spec):
            return ops.zeros((), "int32")
        if spec.encoding == "value":
            said, truth = outputs[:, 0] > spec.loss.threshold, y[:, 0] > 0.5
        else:
            said = backend.largest(outputs)
            truth = ops.cast(y, said.dtype) if spec.encoding == "integer" else backend.largest(y)
        right = ops.equal(said, truth)
        return ops.sum(ops.cast(right if share is None else ops.logical_and(right, share > 0), "int32"))


def _independent(spec: RunSpec) -> bool:
    """True where a sample of a batch does not touch the others, but in the mean of the losses."""
    touching = (layer.coupled or getattr(layer, "activity_regularizer", None) for layer in spec.model.layers)
    return not spec.loss.coupled and not any(touching)


def measures_accuracy(spec: RunSpec) -> bool:
    """True where outputs name a class."""
    return spec.data_shape.kind != "regression" and not spec.loss.any_units


@dataclass(frozen=True)
class _Slot:
    """One variable of the optimizer before the first update: a constant, a copy of a weight, or the rate."""

    start: Array
    copy_of: int | None = None
    rate: bool = False

    def value(self, weights: Sequence[Array], spec: RunSpec) -> Array:
        if self.rate:
            return np.asarray(spec.optimizer.rate, self.start.dtype)
        return self.start if self.copy_of is None else weights[self.copy_of].astype(self.start.dtype)


def _numbers(spec: RunSpec) -> tuple[str, ...]:
    """Names of the optimizer's per-lane settings. The rate is a variable of the optimizer already."""
    names = sorted(spec.optimizer.numeric - {"learning_rate"})
    return tuple(name for name in names if getattr(spec.optimizer, name))


def _optimizer(spec: RunSpec, model: keras.Model) -> tuple[keras.optimizers.Optimizer, list[_Slot]]:
    """The optimizer, built on the model, and how its variables start."""
    arguments = spec.optimizer.arguments()
    rate = arguments["learning_rate"]
    if isinstance(rate, dict):
        arguments["learning_rate"] = getattr(keras.optimizers.schedules, rate["class_name"])(**rate["config"])
    optimizer = backend.functional(getattr(keras.optimizers, spec.optimizer.keras_name))(**arguments)
    random = np.random.default_rng(0)
    marks = [random.standard_normal(v.shape).astype(v.dtype) for v in model.trainable_variables]
    for variable, mark in zip(model.trainable_variables, marks, strict=True):
        variable.assign(mark)
    optimizer.build(model.trainable_variables)
    slots = []
    for variable in optimizer.variables:
        start = np.asarray(variable.numpy())
        same = (
            i for i, mark in enumerate(marks) if mark.shape == start.shape and np.array_equal(mark, start)
        )
        slots.append(_Slot(start, next(same, None), variable is optimizer._learning_rate))
    return optimizer, slots


def _index(variables: Sequence[keras.Variable], wanted: keras.Variable) -> int:
    return next(i for i, variable in enumerate(variables) if variable is wanted)
