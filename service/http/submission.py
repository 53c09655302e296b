"""The one way in for a spec: `POST /v1/experiments` and the form of the page both go through here."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from service import operations, tracing
from service.entities import Experiment, Json
from service.http import reading
from service.http.auth import Principal
from service.http.bounded import within
from service.http.datasets import with_tables
from service.http.reading import Prepared, Preview
from service.http.reuse import with_whole_ids
from service.operations.quota import check_quota
from service.operations.reuse import to_train
from service.settings import Settings
from service.store import Connection, Store


def prepare(document: object, settings: Settings, store: Store, who: Principal) -> Prepared:
    """Check and expand a spec.

    Args:
        document: the spec as plain data.
        who: whose files the spec may name.

    Raises:
        SpecError: the spec cannot be run, a limit is exceeded, or reading it takes too long.
    """
    document = _complete(document, store, who)
    return within(settings.spec_seconds, reading.prepared, document, settings.limits())


def preview(document: object, settings: Settings, store: Store, who: Principal) -> Preview:
    """What submitting a spec would do: for a dry run and for the page. Raises SpecError where `prepare` does."""
    document = _complete(document, store, who)
    return within(settings.spec_seconds, reading.previewed, document, settings.limits())


def _complete(document: object, store: Store, who: Principal) -> object:
    """A spec with what the database knows of the files and experiments that it names."""
    return with_whole_ids(with_tables(document, store, who), store, who)


def submit_spec(
    store: Store,
    who: Principal,
    prepared: Prepared,
    *,
    idempotency_key: str | None = None,
    body: bytes = b"",
) -> Experiment:
    """Store an experiment with the runs of its first stage.

    Args:
        idempotency_key: the client's name for this request; with it, nothing is stored twice.
        body: the bytes that an equal request has in common; only their hash is kept.

    Returns:
        the experiment as it was when it was accepted, also where the request is a repetition.

    Raises:
        KeyInFlight: a request with the same key is being worked on.
        KeyReused: the key came with another body.
        QuotaExceeded: too many runs of this owner would wait.
        StoreUnavailable: the database does not answer.
    """
    key = None
    if idempotency_key:
        key = operations.IdempotencyKey(idempotency_key, hashlib.sha256(body).hexdigest())
    began = datetime.now(UTC)
    experiment = operations.submit(
        store,
        prepared.spec,
        prepared.points,
        owner=who.owner,
        stage=prepared.stage,
        design=prepared.plan,
        idempotency=key,
        quota=who.quota,
    )
    if not experiment.replayed:
        tracing.submitted(experiment.id, began=began, runs=experiment.n_runs)
    return experiment


def dry_run(document: object, settings: Settings, store: Store, who: Principal) -> Json:
    """What submitting a spec would do. It refuses whatever a submission refuses, and stores nothing.

    Raises:
        SpecError: the spec cannot be run, a limit is exceeded, or reading it takes too long.
        QuotaExceeded: too many runs of this owner would wait.
        StoreUnavailable: the database does not answer.
    """
    answer = preview(document, settings, store, who)

    def check(connection: Connection) -> None:
        new = to_train(connection, answer.reuse, answer.fingerprints)
        check_quota(connection, who.owner, new, who.quota)

    store.read(check)
    return answer.document
