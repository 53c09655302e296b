"""Which device a training worker uses, found without TensorFlow.

A worker takes one GPU that no other worker on this host holds (an advisory file lock, which the kernel gives
back when the process dies), or else the CPU. What follows must stand in the environment *before* the child
that imports TensorFlow starts: the visible device, memory growth, the number of threads.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from experiments.errors import GradusError
from experiments.sections import DEFAULT_BACKEND
from service.routes import ANSWERS, QUEUE_OF, REQUESTS, routes

QUERY = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]


class NoDevice(GradusError):
    """The device that this worker was told to use is not there, or another worker holds it."""


@dataclass(frozen=True)
class Gpu:
    """One GPU of this host. `memory_bytes` is all of its memory."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Device:
    """What this worker trains on. `lock` reserves the GPU for as long as the process lives."""

    kind: Literal["cpu", "gpu"]
    name: str
    threads: int
    gpu: Gpu | None = None
    lock: IO[str] | None = None
    backend: str = DEFAULT_BACKEND
    only_requests: bool = False
    """Nothing is trained here: a process that stays free for people who wait."""

    def environment(self) -> dict[str, str]:
        """The variables that Keras and its backend read when the child imports them. Threads: of one operation."""
        return {
            "CUDA_VISIBLE_DEVICES": self.gpu.uuid if self.gpu else "-1",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_NUM_INTRAOP_THREADS": str(self.threads),
            "TF_NUM_INTEROP_THREADS": "1",
            "OMP_NUM_THREADS": str(self.threads),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "KERAS_BACKEND": self.backend,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "MPLBACKEND": "Agg",
        }

    def queues(self) -> list[str]:
        """The Celery queues whose messages this worker takes."""
        if self.only_requests:
            return [ANSWERS]
        return [*dict.fromkeys(QUEUE_OF[route] for route in routes(self.kind, self.backend)), REQUESTS]


def discover(visible: str | None, run: Callable[[Sequence[str]], str] | None = None) -> list[Gpu]:
    """The GPUs that may be used: all that nvidia-smi lists, less what `visible` leaves out. No driver: no GPU.

    Args:
        visible: the value of CUDA_VISIBLE_DEVICES; None: all may be used.
        run: gives the output of a command; None: the real nvidia-smi is asked.
    """
    try:
        output = (run or _run)(QUERY)
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = [_parse(line) for line in output.splitlines() if line.strip()]
    if visible is None:
        return gpus
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return [gpu for gpu in gpus if any(str(gpu.index) == n or gpu.uuid.startswith(n) for n in names)]


def choose(
    wanted: Literal["auto", "cpu", "gpu"],
    threads: int,
    gpus: Sequence[Gpu],
    locks: Path,
    backend: str = DEFAULT_BACKEND,
) -> Device:
    """Take the first free GPU, or the CPU.

    Args:
        locks: a folder that every worker of this host sees.

    Raises:
        NoDevice: a GPU is demanded and none is free.
    """
    if wanted != "cpu":
        for gpu in gpus:
            lock = _hold(locks / f"{gpu.uuid}.lock")
            if lock is not None:
                return Device("gpu", gpu.name, threads, gpu, lock, backend)
    if wanted == "gpu":
        raise NoDevice(
            f"this worker is to use a GPU (GRADUS_DEVICE=gpu), and of {len(gpus)} found none is free; "
            "start fewer workers, or GRADUS_DEVICE=auto or cpu"
        )
    return Device("cpu", "cpu", threads, backend=backend)


def _parse(line: str) -> Gpu:
    index, uuid, name, mebibytes = (part.strip() for part in line.split(","))
    # Cards whose memory is the host's say [N/A].
    memory = int(mebibytes) * 1024**2 if mebibytes.isdigit() else 0
    return Gpu(int(index), uuid, name, memory)


def _hold(path: Path) -> IO[str] | None:
    """An exclusive lock on the file, or None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
