"""docs/operations.md, "Workers on another host": containers in a network of their own, which reach the stack only
where it is published."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs" / "operations.md").read_text().partition("## Workers on another host\n")[2]
SCRIPTS = re.findall(r"^```console\n(.*?)^```", SECTION.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


def networks(container: str) -> set[str]:
    shown = ["docker", "inspect", container, "--format", "{{json .NetworkSettings.Networks}}"]
    return set(json.loads(subprocess.run(shown, capture_output=True, text=True, check=True).stdout))


@pytest.mark.compose
def test_workers_elsewhere_train_what_the_stack_accepts(
    service: Any, stack: Any, small: Any, eventually: Any, tmp_path: Path
) -> None:
    values = json.loads(os.environ["GRADUS_E2E_SECRETS"])
    example = (ROOT / "deploy" / "worker.env.example").read_text()
    filled = example.replace("10.0.0.5:5432", f"10.0.0.5:{values['POSTGRES_PORT']}")
    filled = filled.replace("10.0.0.5:6379", f"10.0.0.5:{values['REDIS_PORT']}")
    filled = filled.replace("10.0.0.5:5642", f"10.0.0.5:{values['MLFLOW_PORT']}")
    filled = filled.replace("10.0.0.5", values["GRADUS_BIND"])
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        filled = filled.replace(name, values[name])
    (tmp_path / "worker.env").write_text(f"{filled}GRADUS_LEASE_SECONDS={values['GRADUS_LEASE_SECONDS']}\n")

    here, elsewhere = (block.splitlines() for block in SCRIPTS)
    near = {worker["host"] for worker in service.workers()}
    stack.scale(0)
    try:
        eventually(lambda: not service.workers(), within=120)
        stack.shell(elsewhere, cwd=tmp_path)
        eventually(lambda: len(service.workers()) == 2, within=120)
        far = {worker["host"] for worker in service.workers()}
        assert not far & near
        inside = {name for host in stack.hosts() for name in networks(host)}
        assert inside
        assert not inside & {name for host in far for name in networks(host)}
        runs = service.wait_over(
            service.submit(small(name="elsewhere", artifacts={"model": "all", "plots": "none"}))
        )
        assert {run["status"] for run in runs} == {"FINISHED"}
        assert {run["status"] for run in runs} == {service.in_mlflow(run)["info"]["status"] for run in runs}
    finally:
        stack.shell(
            ["docker compose -f deploy/worker.yml --env-file worker.env down --volumes"], cwd=tmp_path
        )
        stack.shell(here, cwd=tmp_path)
        stack.scale(2)
        eventually(lambda: len(service.workers()) == 2, within=120)
