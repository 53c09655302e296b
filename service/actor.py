"""Who asked for what happens now: known to the HTTP side, written down by the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Actor:
    """A person or program that changes something. Filled in while a request is looked at, so it can change.

    Attributes:
        key_id: id of the API key; empty where none was needed.
        owner: the key's owner.
        address: network address of the client, or `command` for a command on the service's machine.
        request_id: of the HTTP request, as in the access log.
    """

    key_id: str = ""
    owner: str = ""
    address: str = ""
    request_id: str = ""


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current_actor() -> Actor | None:
    """Who asked for what this code does; None in workers and maintenance, which act for nobody."""
    return _actor.get()


@contextmanager
def acting(actor: Actor) -> Iterator[Actor]:
    """Within the context, and in threads that copy it, everything is done for this actor."""
    token = _actor.set(actor)
    try:
        yield actor
    finally:
        _actor.reset(token)
