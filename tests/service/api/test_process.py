"""The API as a process of its own: light, quick, and it refuses to be open to a network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from service import operations
from service.embedded.ports import free_port
from service.store import Store
from service.store.migrate import upgrade

MEMORY = 250 * 2**20
LOOK = "import json, sys; import service.api.__main__; print(json.dumps(sorted(sys.modules)))"


def environment(home: Any, **more: Any) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADUS_")}
    return {**kept, "GRADUS_HOME": str(home), **more}


def test_tensorflow_and_mlflow_are_not_in_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))
    heavy = ("tensorflow", "keras", "mlflow", "celery", "pandas", "matplotlib", "sklearn", "scipy.stats")
    assert not loaded & set(heavy)


def test_it_serves_small_and_ends_when_told(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)  # longer than the address of a socket may be
    home.mkdir()
    upgrade(f"sqlite:///{home / 'gradus.db'}")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.api"],
        env=environment(home, GRADUS_API_PORT=str(port)),
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    assert client.get("/livez").status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            spec = {"name": "a", "dataset": {"name": "digits"}, "model": {"hidden": [8]}}
            assert client.post("/v1/experiments", json=spec).status_code == 201
            assert client.get("/v1/catalog").status_code == 200
            mapped = {path.path for path in psutil.Process(process.pid).memory_maps()}
            assert not any("tensorflow" in path for path in mapped)
        readers = psutil.Process(process.pid).children(recursive=True)
        assert readers
        family = [psutil.Process(process.pid), *readers]
        assert sum(member.memory_full_info().pss for member in family) < MEMORY
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in (0, -signal.SIGTERM)
        assert not psutil.wait_procs(readers, timeout=15)[1]
    finally:
        process.kill()
        process.wait()


def test_beyond_loopback_it_does_not_start_open(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'gradus.db'}")
    for more in ({}, {"GRADUS_AUTH_REQUIRED": "false"}):
        done = subprocess.run(
            [sys.executable, "-m", "service.api"],
            env=environment(tmp_path, GRADUS_API_HOST="0.0.0.0", GRADUS_API_PORT=str(free_port()), **more),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "key" in done.stderr


def test_beyond_loopback_it_starts_with_a_key_and_asks_for_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gradus.db'}"
    upgrade(url)
    store = Store(url)
    _, secret = operations.create_key(store, owner="root", scopes=["admin"])
    store.close()
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.api"],
        env=environment(tmp_path, GRADUS_API_HOST="0.0.0.0", GRADUS_API_PORT=str(port)),
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    assert client.get("/v1/experiments").status_code == 401
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert client.get("/v1/experiments", headers={"x-api-key": secret}).status_code == 200
    finally:
        process.kill()
        process.wait()
