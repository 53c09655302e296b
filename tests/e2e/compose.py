"""`make compose-test`: build the images, start the compose stack, run tests/e2e against it, take it down.

    python tests/e2e/compose.py [--keep] [pytest arguments]

Secrets are made up, ports are free ones, and the project's name is its own: a stack that runs here already is not
touched. What docker-compose.yml reads from the environment (PYTHON_IMAGE, GRADUS_BUILD_NETWORK, …) is handed on.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from service.embedded.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "gradus-e2e"
OUTSIDE = f"{PROJECT}-outside"
FIRST_RUN_WITHIN = 90.0  # seconds from `up` to the first FINISHED run, images built


def compose_command() -> list[str]:
    """Compose v2 where Docker has it, else 1.29."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    sys.exit("compose-test: neither `docker compose` nor `docker-compose` is installed")


def host_address() -> str:
    """This host as containers see it that share no network with the stack: its end of a network with nobody in it."""
    docker("network", "create", OUTSIDE)
    return docker("network", "inspect", OUTSIDE, "--format", "{{(index .IPAM.Config 0).Gateway}}")


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    keep = "--keep" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--keep"]
    key, port, mlflow_port = secrets.token_hex(32), free_port(), free_port()
    subprocess.run(["docker", "network", "rm", OUTSIDE], capture_output=True, check=False)
    host = host_address()
    values = {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "REDIS_PASSWORD": secrets.token_hex(16),
        "GRADUS_API_KEY": key,
        "GRADUS_BIND": host,
        "MLFLOW_ALLOWED_HOSTS": f"mlflow:5642,{host}:*",
        "POSTGRES_PORT": str(free_port()),
        "REDIS_PORT": str(free_port()),
        "GRADUS_PORT": str(port),
        "MLFLOW_PORT": str(mlflow_port),
        "GRADUS_MLFLOW_PUBLIC_URL": f"http://{host}:{mlflow_port}",
        "GRADUS_LEASE_SECONDS": "12",
    }
    folder = Path(tempfile.mkdtemp(prefix="gradus-e2e-"))
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    compose = [*compose_command(), "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml")]
    compose += ["-f", str(ROOT / "deploy" / "reachable.yml")]
    compose += ["--project-directory", str(ROOT), "--env-file", str(folder / "env")]
    environment = {name: value for name, value in os.environ.items() if name not in values}

    def do(*words: str) -> int:
        return subprocess.run([*compose, *words], env=environment, check=False).returncode

    do("down", "--volumes", "--remove-orphans")
    if do("build"):
        return 1
    begun = time.monotonic()
    status = do("up", "-d", "--no-build", "--scale", "worker=2")
    try:
        if status == 0:
            url = f"http://{host}:{port}"
            print(f"compose-test: first run FINISHED after {first_run(url, key, begun):.0f} s", flush=True)
            tests = {
                **environment,
                "GRADUS_E2E_COMPOSE": json.dumps(compose),
                "GRADUS_E2E_URL": url,
                "GRADUS_E2E_MLFLOW_URL": f"http://{host}:{mlflow_port}",
                "GRADUS_E2E_KEY": key,
                "GRADUS_E2E_SECRETS": json.dumps(values),
            }
            pytest = [sys.executable, "-m", "pytest", "tests/e2e", *arguments]
            status = subprocess.run(pytest, env=tests, cwd=ROOT, check=False).returncode
        if status:
            do("ps")
            do("logs", "--tail", "60")
    finally:
        if not keep:
            do("down", "--volumes", "--remove-orphans")
            docker("network", "rm", OUTSIDE)
            shutil.rmtree(folder)
    return status


def first_run(url: str, key: str, begun: float) -> float:
    """Submit a run as soon as the API answers; seconds from `begun` to its end."""
    spec = {
        "name": "first",
        "dataset": {"name": "linear"},
        "model": {"layers": [{"type": "dense", "units": 1}]},
    }
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False, timeout=10) as client:
        experiment = ""
        while time.monotonic() - begun < 4 * FIRST_RUN_WITHIN:
            try:
                experiment = experiment or client.post("/v1/experiments", json=spec).json()["id"]
                if client.get(f"/v1/experiments/{experiment}").json()["status"].get("FINISHED"):
                    return time.monotonic() - begun
            except (httpx.TransportError, ValueError, KeyError):
                pass
            time.sleep(0.5)
    raise SystemExit(f"compose-test: no run FINISHED within {4 * FIRST_RUN_WITHIN:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
