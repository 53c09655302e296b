"""Device choice with a made-up nvidia-smi."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.store.migrate import upgrade
from tests.present import present
from workers.process.devices import Device, NoDevice, choose, discover

TWO = "0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 81559\n1, GPU-bbbb-2, NVIDIA H100 80GB HBM3, 81559\n"


def gpus(visible: str | None = None) -> Any:
    return discover(visible, lambda command: TWO)


def test_reads_what_nvidia_smi_prints() -> None:
    first, second = gpus()
    assert (first.index, first.uuid, first.name) == (0, "GPU-aaaa-1", "NVIDIA H100 80GB HBM3")
    assert first.memory_bytes == 81559 * 1024**2
    assert second.uuid == "GPU-bbbb-2"


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        ("1", ["GPU-bbbb-2"]),
        ("GPU-aaaa", ["GPU-aaaa-1"]),
        ("", []),
        ("-1", []),
        ("1,0", ["GPU-aaaa-1", "GPU-bbbb-2"]),
    ],
)
def test_respects_cuda_visible_devices(visible: Any, left: Any) -> None:
    assert [gpu.uuid for gpu in gpus(visible)] == left


def test_no_driver_is_no_gpu() -> None:
    def missing(command: Any) -> str:
        raise FileNotFoundError(command[0])

    def broken(command: Any) -> str:
        raise subprocess.CalledProcessError(9, command)

    assert discover(None, missing) == discover(None, broken) == []


def test_one_worker_per_gpu_then_the_cpu(tmp_path: Path) -> None:
    first, second, third = (choose("auto", 2, gpus(), tmp_path) for _ in range(3))
    assert (present(first.gpu).index, present(second.gpu).index, third.kind) == (0, 1, "cpu")
    assert first.environment()["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa-1"
    assert first.queues() == [
        "gradus.gpu", "gradus.any", "gradus.either.gpu", "gradus.either.any", "gradus.requests"
    ]  # fmt: skip
    with pytest.raises(NoDevice, match="of 2 found none is free"):
        choose("gpu", 2, gpus(), tmp_path)
    present(first.lock).close()
    assert present(choose("gpu", 2, gpus(), tmp_path).gpu).index == 0


def test_a_cpu_worker_hides_the_gpus_and_sets_its_threads(tmp_path: Path) -> None:
    device = choose("cpu", 3, gpus(), tmp_path)
    environment = device.environment()
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert environment["TF_NUM_INTRAOP_THREADS"] == environment["OMP_NUM_THREADS"] == "3"
    assert device.queues() == ["gradus.cpu", "gradus.any", "gradus.either.any", "gradus.requests"]
    assert environment["KERAS_BACKEND"] == "tensorflow"
    assert Device("cpu", "cpu", 1, only_requests=True).queues() == ["gradus.answers"]


def test_a_jax_worker_takes_what_asks_for_jax_and_on_a_gpu_what_asks_for_either(tmp_path: Path) -> None:
    """On a CPU it leaves `backend: auto` to TensorFlow, whose convolutions are many times faster there."""
    on_cpu = choose("cpu", 1, [], tmp_path, "jax")
    assert on_cpu.environment()["KERAS_BACKEND"] == "jax"
    assert on_cpu.queues() == ["gradus.jax.cpu", "gradus.jax.any", "gradus.requests"]
    on_gpu = choose("gpu", 1, gpus(), tmp_path, "jax")
    assert on_gpu.queues() == [
        "gradus.jax.gpu", "gradus.jax.any", "gradus.either.gpu", "gradus.either.any", "gradus.requests"
    ]  # fmt: skip


def test_devices_are_found_without_tensorflow() -> None:
    code = "import sys, workers.process.devices, workers.process.watchdog, workers.training.lease_keeper; print('tensorflow' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )


def test_memory_growth_is_on_for_a_gpu() -> None:
    assert Device("gpu", "x", 1, gpus()[0]).environment()["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_worker_that_was_told_to_use_a_gpu_ends_where_there_is_none(tmp_path: Path) -> None:
    """It does not stay up without a device, taking messages that it cannot serve."""
    environment = {
        **os.environ,
        "GRADUS_HOME": str(tmp_path),
        "GRADUS_DEVICE": "gpu",
        "CUDA_VISIBLE_DEVICES": "none",
    }
    upgrade(f"sqlite:///{tmp_path / 'gradus.db'}")
    environment["GRADUS_BROKER_URL"] = "redis://127.0.0.1:1/0"
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "prefork", "-c", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "GRADUS_DEVICE=gpu" in ended.stderr
    assert "start fewer workers" in ended.stderr
