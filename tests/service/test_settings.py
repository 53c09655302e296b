"""Where settings come from, which source wins, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.errors import BadSettings
from service.settings import Settings, child_environment, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("GRADUS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "GRADUS_LEASE_SECONDS").write_text("1")
    monkeypatch.setenv("GRADUS_SECRETS_DIR", str(secrets))
    assert load_settings().lease_seconds == 1
    (tmp_path / ".env").write_text("GRADUS_LEASE_SECONDS=2\n")
    assert load_settings().lease_seconds == 2
    monkeypatch.setenv("GRADUS_LEASE_SECONDS", "3")
    assert load_settings().lease_seconds == 3
    assert load_settings(lease_seconds=4).lease_seconds == 4
    monkeypatch.setenv("GRADUS_LEASE_SECONDS", "")
    assert load_settings().lease_seconds == 2


def test_what_follows_from_others(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, lease_seconds=9)
    assert settings.sql_url == f"sqlite:///{tmp_path / 'gradus.db'}"
    assert settings.spool == tmp_path / "spool"
    assert settings.reap_interval == 3
    assert load_settings(spool_dir="~/x").spool.is_absolute()


@pytest.mark.parametrize(
    ("host", "asked", "needed"),
    [("127.0.0.1", None, False), ("0.0.0.0", None, True), ("::1", None, False), ("127.0.0.1", True, True)],
)
def test_a_key_is_needed_beyond_loopback(host: Any, asked: Any, needed: Any) -> None:
    assert load_settings(api_host=host, auth_required=asked).needs_key is needed


def test_secrets_are_masked() -> None:
    settings = load_settings(
        api_key="s3cret", database_url="postgresql://u:s3cret@h/d", broker_url="redis://:s3cret@h"
    )
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.masked())
    assert "s3cret" in settings.sql_url
    assert "s3cret" in child_environment(settings, {})["GRADUS_BROKER_URL"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://user:hunter2@host:5000/mlflow", "http://host:5000/mlflow"),
        ("http://hunter2@host", "http://host"),
        ("http://user:hunt@er2@[::1]:5000", "http://[::1]:5000"),
        ("http://host:5000/a@b?c=d#e", "http://host:5000/a@b?c=d#e"),
    ],
)
@pytest.mark.parametrize("name", ["mlflow_url", "mlflow_public_url"])
def test_the_address_of_mlflow_is_shown_without_its_password(name: str, given: Any, shown: Any) -> None:
    settings = load_settings(**{name: given})
    assert settings.public_mlflow_url == shown
    assert getattr(settings, name) == given


@pytest.mark.parametrize("name", ["lease_seconds", "max_runs", "api_port", "device"])
def test_nonsense_is_refused(name: str) -> None:
    with pytest.raises(BadSettings, match=f"GRADUS_{name.upper()}"):
        load_settings(**{name: -1})


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())
