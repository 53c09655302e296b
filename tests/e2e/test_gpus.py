"""A mixed fleet: two workers on a host whose (made-up) driver lists one GPU."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import MADE_UP_GPU


def visible_to_children(worker: Any) -> set[str]:
    """CUDA_VISIBLE_DEVICES of the processes that a worker has started."""
    children = psutil.Process(worker["pid"]).children(recursive=True)
    return {
        child.environ()["CUDA_VISIBLE_DEVICES"]
        for child in children
        if "spawn_main" in " ".join(child.cmdline())
    }


@pytest.mark.usefixtures("embedded")
def test_one_worker_takes_the_gpu_and_runs_go_where_they_asked(
    service: Any, small: Any, eventually: Any
) -> None:
    eventually(lambda: len(service.workers()) == 2, within=120)
    fleet = {worker["device"]: worker for worker in service.workers()}
    assert set(fleet) == {"gpu", "cpu"}
    assert fleet["gpu"]["device_name"] == "Made-up GPU"
    assert (fleet["gpu"]["queues"], fleet["cpu"]["queues"]) == (
        ["gradus.gpu", "gradus.any", "gradus.either.gpu", "gradus.either.any", "gradus.requests"],
        ["gradus.cpu", "gradus.any", "gradus.either.any", "gradus.requests"],
    )
    quick = {"runs": 1, "gradient_check": "off", "diagnostics": "off"}
    sent = {device: service.submit(small(name=device, device=device, **quick)) for device in fleet}
    for device, experiment in sent.items():
        runs = service.wait_over(experiment)
        assert {run["status"] for run in runs} == {"FINISHED"}
        assert {run["tags"]["gradus.device"] for run in runs} == {device}
    assert visible_to_children(fleet["gpu"]) == {MADE_UP_GPU}
    assert visible_to_children(fleet["cpu"]) == {"-1"}

    # The GPU is free again the moment its worker is dead, and the next one takes it.
    os.kill(fleet["gpu"]["pid"], 9)

    def replaced() -> bool:
        now = [worker for worker in service.workers() if worker["device"] == "gpu"]
        return [worker["pid"] for worker in now] not in ([], [fleet["gpu"]["pid"]])

    eventually(replaced, within=120)
