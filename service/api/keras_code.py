"""`/v1/keras-code`: a Keras program as a spec."""

from __future__ import annotations

from fastapi import APIRouter, Request

from experiments.errors import SpecError
from experiments.keras_code import import_keras
from gradus.wire_course import KerasCodeOut
from service.http.auth import Reader
from service.http.bodies import RawBody, content_type, not_accepted, text_of
from service.http.bounded import within
from service.http.dependencies import SettingsDep
from service.http.problems import documented

router = APIRouter(prefix="/v1/keras-code", tags=["experiments"])
TYPES = ("text/plain", "text/x-python", "application/x-python-code")
BODY = {
    "requestBody": {
        "required": True,
        "description": "The text of a Keras program, of any version. It is read and never run.",
        "content": {kind: {"schema": {"type": "string"}} for kind in TYPES[:2]},
    }
}


@router.post("", response_model=KerasCodeOut, responses=documented(415), openapi_extra=BODY)
def read(who: Reader, request: Request, body: RawBody, settings: SettingsDep) -> KerasCodeOut:
    """The spec that trains the program's network, and what was made of each line. Nothing is stored."""
    kind = content_type(request.headers.get("content-type", ""))
    if kind not in TYPES:
        raise not_accepted(kind, *TYPES)
    if not body.strip():
        raise SpecError.one("", "the body is empty", "the text of a Keras program")
    imported = within(settings.spec_seconds, import_keras, text_of(body), limits=settings.limits())
    return KerasCodeOut.model_validate(imported.to_json())
