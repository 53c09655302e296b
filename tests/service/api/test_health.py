"""What the API says of itself while its database is away."""

from __future__ import annotations

from tests.service.api.conftest import serve

NOBODY = "postgresql://gradus:hunter2@127.0.0.1:9/gradus"  # nothing listens there


def test_without_its_database_it_is_alive_and_not_ready(tmp_path, spec):
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
