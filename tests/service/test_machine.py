"""Defaults that suit the machine."""

from __future__ import annotations

import pytest

from service import machine

GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "cores", "workers", "each"),
    [
        (8, 8, 3, 2),  # 6 GiB for workers: three of 2 GiB
        (8, 2, 2, 3),
        (64, 8, 8, 6),
        (1, 4, 1, 2),  # too small for one: it is tried all the same
    ],
)
def test_workers_and_their_memory_fit_the_machine(
    memory: int, cores: int, workers: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory * GIB)
    monkeypatch.setattr(machine, "cores", lambda: cores)
    assert machine.training_workers() == workers
    assert machine.worker_memory_bytes(workers) == each * GIB


def test_the_memory_of_this_machine_is_no_more_than_it_has() -> None:
    assert 0 < machine.memory_bytes() < 2**50
