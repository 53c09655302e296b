"""What the gradient check costs: `python bench/gradient_check.py`.

The full check of 784-32-10 (25,450 parameters, 3 points, at the start and after 100 steps) and sampled checks of
other networks. Without MNIST (GRADUS_DATA_DIR), the digits of scikit-learn stand in: 64-32-10.
"""

from __future__ import annotations

import os
from pathlib import Path

from experiments.datasets import Source
from experiments.errors import DataError
from experiments.gradient_check.check import check
from experiments.spec import ExperimentSpec

FOLDER = os.environ.get("GRADUS_DATA_DIR")
MLP = {"hidden": [32], "activation": "relu"}
CNN = {
    "pattern": "INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT",
    "conv": {"filters": [8, 16], "kernel_size": 5},
    "fc": {"units": [64]},
}
CASES: dict[str, dict[str, object]] = {
    "MLP, full": {"model": MLP, "gradient_check": {"mode": "full"}},
    "MLP, sampled": {"model": MLP},
    "ten sigmoid layers, sampled": {"model": {"hidden": [30] * 10, "activation": "sigmoid"}},
    "CNN, sampled": {"model": CNN},
}


def main() -> None:
    source = Source(Path(FOLDER) if FOLDER else None)
    for dataset in ("mnist", "digits"):
        try:
            data = (
                ExperimentSpec.parse({"name": "b", "dataset": dataset, "model": MLP})
                .expand()[0]
                .spec.dataset.load(source)
            )
            break
        except DataError as error:
            print(error)
    print(f"| network | parameters | coordinates | verdict | largest error | seconds |\n|{' --- |' * 6}")
    for name, document in CASES.items():
        spec = ExperimentSpec.parse({"name": "b", "dataset": dataset, **document}).expand()[0].spec
        report = check(spec, data=data)
        checked = sum(t.checked for state in report.states for t in state.tensors)
        print(
            f"| {spec.architecture} {name} | {spec.forecast.parameters:,} | {checked:,} | {report.verdict} "
            f"| {report.max_rel_err:.1e} | {report.seconds:.1f} |", flush=True
        )  # fmt: skip


if __name__ == "__main__":
    main()
