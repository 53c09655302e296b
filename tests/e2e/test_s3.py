"""MLflow's files in a bucket: a local server that speaks S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "gradus"
ACCESS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.slow
def test_files_of_a_run_lie_in_the_bucket_and_come_back(
    start_embedded: Callable[..., Any], service_of: Callable[..., Any], small: Any, endpoint: str
) -> None:
    bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    stack = start_embedded(
        "--workers",
        "1",
        MLFLOW_S3_ENDPOINT_URL=endpoint,
        GRADUS_ARTIFACTS_DESTINATION=f"s3://{BUCKET}/files",
        **ACCESS,
    )
    service = service_of(stack)
    experiment = service.submit(small(runs=1, artifacts={"plots": "all", "model": "all"}))
    (run,) = service.wait_over(experiment)
    assert run["status"] == "FINISHED", run["reason"]
    sizes = {item.key: item.size for item in bucket.objects.all()}
    assert all(key.startswith("files/") for key in sizes)
    mlflow_id = run["mlflow"]["run_id"]
    for name in ("spec.yaml", "gradient_check.json", "curves.png"):
        key = next(key for key in sizes if f"/{mlflow_id}/" in key and key.endswith(name))
        assert sizes[key] > 0
    served = service.mlflow.get("/get-artifact", params={"path": "spec.yaml", "run_uuid": mlflow_id})
    assert served.status_code == 200
    assert "linear" in served.text
    assert not list((stack.home / "mlflow").glob("artifacts/**/*.png"))
