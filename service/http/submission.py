"""The one way in for a spec: `POST /v1/experiments` and the form of the page both go through here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from experiments.runs import Point
from experiments.spec import ExperimentSpec
from experiments.spec.preview import preview
from service import operations
from service.analysis import design
from service.entities import Experiment, Json
from service.http.auth import Principal
from service.operations.quota import check_quota
from service.settings import Settings
from service.store import Store


def submit_spec(
    store: Store,
    settings: Settings,
    who: Principal,
    document: object,
    *,
    idempotency_key: str | None = None,
    body: bytes = b"",
) -> Experiment:
    """Check a spec, expand it, and store the experiment with the runs of its first stage.

    Args:
        document: the spec as text or as plain data.
        idempotency_key: the client's name for this request; with it, nothing is stored twice.
        body: the bytes that an equal request has in common; only their hash is kept.

    Returns:
        the experiment as it was when it was accepted, also where the request is a repetition.

    Raises:
        SpecError: the spec cannot be run, or a limit is exceeded.
        KeyInFlight: a request with the same key is being worked on.
        KeyReused: the key came with another body.
        QuotaExceeded: too many runs of this owner would wait.
        StoreUnavailable: the database does not answer.
    """
    spec, points, stage, plan = _checked(settings, document)
    key = None
    if idempotency_key:
        key = operations.IdempotencyKey(idempotency_key, hashlib.sha256(body).hexdigest())
    return operations.submit(
        store, spec, points, owner=who.owner, stage=stage, design=plan, idempotency=key, quota=who.quota
    )


def dry_run(store: Store, settings: Settings, who: Principal, document: object) -> Json:
    """What submitting a spec would do. It refuses whatever `submit_spec` refuses, and stores nothing.

    Raises:
        SpecError: the spec cannot be run, or a limit is exceeded.
        QuotaExceeded: too many runs of this owner would wait.
        StoreUnavailable: the database does not answer.
    """
    spec, points, _, _ = _checked(settings, document)
    store.read(lambda connection: check_quota(connection, who.owner, len(points), who.quota))
    return preview(spec)


def _checked(
    settings: Settings, document: object
) -> tuple[ExperimentSpec, Sequence[Point], str, Json | None]:
    """The spec, and its first stage: the runs, its name, the design."""
    spec = ExperimentSpec.parse(document, settings.limits())
    return spec, *design.initial_points(spec)
