"""What is refused: bad specs of every kind, bodies too large, other types; each with path, finding and allowed
values, and none leaves a row."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from service.store import queries
from tests.service.api.conftest import Served

MIB = 1024 * 1024
DENSE = {"type": "dense", "units": 8}
CONV = {"type": "conv2d", "filters": 4, "kernel_size": 9}


def changed(spec: Any, **fields: Any) -> Any:
    return {**spec, **fields}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown activation": ({"model": {"hidden": [8], "activation": "relo"}}, "model.activation"),
    "unknown optimizer": ({"optimizer": {"name": "adma"}}, "optimizer.name"),
    "unknown field": ({"trainning": {"epochs": 1}}, "trainning"),
    "wrong type": ({"training": {"epochs": "two"}}, "training.epochs"),
    "fraction for a count": ({"training": {"batch_size": 1.5}}, "training.batch_size"),
    "negative rate": ({"optimizer": {"name": "sgd", "learning_rate": -1}}, "optimizer.learning_rate"),
    "zero epochs": ({"training": {"epochs": 0}}, "training.epochs"),
    "unknown data set": ({"dataset": {"name": "minst"}}, "dataset.name"),
    "missing model": ({"model": None}, "model"),
    "a kernel larger than the image": (
        {"model": {"layers": [CONV, {"type": "flatten"}, {"type": "dense", "units": 10}]}},
        "model.layers[0]",
    ),
    "dense on 10^9 parameters": ({"model": {"hidden": [40_000, 40_000]}}, "model"),
    "a sweep of 10^6 runs": ({"sweep": {"activation": ["relu", "tanh"], "seeds": 500_000}}, "sweep"),
    "an empty axis": ({"sweep": {"activation": []}}, "sweep.activation"),
    "an axis that leads nowhere": ({"sweep": {"training.epoch": [1, 2]}}, "sweep"),
    "a field swept twice": (
        {"sweep": {"activation": ["relu"], "cases": {"a": {"model.activation": "tanh"}}}},
        "sweep",
    ),
    "output units that do not fit": ({"model": {"layers": [DENSE, {"type": "dense", "units": 7}]}}, "model"),
    "softmax with mse on one unit": (
        {
            "dataset": {"name": "linear"},
            "loss": "mse",
            "model": {"layers": [{"type": "dense", "units": 1, "activation": "softmax"}]},
        },
        "",
    ),
    "a question about what is not swept": ({"compare": {"factor": "optimizer"}}, "compare.factor"),
    "NUL in the name": ({"name": "a\0b"}, "name"),
    "half a surrogate pair": ({"description": "\ud800"}, "description"),
    "a number beyond 64 bits": ({"seed": 2**70}, "seed"),
    "priority out of range": ({"priority": 99}, "priority"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_spec_is_named_and_leaves_no_row(
    client: httpx.Client, api: Served, spec: Any, kind: str
) -> None:
    fields, path = BAD[kind]
    text = json.dumps(changed(spec, **fields))
    answer = client.post("/v1/experiments", content=text, headers={"content-type": "application/json"})
    body = answer.json()
    assert answer.status_code == 422, body
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == 422
    assert body["title"]
    assert any(item["path"].startswith(path) for item in body["errors"]), body["errors"]
    assert all(item["message"] for item in body["errors"])
    assert any(item["allowed"] for item in body["errors"]), body["errors"]
    assert queries.list_experiments(api.store) == ([], None)


TEXTS = {
    "empty": (b"", "application/json", 422),
    "blank": (b"  \n", "application/yaml", 422),
    "YAML that is no mapping": (b"- 1\n- 2\n", "application/yaml", 422),
    "broken YAML": (b"a: [1,\n", "application/yaml", 422),
    "a YAML alias": (b"a: &x 1\nb: *x\n", "application/yaml", 422),
    "broken JSON": (b'{"name": ', "application/json", 422),
    "a key twice": (b'{"name": "a", "name": "b"}', "application/json", 422),
    "not UTF-8": (b'{"name": "\xff"}', "application/json", 422),
    "NaN": (b'{"name": "a", "seed": NaN}', "application/json", 422),
    "infinity": (b"name: a\nseed: .inf\n", "application/yaml", 422),
    "nested without end": (b"[" * 100_000, "application/json", 422),
    "a number of 10,000 digits": (b'{"seed": ' + b"9" * 10_000 + b"}", "application/json", 422),
    "text": (b"name: a", "text/plain", 415),
    "a form": (b"name=a", "application/x-www-form-urlencoded", 415),
    "2 MiB": (b'{"name": "' + b"a" * 2 * MIB + b'"}', "application/json", 413),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_bad_body_is_named_and_leaves_no_row(client: httpx.Client, api: Served, kind: str) -> None:
    content, media, status = TEXTS[kind]
    answer = client.post("/v1/experiments", content=content, headers={"content-type": media})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["message"]
    assert queries.list_experiments(api.store) == ([], None)


DEEP = b'{"name": ' + b"[" * 41 + b"]" * 41 + b"}"
CHANGES = {
    "true for a number": (b'{"priority": true}', "body.priority", "found true", "a whole number"),
    "text for a number": (b'{"priority": "5"}', "body.priority", 'found the text "5"', "a whole number"),
    "too high": (b'{"priority": 11}', "body.priority", "found 11", "at most 10"),
    "a number for text": (b'{"name": 5}', "body.name", "found 5", "text"),
    "an empty name": (b'{"name": ""}', "body.name", "found", "at least 1 characters"),
    "another field": (
        b'{"pirority": 1}',
        "body.pirority",
        'there is no field "pirority"; did you mean "priority"?',
        ["description", "name", "priority"],
    ),
    "no mapping": (b"[1]", "body", "found [1]", "a mapping"),
    "broken": (b"[1", "body", "line 1 column 3", "JSON"),
    "nested too deeply": (DEEP, "body.name" + "[0]" * 40, "nested too deeply", "at most 40 levels"),
    "nested without end": (b"[" * 100_000, "body", "nested too deeply", "at most 40 levels"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_bad_change_is_named_as_in_a_spec(client: httpx.Client, api: Served, kind: str) -> None:
    content, path, message, allowed = CHANGES[kind]
    experiment = api.submit()
    answer = client.patch(
        f"/v1/experiments/{experiment.id}", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    (item,) = answer.json()["errors"]
    assert item["path"] == path
    assert message in item["message"]
    assert item["allowed"] == allowed
    assert queries.get_experiment(api.store, experiment.id).version == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/yaml", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/v1/experiments/{experiment}"),
        ("POST", "/v1/experiments/{experiment}/extend"),
        ("POST", "/v1/runs/{run}/predict"),
        ("POST", "/v1/keys"),
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_not_read(
    client: httpx.Client, api: Served, method: str, path: Any, kind: str
) -> None:
    experiment = api.submit()
    run = api.finish(queries.all_runs(api.store, experiment.id)[0].id)
    headers = {"content-type": kind} if kind else {}
    answer = client.request(
        method, path.format(experiment=experiment.id, run=run.id), content=b"{}", headers=headers
    )
    assert answer.status_code == 415, answer.text
    assert answer.json()["errors"][0]["allowed"] == ["application/json"]


@pytest.mark.parametrize(("body", "path"), [({"sedes": 1}, "body.sedes"), ({"seeds": True}, "body.seeds")])
def test_a_bad_extension_is_named(client: httpx.Client, api: Served, body: Any, path: Any) -> None:
    answer = client.post(f"/v1/experiments/{api.submit().id}/extend", json=body)
    assert answer.status_code == 422
    (item,) = answer.json()["errors"]
    assert item["path"] == path
    assert item["allowed"] in (["epochs", "levels", "looks", "reuse", "seeds"], "a whole number, or a list")


def test_no_endpoint_reads_a_body_past_the_checks(api: Served) -> None:
    """FastAPI's own reading is for forms: what it makes of JSON may hold what no database keeps."""
    contexts = iter_route_contexts(api.app.routes)
    read = {str(route.path) for route in contexts if getattr(route, "body_field", None) is not None}
    assert read == {
        "/login", "/join", "/experiments/{id}/extend", "/experiments/{id}/about", "/gradient-check", "/classes/{name}/open",
    }  # fmt: skip


def test_nan_is_named_by_its_path(client: httpx.Client) -> None:
    body = b'{"name": "a", "optimizer": {"name": "sgd", "learning_rate": NaN}}'
    answer = client.post("/v1/experiments", content=body, headers={"content-type": "application/json"})
    assert answer.json()["errors"][0]["path"] == "optimizer.learning_rate"


def test_a_body_that_hides_its_length_is_counted(client: httpx.Client) -> None:
    pieces = (b"x" * 65536 for _ in range(40))
    answer = client.post("/v1/experiments", content=pieces, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["title"]


@pytest.mark.parametrize("over", [1, 11_424, 200_000])
def test_the_piece_that_passes_the_limit_may_be_the_last(api: Served, over: Any) -> None:
    """Nothing more is read then: there would be nothing, and the client would wait for its 413 for ever."""
    head = "POST /v1/experiments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    size = MIB + over
    chunk = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n"
    with socket.create_connection(api.socket.getsockname(), timeout=10) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_large_sweep_of_the_limit_is_accepted_quickly(client: httpx.Client) -> None:
    spec = {
        "name": "large",
        "dataset": {"name": "digits"},
        "model": {"hidden": [8]},
        "optimizer": {"name": "sgd"},
        "sweep": {"activation": ["relu", "tanh"], "seeds": 500},
    }
    answer = client.post("/v1/experiments", json=spec)
    assert answer.status_code == 201
    assert answer.json()["n_runs"] == 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/experiments/none", 404),
        ("GET", "/v1/runs/none", 404),
        ("GET", "/v1/runs/none/metrics", 404),
        ("GET", "/v1/runs/none/events", 404),
        ("GET", "/v1/requests/none", 404),
        ("DELETE", "/v1/keys/none", 404),
        ("GET", f"/v1/experiments/{'a' * 101}", 404),
        ("GET", f"/v1/runs/{'a' * 5000}", 404),
        ("GET", f"/v1/requests/{'a' * 101}", 404),
        ("DELETE", f"/v1/keys/{'a' * 101}", 404),
        ("PUT", "/v1/experiments", 405),
        ("GET", "/v1/experiments?cursor=what", 422),
        ("GET", "/v1/experiments?limit=100000", 422),
    ],
)
def test_every_refusal_is_a_problem(client: httpx.Client, method: str, path: Any, status: Any) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert len(answer.json()["detail"]) < 6000


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/experiments", "GET, HEAD, POST"),
        ("POST", "/v1/experiments/any", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/v1/experiments/any/cancel", "POST"),
        ("HEAD", "/v1/experiments/any/cancel", "POST"),
        ("DELETE", "/livez", "GET, HEAD"),
        ("PUT", "/openapi.json", "GET, HEAD"),
    ],
)
def test_a_405_names_every_method_of_the_address(
    client: httpx.Client, method: str, path: Any, allow: Any
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert method == "HEAD" or answer.json()["errors"][0]["allowed"] == allow


@pytest.mark.parametrize(
    "path", ["/livez", "/", "/docs", "/metrics", "/v1/experiments", "/v1/experiments/none"]
)
def test_head_is_get_without_the_body(client: httpx.Client, path: Any) -> None:
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.content == b""


def test_the_head_of_a_stream_ends(client: httpx.Client, api: Served) -> None:
    path = f"/v1/experiments/{api.submit().id}/events"  # of runs that wait: GET would not end
    answer = client.head(path, timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert client.get("/livez").status_code == 200
