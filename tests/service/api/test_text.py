"""Text that a database cannot keep, and data that cannot be walked: refused in addresses, queries and bodies, on both
databases."""

from __future__ import annotations

from typing import Any

import pytest

from service.store import queries
from tests.service.api.conftest import SPEC

WHOLE = "a" * 24  # as long as an id, so that it is looked up as it is
ADDRESSES = [
    ("GET", f"/v1/runs/{WHOLE}%00", 404),
    ("GET", f"/v1/runs/{WHOLE}%00/metrics", 404),
    ("GET", f"/v1/experiments/{WHOLE}%00", 404),
    ("GET", f"/v1/experiments/{WHOLE}%00/events", 404),
    ("POST", f"/v1/experiments/{WHOLE}%00/cancel", 404),
    ("GET", "/v1/requests/%00", 404),
    ("DELETE", "/v1/keys/%00", 404),
    ("GET", "/v1/requests/%ED%A0%80", 404),
    ("GET", "/v1/experiments?name=%00", 422),
    ("GET", "/v1/experiments?activation=%00", 422),
    ("GET", "/v1/experiments?cursor=1_%00", 422),
    ("GET", "/v1/experiments?%00=1", 422),
    ("GET", "/v1/runs/{run}/metrics?key=%00", 422),
    ("GET", "/v1/runs/{run}/metrics?cursor=1_%00", 422),
    ("GET", "/v1/experiments/{experiment}/comparison?factor=%00", 422),
]
BODIES = {
    "a name with NUL": ("PATCH", "/v1/experiments/{experiment}", '{"name": "a\\u0000b"}', "name"),
    "a text with NUL": ("PATCH", "/v1/experiments/{experiment}", '{"description": "\\u0000"}', "description"),
    "half a pair in a name": ("PATCH", "/v1/experiments/{experiment}", '{"name": "\\ud800"}', "name"),
    "half a pair of an owner": ("POST", "/v1/keys", '{"owner": "\\ud800"}', "owner"),
    "half a pair": ("POST", "/v1/runs/{run}/predict?wait=0", '{"inputs": ["\\ud800"]}', "inputs[0]"),
    "half a pair in a key": ("POST", "/v1/runs/{run}/predict?wait=0", '{"inputs": [{"\\ud800": 1}]}', "inputs[0]"),
    "NUL in inputs": ("POST", "/v1/runs/{run}/predict?wait=0", '{"inputs": ["\\u0000"]}', "inputs[0]"),
    "NaN": ("POST", "/v1/runs/{run}/predict?wait=0", '{"inputs": [NaN]}', "inputs[0]"),
    "nested 600 deep": (
        "POST",
        "/v1/runs/{run}/predict?wait=0",
        '{"inputs": ' + 600 * "[" + "1" + 600 * "]" + "}",
        "inputs[0]",
    ),
}  # fmt: skip


@pytest.fixture
def there(api_on_both: Any) -> Any:
    """Ids of an experiment and of a run of it that has finished."""
    id = api_on_both.submit().id
    run = queries.all_runs(api_on_both.store, id)[0].id
    api_on_both.finish(run, metrics=[("train/loss", 1, 0.5)])
    return {"experiment": id, "run": run}


def test_an_address_that_no_text_can_be(api_on_both: Any, there: Any) -> None:
    with api_on_both.client() as client:
        for method, path, status in ADDRESSES:
            answer = client.request(method, path.format(**there))
            assert answer.status_code == status, (path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["errors"][0]["message"]


def test_a_body_that_is_not_plain_data_is_named_by_its_path(api_on_both: Any, there: Any) -> None:
    with api_on_both.client() as client:
        for kind, (method, path, body, where) in BODIES.items():
            answer = client.request(
                method, path.format(**there), content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 422, (kind, answer.text)
            assert answer.json()["errors"][0]["path"].startswith(f"body.{where}"), (kind, answer.text)


def test_a_case_named_like_a_version_is_no_number(api_on_both: Any) -> None:
    """The filter compares numbers as numbers: it asks the database to make none of these labels."""
    labels = ["1.2.3", "1e999", "1e-999", "5", ".", "9" * 40, "1e5"]
    sweep = {"cases": {label: {"training.batch_size": 8 + n} for n, label in enumerate(labels)}, "seeds": 1}
    api_on_both.submit({**SPEC, "sweep": sweep})
    with api_on_both.client() as client:
        for value, expected in (("5", ["5"]), ("5.0", ["5"]), ("1.2.3", ["1.2.3"]), ("100000", ["1e5"])):
            (experiment,) = client.get("/v1/experiments", params={"case": value}).json()["items"]
            runs = client.get(f"/v1/experiments/{experiment['id']}/runs", params={"case": value}).json()[
                "items"
            ]
            assert [run["levels"]["case"] for run in runs] == expected
