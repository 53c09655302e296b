"""The dry run's answer and the catalog are what the OpenAPI document says of them."""

from __future__ import annotations

from typing import Any

from gradus.wire_preview import CatalogOut, PreviewOut
from tests.service.api.conftest import SPEC, Served


def test_a_dry_run_and_the_catalog_have_named_schemas(api: Served) -> None:
    with api.client() as client:
        document: dict[str, Any] = client.get("/openapi.json").json()
        submit = document["paths"]["/v1/experiments"]["post"]["responses"]["200"]["content"]
        listed = document["paths"]["/v1/catalog"]["get"]["responses"]["200"]["content"]
        named = [content["application/json"]["schema"]["$ref"] for content in (submit, listed)]
        assert named == ["#/components/schemas/PreviewOut", "#/components/schemas/CatalogOut"]
        shown = client.post("/v1/experiments", json=SPEC, params={"dry_run": True}).json()
        preview = PreviewOut.model_validate(shown)
        assert (preview.n_runs, preview.networks[0].layers[0].parameters) == (4, 0)
        assert preview.model_dump(by_alias=True) == shown
        tables = client.get("/v1/catalog").json()
        assert CatalogOut.model_validate(tables).model_dump(by_alias=True) == tables
