"""SQL on the requests table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from service.routes import BACKGROUND_KINDS
from service.store.clock import db_now, later
from service.store.dispatch_rows import some_run_waits
from service.store.tables import experiments, requests, runs

BACKGROUND_WITHIN_SECONDS = 600.0
"""So long may training hold back what no person waits for."""


def insert_request(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(requests).values(created_at=db_now(), status="queued", **values))


# Literal values: a partial index serves only a statement that holds its condition. Without the index, each look would
# read the results, which can be pictures.
_queued, _running = (requests.c.status == literal_column(f"'{status}'") for status in ("queued", "running"))


OPEN_REQUEST = requests.c.status.in_([literal_column("'queued'"), literal_column("'running'")])


_lost = and_(_running, requests.c.lease_expires_at < db_now())


_free = or_(_queued, _lost)


def take_request(connection: Connection, id: str, worker: str, lease_seconds: float) -> Row[Any] | None:
    """Claim a request that waits or whose lease ran out."""
    statement = (
        update(requests)
        .where(requests.c.id == id, _free)
        .values(
            status="running",
            attempt=requests.c.attempt + 1,
            worker=worker,
            lease_expires_at=later(lease_seconds),
        )
        .returning(*requests.c)
    )
    return connection.execute(statement).first()


def renew_request(connection: Connection, id: str, attempt: int, lease_seconds: float) -> bool:
    mine = (requests.c.id == id) & (requests.c.attempt == attempt) & (requests.c.status == "running")
    return bool(
        connection.execute(
            update(requests).where(mine).values(lease_expires_at=later(lease_seconds))
        ).rowcount
    )


def end_request(
    connection: Connection, id: str, attempt: int, *, result: Mapping[str, Any] | None, error: str | None
) -> bool:
    mine = (requests.c.id == id) & (requests.c.attempt == attempt) & (requests.c.status == "running")
    values = {
        "status": "done" if error is None else "failed",
        "result": dict(result) if result is not None else None,
        "error": error,
        "ended_at": db_now(),
        "lease_expires_at": None,
    }
    return bool(connection.execute(update(requests).where(mine).values(**values)).rowcount)


def fail_worn_requests(connection: Connection, max_attempts: int) -> int:
    """Fail requests that lost their worker too often."""
    values = {"status": "failed", "error": "the worker was lost each time", "ended_at": db_now()}
    return connection.execute(update(requests).where(_worn(max_attempts)).values(**values)).rowcount


_ANY_NEW = select(
    exists().where(
        OPEN_REQUEST, _queued, requests.c.dispatched_at.is_(None), requests.c.kind.not_in(BACKGROUND_KINDS)
    )
)
_ANY_OPEN = select(exists().where(OPEN_REQUEST))


def any_new_request(connection: Connection) -> bool:
    """Whether there is a request that a person waits for and that was never sent."""
    return bool(connection.scalar(_ANY_NEW))


def any_open_request(connection: Connection) -> bool:
    """Whether any request waits or is being answered: one short look, where nothing else needs to be read."""
    return bool(connection.scalar(_ANY_OPEN))


def any_worn_request(connection: Connection, max_attempts: int) -> bool:
    return bool(connection.scalar(select(exists().where(_worn(max_attempts)))))


def _worn(max_attempts: int) -> ColumnElement[bool]:
    return and_(OPEN_REQUEST, _lost, requests.c.attempt >= max_attempts)


def requests_to_send(
    connection: Connection, resend_seconds: float, limit: int, *, background: int, idle: bool, lock: bool
) -> list[str]:
    """Requests that were not yet sent, or so long ago that their message is lost; with `lock` those that nobody else
    is about to send.

    Of those that no person waits for at most `background` are out at once, and none while a run waits for a worker or no
    worker is `idle`.
    """
    due = or_(requests.c.dispatched_at.is_(None), requests.c.dispatched_at < later(-resend_seconds))
    in_background = requests.c.kind.in_(BACKGROUND_KINDS)

    def chosen(*which: ColumnElement[bool], most: int) -> list[str]:
        statement = (
            select(requests.c.id)
            .where(OPEN_REQUEST, _free, due, *which)
            .order_by(requests.c.created_at)
            .limit(most)
        )
        return list(connection.scalars(statement.with_for_update(skip_locked=True) if lock else statement))

    ids = chosen(~in_background, most=limit)
    out = select(func.count()).select_from(requests).where(OPEN_REQUEST, in_background, ~and_(_free, due))
    long_ago = requests.c.created_at < later(-BACKGROUND_WITHIN_SECONDS)
    if (room := background - int(connection.scalar(out) or 0)) > 0:
        now = or_(~some_run_waits(), long_ago) if idle else long_ago
        ids += chosen(in_background, now, most=room)
    return ids


def mark_requests_sent(connection: Connection, ids: Collection[str]) -> list[Row[Any]]:
    """Mark requests as sent; they themselves, in the order in which they were asked for."""
    if not ids:
        return []
    connection.execute(update(requests).where(requests.c.id.in_(ids)).values(dispatched_at=db_now()))
    return list(
        connection.execute(select(requests).where(requests.c.id.in_(ids)).order_by(requests.c.created_at))
    )


def open_requests_of(connection: Connection, owner: str) -> int:
    """How many open requests that a person waits for are about this owner's runs and specs."""
    about = requests.outerjoin(runs, runs.c.id == requests.c.run_id).outerjoin(
        experiments, experiments.c.id == runs.c.experiment_id
    )
    theirs = or_(experiments.c.owner == owner, requests.c.owner == owner)
    statement = (
        select(func.count())
        .select_from(about)
        .where(OPEN_REQUEST, requests.c.kind.not_in(BACKGROUND_KINDS), theirs)
    )
    return int(connection.scalar(statement) or 0)


def delete_old_requests(connection: Connection, seconds: float) -> None:
    connection.execute(delete(requests).where(requests.c.ended_at < later(-seconds)))
