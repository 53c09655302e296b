"""`POST /v1/keras-code`: a program in, a spec and notes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CNN = (Path(__file__).resolve().parents[3] / "examples/keras/cnn.py").read_bytes()


def test_a_program_becomes_a_spec_that_is_accepted(client: Any) -> None:
    answer = client.post("/v1/keras-code", content=CNN, headers={"content-type": "text/x-python"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["errors"] == []
    slips = {note["line"]: note["text"] for note in body["notes"] if note["kind"] == "slip"}
    assert slips.keys() == {3, 22}
    dry = client.post(
        "/v1/experiments?dry_run=true", content=body["yaml"], headers={"content-type": "application/yaml"}
    )
    assert dry.json()["networks"][0]["parameters"] == 3_274_634
    assert client.post("/v1/experiments?dry_run=true", json=body["spec"]).status_code == 200


def test_what_cannot_be_run_is_named(client: Any) -> None:
    code = "m = Sequential([Dense(3, activation='relu')])\nm.compile('sgd', 'mse')\n"
    answer = client.post(
        "/v1/keras-code", content=code, headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert [problem["path"] for problem in answer.json()["errors"]] == ["dataset"]
    assert answer.json()["spec"]["model"] == {"layers": [{"type": "dense", "units": 3, "activation": "relu"}]}


def test_what_is_no_program_is_refused(client: Any) -> None:
    for content, kind, status in (
        ("", "text/plain", 422),
        ("model = Sequential(", "text/plain", 422),
        ("{}", "application/json", 415),
        (b"\xff", "text/plain", 422),
    ):
        answer = client.post("/v1/keras-code", content=content, headers={"content-type": kind})
        assert answer.status_code == status
        assert answer.json()["errors"][0]["message"]
