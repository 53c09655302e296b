"""Requests about a run or a spec that a worker answers: predictions, plots, gradient checks, final artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entities import Request
from service.errors import TooManyOpenRequests
from service.store import Connection, audit_rows, experiment_rows, mapper, queries, request_rows
from service.store.engine import Store, take_turn
from service.store.ids import new_id

MAX_ATTEMPTS = 3


def create_request(
    store: Store, run_id: str, *, kind: str, payload: Mapping[str, Any], quota: int | None = None
) -> Request:
    """Ask for work on a run.

    Args:
        kind: see `entities.Request`.
        payload: what the worker needs. NaN and infinite values become null.
        quota: how many requests that a person waits for the run's owner may have open, this one included; None: any
            number.

    Raises:
        NotFound: there is no such run.
        TooManyOpenRequests: the owner would have more open.
    """
    id = new_id()

    def work(connection: Connection) -> None:
        whole_id = queries.resolve(connection, "run", run_id)
        if quota is not None:
            _check_quota(connection, experiment_rows.owner_of(connection, whole_id), quota)
        values = {"id": id, "run_id": whole_id, "kind": kind, "payload": mapper.finite(payload)}
        request_rows.insert_request(connection, values)
        audit_rows.record_audit(connection, "requested", "run", whole_id, kind=kind)

    store.write(work)
    return queries.get_request(store, id)


def create_spec_request(
    store: Store, owner: str, *, kind: str, payload: Mapping[str, Any], quota: int
) -> Request:
    """Ask for work on a spec that was not submitted.

    Args:
        owner: who asks.
        kind: gradient.
        payload: `spec`, a RunSpec as plain data, and what else the worker needs.
        quota: how many requests the owner may have open, this one included.

    Raises:
        TooManyOpenRequests: the owner would have more open.
    """
    id = new_id()

    def work(connection: Connection) -> None:
        _check_quota(connection, owner, quota)
        values = {"id": id, "owner": owner, "kind": kind, "payload": mapper.finite(payload)}
        request_rows.insert_request(connection, values)
        audit_rows.record_audit(connection, "requested", "request", id, kind=kind)

    store.write(work)
    return queries.get_request(store, id)


def _check_quota(connection: Connection, owner: str, quota: int) -> None:
    """Raises TooManyOpenRequests where the owner has as many open as allowed."""
    take_turn(connection, f"requests:{owner}")
    waiting = request_rows.open_requests_of(connection, owner)
    if waiting >= quota:
        raise TooManyOpenRequests(owner, waiting, quota)


def claim_request(store: Store, request_id: str, *, worker: str, lease_seconds: float) -> Request | None:
    """Claim a request that waits or whose lease ran out. None where another worker has it or it is over."""

    def work(connection: Connection) -> Request | None:
        row = request_rows.take_request(connection, request_id, worker, lease_seconds)
        return None if row is None else mapper.to_request(row)

    return store.write(work)


def renew_request(store: Store, request_id: str, attempt: int, lease_seconds: float) -> bool:
    """Extend a request's lease. False where the attempt no longer holds it."""
    return store.write(
        lambda connection: request_rows.renew_request(connection, request_id, attempt, lease_seconds)
    )


def finish_request(
    store: Store,
    request_id: str,
    attempt: int,
    *,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """Store a request's result, or the error in its place. False where the attempt no longer holds it."""
    clean = mapper.finite(result) if result is not None else None
    return store.write(
        lambda connection: request_rows.end_request(
            connection, request_id, attempt, result=clean, error=error
        )
    )


def is_request_new(store: Store) -> bool:
    """Whether there is a request that a person waits for and that was never sent. One look at an index: it may be asked
    many times a second."""
    return store.read(request_rows.any_new_request)


def take_due_requests(store: Store, *, resend_seconds: float, limit: int = 100) -> list[Request]:
    """Choose the requests whose message is to be sent now and mark them as sent. Fails those whose worker was lost too
    often. Called several times a second, so it reads first and writes only where it must.

    Background requests are sent while no run waits for a worker and one that trains is idle (after ten minutes all the same),
    and to at most half of the workers at once: *measured*, the pictures of one demo held the next demo back for 29 s, and
    predictions for 7 to 18 s each.

    Args:
        resend_seconds: after how long an unclaimed message counts as lost.
        limit: most requests to send now.

    Returns:
        The requests in the order in which they were asked for.
    """

    def chosen(connection: Connection, *, lock: bool) -> list[str]:
        workers = queries.read_workers(connection)
        training = [worker for worker in workers if worker.alive and worker.kind == "train"]
        return request_rows.requests_to_send(
            connection,
            resend_seconds,
            limit,
            background=max(1, len(training) // 2),
            idle=not training or any(worker.state == "idle" for worker in training),
            lock=lock,
        )

    def look(connection: Connection) -> bool:
        if not request_rows.any_open_request(connection):
            return False
        worn = request_rows.any_worn_request(connection, MAX_ATTEMPTS)
        return worn or bool(chosen(connection, lock=False))

    def work(connection: Connection) -> list[Request]:
        request_rows.fail_worn_requests(connection, MAX_ATTEMPTS)
        rows = request_rows.mark_requests_sent(connection, chosen(connection, lock=True))
        return [mapper.to_request(row) for row in rows]

    return store.write(work) if store.read(look) else []
