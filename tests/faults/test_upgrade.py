"""A home that 0.1.0 left behind, killed with runs in every state, is finished by the present code.

`tests/data/home-0.1.0.tar.xz` was made by 0.1.0 itself: two experiments were finished; then MLflow was stopped, so that
one waits for it with committed outcomes; one run was in training, with a checkpoint of 16 of its 30 epochs; others were
queued, one experiment was cancelled, one asks a question. Then the supervisor was killed.
"""

from __future__ import annotations

import pytest

from service.store import queries
from tests.faults.conftest import Stack

FINISHED = {"finished", "failed", "committed", "half-trained", "queued", "question"}
pytestmark = pytest.mark.timeout(600)


def test_a_home_of_0_1_0_is_finished(stack: Stack) -> None:
    """The home that the stack of these tests began with."""
    experiments = {
        e.name: e.id for e in queries.list_experiments(stack.store)[0] if e.name in {*FINISHED, "killed"}
    }
    assert experiments.keys() == {*FINISHED, "killed"}
    runs = {name: stack.check(id) for name, id in experiments.items()}
    stack.wait(lambda: queries.get_experiment(stack.store, experiments["question"]).is_settled)
    statuses = {name: {run.status.value for run in ended} for name, ended in runs.items()}
    assert statuses == {name: {"KILLED" if name == "killed" else "FINISHED"} for name in experiments}
    assert {run.attempt for name in ("finished", "committed") for run in runs[name]} == {1}
    half, untouched = runs["half-trained"]
    assert (half.attempt, untouched.attempt) == (2, 1)
    for run in (half, untouched):
        losses, _ = queries.metric_history(stack.store, run.id, keys=["train/loss"])
        assert [point.step for point in losses] == list(range(1, 31))
    attempts = {
        point.step: point.attempt
        for point in queries.metric_history(stack.store, half.id, keys=["train/loss"])[0]
    }
    assert attempts[1] == 1, "what the first attempt measured stays"
