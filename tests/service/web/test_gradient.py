"""`/gradient-check`: choosing, asking a worker, and what the page says of each verdict."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import httpx
import pytest

from experiments.gradient_check.certificates import GradientReport
from experiments.gradient_check.faults import SENTENCES
from experiments.runs import RunSpec
from service import operations
from service.errors import TooManyOpenRequests
from service.store import queries
from service.words import catalogue
from tests.service.scored_runs import World

STEPS = [1e-6, 1e-4, 1e-2]


def answered(world: World, client: httpx.Client, verdict: Any, rows: Any = (), **asked: Any) -> str:
    """The page after a worker has answered."""
    experiment = world.submit("name: x\ndataset: {name: xor}\nmodel: {hidden: [2]}\n")
    run = queries.all_runs(world.store, experiment.id)[0]
    form = client.post("/gradient-check", data={"run": run.id, "h": "-4", **asked})
    assert form.status_code == 303
    assert "A worker checks" in client.get(form.headers["location"]).text
    (work,) = operations.take_due_requests(world.store, resend_seconds=60)
    assert work.payload["step"] == pytest.approx(1e-4)
    taken = operations.claim_request(world.store, work.id, worker="w", lease_seconds=60)
    assert taken is not None
    report = GradientReport(
        verdict=verdict, reason="because", key="k", mode="sampled", step=1e-4, dtype="float64", seed=0, points=3,
        device="cpu", versions={}, injected=asked.get("fault"), seconds=time.monotonic(),
    )  # fmt: skip
    result = {
        "report": report.model_dump(mode="json"),
        "rows": list(rows),
        "steps": STEPS if rows else [],
        "curve": {"float64": [1e-5, 1e-9, 1e-3]} if rows else {},
    }
    operations.finish_request(world.store, taken.id, taken.attempt, result=result)
    return client.get(form.headers["location"]).text


ROW = {
    "tensor": "0-dense/kernel",
    "index": [0, 1],
    "autodiff": 0.5,
    "quotients": [0.4, 0.5, None],
    "by_hand": 0.5,
}


def test_numbers_stand_side_by_side_at_the_step(world: World, client: httpx.Client) -> None:
    page = answered(world, client, "certified", [ROW])
    assert "0-dense/kernel[0, 1]" in page
    assert "0.0e+00" in page, "the quotient at 1e-4 equals autodiff"
    assert page.count('visibility="visible"') == 1
    assert "equals the difference quotient" in page


def test_a_fault_that_was_put_in_is_named(world: World, client: httpx.Client) -> None:
    page = answered(world, client, "failed", [ROW], fault="scale")
    assert "The check caught it" in page
    assert "first kernel times 1.01" in page


@pytest.mark.parametrize(
    ("verdict", "sentence"), [("refused", "no derivative"), ("not assessed", "Nothing is claimed")]
)
def test_what_claims_nothing_says_why(
    world: World, client: httpx.Client, verdict: str, sentence: str
) -> None:
    assert sentence in answered(world, client, verdict)


def test_a_network_is_chosen_first(world: World, client: httpx.Client) -> None:
    experiment = world.submit("name: chosen\ndataset: {name: xor}\nmodel: {hidden: [2]}\n")
    run = queries.all_runs(world.store, experiment.id)[0]
    assert f'href="/gradient-check?run={run.id}"' in client.get("/gradient-check").text
    assert client.get("/gradient-check?run=none").status_code == 404


SPEC = "name: bare\ndataset: {name: xor}\nmodel: {hidden: [2], activation: tanh}\n"


def test_a_spec_that_was_not_submitted_is_checked(world: World, client: httpx.Client) -> None:
    """Of the spec in the builder's link, and of one that is written on the page; nothing is submitted."""
    link = re.search(r'href="(/gradient-check\?spec=[^"]+)"', client.get("/new").text)
    assert link
    assert "64-32-10" in client.get(html.unescape(link[1])).text
    form = client.post("/gradient-check", data={"text": SPEC, "h": "-5", "fault": "scale"})
    assert form.status_code == 303
    page = client.get(form.headers["location"]).text
    assert "2-2-1, " in page
    assert "A worker checks" in page
    (work,) = operations.take_due_requests(world.store, resend_seconds=60)
    assert (work.run_id, work.kind) == (None, "gradient")
    assert RunSpec.model_validate(work.payload["spec"]).model.activation == "tanh"
    assert (work.payload["step"], work.payload["fault"]) == (pytest.approx(1e-5), "scale")
    assert queries.list_experiments(world.store)[0] == []
    assert client.get(f"/v1/requests/{work.id}").status_code == 404, "only the page that asked shows it"


def test_a_spec_that_cannot_be_run_is_shown_with_what_is_wrong(client: httpx.Client) -> None:
    refused = client.post("/gradient-check", data={"text": SPEC.replace("tanh", "tanhh")})
    assert refused.status_code == 422
    assert "did you mean &#34;tanh&#34;?" in refused.text
    assert "activation: tanhh" in refused.text, "what was written stays"


def test_checks_of_specs_count_towards_the_quota_of_who_asks(world: World) -> None:
    def ask(owner: str) -> str:
        payload = {"spec": {}, "step": 1e-4, "fault": None}
        return operations.create_spec_request(
            world.store, owner, kind="gradient", payload=payload, quota=2
        ).id

    first = ask("ann")
    ask("ann")
    with pytest.raises(TooManyOpenRequests):
        ask("ann")
    ask("bob")
    taken = operations.claim_request(world.store, first, worker="w", lease_seconds=60)
    assert taken is not None
    operations.finish_request(world.store, first, taken.attempt, error="x")
    ask("ann")


def test_every_fault_has_a_text() -> None:
    assert {name: catalogue("en")[f"fault.{name}"] for name in SENTENCES} == SENTENCES
    assert all(f"fault.{name}" in catalogue("zh") for name in SENTENCES)
