"""What a process logs: one JSON object a line, its bound names in each, no secret in any, libraries included."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from service import logs
from service.settings import load_settings
from service.threads import EXIT_THREAD_DIED, vital_thread


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
    written = lines()
    assert [(line["run"], line["attempt"], line["worker"]) for line in written] == [("r1", 3, "w-7")] * 2
    assert written[0]["api_key"] == "***"
    assert written[0]["url"] == "redis://:***@host:1/0"
    assert "RuntimeError" in written[1]["exception"]
    assert "hunter2" not in json.dumps(written)


def test_what_libraries_log_has_the_same_form(lines: Any) -> None:
    logging.getLogger("celery.worker").info("Connected to %s", "redis://:hunter2@host:1/0")
    logging.getLogger("multiprocessing").error("Process %r exited with %r", "child", "signal 9")
    logging.getLogger("some.library").warning("careful")
    logging.getLogger("some.library").info("not heard")
    written = lines()
    assert [(line["event"], line["level"], line["worker"]) for line in written] == [
        ("Connected to redis://:***@host:1/0", "info", "w-7"),
        ("Process 'child' exited with 'signal 9'", "error", "w-7"),
        ("careful", "warning", "w-7"),
    ]


# ---- logging never raises, and no thread dies alone

LOGS = """
import sys, structlog, logging
from service import logs
from service.settings import load_settings
from service.threads import EXIT_THREAD_DIED, vital_thread
logs.configure(load_settings(), worker="w")
log = structlog.get_logger("x")
for _ in range(100):
    try:
        raise ValueError("of the work")
    except ValueError:
        log.exception("failed")
        logging.getLogger("celery.worker").error("a library too")
print("done")
"""


def test_a_full_disk_under_the_log_stops_no_work() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", LOGS], stdout=subprocess.PIPE, stderr=full, check=False)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_once_the_log_works_again_it_says_how_many_lines_were_lost() -> None:
    class Disk(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Disk()
    stream = logs.LossyStream(disk)
    for _ in range(3):
        stream.write("lost\n")
    disk.full = False
    stream.write("kept\n")
    assert disk.getvalue() == "3 log lines could not be written\nkept\n"


DIES = """
import threading, time
from service.threads import vital_thread

def work():
    raise RuntimeError("bug")

vital_thread(work, "shipper").start()
time.sleep(30)
"""


def test_a_vital_thread_that_dies_takes_its_process_along() -> None:
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, timeout=25, check=False)
    assert done.returncode == EXIT_THREAD_DIED
    assert b"a vital thread died" in done.stdout + done.stderr


def test_a_vital_thread_may_return() -> None:
    returned: list[int] = []
    thread = vital_thread(lambda: returned.append(1), "short")
    thread.start()
    thread.join()
    assert returned == [1]


def test_every_thread_that_works_for_long_is_a_vital_one() -> None:
    """Others may only help to end a process: the guard's, and the drain's."""
    allowed = {"service/threads.py", "service/embedded/process_guard.py", "workers/process/child.py"}
    root = Path(__file__).resolve().parents[2]
    plain = {
        str(path.relative_to(root)): node.lineno
        for package in ("service", "workers", "gradus")
        for path in sorted((root / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "Thread"
        and isinstance(node.value, ast.Name)
        and node.value.id == "threading"
    }
    assert set(plain) <= allowed | {
        "workers/process/parent.py"
    }  # its thread that ends a child while draining
