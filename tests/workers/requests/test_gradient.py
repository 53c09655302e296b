"""The gradient check that a person asks for: the fault is caught, single numbers agree, a jump is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.workers.conftest import Bench
from workers.requests.gradient import check_gradient

XOR = {"dataset": {"name": "xor"}, "model": {"hidden": [2], "activation": "tanh"}}


def test_three_ways_agree(bench: Bench) -> None:
    (run,) = bench.submit(**XOR)
    answer = check_gradient(bench.context(), run, {"step": 1e-4, "fault": None})
    assert answer["report"]["verdict"] == "certified"
    at = int(np.argmin(np.abs(np.array(answer["steps"]) - 1e-4)))
    for row in answer["rows"]:
        assert row["quotients"][at] == pytest.approx(row["autodiff"], abs=1e-8)
        assert row["by_hand"] == pytest.approx(row["autodiff"], abs=1e-12)
    double = answer["curve"]["float64"]
    assert double[at] < 1e-6 < max(double), "too large a step says wrong of a right gradient"


def test_a_fault_is_caught_and_seen_in_the_numbers(bench: Bench) -> None:
    (run,) = bench.submit(**XOR)
    answer = check_gradient(bench.context(), run, {"step": 1e-4, "fault": "scale"})
    assert answer["report"]["verdict"] == "failed"
    first = answer["rows"][0]
    assert first["autodiff"] == pytest.approx(1.01 * first["by_hand"])


def test_a_spec_without_a_run_that_jumps_is_refused(bench: Bench) -> None:
    layers = [{"type": "dense", "units": 1, "activation": "step"}]
    (run,) = bench.submit(dataset={"name": "and"}, model={"layers": layers}, loss="half_squared_error")
    answer = check_gradient(bench.context(), None, {"spec": run.spec, "step": 1e-4, "fault": None})
    assert answer["report"]["verdict"] == "refused"
    assert answer["rows"] == []
