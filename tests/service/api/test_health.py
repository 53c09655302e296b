"""What the API says of itself while its database is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.service.api.conftest import serve

NOBODY = "postgresql://gradus:hunter2@127.0.0.1:9/gradus"  # nothing listens there


def test_passwords_in_addresses_are_shown_to_nobody(tmp_path: Path) -> None:
    """To readyz nobody needs a key; the start page shows where MLflow is."""
    away: dict[str, Any] = {
        "mlflow_url": "http://ann:hunter2@127.0.0.1:9",
        "broker_url": "redis://ann:hunter2@127.0.0.1:9",
    }
    with serve(tmp_path, **away) as served, served.client() as client:
        ready = client.get("/readyz")
        assert ready.json()["dependencies"]["mlflow"]["detail"] == "ConnectError at http://127.0.0.1:9"
        assert ready.json()["dependencies"]["broker"]["status"] == "unreachable"
        assert "http://127.0.0.1:9" in client.get("/").text
        for answer in (ready, client.get("/")):
            assert "hunter2" not in answer.text


def test_without_its_database_it_is_alive_and_not_ready(tmp_path: Path, spec: Any) -> None:
    with serve(tmp_path, empty=True, database_url=NOBODY) as served, served.client() as client:
        assert client.get("/livez").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["status"] == "unavailable"
        assert ready.json()["dependencies"]["database"]["status"] == "unreachable"
        assert "GRADUS_DATABASE_URL" in ready.json()["dependencies"]["database"]["remedy"]
        for answer in (client.post("/v1/experiments", json=spec), client.get("/metrics")):
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "hunter2" not in answer.text
        assert "hunter2" not in ready.text
