"""A worker's environment with one backend: it certifies and trains, and does not have the other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.empty_environments import ROOT, make, uv, variables

SPEC = """
name: one-backend
dataset: linear
model: {layers: [{type: dense, units: 1}]}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 2, batch_size: 8}
artifacts: {plots: none}
sweep: {seeds: 2}
"""
# What a worker's parent and its child do with one message, without the broker that brings it.
TRAIN = """
import importlib.util, json, os, sys
from pathlib import Path
from service.settings import get_settings
from workers.process.devices import choose

settings = get_settings()
device = choose(settings.device, settings.threads, [], settings.home / "gpus", settings.backend)
os.environ.update(device.environment())

from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from service import operations
from service.store import Store, queries
from service.store.migrate import upgrade
from workers.training.execute import execute

upgrade(settings.sql_url)
store = Store(settings.sql_url)
spec = ExperimentSpec.parse({**parse_yaml(Path(sys.argv[1]).read_text()), "backend": settings.backend})
experiment = operations.submit(store, spec, spec.expand(), owner="")
runs = queries.all_runs(store, experiment.id)
execute([run.id for run in runs], 4)
runs = [queries.get_run(store, run.id) for run in runs]
print(json.dumps({
    "statuses": [run.outcome["status"] for run in runs],
    "tags": runs[0].tags,
    "installed": [name for name in ("tensorflow", "jax") if importlib.util.find_spec(name)],
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("pins", "backend"), [("worker", "tensorflow"), ("worker-jax", "jax")])
def test_a_worker_needs_its_own_backend_alone(tmp_path: Path, pins: str, backend: str) -> None:
    programs = make(tmp_path)
    file = ROOT / "requirements" / f"{pins}.txt"
    uv(tmp_path, "pip", "sync", "--quiet", "--python", programs / "python", "--require-hashes", file)
    (tmp_path / "spec.yaml").write_text(SPEC)
    environment = {
        **{name: value for name, value in variables().items() if name != "KERAS_BACKEND"},
        "PYTHONPATH": str(ROOT), "HOME": str(tmp_path),
        "GRADUS_HOME": str(tmp_path / "home"), "GRADUS_BACKEND": backend, "GRADUS_DEVICE": "cpu",
    }  # fmt: skip
    command = [str(programs / "python"), "-c", TRAIN, "spec.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["installed"] == [backend]
    assert result["statuses"] == ["FINISHED", "FINISHED"]
    assert result["tags"]["gradus.backend"] == backend
    assert result["tags"]["gradus.certificate"] == "certified"
