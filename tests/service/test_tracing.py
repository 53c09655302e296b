"""Traces leave by themselves, or not at all."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.collector import collecting

CODE = """
from datetime import UTC, datetime
from service import tracing
from service.settings import Settings
import time
tracing.configure(Settings(_env_file=None), process="api")
began = time.perf_counter()
for _ in range(1000):
    tracing.submitted("{experiment}", began=datetime.now(UTC), runs=2)
print(time.perf_counter() - began)
"""


def recorded(experiment: str, monkeypatch: pytest.MonkeyPatch, endpoint: str | None) -> tuple[float, float]:
    """(seconds for a thousand spans, seconds for the whole process) of a process that sends to the endpoint."""
    if endpoint:
        monkeypatch.setenv("GRADUS_OTLP_ENDPOINT", endpoint)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(experiment=experiment)], capture_output=True, text=True, check=True
    )
    return float(done.stdout), time.monotonic() - began


def test_spans_reach_the_collector_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = "0123456789abcdef0123"
    with collecting() as collector:
        recorded(experiment, monkeypatch, collector.url + "/")
    spans = collector.trace(experiment)["submit"]
    assert len(spans) == 1000
    assert {span.trace_id.hex() for span in spans} == {experiment + "0" * 12}
    assert {len(span.span_id) for span in spans} == {8}
    assert [entry.value.int_value for entry in spans[0].attributes if entry.key == "gradus.runs"] == [2]


def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    spans, process = recorded("f" * 20, monkeypatch, "http://127.0.0.1:9")
    assert spans < 5
    assert process < 60


def test_without_an_endpoint_nothing_is_loaded() -> None:
    code = CODE.format(experiment="a" * 20) + "import sys; assert 'opentelemetry.sdk' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
