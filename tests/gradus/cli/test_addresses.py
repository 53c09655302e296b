"""The command at an address where something else than the service answers, or that is none."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradus import Client, Unreachable


@contextlib.contextmanager
def answering(kind: str, body: bytes, status: int = 200) -> Iterator[Any]:
    """A server on this machine that answers everything with this body; its address without the scheme."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_arguments: Any) -> None:
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("body", [("text/html", b"<html>hello</html>"), ("application/json", b'["hello"]')])
@pytest.mark.parametrize(
    "command",
    ["status", "status abc", "runs abc", "workers", "cancel abc", "submit spec.yaml", "doctor --json"],
)
def test_another_server_is_no_gradus_service(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, spec_file: Path, body: Any, command: Any
) -> None:
    monkeypatch.chdir(spec_file.parent)
    with answering(*body) as place:
        monkeypatch.setenv("GRADUS_URL", f"http://{place}")
        done = gradus(*command.split())
    assert done.status == 3
    assert f"what answers at http://{place} is no Gradus service: it sent {body[0]}" in " ".join(
        (done.err + done.out).split()
    )


@pytest.mark.parametrize("command", ["status", "watch abc", "doctor", "doctor --json"])
@pytest.mark.parametrize("secret", ["user:hunter2@", "user:hun/ter2@", ":hunter2@"])
def test_a_password_in_the_address_is_never_shown(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, command: Any, secret: Any
) -> None:
    monkeypatch.setenv("GRADUS_URL", f"http://{secret}127.0.0.1:9")
    done = gradus(*command.split())
    assert done.status in (2, 3)
    assert "***@127.0.0.1:9" in done.err + done.out
    assert "ter2" not in done.err + done.out


@pytest.mark.parametrize("key", ["sécret", "secret\n", "secret word", "sec\x01ret"])
def test_a_key_that_cannot_be_sent_is_not_shown(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    monkeypatch.setenv("GRADUS_API_KEY", key)
    done = gradus("status")
    assert done.status == 2
    assert "GRADUS_API_KEY holds a character that no key has" in done.err
    assert "cret" not in done.err


def test_a_password_is_not_in_what_the_service_is_said_to_answer(
    gradus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering("text/html", b"<html>no</html>", status=404) as place:
        monkeypatch.setenv("GRADUS_URL", f"http://user:hunter2@{place}")
        done = gradus("workers")
    assert done.status == 2
    assert "/v1/workers was answered with status 404" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    "address",
    ["notaurl", "ftp://x", "http://", "127.0.0.1:8642", "http://x:99999", "http://[::1", "localhost:1"],
)
@pytest.mark.parametrize("command", ["status", "doctor"])
def test_an_address_that_is_none_is_a_wrong_setting(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, address: Any, command: Any
) -> None:
    monkeypatch.setenv("GRADUS_URL", address)
    done = gradus(command)
    assert done.status == 2
    assert f"GRADUS_URL is '{address.rstrip('/')}', which is no address" in done.err
    assert "allowed: http://HOST:PORT" in done.err


def test_an_event_stream_of_another_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering("text/html", b"data: hello") as place,
        pytest.raises(Unreachable, match="no Gradus service"),
    ):
        list(Client(f"http://{place}").http.events("/v1/runs/abc/events"))
