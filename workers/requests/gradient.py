"""The gradient check of the program of a run or a spec, as a person asks for it: with a step, with a fault. Loads TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.gradient_check.check import check, jumps
from experiments.gradient_check.side_by_side import side_by_side
from experiments.gradient_check.step_study import STEPS, errors_over_step
from experiments.runs import RunSpec
from experiments.sections import GradientCheckSpec
from service.entities import Run
from workers.process.child import WorkerContext
from workers.training.sources import source


def check_gradient(context: WorkerContext, run: Run | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Check the gradient of a program at its initial weights.

    Args:
        run: whose program it is; None: that of the RunSpec in `payload`.
        payload: `step`, the h of the quotients; `fault`, a name of `faults.SENTENCES` or null.

    Returns:
        `report`: the GradientReport; `steps`, `curve`: precision -> median relative error at each of the steps; `rows`:
        single derivatives side by side. The last three are empty where the program is refused.

    Raises:
        FaultError: the fault has no place in the network.
        DataError: the data set cannot be had.
    """
    given = run.run_spec() if run is not None else RunSpec.model_validate(payload["spec"])
    spec, fault = _with_step(given, float(payload["step"])), payload.get("fault")
    data = spec.dataset.load(source(context.settings), spec.model.data_format)
    report = check(spec, inject_fault=fault, data=data, engine=False)
    result: dict[str, Any] = {"report": report.model_dump(mode="json"), "steps": [], "curve": {}, "rows": []}
    if jumps(spec):
        return result
    curve = errors_over_step(spec, source(context.settings))
    rows = side_by_side(spec, data, fault)
    return result | {
        "steps": [float(step) for step in STEPS],
        "curve": {precision: [float(error) for error in errors] for precision, errors in curve.items()},
        "rows": [row.model_dump(mode="json") for row in rows],
    }


def _with_step(spec: RunSpec, step: float) -> RunSpec:
    checked = GradientCheckSpec.model_validate(
        {**spec.gradient_check.model_dump(), "mode": "sampled", "step": step}
    )
    return spec.model_copy(update={"gradient_check": checked})
