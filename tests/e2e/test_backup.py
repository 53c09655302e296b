"""docs/operations.md, "Backup and restore": its commands are run here, everything is destroyed, and all is back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
SECTION = PAGE.partition("## Backup and restore\n")[2].partition("\n## ")[0]
SCRIPTS = re.findall(r"^```console\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
MARK = {"embedded": "gradus backup", "save": "pg_dump", "restore": "pg_restore"}


def script(kind: str) -> list[str]:
    """The commands of the block of the section that has this mark."""
    (block,) = [block for block in SCRIPTS if MARK[kind] in block]
    return str(block).splitlines()


def weights(service: Any, run: Any) -> dict[str, bytes]:
    """The run's weights, as MLflow hands them out."""
    id, api = run["mlflow"]["run_id"], "/api/2.0/mlflow/artifacts/list"
    listed = service.mlflow.get(api, params={"run_id": id, "path": "weights"}).json().get("files", [])
    contents = {}
    for file in listed:
        answer = service.mlflow.get("/get-artifact", params={"run_uuid": id, "path": file["path"]})
        assert answer.status_code == 200, answer.text
        contents[file["path"]] = answer.content
    return contents


def everything(service: Any) -> dict[str, Any]:
    """All runs of all experiments, and what MLflow has of each: status, every point of every metric, weights."""
    results = {}
    for experiment in service.get("/v1/experiments", limit=100)["items"]:
        for run in service.runs(experiment["id"]):
            kept = service.in_mlflow(run)
            # MLflow leaves an empty list out, as of a run killed while it waited.
            points = kept["data"].get("metrics", [])
            metrics = sorted((point["key"], point["step"], point["value"]) for point in points)
            assert run["status"] == kept["info"]["status"]
            results[run["id"]] = (
                run["status"],
                run["attempt"],
                run["metrics"],
                metrics,
                weights(service, run),
            )
    return results


def test_a_copy_of_a_running_stack_continues_after_the_stack_is_gone(
    service: Any, embedded: Any, small: Any, lasting: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The stack of these tests: it is killed, its home destroyed, and it goes on from the copy."""
    copy = tmp_path_factory.mktemp("backup") / "copy"
    artifacts = {"plots": "none", "model": "all"}
    kept = service.submit(small(name="kept", artifacts=artifacts))
    service.wait_over(kept)
    before = everything(service)
    running = service.submit(lasting(name="in-flight", epochs=24))
    service.wait_training(running)
    (save,) = script("embedded")[:1]
    command = [str(Path(sys.executable).parent / "gradus"), *shlex.split(save)[1:-1], str(copy)]
    environment = {**os.environ, "GRADUS_HOME": str(embedded.home)}
    subprocess.run(command, env=environment, check=True, timeout=120)
    embedded.kill()
    shutil.rmtree(embedded.home)
    embedded.begin(copy)
    service.ready()
    assert {run["status"] for run in service.wait_over(running)} == {"FINISHED"}
    after = everything(service)
    assert {id: after[id] for id in before} == before
    assert all(before[run["id"]][-1] for run in service.runs(kept)), "weights among what was kept"
    assert len(after) == len(before) + 2
    search = {"experiment_ids": [service.runs(running)[0]["mlflow"]["experiment_id"]]}
    in_mlflow = service.mlflow.post("/api/2.0/mlflow/runs/search", json=search).json()["runs"]
    assert len(in_mlflow) == 2, "one MLflow run each"


@pytest.mark.compose
def test_dumps_of_the_databases_bring_everything_back(
    service: Any, stack: Any, small: Any, tmp_path: Path
) -> None:
    artifacts = {"plots": "none", "model": "all"}
    service.wait_over(service.submit(small(name="kept", artifacts=artifacts)))
    before = everything(service)
    assert sum(bool(files) for *_, files in before.values()) >= 4, "weights among what was kept"
    stack.shell(script("save"), cwd=tmp_path)
    stack.shell(["docker compose down --volumes"], cwd=tmp_path)
    stack.shell(script("restore"), cwd=tmp_path)
    service.ready()
    stack.scale(2)
    assert everything(service) == before
    again = service.wait_over(service.submit(small(name="afterwards")))
    assert {run["status"] for run in again} == {"FINISHED"}
