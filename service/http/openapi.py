"""The OpenAPI document: what FastAPI makes of the routes, with problems, the spec's own schema, and events."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from experiments.spec import ExperimentSpec
from gradus.wire import EventOut
from service.http import problems
from service.http.bodies import JSON, REFERENCE

STREAM = "text/event-stream"


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an application, version 3.1."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors, which are never answered
        schemas.pop(name, None)
    schemas |= problems.schemas() | spec_schemas()
    schemas["EventOut"] = EventOut.model_json_schema(ref_template=REFERENCE)
    for path in made["paths"].values():
        for operation in path.values():
            _describe_stream(operation["responses"])
            _name_body(operation, schemas)
    return made


def _name_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Move the schema of a JSON body to the named ones: what it refers to is looked up there."""
    content = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    schema = content.get("schema", {})
    if "title" in schema:
        schemas |= schema.pop("$defs", {})
        schemas[schema["title"]] = schema
        content["schema"] = {"$ref": REFERENCE.format(model=schema["title"])}


def _describe_stream(responses: dict[str, Any]) -> None:
    """Version 3.1 has no schema for one event of a stream (`itemSchema`, which FastAPI writes, came with 3.2)."""
    answer = responses.get("200", {})
    if STREAM in answer.get("content", {}):
        answer["content"] = {STREAM: {}}
        answer["description"] += "; the data of each are JSON, `EventOut`"


def spec_schemas() -> dict[str, Any]:
    """The JSON schemas of a spec. Where an entry of a table is meant, its bare name stands for its defaults."""
    schema = _with_bare_names(ExperimentSpec.model_json_schema(ref_template=REFERENCE))
    return {**schema.pop("$defs"), "ExperimentSpec": schema}


def _with_bare_names(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_bare_names(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    whole = {name: _with_bare_names(part) for name, part in schema.items()}
    if "oneOf" in whole and "discriminator" not in whole:  # a bare name may be one of a list of names as well
        whole["anyOf"] = whole.pop("oneOf")
    if whole.get("discriminator", {}).get("propertyName") != "name":
        return whole
    kept = {name: whole.pop(name) for name in ("title", "description", "default") if name in whole}
    bare = {"type": "string", "description": "the entry of this name, with its defaults"}
    return {**kept, "anyOf": [whole, bare]}
