"""`gradus gradcheck` on every example: certified, or refused where there is no derivative, or said to be undecided."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.gradcheck import main

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
DATA_DIR = os.environ.get("GRADUS_DATA_DIR")
HAS_MNIST = DATA_DIR is not None and (Path(DATA_DIR) / "mnist.npz").is_file()
STEPS = {"perceptron-and", "perceptron-or", "perceptron-xor"}
UNDECIDED = {"initializers": 1}
"""Programs of an example that are not assessed: all weights 0 leave the first layer derivatives of 1e-15, which no
quotient can tell from rounding."""


def reports(output: str) -> list[dict[str, Any]]:
    """The JSON documents that the command printed one after the other."""
    decoder, decoded, rest = json.JSONDecoder(), [], output.strip()
    while rest:
        report, end = decoder.raw_decode(rest)
        decoded.append(report)
        rest = rest[end:].strip()
    return decoded


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_program_of_an_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "mnist" in path.read_text("utf-8") and not HAS_MNIST:
        pytest.skip("no mnist.npz: set GRADUS_DATA_DIR to the folder that holds it")
    status = main([str(path), "--json"])
    checked = reports(capsys.readouterr().out)
    verdicts = [report["verdict"] for report in checked]
    if path.stem in STEPS:
        assert status == 1
        assert set(verdicts) == {"refused"}
        assert all("no derivative" in report["reason"] for report in checked)
        return
    undecided = UNDECIDED.get(path.stem, 0)
    assert verdicts.count("not assessed") == undecided
    assert verdicts.count("certified") == len(verdicts) - undecided
    assert status == (1 if undecided else 0)
    for report in checked:
        assert_the_gates_hold(report)


def assert_the_gates_hold(report: dict[str, Any]) -> None:
    """Of what was assessed; what was discarded and what could not be assessed is counted, tensor by tensor."""
    tensors = [tensor for state in report["states"] for tensor in state["tensors"]]
    smooth = all(
        state["slope"] is not None or "kinks" not in state["slope_note"] for state in report["states"]
    )
    checked = sum(tensor["checked"] for tensor in tensors)
    assert report["discarded"] == pytest.approx(sum(t["discarded"] for t in tensors) / checked)
    assert report["not_assessable"] == pytest.approx(sum(t["not_assessable"] for t in tensors) / checked)
    for tensor in tensors:
        assert tensor["assessed"] <= tensor["checked"]
        if tensor["max"] is not None:
            assert tensor["max"] <= (1e-5 if smooth else 1e-4)
            assert tensor["median"] <= 1e-7 or not smooth
