"""The cross-backend certificate: do TensorFlow, JAX and, for dense networks, NumPy by hand compute the same?

Every backend starts from the same weights, which NumPy draws, and reads the same batches in double precision. Compared
are the gradient at the check's canonical point and the weights after one epoch. Keras has one backend in a process,
so each is asked in a process of its own:

    python -m experiments.gradient_check.across_backends jax RUN.json RESULT.npz [DATA_DIR]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from experiments.datasets import Source
from experiments.errors import GradusError
from experiments.runs import RunSpec

Array = npt.NDArray[np.float64]
GRADIENT_BOUND = 1e-10
"""Largest difference of two gradients, as a share of the network's largest derivative."""
WEIGHTS_BOUND = 1e-6
"""Largest difference of a weight after one epoch."""
EPOCH_SAMPLES = 1024
"""An epoch here has at most so many samples: in double precision, convolutions take minutes for more."""


class BackendFailed(GradusError):
    """A backend did not give its result; the message has the last lines that its process wrote."""


class BackendsReport(BaseModel):
    """How far the backends are apart. `against`: what the gradients were compared with, the first backend's."""

    model_config = ConfigDict(frozen=True)

    backends: tuple[str, ...]
    samples: int
    gradient: dict[str, float]
    """Backend, or `by hand` -> largest difference of its gradient from the first backend's."""
    weights: dict[str, float]
    """Backend -> largest difference of a weight after the epoch from the first backend's."""

    @property
    def equal(self) -> bool:
        """Whether every difference is within its bound."""
        gradient = all(error <= GRADIENT_BOUND for error in self.gradient.values())
        return gradient and all(error <= WEIGHTS_BOUND for error in self.weights.values())


def compare_backends(spec: RunSpec, backends: Sequence[str], data_dir: Path | None = None) -> BackendsReport:
    """Ask every backend, each in a process of its own, and compare.

    Args:
        spec: the run.
        backends: two or more; the first is what the others are compared with.
        data_dir: where data sets lie (datasets.Source).

    Raises:
        BackendFailed: a backend is not installed, or its process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = {name: _asked(name, spec, Path(folder), data_dir) for name in backends}
    reference = results[backends[0]]
    gradient = {name: _distance(_part(result, "gradient"), _part(reference, "gradient"), share=True)
                for name, result in results.items() if result is not reference}  # fmt: skip
    if "by_hand-0" in reference:
        hand = _part(reference, "by_hand")
        gradient["by hand"] = _distance(hand, _part(reference, "gradient"), share=True)
    weights = {name: _distance(_part(result, "weights"), _part(reference, "weights"), share=False)
               for name, result in results.items() if result is not reference}  # fmt: skip
    return BackendsReport(
        backends=tuple(backends), samples=int(reference["samples"]), gradient=gradient, weights=weights
    )


def _asked(backend: str, spec: RunSpec, folder: Path, data_dir: Path | None) -> dict[str, Array]:
    run, result = folder / "run.json", folder / f"{backend}.npz"
    run.write_text(spec.model_dump_json())
    command = [
        sys.executable,
        "-m",
        "experiments.gradient_check.across_backends",
        backend,
        str(run),
        str(result),
    ]
    process = subprocess.run(
        [*command, *([str(data_dir)] if data_dir else [])],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        lines = "\n".join(process.stderr.strip().splitlines()[-3:])
        raise BackendFailed(f"{backend} gave no result; is it installed (extras train, train-jax)? {lines}")
    with np.load(result, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _part(result: Mapping[str, Array], name: str) -> list[Array]:
    return [result[f"{name}-{i}"] for i in range(sum(key.startswith(f"{name}-") for key in result))]


def _distance(ours: Sequence[Array], theirs: Sequence[Array], *, share: bool) -> float:
    """Largest difference over all tensors; share: of the largest value of `theirs`. NaN in one alone: infinite."""
    largest = max(float(np.max(np.abs(b), initial=0.0)) for b in theirs) if share else 1.0
    differences = []
    for a, b in zip(ours, theirs, strict=True):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        differences.append(float(np.max(np.where(same, 0.0, np.abs(a - b)), initial=0.0)))
    worst = max(differences)
    return float("inf") if np.isnan(worst) else worst / largest if largest else worst


def compute(spec: RunSpec, source: Source) -> dict[str, Array]:
    """What this process' backend computes: `gradient-i`, `weights-i`, `by_hand-i` where it applies, `samples`.

    Called within `lane_numbers.exactly`: what Keras rounds on TensorFlow alone is no difference of two backends.
    """
    import keras

    from experiments.engine import models
    from experiments.engine.backend import tensor
    from experiments.engine.layouts import Layout
    from experiments.engine.program import Program
    from experiments.gradient_check.by_hand import network_gradient
    from experiments.gradient_check.objective import Objective
    from experiments.randomness import data_order

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    data = spec.dataset.load(source, spec.model.data_format)
    objective = Objective(spec, data)
    batch, start = objective.batch(), objective.start()
    results = _numbered("gradient", objective.gradient("loss", start, batch))
    arrays = [np.asarray(value, np.float64) for value in (*start, batch.x, batch.t)]
    hand = network_gradient(spec, arrays[:-2], arrays[-2], arrays[-1])
    results |= _numbered("by_hand", hand or [])

    x, y = (part[:EPOCH_SAMPLES] for part in models.arrays(spec, data)["train"])
    program = Program(spec, Layout(1, 1), "cpu")
    state = program.stack({0: program.initial([spec])[0]})
    active, order = program.axis.per_lane({0: 1}, "bool"), data_order(spec.seed, 0, len(x))
    for batches in program.batches(order[None]):
        state = program.train(
            state,
            program.settings({0: spec}),
            active,
            batches,
            0,
            batches.updates,
            (tensor(x), tensor(y)),
        )
    (lane,) = program.lanes(state, [0])
    return results | _numbered("weights", lane.weights) | {"samples": np.asarray(len(x), np.float64)}


def _numbered(name: str, arrays: Sequence[npt.NDArray[np.floating]]) -> dict[str, Array]:
    return {f"{name}-{i}": np.asarray(array, np.float64) for i, array in enumerate(arrays)}


def main(arguments: Sequence[str]) -> None:
    """Write what this process' backend computes. arguments: backend, run, result, data folder where there is one."""
    backend, run, result, *data_dir = arguments
    # Keras reads it when it is imported, which `compute` does.
    os.environ["KERAS_BACKEND"] = backend
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    spec = RunSpec.model_validate_json(Path(run).read_text())
    from experiments.engine import lane_numbers

    with lane_numbers.exactly():
        arrays: dict[str, Any] = dict(compute(spec, Source(data_dir=Path(data_dir[0]) if data_dir else None)))
    np.savez(result, **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
