"""A fresh database is prepared once, again without effect, and gets its first key."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import operations
from service.alive import alive
from service.entities import Worker
from service.errors import WeakKey
from service.prepare import prepare
from service.store import Store

KEY = "5f" * 32


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gradus.db'}"


def test_the_first_key_has_every_right_and_is_made_once(url: str) -> None:
    prepare(url, first_key=KEY)
    prepare(url, first_key=KEY)
    store = Store(url)
    key = operations.authenticate(store, KEY)
    assert key is not None
    assert set(key.scopes) == {"read", "write", "admin"}
    assert len(operations.list_keys(store)) == 1
    store.close()


def test_a_revoked_first_key_stays_revoked(url: str) -> None:
    prepare(url, first_key=KEY)
    store = Store(url)
    operations.revoke_key(store, operations.list_keys(store)[0].id)
    prepare(url, first_key=KEY)
    assert operations.authenticate(store, KEY) is None
    store.close()


def test_a_short_key_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(WeakKey, match="at least 32 random ones"):
        prepare(url, first_key="secret")


def test_alive_means_a_beat_from_this_host(url: str) -> None:
    prepare(url)
    store = Store(url)
    assert not alive(store, "here")
    operations.beat(store, Worker(name="w", host="here"))
    assert alive(store, "here")
    assert not alive(store, "elsewhere")
    store.close()
