"""Faults that take a stack of their own, or minutes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from service.store import queries
from tests.faults.conftest import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_supervisor_killed_leaves_nothing_and_the_next_stack_goes_on(make_stack: Any) -> None:
    stack = make_stack(1)
    experiment = stack.post(stack.lasting(3, epochs=60))
    stack.wait_running(experiment)
    members = psutil.Process(stack.process.pid).children(recursive=True)
    os.kill(stack.process.pid, signal.SIGKILL)
    stack.process.wait()
    _, alive = psutil.wait_procs(members, timeout=10)
    assert alive == []
    for url in (stack.url, stack.mlflow_url):
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", urlsplit(url).port), 1):
            pass
    (stack.home / "stack.json").unlink()
    stack.up()
    assert {run.status for run in stack.check(experiment)} == {"FINISHED"}


def test_a_memory_limit_names_the_run_and_lets_small_ones_through(make_stack: Any) -> None:
    stack = make_stack(1, GRADUS_MAX_WORKER_MEMORY_BYTES=str(1_400_000_000))
    network = {"hidden": [5000, 5000]}
    data = {"name": "digits"}
    large = stack.post(
        stack.quick(1, model=network, dataset=data, optimizer={"name": "adam"}, training={"epochs": 50})
    )
    small = stack.post(stack.quick(2))
    (run,) = stack.check(large)
    assert (run.status.value, run.reason) == ("FAILED", "memory_limit")
    assert {run.status for run in stack.check(small)} == {"FINISHED"}


def test_a_full_disk_names_the_run_and_lets_small_ones_through(make_stack: Any) -> None:
    """A spool of 256 KiB, on a file system that only this stack sees."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    stack = make_stack(1, spool_size="256k")
    large = stack.post(stack.quick(1, dataset={"name": "digits"}, model={"hidden": [1000]}))
    small = stack.post(stack.quick(2))
    (run,) = stack.check(large)
    assert (run.status.value, run.reason, run.attempt) == ("FAILED", "disk_full", 1)
    assert {run.status for run in stack.check(small)} == {"FINISHED"}


def test_a_broker_flushed_with_500_runs_queued(make_stack: Any) -> None:
    stack = make_stack(2)
    experiment = stack.post(stack.quick(500))
    stack.wait(lambda: any(run.status == "RUNNING" for run in stack.runs(experiment)))
    stack.broker().flushall()
    assert {run.status for run in stack.check(experiment)} == {"FINISHED"}


def test_mlflow_away_for_a_minute_in_the_middle_of_50_runs(make_stack: Any) -> None:
    stack = make_stack(2)
    experiment = stack.post(stack.lasting(50, epochs=12))
    stack.wait_running(experiment)
    go_on = stack.pause("mlflow")
    before = trained(stack, experiment)
    assert before < 50, "MLflow is to go away in the middle"
    time.sleep(60)
    during = trained(stack, experiment) - before
    go_on()
    assert during > 0, "training waited"
    assert {run.status for run in stack.check(experiment)} == {"FINISHED"}


def trained(stack: Stack, experiment: Any) -> Any:
    return sum(run.committed_at is not None for run in queries.all_runs(stack.store, experiment))


def test_maintenance_that_stands_still_is_started_again_and_work_goes_on(make_stack: Any) -> None:
    stack = make_stack(1)
    frozen = stack.process_of("maintenance")
    assert stack.pause("maintenance") is not None
    experiment = stack.post(stack.quick(2))
    assert {run.status for run in stack.check(experiment)} == {"FINISHED"}
    assert not frozen.is_running()
    assert stack.process_of("maintenance") is not None
