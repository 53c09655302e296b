"""What a process logs: one JSON object a line, its bound names in each, no secret in any, libraries included."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service import logs
from service.settings import load_settings


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configure logging as a worker does; gives what was logged since, decoded."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root, kept = logging.getLogger(), logging.getLogger().handlers
    logs.configure(load_settings(log_json=True, log_level="INFO"), worker="w-7")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers = kept
    structlog.reset_defaults()


def test_bound_names_are_in_every_line_and_secrets_in_none(lines: Any) -> None:
    log = structlog.get_logger("x")
    with structlog.contextvars.bound_contextvars(run="r1", attempt=3):
        log.info("claimed", api_key="gradus_abc", url="redis://:hunter2@host:1/0")
        try:
            raise RuntimeError("cannot reach postgresql://u:hunter2@host/db")
        except RuntimeError:
            log.exception("failed")
    found = lines()
    assert [(line["run"], line["attempt"], line["worker"]) for line in found] == [("r1", 3, "w-7")] * 2
    assert found[0]["api_key"] == "***"
    assert found[0]["url"] == "redis://:***@host:1/0"
    assert "RuntimeError" in found[1]["exception"]
    assert "hunter2" not in json.dumps(found)


def test_what_libraries_log_has_the_same_form(lines: Any) -> None:
    logging.getLogger("celery.worker").info("Connected to %s", "redis://:hunter2@host:1/0")
    logging.getLogger("multiprocessing").error("Process %r exited with %r", "child", "signal 9")
    logging.getLogger("some.library").warning("careful")
    logging.getLogger("some.library").info("not heard")
    found = lines()
    assert [(line["event"], line["level"], line["worker"]) for line in found] == [
        ("Connected to redis://:***@host:1/0", "info", "w-7"),
        ("Process 'child' exited with 'signal 9'", "error", "w-7"),
        ("careful", "warning", "w-7"),
    ]
