"""Server-sent events of an answer that a test reads itself."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from httpx_sse import EventSource

from gradus import Event


def events_of(answer: httpx.Response) -> Iterator[Event]:
    """The events of one open stream."""
    for message in EventSource(answer).iter_sse():
        if message.data:
            yield Event.of(message.id, message.event, message.json())
