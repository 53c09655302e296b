"""Whether a worker on this host is alive: `python -m service.alive`, for health checks. Exit status 0 or 1."""

from __future__ import annotations

import socket
import sys

from experiments.errors import GradusError
from service.settings import load_settings
from service.store import Store, queries


def alive(store: Store, host: str) -> bool:
    """Whether a worker of any kind on `host` reported lately. Raises StoreUnavailable."""
    return any(worker.alive and worker.host == host for worker in queries.workers(store))


def main() -> int:
    store = Store(load_settings().sql_url)
    try:
        return 0 if alive(store, socket.gethostname()) else 1
    except GradusError as error:
        print(f"gradus alive: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
