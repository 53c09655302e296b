"""What every page shares."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from service.settings import load_settings
from service.store import Store
from service.web.view import Visit
from service.words import Words


@pytest.mark.parametrize(
    ("visitor", "address", "linked"),
    [
        ("127.0.0.1", "http://127.0.0.1:5642", True),
        ("::1", "http://localhost:5642", True),
        ("192.168.1.7", "http://127.0.0.1:5642", False),
        ("192.168.1.7", "http://localhost:5642", False),
        ("192.168.1.7", "https://mlflow.example.org", True),
    ],
)
def test_mlflow_is_linked_where_the_visitor_can_reach_it(visitor: str, address: str, linked: bool) -> None:
    request = Request(
        {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (visitor, 50_000)}
    )
    settings = load_settings(mlflow_public_url=address)
    store = Store("sqlite://")
    try:
        pages = Visit(request, store, settings, Words("en"), None).mlflow
    finally:
        store.close()
    assert (pages is not None) == linked
    assert pages is None or pages.base == address
