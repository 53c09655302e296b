"""The one way in for a spec: `POST /v1/experiments` and the form of the page both go through here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview
from service import operations
from service.analysis import design
from service.entities import Experiment, Json
from service.http.auth import Principal
from service.http.datasets import with_tables
from service.http.reuse import with_whole_ids
from service.operations.quota import check_quota
from service.operations.reuse import to_train
from service.settings import Settings
from service.store import Connection, Store


@dataclass(frozen=True)
class Prepared:
    """A spec that was accepted, and the runs of its first stage.

    stage: the name of that stage
    plan: the question's plan; None without a question
    """

    spec: ExperimentSpec
    points: tuple[Point, ...]
    stage: str
    plan: Json | None


def prepare(document: object, settings: Settings, store: Store, who: Principal) -> Prepared:
    """Check and expand a spec. A submission, its dry run and the page's preview all ask this.

    Args:
        document: the spec as plain data.
        who: whose files the spec may name.

    Raises:
        SpecError: the spec cannot be run, or a limit is exceeded.
    """
    document = with_whole_ids(with_tables(document, store, who), store, who)
    spec = ExperimentSpec.parse(document, settings.limits())
    return Prepared(spec, *design.initial_points(spec))


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
    return operations.submit(
        store,
        prepared.spec,
        prepared.points,
        owner=who.owner,
        stage=prepared.stage,
        design=prepared.plan,
        idempotency=key,
        quota=who.quota,
    )


def dry_run(store: Store, who: Principal, prepared: Prepared) -> Json:
    """What submitting a spec would do. It refuses whatever `submit_spec` refuses, and stores nothing.

    Raises:
        QuotaExceeded: too many runs of this owner would wait.
        StoreUnavailable: the database does not answer.
    """

    def check(connection: Connection) -> None:
        new = to_train(connection, prepared.spec.reuse, prepared.points)
        check_quota(connection, who.owner, new, who.quota)

    store.read(check)
    return preview(prepared.spec)
