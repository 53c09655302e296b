"""Figures as files, and the order of the list."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.store import queries
from tests.service.scored_runs import World, serve, world

__all__ = ["serve", "world"]


@pytest.fixture
def service(serve: Any) -> Any:
    with httpx.Client(base_url=serve(), trust_env=False, timeout=30) as client:
        yield client


def test_every_figure_of_the_report_is_a_file(world: World, service: httpx.Client) -> None:
    experiment = world.ask(world.QUESTION)
    answer = service.get(f"/v1/experiments/{experiment.id}/runs/figures/effects.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.text.startswith("<svg")
    refused = service.get(f"/v1/experiments/{experiment.id}/runs/figures/efects.svg")
    assert refused.status_code == 422
    assert "effects" in refused.text
    run = queries.all_runs(world.store, experiment.id)[0]
    assert service.get(f"/v1/runs/{run.id}/figures/loss.svg").text.startswith("<svg")


@pytest.mark.parametrize(
    ("sort", "names"),
    [("name", "abc"), ("-name", "cba"), ("created", "bca"), ("-created", "acb"), (None, "acb")],
)
def test_the_list_has_the_order_that_was_asked_for(
    world: World, service: httpx.Client, sort: Any, names: str
) -> None:
    for name in "bca":
        world.submit(f"name: {name}\ndataset: {{name: xor}}\nmodel: {{hidden: [2]}}\n")
    address: Any = "/v1/experiments?limit=1" + (f"&sort={sort}" if sort else "")
    seen = []
    while address:
        page = service.get(address).json()
        seen += [experiment["name"] for experiment in page["items"]]
        address = page["next"]
    assert "".join(seen) == names
    assert service.get("/v1/experiments?sort=size").status_code == 422
