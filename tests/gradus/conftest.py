"""A real API, and what a worker does when it is asked about a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gradus import Client
from service import operations
from tests.present import present
from tests.service.api.conftest import Served, serve

Answering = Callable[[dict[str, Any]], AbstractContextManager[list[dict[str, Any]]]]


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.chdir(tmp_path)
    for name in ("GRADUS_API_KEY", "GRADUS_HOME"):
        monkeypatch.delenv(name, raising=False)
    with serve(tmp_path / "home") as served:
        monkeypatch.setenv("GRADUS_URL", served.url)
        yield served


@pytest.fixture
def client(api: Served) -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def answering(api: Served) -> Answering:
    """Answer every request to a worker with one result, as long as the context lasts; gives the requests' payloads."""

    @contextmanager
    def answer(result: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        ended, payloads = threading.Event(), []

        def work() -> None:
            while not ended.is_set():
                for request in operations.take_due_requests(api.store, resend_seconds=60):
                    mine = present(
                        operations.claim_request(api.store, request.id, worker="w", lease_seconds=60)
                    )
                    payloads.append(dict(mine.payload))
                    operations.finish_request(api.store, mine.id, mine.attempt, result=result)
                time.sleep(0.02)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield payloads
        finally:
            ended.set()
            worker.join()

    return answer
