"""deploy/secrets.yml: with it no container's environment holds a secret, and every service finds its own in a file.

Compose puts the files together here and nothing is started; what the containers would run and read is run and read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from service.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
MOUNTED = "/run/secrets"
FILES = {
    "postgres_password": "p0stgres",
    "redis_password": "r3dis",
    "gradus_api_key": "k3y" * 11,
    "gradus_database_url": "postgresql://gradus:p0stgres@postgres:5432/gradus",
    "gradus_broker_url": "redis://:r3dis@redis:6379/0",
}
OURS = ("migrate", "api", "maintenance", "worker", "worker-gpu", "worker-jax", "worker-jax-gpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(f"{text}\n")
    return made


@pytest.fixture(params=["docker compose", "docker-compose"])
def services(request: Any, folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The services as Compose puts them together from both files."""
    compose = request.param.split()
    known = shutil.which(compose[0]) and subprocess.run(
        [*compose, "version"], capture_output=True, check=False
    )
    if not known or known.returncode:
        pytest.skip(f"{request.param} is not installed")
    filled = re.sub(
        r"^(POSTGRES_PASSWORD|REDIS_PASSWORD|GRADUS_API_KEY)=$",
        r"\1=in-a-file",
        (ROOT / ".env.example").read_text(),
        flags=re.MULTILINE,
    )
    (tmp_path / "stack.env").write_text(filled)
    files = ["-f", "docker-compose.yml", "-f", "deploy/secrets.yml", "--profile", "gpu"]
    done = subprocess.run(
        [*compose, "--env-file", str(tmp_path / "stack.env"), *files, "config"],
        cwd=ROOT,
        env={**os.environ, "GRADUS_SECRETS_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = YAML(typ="safe").load(done.stdout)["services"]
    return services


def words(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from words(item)
    else:
        yield str(value)


def test_no_container_is_told_a_secret_and_each_has_its_files(services: dict[str, Any]) -> None:
    assert not [word for word in words(services) if "in-a-file" in word]
    given = {name: {secret["source"] for secret in service["secrets"]} for name, service in services.items()}
    addresses = {"gradus_database_url", "gradus_broker_url"}
    assert given == {
        "postgres": {"postgres_password"},
        "redis": {"redis_password"},
        "mlflow": {"postgres_password"},
        **dict.fromkeys(OURS, addresses),
        "migrate": {*addresses, "gradus_api_key"},
    }
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == ""  # the image refuses both
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == f"{MOUNTED}/postgres_password"


def test_our_services_read_their_files(
    services: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in OURS:
        with monkeypatch.context() as patch:
            for variable in [variable for variable in os.environ if variable.startswith("GRADUS_")]:
                patch.delenv(variable)
            for variable, value in services[name]["environment"].items():
                patch.setenv(variable, str(value))
            patch.setenv("GRADUS_SECRETS_DIR", str(folder))  # instead of /run/secrets
            settings = load_settings()
        assert settings.sql_url == FILES["gradus_database_url"]
        assert settings.broker_url is not None
        assert settings.broker_url.get_secret_value() == FILES["gradus_broker_url"]
        assert settings.api_key is not None  # `migrate` alone is given that file
        assert settings.api_key.get_secret_value() == FILES["gradus_api_key"]


@pytest.mark.parametrize(
    ("service", "part", "program", "expected"),
    [
        ("redis", "command", "docker-entrypoint.sh", "redis-server --appendonly yes .* --requirepass r3dis$"),
        ("redis", "healthcheck", "redis-cli", "^ping REDISCLI_AUTH=r3dis$"),
        (
            "mlflow",
            "command",
            "python",
            "^-m service.embedded.mlflow_server --host .* MLFLOW_BACKEND_STORE_URI=postgresql.psycopg://gradus:p0stgres@postgres:5432/mlflow$",
        ),
    ],
)
def test_the_others_are_started_with_what_is_in_theirs(
    services: dict[str, Any],
    folder: Path,
    tmp_path: Path,
    service: str,
    part: str,
    program: str,
    expected: str,
) -> None:
    """The shell's line is run; the program that it starts is one that tells how it was started."""
    command = services[service]["healthcheck"]["test"] if part == "healthcheck" else services[service][part]
    line = command[-1].replace("$$", "$").replace(MOUNTED, str(folder)).removesuffix("| grep -q PONG")
    stub = tmp_path / program
    stub.write_text('#!/bin/sh\necho "$@" $(env | grep -E "^(REDISCLI_AUTH|MLFLOW_BACKEND_STORE_URI)=")\n')
    stub.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True)
    assert re.search(expected, done.stdout.strip()), done.stdout
