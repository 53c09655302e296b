"""What maintenance says of its planning, to whoever scrapes it."""

from __future__ import annotations

import httpx

from service.embedded.ports import free_port
from service.planner.measures import PlanningMeasures
from service.queue import TileMessage


def test_looks_and_sent_tiles_are_counted_and_scraped() -> None:
    measures, port = PlanningMeasures(), free_port()
    measures.planned(0.003, [])
    measures.planned(0.3, [TileMessage("t", ("a", "b", "c"), 4, "cpu", "e", False)])
    measures.serve("127.0.0.1", port)
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    assert 'gradus_planning_seconds_bucket{le="0.005"} 1.0' in lines
    assert 'gradus_planning_seconds_bucket{le="0.5"} 2.0' in lines
    assert 'gradus_tiles_sent_total{queue="cpu"} 1.0' in lines
    assert 'gradus_runs_sent_total{queue="cpu"} 3.0' in lines
