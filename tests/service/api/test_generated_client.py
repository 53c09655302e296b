"""A client that openapi-python-client makes of the OpenAPI document works: typed spec, comparison, events, problems."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import jsonschema
import pytest

from experiments.spec.documents import parse_yaml
from experiments.spec.examples import examples
from service.http.openapi import spec_schemas
from service.store import queries
from tests.empty_environments import ROOT, make, uv, variables
from tests.service.api.conftest import SPEC, Served

# The generator knows neither YAML nor programs as bodies, nor pictures as answers: they are files to it.
FILES = ("application/yaml", "text/plain", "text/x-python", "image/svg+xml")
CONFIG = f"content_type_overrides: {{{', '.join(f'{kind}: application/octet-stream' for kind in FILES)}}}\n"
PROGRAM = """
import json, sys
from made import Client
from made.api.answers import compare_v1_experiments_id_comparison_get as compare
from made.api.events import experiment_events_v1_experiments_id_events_get as events
from made.api.experiments import list_runs_v1_experiments_id_runs_get as runs
from made.api.experiments import submit_v1_experiments_post as submit
from made.models import EventOut, ExperimentSpec

client = Client(base_url=sys.argv[1])
document = json.loads(sys.argv[2])
created = submit.sync(client=client, body=ExperimentSpec.from_dict(document))
refused = submit.sync(client=client, body=ExperimentSpec.from_dict({**document, "name": "x" * 300}))
first = runs.sync(sys.argv[3], client=client)
answer = compare.sync(sys.argv[3], client=client, factor="activation")
stream = events.sync_detailed(sys.argv[3], client=client).content.decode()
data = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
print(json.dumps({
    "created": [type(created).__name__, created.n_runs],
    "refused": [type(refused).__name__, refused.status, [fault.path for fault in refused.errors]],
    "runs": [(run.status, run.metrics.to_dict()) for run in first.items],
    "levels": [(level.level, level.mean) for level in answer.levels],
    "events": [EventOut.from_dict(event).status for event in map(json.loads, data) if "status" in event],
}))
"""


def test_a_generated_client_submits_reads_and_compares(api: Served, tmp_path: Path) -> None:
    programs = make(tmp_path)
    pins = ROOT / "requirements" / "openapi.txt"
    uv(tmp_path, "pip", "sync", "--quiet", "--python", programs / "python", "--require-hashes", pins)
    document = httpx.get(f"{api.url}/openapi.json", trust_env=False).json()
    assert document["openapi"].startswith("3.1.")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "config.yaml").write_text(CONFIG)
    experiment = api.submit()
    for run in queries.all_runs(api.store, experiment.id):
        value = 0.9 if run.levels["activation"] == "relu" else 0.5
        api.finish(run.id, metrics=[("test/accuracy", 1, value)])

    generate = ["generate", "--path", "openapi.json", "--config", "config.yaml", "--output-path", "made"]
    options = ["--meta", "none", "--fail-on-warning"]
    commands = [
        [str(programs / "openapi-python-client"), *generate, *options],
        [str(programs / "python"), "-c", PROGRAM, api.url, json.dumps(SPEC), experiment.id],
    ]
    environment = {**variables(), "PATH": f"{programs}:{variables()['PATH']}"}
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    says = json.loads(done.stdout)
    assert says["created"] == ["AcceptedExperiment", 4]
    assert says["refused"] == ["ProblemDetails", 422, ["name"]]
    assert [status for status, _ in says["runs"]] == ["FINISHED"] * 4
    assert says["runs"][0][1] == {"test/accuracy": 0.9}
    assert says["levels"] == [["relu", 0.9], ["tanh", 0.5]]
    assert says["events"].count("FINISHED") == 4


@pytest.mark.parametrize("name", [name for name in examples() if not name.startswith("refused/")])
def test_every_example_is_a_spec_as_the_document_describes_it(name: str) -> None:
    schemas = spec_schemas()
    whole = {"$ref": "#/components/schemas/ExperimentSpec", "components": {"schemas": schemas}}
    jsonschema.validate(parse_yaml(examples()[name]), whole, jsonschema.Draft202012Validator)
