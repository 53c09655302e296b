"""Parts of pages that move: one reading of the database and one drawing for all browsers that watch the same thing."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import anyio
from anyio.to_thread import run_sync
from fastapi.sse import ServerSentEvent

from service.store import Store

LOOK_SECONDS = 1.0
"""Between two looks at what has changed, however many watch."""
LEAST_SHARE = 10
"""A part that took a second to draw is drawn again after ten at the earliest."""
MOST_KEPT = 256
Key = tuple[str, ...]
Mark = Callable[[], object]
Build = Callable[[], str]


@dataclass
class _Part:
    """A part as it was drawn last."""

    mark: object = None
    html: str = ""
    looked: float = 0.0
    drawn_again_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_parts: WeakKeyDictionary[Store, OrderedDict[Key, _Part]] = WeakKeyDictionary()


def kept(store: Store, key: Key, mark: object) -> str | None:
    """A part that was drawn for somebody else and is still right; None where there is none."""
    part = _parts.get(store, OrderedDict()).get(key)
    return part.html if part is not None and part.html and part.mark == mark else None


async def current(store: Store, key: Key, mark: Mark, build: Build) -> str:
    """A part as it is now, or as it was a moment ago.

    Args:
        key: what the part shows, in which language.
        mark: reads a value that stays the same while the part does. Called in a thread.
        build: draws the part. Called in a thread.
    """
    parts = _parts.setdefault(store, OrderedDict())
    part = parts.setdefault(key, _Part())
    parts.move_to_end(key)
    while len(parts) > MOST_KEPT:
        parts.popitem(last=False)
    async with part.lock:
        now = time.monotonic()
        if now - part.looked >= LOOK_SECONDS and now >= part.drawn_again_at:
            seen = await run_sync(mark)
            if seen != part.mark:
                part.html = await run_sync(build)
                part.mark = seen
                part.drawn_again_at = time.monotonic() + LEAST_SHARE * (time.monotonic() - now)
            part.looked = time.monotonic()
    return part.html


async def stream(
    store: Store, builds: Mapping[Key, Build], mark: Mark, over: Callable[[], bool]
) -> AsyncIterator[ServerSentEvent]:
    """The parts of a page as events `part`, each when it changed; at last `end`, once nothing more can happen.

    Args:
        builds: key -> how its part is drawn; the last word of a key is the id of the element that it fills.
        mark: a value that stays the same while nothing happens.
        over: whether nothing more can happen.
    """
    sent: dict[Key, str] = {}
    yield ServerSentEvent(comment="parts follow", retry=1000)
    while True:
        # Asked before the parts are drawn: what happened before the end is then in them.
        ended = await run_sync(over)
        complete = True
        for key, build in builds.items():
            html = await current(store, key, mark, build)
            if sent.get(key) != html:
                sent[key] = html
                yield ServerSentEvent(event="part", data={"id": key[-1], "html": html})
            complete &= kept(store, key, await run_sync(mark)) is not None if ended else True
        if ended and complete:
            break
        await anyio.sleep(LOOK_SECONDS)
    yield ServerSentEvent(event="end", data={})
