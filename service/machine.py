"""What this machine, or the container that this process runs in, has: cores and memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
LEAST_BYTES = 2 * 1024**3
"""What a training worker needs: TensorFlow with compiled programs holds 0.5 to 1.5 GB before a process is replaced."""
FOR_WORKERS = 0.75
"""Share of the memory that training workers may hold together; the rest is for everything else."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Bytes of memory: the machine's, or the container's limit where that is lower."""
    limits = [int(psutil.virtual_memory().total)]
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such cgroup, or "max"
            limits.append(int(path.read_text()))
    return min(limits)


def worker_memory_bytes(workers: int) -> int:
    """Bytes that each of so many training workers may hold, by default: an equal share, and no less than it needs."""
    return max(LEAST_BYTES, int(FOR_WORKERS * memory_bytes() / max(1, workers)))


def training_workers() -> int:
    """How many training workers suit this machine: one per core, as far as the memory goes."""
    return max(1, min(cores(), int(FOR_WORKERS * memory_bytes() / LEAST_BYTES)))
