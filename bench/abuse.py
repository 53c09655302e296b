"""What the largest and oddest bodies cost the API, and what everybody else waits for meanwhile.

    python -m bench.abuse --generated 100

A real API process on a fresh SQLite database. Every body of `bench.abusive_bodies` and as many generated ones are posted
as a dry run, one after the other. Meanwhile somebody else reads the list of experiments fifty times a second. CPU is that of
the API process and of those that it started, without what those readings cost, memory theirs beyond what it was before, times are of this process' clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from bench.abusive_bodies import SHAPES, generated
from service.embedded.ports import free_port

EVERY = 0.02
ALLOWED_CPU, ALLOWED_MB, ALLOWED_P99 = 2.0, 200, 0.25
LARGEST = 1 << 20


def bodies(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(name, JSON), each within the limit on a body."""
    for name, make in SHAPES.items():
        yield name, json.dumps(make())
    draw = random.Random(seed)
    for number in range(count):
        yield f"generated {number}", json.dumps(generated(draw))


class Reader(threading.Thread):
    """Reads the list of experiments again and again; the seconds that each answer took."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.seconds, self.ended = url, [0.0], threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            while not self.ended.wait(EVERY):
                began = time.perf_counter()
                client.get("/v1/experiments").raise_for_status()
                self.seconds.append(time.perf_counter() - began)


def start(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    environment = {**os.environ, "GRADUS_HOME": str(home), "GRADUS_API_PORT": str(port)}
    subprocess.run([sys.executable, "-m", "service.store.migrate"], env=environment, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "service.api"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/livez", trust_env=False).status_code == 200:
                return process, url
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("the API did not start within two minutes")


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def used(process: psutil.Process) -> float:
    """Seconds of CPU of a process and of those that it started."""
    return sum(sum(member.cpu_times()[:2]) for member in family(process))


def resident(process: psutil.Process) -> int:
    """Bytes of memory that they have for themselves: what they share with each other counts once."""
    return int(sum(member.memory_full_info().pss for member in family(process)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generated", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as home:
        process, url = start(Path(home))
        try:
            api = psutil.Process(process.pid)
            reader = Reader(url)
            reader.start()
            at = used(api)
            time.sleep(4.0)
            alone = sorted(reader.seconds)
            a_reading = (used(api) - at) / len(alone)
            before = resident(api)
            rows: list[tuple[float, float, int, str, int]] = []
            with httpx.Client(base_url=url, trust_env=False, timeout=300) as client:
                for name, body in bodies(given.generated, given.seed):
                    if len(body) > LARGEST:
                        continue
                    at, began, readings = used(api), time.perf_counter(), len(reader.seconds)
                    headers = {"content-type": "application/json"}
                    answer = client.post("/v1/experiments?dry_run=true", content=body, headers=headers)
                    seconds = time.perf_counter() - began
                    cpu = used(api) - at - a_reading * (len(reader.seconds) - readings)
                    rows.append((cpu, seconds, len(body), name, answer.status_code))
            memory = (resident(api) - before) / 1e6
            reader.ended.set()
            reader.join(60)
            others = sorted(reader.seconds)
        finally:
            process.terminate()
            process.wait(30)
    print(f"{'CPU s':>6} {'wall s':>7} {'MB':>5}  answer  body")
    for cpu, seconds, size, name, code in sorted(rows, reverse=True)[:10]:
        print(f"{cpu:6.2f} {seconds:7.2f} {size / 1e6:5.2f}  {code:6}  {name}")
    p99 = others[int(0.99 * len(others))]
    codes = sorted({code for *_, code in rows})
    print(
        f"{len(rows)} bodies, answers {codes}; most CPU {max(rows)[0]:.2f} s (allowed {ALLOWED_CPU}); "
        f"memory +{memory:.0f} MB (allowed {ALLOWED_MB})"
    )
    print(
        f"others: {len(others)} requests, median {1000 * statistics.median(others):.0f} ms, "
        f"99 % {1000 * p99:.0f} ms (allowed {1000 * ALLOWED_P99:.0f}), most {1000 * others[-1]:.0f} ms; "
        f"alone before: median {1000 * statistics.median(alone):.0f} ms"
    )


if __name__ == "__main__":
    main()
