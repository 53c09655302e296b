"""Who asks, and what a key allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from service import operations
from service.actor import current_actor
from service.http.dependencies import SettingsDep, StoreDep
from service.http.problems import Forbidden, TooManyRequests, Unauthenticated
from service.http.rate import Rates
from service.people import ApiKey
from service.settings import Settings
from service.store import Store

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
REMEDY = "send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `gradus keys create` makes one"

PROXIED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""Headers by which a proxy tells that it hands a request on."""

_bearer = HTTPBearer(auto_error=False, description="a key made with `gradus keys create`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="the same key in a header of its own")


@dataclass(frozen=True)
class Principal:
    """Who asks. Without keys (on loopback) it is the person at this machine, who may do everything."""

    owner: str
    scopes: frozenset[str]
    quota: int
    keyed: bool = False
    sees: str | None = None  # only what belongs to this owner; None: everything
    class_name: str | None = None  # the class that they joined

    def may(self, scope: Scope) -> bool:
        """Admin includes write, write includes read."""
        return any(held in self.scopes for held in SCOPES[SCOPES.index(scope) :])

    def changes(self, owner: str) -> bool:
        """Whether they may change what belongs to `owner`."""
        return self.may("write") and (not self.keyed or owner == self.owner or self.may("admin"))

    def check_owns(self, owner: str) -> None:
        """Only its owner and an admin change an experiment.

        Raises:
            Forbidden: it belongs to somebody else.
        """
        if self.keyed and owner != self.owner and not self.may("admin"):
            raise Forbidden(
                f"this belongs to {owner or 'nobody in particular'}; only they or an admin may change it"
            )


def person_here(request: Request, settings: Settings) -> Principal:
    """Who asks where no key is needed.

    The bind address says that only this machine can ask, and a proxy makes that untrue: everybody who reaches it
    would be the person at this machine. The `Host` header does not tell, since whoever asks chooses it.

    Raises:
        Forbidden: a proxy handed the request on.
    """
    told = next((name for name in PROXIED if name in request.headers), None)
    if told is not None:
        raise Forbidden(
            f"this request came through a proxy (it has the header {told}), and this service asks nobody for a key;"
            " keys are needed: set GRADUS_AUTH_REQUIRED=true and make a key with `gradus keys create`",
            path=f"header.{told.lower()}",
            allowed="requests from this machine, or a service that asks for keys",
        )
    return Principal("", frozenset(SCOPES), settings.quota_queued_runs)


def principal(
    request: Request,
    settings: SettingsDep,
    store: StoreDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> Principal:
    """The asker. A key that is sent is checked also where none is needed.

    Raises:
        Unauthenticated: no key where one is needed, or one that is not known or was revoked.
        Forbidden: no key, and a proxy handed the request on.
    """
    token = bearer.credentials if bearer is not None else header
    if not token:
        if settings.needs_key:
            raise Unauthenticated(f"this service asks for a key; {REMEDY}")
        return person_here(request, settings)
    who = holder(store, settings, request.app.state.rates, token)
    if who is None:
        raise Unauthenticated(f"the key is not known, or it was revoked; {REMEDY}")
    return who


def holder(store: Store, settings: Settings, rates: Rates, secret: str) -> Principal | None:
    """Who holds a key, for the request and for its audit entries; None where it is not known or was revoked.

    Raises:
        TooManyRequests: the key asks more often than it may.
    """
    key = operations.authenticate(store, secret)
    return None if key is None else of_key(key, settings, rates)


def of_key(key: ApiKey, settings: Settings, rates: Rates) -> Principal:
    """Whoever holds this key, for the request and for its audit entries.

    Raises:
        TooManyRequests: the key asks more often than it may.
    """
    if (actor := current_actor()) is not None:
        actor.key_id, actor.owner = key.id, key.owner
    if wait := rates.take(key.id):
        seconds = math.ceil(wait)
        raise TooManyRequests(
            f"this key asks too often; ask again in {seconds} s",
            retry_after=seconds,
            allowed=f"{settings.rate_per_second:g} requests a second, {settings.rate_burst} at once",
        )
    quota = settings.quota_queued_runs if key.quota is None else key.quota
    who = Principal(key.owner, frozenset(key.scopes), quota, keyed=True, class_name=key.class_name)
    return (
        replace(who, sees=key.owner)
        if (settings.private or key.hides_others) and not who.may("admin")
        else who
    )


def allowed(scope: Scope) -> Callable[[Principal], Principal]:
    """A dependency that lets only keys with this scope through."""

    def check(who: Annotated[Principal, Depends(principal)]) -> Principal:
        if not who.may(scope):
            have = ", ".join(sorted(who.scopes)) or "nothing"
            raise Forbidden(
                f"this needs the scope {scope}; the key has {have}", allowed=f"a key with scope {scope}"
            )
        return who

    return check


Reader = Annotated[Principal, Depends(allowed("read"))]
Writer = Annotated[Principal, Depends(allowed("write"))]
Admin = Annotated[Principal, Depends(allowed("admin"))]
