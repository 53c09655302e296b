"""Every error at the start of a program is a sentence with a remedy, and exit status 2; never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.store.migrate import downgrade, upgrade

PROGRAMS = {
    "prepare": ["service.prepare"],
    "api": ["service.api"],
    "maintenance": ["workers.maintenance"],
    "migrate": ["service.store.migrate"],
    "up": ["service.embedded.stack", "--port", "0", "--mlflow-port", "0"],
    "worker": ["celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1"],
}


def run(program: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GRADUS_HOME": str(home), "GRADUS_BROKER_URL": "redis://127.0.0.1:9/0"}
    environment |= {f"GRADUS_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", *PROGRAMS[program]]
    return subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with status 2 and one sentence that has these words."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr + done.stdout


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file of a database of the present schema."""
    upgrade(f"sqlite:///{tmp_path / 'gradus.db'}")
    return tmp_path / "gradus.db"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_newer_schema_names_the_remedy(database: Path, program: str) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    engine.dispose()
    refused(run(program, database.parent), "0099", "Install the newer version")


@pytest.mark.parametrize("program", ["api", "maintenance", "worker"])
def test_an_older_schema_names_the_remedy(database: Path, program: str) -> None:
    downgrade(f"sqlite:///{database}", "0001")
    refused(run(program, database.parent), "schema 0001", "python -m service.prepare")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_damaged_database_names_the_remedy(tmp_path: Path, program: str) -> None:
    (tmp_path / "gradus.db").write_bytes(b"this is no database" * 100)
    refused(run(program, tmp_path), "damaged", "restore a backup")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_setting_that_is_not_allowed_is_named(tmp_path: Path, program: str) -> None:
    refused(run(program, tmp_path, api_port="many"), "GRADUS_API_PORT is 'many'", "integer")


def test_a_backup_that_cannot_be_written(database: Path) -> None:
    (database.parent / "file").write_text("no folder")
    command = [sys.executable, "-m", "service.embedded.backup", str(database.parent / "file" / "copy")]
    command += ["--home", str(database.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    refused(done, "gradus backup:", "file")
