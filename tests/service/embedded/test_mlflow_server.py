"""MLflow's database in a home: complete or not there, whatever was killed while it was made."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.embedded import mlflow_server
from service.embedded.ports import free_port, http_answers

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


def tables(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute(TABLES)]


def start(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "service.embedded.mlflow_server",
        str(home / "mlflow.db"),
        str(home / "artifacts"),
    ]
    command += ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    return process, f"http://127.0.0.1:{port}/health"


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_while_it_makes_its_tables_it_starts_again(tmp_path: Path) -> None:
    process, _ = start(tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "mlflow.new").exists() or not tables(tmp_path / "mlflow.new"):
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    end(process)
    assert not (tmp_path / "mlflow.db").exists(), "half a database is none"
    process, health = start(tmp_path)
    try:
        while not http_answers(health):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline + 120
            time.sleep(0.1)
        with urllib.request.urlopen(health.removesuffix("health")) as page:
            assert mlflow_server.ASSISTANT_SEEN in page.read().decode(), "the assistant stays closed"
    finally:
        end(process)
    assert "experiments" in tables(tmp_path / "mlflow.db")
    assert not list(tmp_path.glob("mlflow.new*"))


def test_a_database_of_another_version_is_upgraded_as_a_copy_and_keeps_its_rows(
    tmp_path: Path, prepare_mlflow: Callable[[Path], None]
) -> None:
    database = tmp_path / "mlflow.db"
    prepare_mlflow(tmp_path)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE experiments SET name = 'mine'")
    before = tables(database)
    (tmp_path / "mlflow.version").write_text("3.0.0")
    mlflow_server.prepare(database)
    assert tables(database) == before
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("mine",)]
    assert (tmp_path / "mlflow.version").read_text() != "3.0.0"


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('of the future')")
    content = database.read_bytes()
    with pytest.raises(subprocess.CalledProcessError):
        mlflow_server.prepare(database)
    assert database.read_bytes() == content


def test_the_image_has_all_that_its_server_imports(tmp_path: Path) -> None:
    """The files that the Dockerfile copies, alone in a folder: the module loads, and takes MLflow's options as they are."""
    project = Path(mlflow_server.__file__).parents[2]
    stage = re.search(r"^FROM run AS mlflow\n(.*?)^FROM ", (project / "Dockerfile").read_text(), re.M | re.S)
    assert stage is not None
    for files, folder in re.findall(r"^COPY (service.*) /opt/app/(\S+)$", stage[1], re.M):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for file in files.split():
            shutil.copy(project / file, tmp_path / folder)
    command = re.search(r'^CMD \["python", "-m", "(\S+)", (.+)\]$', stage[1], re.M)
    assert command is not None
    script = (
        f"import {command[1]} as server\n"
        "server.serve = print\n"
        f"server.main([{command[2]}])\n"
        "print(server.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    options, file = done.stdout.splitlines()
    assert options == "['--host', '0.0.0.0', '--port', '5642']"
    assert Path(file).is_relative_to(tmp_path), "the copied module, not the project's"
