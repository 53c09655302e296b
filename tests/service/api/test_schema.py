"""schemathesis over the OpenAPI document, on both databases: no 5xx, no answer that the document does not know."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service import operations
from service.api.app import create_app
from service.settings import Settings
from service.store import Store, queries

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
LIMITS = hypothesis.settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
DOCUMENT = create_app(Settings(_env_file=None), Store("sqlite://")).openapi()
OPERATIONS = [
    operation.ok()
    for operation in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if isinstance(operation, Ok)
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_is_documented(api_on_both: Any, operation: Any) -> None:
    api = api_on_both
    id = api.submit().id
    run = queries.all_runs(api.store, id)[0].id
    if operation.label.endswith("/events"):
        operations.cancel_experiment(api.store, id)  # so that the stream ends

    @LIMITS
    @hypothesis.given(case=operation.as_strategy())
    def call(case: Any) -> None:
        if "id" in case.path_parameters and len(str(case.path_parameters["id"])) % 2:
            case.path_parameters["id"] = run if "/runs/{id}" in case.path else id  # half reach something
        case.call_and_validate(base_url=api.url, checks=CHECKS, headers={"host": "127.0.0.1"}, timeout=20)

    call()
