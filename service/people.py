"""Who may do what, and who did: keys, classes and the entries of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.entities import Json


@dataclass(frozen=True)
class AuditEntry:
    """Somebody's change: `owner` with the key `key_id`, from `address`, did `action` to the `kind` with `target_id`."""

    id: int
    at: datetime
    action: str
    kind: str
    target_id: str
    owner: str
    key_id: str
    address: str
    request_id: str
    details: Json


@dataclass(frozen=True)
class ApiKey:
    """An API key without its secret."""

    id: str
    owner: str
    scopes: tuple[str, ...]  # of read, write, admin
    hint: str  # the first characters, to tell keys apart
    quota: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    class_name: str | None = None
    hides_others: bool = False  # its class' results are not open to each other yet


@dataclass(frozen=True)
class Classroom:
    """A class: who knows its code gets a key of their own."""

    name: str
    most: int
    students: int
    created_at: datetime
    opened_at: datetime | None  # since when its students see each other's results
