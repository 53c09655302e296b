"""Keep the result of a gradient check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entities import Certificate
from service.errors import NotFound
from service.store import certificate_rows, mapper, queries
from service.store.engine import Store


def put_certificate(store: Store, key: str, verdict: str, report: Mapping[str, Any]) -> Certificate:
    """Keep a certificate. Where two workers made one of the same key, the first one stays.

    Returns:
        The certificate that is kept.
    """
    clean = mapper.finite(report)
    store.write(lambda connection: certificate_rows.save_certificate(connection, key, verdict, clean))
    certificate = queries.get_certificate(store, key)
    if certificate is None:
        raise NotFound("certificate", key)
    return certificate
