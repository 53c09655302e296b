"""Published results, run again: `GRADUS_DATA_DIR=FOLDER python bench/published.py` (FOLDER holds mnist.npz).

The specs are those of examples/, over the seeds said. `make test-slow` holds the same against the published bands.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from experiments.datasets import Source
from experiments.engine import models
from experiments.engine.training import train
from experiments.recording import MemoryRecorder
from experiments.runs import RunSpec
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MLP: dict[str, Any] = {"sweep": {"seeds": 16}}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "784-30-10 sigmoid, 30 epochs": ("nielsen-784-30-10", {"sweep": {"seeds": 4}}, "94 – 96 %"),
    "784-32-10, 2 epochs": ("mnist-mlp", MLP | {"epochs": 2}, "93.9 – 95.3 %"),
    "784-32-10, 3 epochs": ("mnist-mlp", MLP | {"epochs": 3}, "94.9 – 95.9 %"),
    "CNN, 1 epoch": ("mnist-cnn", {}, "above 97 %"),
    "LeNet-5, 3 epochs": ("lenet-5", {"sweep": {"seeds": 4}}, "98.5 % and more"),
    "inception, 1 epoch": ("inception-mnist", {"sweep": {"seeds": 2}}, ""),
}
"""What is shown -> (example, what is changed, the published or earlier measured band)."""


def runs_of(example: str, changes: dict[str, Any]) -> list[RunSpec]:
    document: Any = parse_yaml((EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8"))
    training = dict(document["training"])
    if "epochs" in changes:
        training["epochs"] = changes["epochs"]
    rest = {name: value for name, value in changes.items() if name != "epochs"}
    return [p.spec for p in ExperimentSpec.parse(document | {"training": training} | rest).expand()]


def main() -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = os.environ.get("GRADUS_DATA_DIR")
    if not folder:
        print("set GRADUS_DATA_DIR to the folder that holds mnist.npz", file=sys.stderr)
        return 2
    source = Source(Path(folder))
    print(f"| network | seeds | published | test accuracy | mean | seconds |\n|{' --- |' * 6}")
    for name, (example, changes, band) in CASES.items():
        runs, began = runs_of(example, changes), time.perf_counter()
        width = runs[0].max_width()
        tiles = [runs[start : start + width] for start in range(0, len(runs), width)]
        outcomes = [
            o for tile in tiles for o in train(tile, MemoryRecorder(), lambda lane: None, source=source)
        ]
        reached = [100 * outcome.metrics["test/accuracy"] for outcome in outcomes]
        span = f"{min(reached):.1f} – {max(reached):.1f} %" if len(reached) > 1 else f"{reached[0]:.1f} %"
        seconds = time.perf_counter() - began
        print(
            f"| {name} | {len(reached)} | {band} | {span} | {statistics.fmean(reached):.1f} % | {seconds:.0f} |",
            flush=True,
        )
    losses = initial_losses(source)
    print(
        f"\ninitial cross-entropy over {len(losses)} seeds: {min(losses):.3f} – {max(losses):.3f} (ln 10 = 2.303)"
    )
    return 0


def initial_losses(source: Source) -> list[float]:
    """On the test images, before any training."""
    run, *_ = runs_of("mnist-mlp", MLP)
    x, y = models.arrays(run, run.dataset.load(source))["test"]
    return [float(models.loss(run.loss)(y, models.build(run, seed=seed)(x))) for seed in range(16)]


if __name__ == "__main__":
    sys.exit(main())
