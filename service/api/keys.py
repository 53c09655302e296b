"""`/v1/keys`: API keys. The secret is told once, when a key is made; only its hash is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from experiments.fields import ShortText
from gradus.wire import KeyOut, Page
from service import operations
from service.http.auth import Admin, Scope
from service.http.bodies import json_body, json_of
from service.http.dependencies import StoreDep
from service.http.paging import page
from service.http.problems import documented
from service.http.schemas import Strict, key_out

router = APIRouter(prefix="/v1/keys", tags=["keys"])


def printable(text: str) -> str:
    """A text as it is. Raises PydanticCustomError where it has characters that are not seen."""
    if not text.isprintable():
        allowed = {"allowed": "text that can be printed, such as ann"}
        raise PydanticCustomError("misfit", "a name with characters that are not seen", allowed)
    return text


class NewKey(Strict):
    """What a key is to allow."""

    owner: Annotated[ShortText, AfterValidator(printable)]
    scopes: list[Scope] = Field(
        ["read", "write"], min_length=1, description="admin includes write, write read"
    )
    quota: int | None = Field(
        None, ge=1, le=10**9, description="runs its owner may have waiting; the default if null"
    )


class CreatedKey(KeyOut):
    """A new key with its secret."""

    key: str


@router.post(
    "",
    status_code=201,
    response_model=CreatedKey,
    responses=documented(415),
    openapi_extra=json_body(NewKey),
)
def create(who: Admin, body: Annotated[NewKey, Depends(json_of(NewKey))], store: StoreDep) -> CreatedKey:
    """Make a key. The answer is the only place where it is ever shown."""
    key, secret = operations.create_key(store, owner=body.owner, scopes=body.scopes, quota=body.quota)
    return CreatedKey(**key_out(key).model_dump(), key=secret)


@router.get("", response_model=Page[KeyOut], responses=documented())
def list_keys(who: Admin, request: Request, response: Response, store: StoreDep) -> Page[KeyOut]:
    """All keys, without their secrets."""
    return page(request, response, (operations.list_keys(store), None), key_out)


@router.delete("/{id}", status_code=204, responses=documented(404))
def revoke(id: str, who: Admin, store: StoreDep) -> None:
    """Revoke a key: it stops working at once."""
    operations.revoke_key(store, id)
