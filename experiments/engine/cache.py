"""What a warm worker keeps: compiled programs and data sets, the least recently used evicted first."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import keras

from experiments.datasets import Source
from experiments.engine import backend, models
from experiments.engine.backend import Tensor
from experiments.engine.layouts import Layout
from experiments.engine.program import Program
from experiments.runs import RunSpec

PROGRAMS, DATA_SETS = 32, 2
"""How many are kept. A program takes about 16 MB (measured), MNIST 220 MB. TensorFlow never gives back what XLA
compiled, so a program that is evicted and compiled again costs its memory twice: better to keep many."""

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """A bounded dictionary, least recently used evicted first.

    What is evicted is freed at once: compiled graphs are cycles of references.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key not in self._values:
                while len(self._values) >= self.size:
                    self._values.popitem(last=False)
                    gc.collect()
                self._values[key] = make()
            self._values.move_to_end(key)
            return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            gc.collect()


_programs: Cache[Program] = Cache(PROGRAMS)
_evaluations: Cache[Callable[..., Any]] = Cache(PROGRAMS)
_data: Cache[dict[str, tuple[Tensor, Tensor]]] = Cache(DATA_SETS)


def program(spec: RunSpec, layout: Layout, device: str) -> Program:
    """The compiled program of `spec` at a layout; compiled at its first call. Programs that differ in their optimizers share
    the evaluation."""
    conditions = (layout, device, keras.config.floatx())

    def make() -> Program:
        made = Program(spec, layout, device)
        made.evaluation = _evaluations.get((spec.evaluation_key(), *conditions), lambda: made.evaluation)
        return made

    return _programs.get((spec.program_key(), *conditions), make)


def data(spec: RunSpec, source: Source, device: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Inputs and targets of `train`, `val` and `test` on the device.

    Raises:
        DataError: the data set cannot be loaded.
    """
    key = (spec.dataset.canonical, spec.model.data_format, spec.encoding, device, keras.config.floatx())

    def load() -> dict[str, tuple[Tensor, Tensor]]:
        parts = models.arrays(spec, spec.dataset.load(source, spec.model.data_format))
        with backend.on(device):
            return {name: (backend.tensor(x), backend.tensor(y)) for name, (x, y) in parts.items()}

    return _data.get(key, load)


def forget() -> None:
    """Free all programs and data sets."""
    _programs.clear()
    _evaluations.clear()
    _data.clear()
