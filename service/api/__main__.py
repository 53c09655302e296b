"""`python -m service.api`: the API process."""

from __future__ import annotations

import sys
import tempfile

import uvicorn

from service import operations, tracing
from service.api.app import create_app
from service.http import bounded
from service.http.guard import is_loopback
from service.logs import configure
from service.settings import Settings, load_settings
from service.startup import require_schema, run_program
from service.store import Store

SHUTDOWN_SECONDS = 2  # event streams never end by themselves; clients resume them


def refusal(settings: Settings, store: Store) -> str | None:
    """Why the service must not start: beyond loopback, everybody on the network would be its owner."""
    if is_loopback(settings.api_host) and not settings.needs_key:
        return None
    where = f"the API would bind to {settings.api_host}"
    if not settings.needs_key:
        return (
            f"{where} without asking for keys: unset GRADUS_AUTH_REQUIRED, or set GRADUS_API_HOST=127.0.0.1"
        )
    if not any(key.revoked_at is None for key in operations.list_keys(store)):
        return (
            f"{where}, where a key is needed, and there is none: make one with"
            " `gradus keys create --local --owner NAME --scope admin`"
        )
    return None


def main() -> int:
    settings = load_settings()
    configure(settings, process="api")
    tracing.configure(settings, process="api")
    store = Store(settings.sql_url)
    require_schema(store)
    reason = refusal(settings, store)
    if reason is not None:
        print(f"gradus api: {reason}", file=sys.stderr)
        return 2
    bounded.warm_up()  # first: its socket lies in the temporary folder, and a socket's path is short
    settings.datasets.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(settings.datasets)  # files in forms are large, and /tmp is memory in a container
    uvicorn.run(
        create_app(settings, store),
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        log_config=None,
        log_level=settings.log_level.lower(),
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(run_program("gradus api", main))
