"""Bodies: every JSON one is plain data, and that of a spec is JSON or YAML; with every fault named."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from experiments.errors import SpecError, found_in
from experiments.spec.documents import parse_json
from experiments.spec.problems import explain
from service.http.bounded import within
from service.http.dependencies import SettingsDep
from service.http.problems import NotAcceptedType
from service.http.reading import plain_yaml

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
REFERENCE = "#/components/schemas/{model}"
"""How the OpenAPI document refers to a named schema."""
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The spec. `GET /v1/catalog` lists its choices; `?dry_run=true` explains one.",
        "content": {
            JSON: {"schema": {"$ref": REFERENCE.format(model="ExperimentSpec")}},
            YAML[0]: {
                "schema": {"type": "string", "format": "binary", "description": "the same as YAML 1.2"}
            },
        },
    }
}


async def raw_body(request: Request) -> bytes:
    """The body's bytes; the guard has counted them."""
    return await request.body()


RawBody = Annotated[bytes, Depends(raw_body)]


def spec_document(request: Request, body: RawBody, settings: SettingsDep) -> object:
    """The document in the body. Not async: a large one takes a while to read, in a thread of its own.

    Raises:
        NotAcceptedType: neither JSON nor YAML.
        SpecError: empty, not UTF-8, not well formed, or not plain data.
    """
    if not body.strip():
        raise SpecError.one("", "the body is empty", "a spec, as JSON or YAML")
    kind = content_type(request.headers.get("content-type", ""))
    if is_json(kind):
        return parse_json(text_of(body))
    if kind not in YAML:
        raise not_accepted(kind, JSON, YAML[0])
    return within(settings.spec_seconds, plain_yaml, text_of(body))


def json_of(model: type[M]) -> Callable[[Request, bytes], M]:
    """A dependency that reads a JSON body as `model`. An empty one, or null, is the model's defaults if it has them.

    Instead of FastAPI's own reading, so that a fault is named as in a spec, and so that no endpoint sees what the
    database cannot keep (NUL, half a surrogate pair, NaN) or what is nested so deeply that Python cannot walk it.

    Raises:
        NotAcceptedType: not JSON.
        SpecError: not UTF-8, not well formed, not plain data, or not what the model takes.
    """

    def read(request: Request, body: RawBody) -> M:
        kind = content_type(request.headers.get("content-type", ""))
        if body.strip() and not is_json(kind):
            raise not_accepted(kind, JSON)
        with found_in("body"):
            document = parse_json(text_of(body)) if body.strip() else None
            try:
                return model.model_validate({} if document is None else document)
            except ValidationError as error:
                raise explain(error, model) from error

    return read


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint whose body is read by `json_of(model)`."""
    schema = {JSON: {"schema": model.model_json_schema(ref_template=REFERENCE)}}
    return {"requestBody": {"required": required, "content": schema}}


def not_accepted(kind: str, *allowed: str) -> NotAcceptedType:
    message = f"a body of type {kind or 'none'} is not read here"
    return NotAcceptedType(message, path="header.content-type", allowed=list(allowed))


def text_of(body: bytes) -> str:
    """A body as text. Raises SpecError where it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the body is {body[error.start]:#04x}, which is not UTF-8 there"
        raise SpecError.one("", message, "UTF-8 text") from error


SpecDocument = Annotated[object, Depends(spec_document)]


def is_json(kind: str) -> bool:
    return kind == JSON or kind.endswith("+json")


def content_type(header: str) -> str:
    """The media type of a Content-Type header, without its parameters, in lower case."""
    message = Message()
    message["content-type"] = header
    return message.get_content_type() if header else ""
