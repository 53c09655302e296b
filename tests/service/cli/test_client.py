"""The command at an address where something else than the service answers, or that is none."""

from __future__ import annotations

import contextlib
import http.server
import threading

import pytest


@contextlib.contextmanager
def answering(kind: str, body: bytes):
    """A server on this machine that answers everything with 200 and this body; its address without the scheme."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_arguments):
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
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
def test_another_server_is_no_gradus_service(gradus, monkeypatch, spec_file, body, command):
    monkeypatch.chdir(spec_file.parent)
    with answering(*body) as place:
        monkeypatch.setenv("GRADUS_URL", f"http://{place}")
        done = gradus(*command.split())
    assert done.status == 3
    assert f"what answers at http://{place} is no Gradus service: it sent {body[0]}" in " ".join(
        (done.err + done.out).split()
    )


def test_an_event_stream_of_another_server_ends(monkeypatch):
    from service.cli.client import Client
    from service.cli.failures import CommandError
    from service.settings import load_settings

    with (
        answering("text/html", b"data: hello") as place,
        pytest.raises(CommandError, match="no Gradus service"),
    ):
        list(Client(load_settings(url=f"http://{place}")).events("/v1/runs/abc/events"))
