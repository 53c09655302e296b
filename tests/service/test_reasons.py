"""Every reason that is stored has a sentence."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from experiments.engine.progress import StopAsked
from service.lifecycle import RunStatus
from service.reasons import explain
from workers.training import failures

ROOT = Path(__file__).resolve().parents[2]


def engine_reasons() -> set[str]:
    """What `Progress` returns as the reason to stop: the texts that it returns."""
    tree = ast.parse((ROOT / "experiments" / "engine" / "progress.py").read_text())
    returns = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    return set().union(*(texts(value) for value in returns))


def texts(value: ast.expr | None) -> set[str]:
    """The texts that an expression may be: not those that it is compared with."""
    if isinstance(value, ast.IfExp):
        return texts(value.body) | texts(value.orelse)
    if isinstance(value, ast.BoolOp):
        return set().union(*(texts(part) for part in value.values))
    return {value.value} if isinstance(value, ast.Constant) and isinstance(value.value, str) else set()


def stored_reasons() -> set[str]:
    """Texts that operations write into the column, and those of the engine and the workers under their final names."""
    reasons = set()
    for path in (ROOT / "service" / "operations").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                reasons |= {
                    v.value
                    for k, v in pairs
                    if isinstance(k, ast.Constant) and k.value == "reason" and isinstance(v, ast.Constant)
                }
    asked = {failures._STOPPED.get(reason, reason) for reason in get_args(StopAsked)}
    return (
        {str(reason) for reason in reasons if reason} | engine_reasons() | asked | {"restart", failures.DISK}
    )


def test_every_stored_reason_is_explained() -> None:
    assert stored_reasons() >= {
        "epochs",
        "diverged",
        "lost",
        "spool_lost",
        "drain",
        "memory_limit",
        "time_limit",
    }
    for reason in stored_reasons():
        sentence = explain(RunStatus.FINISHED, reason)
        assert sentence != reason, reason
        assert sentence[0].isupper(), sentence
        assert sentence.endswith("."), sentence


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        (RunStatus.FINISHED, "", ""),
        (RunStatus.FINISHED, "error", "The loss is as low as stop.error asks for."),
        (RunStatus.FAILED, "error: ValueError: no", "Training failed: ValueError: no"),
        (RunStatus.FAILED, "data: no file: here", "Its data are not there: no file: here"),
        (
            RunStatus.SCHEDULED,
            "error",
            "Its tile failed as a whole, so each of the tile's runs is tried alone.",
        ),
        (RunStatus.SCHEDULED, "waits for a gpu worker: none is up", "It waits for a gpu worker: none is up."),
    ],
)
def test_explanations(status: RunStatus, reason: str, sentence: str) -> None:
    assert explain(status, reason) == sentence


def test_a_failed_gradient_check_is_said_first() -> None:
    tags = {"gradus.certificate": "failed", "gradus.certificate.reason": "1-dense/bias is off"}
    assert explain(RunStatus.FINISHED, "epochs", tags) == (
        "The gradient check failed, its numbers are not to be trusted (1-dense/bias is off). All epochs were trained."
    )
    assert (
        explain(RunStatus.FINISHED, "epochs", {"gradus.certificate": "certified"})
        == "All epochs were trained."
    )
