"""Workers, certificates and requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.entities import Certificate, Request, Worker
from service.errors import NotFound
from service.store import mapper, other_rows, queries
from service.store.engine import Store
from service.store.ids import new_id

REQUEST_ATTEMPTS = 3


def beat(store: Store, worker: Worker) -> None:
    """A worker says that it is alive, what it is and what it does. Do it every few seconds, idle or not."""
    store.write(lambda connection: other_rows.save_worker(connection, worker))


def retire(store: Store, worker: str) -> None:
    """A worker has ended: nobody sees it any more. When its spool was last served is remembered."""
    store.write(lambda connection: other_rows.retire_worker(connection, worker))


def workers(store: Store, *, alive_seconds: float = queries.ALIVE_SECONDS) -> list[Worker]:
    """Every worker that reported within the last day."""
    return queries.workers(store, alive_seconds=alive_seconds)


def get_certificate(store: Store, key: str) -> Certificate | None:
    """The certificate of a key, if there is one."""
    return queries.get_certificate(store, key)


def put_certificate(store: Store, key: str, verdict: str, report: Mapping[str, Any]) -> Certificate:
    """Keep a certificate; where two made one at once, the first stays and is returned."""
    store.write(
        lambda connection: other_rows.save_certificate(connection, key, verdict, mapper.finite(report))
    )
    kept = queries.get_certificate(store, key)
    if kept is None:
        raise NotFound("certificate", key)
    return kept


def create_request(store: Store, run_id: str, *, kind: str, payload: Mapping[str, Any]) -> Request:
    """Ask for work on a run, of a kind that `Request` names. Raises NotFound where there is no such run."""
    id = new_id()

    def work(connection: Connection) -> None:
        whole = queries.resolve(connection, "run", run_id)
        values = {"id": id, "run_id": whole, "kind": kind, "payload": mapper.finite(payload)}
        other_rows.insert_request(connection, values)

    store.write(work)
    return queries.get_request(store, id)


def claim_request(store: Store, request_id: str, *, worker: str, lease_seconds: float) -> Request | None:
    """Take a request that waits or whose lease ran out; None where somebody else has it or it is over."""

    def work(connection: Connection) -> Request | None:
        row = other_rows.take_request(connection, request_id, worker, lease_seconds)
        return None if row is None else mapper.to_request(row)

    return store.write(work)


def renew_request(store: Store, request_id: str, attempt: int, lease_seconds: float) -> bool:
    """Extend a request's lease; False where it is held no longer."""
    return store.write(
        lambda connection: other_rows.renew_request(connection, request_id, attempt, lease_seconds)
    )


def finish_request(
    store: Store,
    request_id: str,
    attempt: int,
    *,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """Store a request's result, or why there is none; False where a newer attempt has it."""
    clean = mapper.finite(result) if result is not None else None
    return store.write(
        lambda connection: other_rows.end_request(connection, request_id, attempt, result=clean, error=error)
    )


def due_requests(store: Store, *, resend_seconds: float, limit: int = 100) -> list[Request]:
    """Requests whose message is to be sent now, marked as sent; lost messages come round again. Also fails those
    that lost their worker too often. It is asked many times a second, so it looks first, and writes where it must.

    What no person waits for is sent while no run waits for a worker (or after ten minutes all the same), and to no
    more than half of the workers at once: *measured*, what one demo left to be drawn held the next one back for 29 s.
    """

    def chosen(connection: Connection, *, lock: bool) -> list[str]:
        fleet = [one for one in queries.read_workers(connection) if one.alive and one.kind == "train"]
        unhurried = max(1, len(fleet) // 2)
        return other_rows.requests_to_send(connection, resend_seconds, limit, unhurried=unhurried, lock=lock)

    def look(connection: Connection) -> bool:
        worn = other_rows.any_worn_request(connection, REQUEST_ATTEMPTS)
        return worn or bool(chosen(connection, lock=False))

    def work(connection: Connection) -> list[Request]:
        other_rows.fail_worn_requests(connection, REQUEST_ATTEMPTS)
        rows = other_rows.mark_requests_sent(connection, chosen(connection, lock=True))
        return [mapper.to_request(row) for row in rows]

    return store.write(work) if store.read(look) else []
