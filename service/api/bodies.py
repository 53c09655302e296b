"""Bodies: every JSON one is plain data, and that of a spec is JSON or YAML; with every fault named."""

from __future__ import annotations

from email.message import Message
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import Depends, Request

from experiments.errors import SpecError
from experiments.grammar.documents import parse_json, parse_yaml, plain
from service.api.refusals import NotAcceptedType

JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The spec. `GET /v1/catalog` lists its choices; `?dry_run=true` explains one.",
        "content": {kind: {"schema": {"type": "object"}} for kind in (JSON, YAML[0])},
    }
}


async def raw_body(request: Request) -> bytes:
    """The body's bytes; the guard has counted them."""
    return await request.body()


RawBody = Annotated[bytes, Depends(raw_body)]


async def json_document(request: Request) -> object:
    """The document in a JSON body; None for another body, which is left unread.

    A dependency of the whole application: no endpoint sees what the database cannot keep (NUL, half a surrogate pair,
    NaN) or what is nested so deeply that Python cannot walk it. In a thread, since a large one takes a while.

    Raises:
        SpecError: not UTF-8, not well formed, or not plain data.
    """
    if not is_json(content_type(request.headers.get("content-type", ""))):
        return None
    body = await request.body()
    return await run_sync(lambda: parse_json(text_of(body))) if body.strip() else None


def spec_document(
    request: Request, body: RawBody, document: Annotated[object, Depends(json_document)]
) -> object:
    """The document in the body. Not async: a large one takes a while to read, in a thread of its own.

    Raises:
        NotAcceptedType: neither JSON nor YAML.
        SpecError: empty, not UTF-8, not well formed, or not plain data.
    """
    if not body.strip():
        raise SpecError.one("", "the body is empty", "a spec, as JSON or YAML")
    kind = content_type(request.headers.get("content-type", ""))
    if is_json(kind):
        return document
    if kind not in YAML:
        message = f"a body of type {kind or 'none'} is not read here"
        raise NotAcceptedType(message, path="header.content-type", allowed=[JSON, YAML[0]])
    document = parse_yaml(text_of(body))
    plain(document)
    return document


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
