"""How soon the API process serves, and how much memory it holds then and after use.

    python -m bench.api --repeats 5

Each repeat is a fresh process on a fresh SQLite database. Time is from the start of the process to the first 200 of
/livez; memory is the resident set, in MB of 10^6 bytes, at that moment and after the catalog, the OpenAPI document,
the start page and a sweep of 1,000 runs. Broker and MLflow are not there: the API does not need them to serve.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from service.embedded.ports import free_port

SWEEP = {
    "name": "thousand",
    "dataset": {"name": "digits"},
    "model": {"hidden": [32]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "sweep": {"learning_rate": {"log": [1e-4, 1.0], "points": 100}, "seeds": 10},
}
PAGES = ("/v1/catalog", "/openapi.json", "/")


def one(home: Path) -> tuple[float, float, float, float]:
    """Seconds to serve, MB then, seconds to accept 1,000 runs, MB at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"GRADUS_HOME": str(home), "GRADUS_API_PORT": str(port)}
    environment = {**os.environ, **settings}
    subprocess.run([sys.executable, "-m", "service.store.migrate"], env=environment, check=True)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.api"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            while True:
                try:
                    if client.get("/livez").status_code == 200:
                        break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise SystemExit(f"the API ended with status {process.returncode}") from None
                    time.sleep(0.01)
            served = time.perf_counter() - began
            resident = psutil.Process(process.pid).memory_info
            first = resident().rss / 1e6
            for page in PAGES:
                client.get(page).raise_for_status()
            asked = time.perf_counter()
            answer = client.post("/v1/experiments", json=SWEEP)
            accepted = time.perf_counter() - asked
            assert answer.status_code == 201, answer.text
            assert answer.json()["n_runs"] == 1000
            return served, first, accepted, resident().rss / 1e6
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repeats", type=int, default=5)
    repeats = options.parse_args().repeats
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {repeats} repeats"
    )
    results = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as home:
            results.append(one(Path(home)))
    names = ("start to /livez, s", "memory then, MB", "1,000 runs accepted, s", "memory at the end, MB")
    for name, values in zip(names, zip(*results, strict=True), strict=True):
        print(f"{name:24} median {statistics.median(values):7.2f}   {min(values):7.2f} to {max(values):7.2f}")


if __name__ == "__main__":
    main()
