"""A compiled program: the runs that share it train together, one lane each.

A lane has its own weights, optimizer state, learning rate and other numeric settings, and seed. A program is compiled
for one layout (engine/layouts.py). A run alone is a program of width 1, without a lane axis, through the same code.
So is every network with a layer that cannot be mapped over lanes (convolutions).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np

from experiments.engine import backend, models, states
from experiments.engine.backend import Tensor
from experiments.engine.evaluation import Evaluation, right, weighed
from experiments.engine.initial_weights import initial_weights
from experiments.engine.lane_axis import LaneAxis
from experiments.engine.lane_optimizer import LaneOptimizer
from experiments.engine.layouts import Layout
from experiments.engine.portable import portable, same_variables
from experiments.engine.states import Array, Batches, LaneState, State
from experiments.engine.weights_file import Template, template
from experiments.runs import RunSpec


class Program:
    """A compiled program and the Keras model it was made of. Final.

    Args:
        spec: any run of the program (RunSpec.program_key).
        layout: of the lanes.
        device: `cpu` or `gpu`.
    """

    def __init__(self, spec: RunSpec, layout: Layout, device: str) -> None:
        self.spec, self.layout, self.device = spec, layout, device
        self.axis = LaneAxis(layout)
        self.floatx = keras.config.floatx()
        self.fused = device != "cpu" or spec.max_width() > 1
        with backend.on(device):
            self.model, self.draws = models.blank(spec)
            self._trainable = [_index(self.model.variables, v) for v in self.model.trainable_variables]
            self._frozen = [_index(self.model.variables, v) for v in self.model.non_trainable_variables]
            self.loss = models.loss(spec.loss)
            self.optimizer = LaneOptimizer(spec, self.model)
        evaluation = Evaluation(spec, self.axis, self.model, self.loss)
        self._train = backend.compiled(self._train_steps, fused=self.fused)
        self.evaluation = backend.compiled(evaluation.run, fused=self.fused)
        """Weights and data -> measurements; programs of other optimizers may take it over (engine/cache.py)."""
        update = self.optimizer.updated
        self._update = update if self.fused else backend.compiled(update, fused=True)
        self._seen: set[Any] = set()
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
                drawn[spec.seed] = initial_weights(self.draws, spec.seed)
            values = drawn[spec.seed]
            weights, frozen = ([values[i] for i in part] for part in (self._trainable, self._frozen))
            lanes.append(LaneState(weights, frozen, self.optimizer.initial(weights, spec), 0.0, 0))
        return lanes

    def stack(self, lanes: Mapping[int, LaneState]) -> State:
        """Lane position -> lane, as one state. Positions without a lane get a copy of any lane, to be masked."""
        any_lane = next(iter(lanes.values()))
        rows = [lanes.get(position, any_lane) for position in range(self.layout.width)]
        carry = self.axis.carry
        with backend.on(self.device):
            weights, frozen, optimizer = (
                [carry(column) for column in zip(*(getattr(row, part) for row in rows), strict=True)]
                for part in ("weights", "frozen", "optimizer")
            )
            loss = carry([np.asarray(row.loss, self.floatx) for row in rows])
            return State(
                weights, frozen, optimizer, loss, carry([np.asarray(row.hits, "int32") for row in rows])
            )

    def lanes(
        self, state: State, lane_positions: Sequence[int], *, optimizer: bool = True
    ) -> list[LaneState]:
        """The lanes at these positions of the state, on the host; without the optimizer's numbers where they are not
        needed, which are two thirds of what Adam holds."""
        parts = state.weights, state.frozen, state.optimizer if optimizer else []
        weights, frozen, numbers = ([backend.array(value) for value in part] for part in parts)
        loss, hits = backend.array(state.loss), backend.array(state.hits)
        part = self.axis.slice
        return [
            LaneState(
                weights=[part(value, position) for value in weights],
                frozen=[part(value, position) for value in frozen],
                optimizer=[part(value, position) for value in numbers],
                loss=float(part(loss, position)),
                hits=int(part(hits, position)),
            )
            for position in lane_positions
        ]

    def settings(self, lanes: Mapping[int, RunSpec]) -> dict[str, Tensor]:
        """The numeric optimizer settings that are no part of the program, per lane, float64.

        lanes: lane position -> run.
        """
        return {
            name: self.axis.per_lane(
                {position: float(getattr(spec.optimizer, name)) for position, spec in lanes.items()},
                "float64",
            )
            for name in self.optimizer.numbers
        }

    # --------------------------------------------------------------- training

    def batches(self, orders: Array) -> list[Batches]:
        """An epoch's updates. orders: (groups, samples) int32, the order in which each group reads its data."""
        with backend.on(self.device):
            size = self.spec.training.batch_size
            return states.batches(orders, size, fill=_independent(self.spec), floatx=self.floatx)

    def train(
        self, state: State, numbers: Mapping[str, Tensor], active: Tensor, batches: Batches, start: int,
        stop: int, data: tuple[Tensor, Tensor],
    ) -> State:  # fmt: skip
        """Train the active lanes by the updates start..stop-1 of `batches`.

        Args:
            state: before the first update; not changed.
            numbers: per-lane settings (`settings`).
            active: bool, (groups, lanes).
            batches: the updates' samples.
            data: all inputs (samples, *input) and targets (samples, ...), on the device.

        Returns:
            The state after the last update, once the device has computed it.
        """

        def run(start: int, stop: int) -> State:
            span = backend.tensor(start, "int32"), backend.tensor(stop, "int32")
            rows = batches.rows, batches.shares
            new = State(*self._train(state.parts(), dict(numbers), active, rows, *span, data))
            backend.array(new.hits)  # waits for the device
            return new

        with backend.on(self.device):
            self._timed(("train", tuple(batches.rows.shape)), lambda: run(start, start))
            return run(start, stop)

    def evaluate(
        self, state: State, data: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, tuple[Array, ...]]:
        """Measure all lanes in inference mode.

        Args:
            state: of the lanes.
            data: name of a part -> (inputs, targets), on the device.

        Returns:
            Name of the part -> (mean loss, samples classified rightly), each (width,), and what the spec's metrics are
            computed of, (width, ...) each (`evaluation.counted`).
        """

        def run() -> dict[str, tuple[Array, ...]]:
            results = self.evaluation(state.weights, state.frozen, dict(data))
            return {name: tuple(backend.array(value) for value in part) for name, part in results.items()}

        key, results = ("evaluate", *sorted(data)), {}
        with backend.on(self.device):
            if key in self._seen:
                return run()
            self._timed(key, lambda: results.update(run()))
            return results

    def _timed(self, key: Any, compile_it: Callable[[], object]) -> None:
        """Compile at the first call with these shapes, and add the seconds to `compile_seconds`."""
        if key not in self._seen:
            began = time.perf_counter()
            compile_it()
            self.compile_seconds += time.perf_counter() - began
            self._seen.add(key)

    # ---------------------------------------------------------------- results

    @cached_property
    def _export(self) -> tuple[bytes, Template]:
        """The architecture, and the template of the weights that belong to it."""
        exported = portable(self.spec)
        architecture = str(exported.to_json()).encode()
        return architecture, template(exported, same_variables(self.model, exported))

    def architecture(self) -> bytes:
        """The network as the JSON of a Keras model that loads without this project; see `portable`."""
        return self._export[0]

    def weights_file(self, lane: LaneState) -> bytes:
        """A lane's weights as a Keras `.weights.h5` file of the network in `architecture`."""
        values: list[Array] = [np.empty(0)] * len(self.draws)
        for index, value in zip(
            [*self._trainable, *self._frozen], [*lane.weights, *lane.frozen], strict=True
        ):
            values[index] = value
        return self._export[1].filled(values)

    # ------------------------------------------------------- inside the graph

    def gradients(
        self, weights: list[Tensor], frozen: list[Tensor], x: Tensor, y: Tensor, share: Tensor | None = None
    ) -> Any:
        """The gradient of one lane's batch in training mode, penalties included.

        Args:
            weights: trainable, one tensor per variable.
            frozen: the others.
            x, y: (batch, *input), (batch, ...).
            share: (batch,), what each sample weighs in the mean; None: all equal.

        Returns:
            ((loss, (outputs, frozen after the call)), gradients of the loss, one per tensor of `weights`).
        """

        def objective(at: list[Tensor]) -> tuple[Tensor, Any]:
            outputs, after, penalties = self.model.stateless_call(
                at, frozen, x, training=True, return_losses=True
            )
            loss = self.loss(y, outputs, sample_weight=weighed(self.spec, y, share))
            return sum(penalties, loss), (outputs, after)

        return backend.value_and_gradients(objective, weights)

    def _train_steps(
        self, parts: Any, numbers: dict[str, Tensor], active: Tensor, batches: tuple[Tensor, Tensor | None],
        start: Tensor, stop: Tensor, data: tuple[Tensor, Tensor],
    ) -> Any:  # fmt: skip
        (x, y), (rows, shares), axis = data, batches, self.axis

        def body(i: Tensor, carry: Any) -> Any:
            weights, frozen, optimizer, loss, hits = carry
            index = backend.take(rows, i, axis=1)  # (groups, batch)
            share = None if shares is None else backend.take(shares, i)  # (batch,)
            weights, frozen, optimizer, mean, hit = axis.mapped(
                partial(self._step, share=share),
                (axis.inward(weights), axis.inward(frozen), axis.inward(optimizer), numbers),
                (backend.take(x, index), backend.take(y, index)),
            )
            size = index.shape[1] if share is None else keras.ops.sum(keras.ops.cast(share > 0, self.floatx))
            carry = axis.outward(weights), axis.outward(frozen), axis.outward(optimizer)
            return *carry, loss + mean * size, hits + hit

        result = backend.loop(start, stop, body, tuple(parts))
        return keras.tree.map_structure(partial(axis.kept, active), result, tuple(parts))

    def _step(
        self, weights: list[Tensor], frozen: list[Tensor], state: list[Tensor], numbers: dict[str, Tensor],
        x: Tensor, y: Tensor, *, share: Tensor | None,
    ) -> Any:  # fmt: skip
        """One update of one lane: (weights, frozen, optimizer state, mean loss, samples classified rightly).

        share: of each sample in the mean loss, 1 in a full batch; None: all equal
        """
        (loss, (outputs, frozen)), gradients = self.gradients(weights, frozen, x, y, share)
        weights, state = self._update(state, gradients, weights, numbers)
        return weights, frozen, state, loss, right(self.spec, y, outputs, share)


def _independent(spec: RunSpec) -> bool:
    """True where a sample of a batch does not touch the others, but in the mean of the losses."""
    touching = (layer.coupled or getattr(layer, "activity_regularizer", None) for layer in spec.model.layers)
    return not spec.loss.coupled and not any(touching)


def _index(variables: Sequence[keras.Variable], wanted: keras.Variable) -> int:
    return next(i for i, variable in enumerate(variables) if variable is wanted)
