"""When a child leaves for its memory: by what it holds now, in a process of its own that really holds it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time

import pytest

from tests.service.scored_runs import World, world
from workers.process import child
from workers.process.watchdog import EXIT_WORN

__all__ = ["world"]

MIB = 1024 * 1024
CODE = f"""
import mmap
from workers.process import child

def held(mebibytes):
    block = mmap.mmap(-1, mebibytes * {MIB})
    for page in range(0, len(block), mmap.PAGESIZE):
        block[page] = 1
    return block

limit = child.get_settings().max_worker_memory_bytes
peak = held(400)
assert child.current_memory() > child.WORN * limit
peak.close()
child.recycle_if_worn()
print("stayed after a peak", flush=True)
now = held(400)
child.recycle_if_worn()
print("stayed while it holds it", flush=True)
"""


def test_recycled_by_what_it_holds_now_and_not_by_its_peak() -> None:
    environment = {**os.environ, "GRADUS_MAX_WORKER_MEMORY_BYTES": str(512 * MIB)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == EXIT_WORN, done.stderr[-2000:]
    assert done.stdout.splitlines()[0] == "stayed after a peak"
    assert "stayed while it holds it" not in done.stdout


def test_who_only_answers_loads_while_the_first_run_is_still_trained(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question finds a process that has loaded what an answer takes; without a run it stays small."""
    loaded: list[str] = []

    class Context:
        store = world.store

    def pause(seconds: float) -> None:
        assert not loaded
        world.submit(
            "name: one\noptimizer: {name: sgd, learning_rate: 0.1}\ndataset: {name: digits}\nmodel: {hidden: [4], activation: relu}\nsweep: {seeds: 1}"
        )

    monkeypatch.setattr(child, "worker_context", Context)
    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(importlib, "import_module", loaded.append)
    child._prepare_to_answer()
    assert loaded == ["workers.requests.answer", "service.tracking.client"]
