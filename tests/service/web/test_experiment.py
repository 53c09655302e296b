"""An experiment's page: complete without the script, and moving with the event stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
from httpx_sse import ServerSentEvent, connect_sse

from service import operations
from service.analysis import design
from service.entities import Committed
from service.store import queries
from service.web import live
from tests.service.scored_runs import World

PLAIN = "name: plain\ndataset: {name: digits}\nmodel: {hidden: [2]}\nsweep: {activation: [relu, tanh], seeds: 2}\n"


def events(address: str) -> Iterator[ServerSentEvent]:
    with httpx.Client(trust_env=False, timeout=30) as client, connect_sse(client, "GET", address) as source:
        yield from (event for event in source.iter_sse() if event.data)


def test_it_shows_answer_stages_dots_and_figures(world: World, client: httpx.Client) -> None:
    experiment = world.ask(world.QUESTION)
    page = client.get(f"/experiments/{experiment.id[:10]}").text
    for answer in str(experiment.design["answer"]).split("; "):
        assert f'<p class="answer verdict">{answer}</p>' in page
    assert page.count('class="dot finished"') == experiment.n_runs + 1
    assert '<li class="done"><strong>tune</strong> 24 of 24 runs</li>' in page
    assert page.count('<svg class="chart"') >= 6
    assert "Next planned look" not in page, "every pair is decided"
    assert "Differences with their intervals" in page
    assert "data-live" not in page, "nothing more happens"
    assert client.get("/experiments/none").status_code == 404


def test_before_anything_is_measured_the_page_says_so(world: World, client: httpx.Client) -> None:
    page = client.get(f"/experiments/{world.submit(PLAIN).id}").text
    assert "There is nothing to draw yet" in page
    assert 'data-live="/experiments/' in page
    assert ">Cancel</button>" in page


def test_why_runs_failed_or_wait_stands_below_the_dots(world: World, client: httpx.Client) -> None:
    experiment = world.submit(PLAIN)
    waiting = client.get(f"/experiments/{experiment.id}?lang=en").text
    assert "4 runs: It waits for a worker: none is up." in waiting
    for number, run in enumerate(queries.all_runs(world.store, experiment.id)):
        (claimed,) = operations.claim(world.store, [run.id], worker="w", spool="s", lease_seconds=60)
        reason = "memory_limit" if number == 3 else "data: no mnist.npz"
        operations.commit(world.store, {run.id: Committed(claimed.attempt, "FAILED", reason, {})})
        operations.finish(world.store, {run.id: None})
    page = client.get(f"/experiments/{experiment.id}?lang=en").text
    assert "3 runs: Its data are not there: no mnist.npz<" in page
    assert "1 run: Training it needs more memory" in page
    assert "There is nothing to draw: nothing was measured." in page
    own = client.get(f"/runs/{claimed.id}?lang=en").text
    for told in (
        "There is nothing to try",
        "There is nothing to draw: the run measured nothing.",
        "Train it again",
    ):
        assert told in own
    assert "Draw the pictures" not in own
    assert "Latest values" not in own


def test_a_stage_with_a_failed_run_is_not_shown_as_done(world: World, client: httpx.Client) -> None:
    experiment = world.submit(world.QUESTION)
    world.work(experiment.id, status=lambda run: "FAILED" if run.index == 0 else "FINISHED")
    design.advance(world.store)
    page = client.get(f"/experiments/{experiment.id}?lang=en").text
    assert '<li class="failed"><strong>tune</strong> 24 of 24 runs</li>' in page
    assert "Retry failed and cancelled" in page
    assert "Next planned look" not in page, "it would be refused"


def test_the_stream_brings_what_changes_and_ends(world: World, serve: Callable[..., str]) -> None:
    experiment = world.submit(PLAIN)
    stream = events(f"{serve()}/experiments/{experiment.id}/live")
    first = json.loads(next(stream).data)
    assert first["id"] == "state"
    assert "4 waiting" in first["html"]
    world.work(experiment.id)
    seen = list(stream)
    assert seen[-1].event == "end"
    last = {part["id"]: part["html"] for part in (json.loads(event.data) for event in seen[:-1])}
    assert "4 finished" in last["state"]
    assert "<svg" in last["figures"]


def test_one_drawing_serves_all_who_watch(world: World) -> None:
    """Thirty at once, and again while nothing has changed: drawn once. After a change: once more."""
    drawn: list[int] = []
    state = {"mark": 1}

    def build() -> str:
        drawn.append(state["mark"])
        return f"<p>{state['mark']}</p>"

    async def watch(number: int) -> list[str]:
        pages: list[str] = []

        async def reader() -> None:
            pages.append(await live.current(world.store, ("x", "state"), lambda: state["mark"], build))

        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(reader)
        return pages

    async def story() -> None:
        assert set(await watch(30)) == {"<p>1</p>"}
        state["mark"] = 2
        while (await watch(1)) != ["<p>2</p>"]:
            await anyio.sleep(0.05)
        assert set(await watch(30)) == {"<p>2</p>"}

    anyio.run(story)
    assert drawn == [1, 2]
    assert live.kept(world.store, ("x", "state"), 2) == "<p>2</p>"
    assert live.kept(world.store, ("x", "state"), 3) is None


def test_several_browsers_see_the_same(world: World, serve: Callable[..., str]) -> None:
    experiment = world.submit(PLAIN)
    address = f"{serve()}/experiments/{experiment.id}/live"
    with ThreadPoolExecutor(5) as pool:
        watching = [pool.submit(lambda: list(events(address))) for _ in range(5)]
        world.work(experiment.id)
        ends = [watched.result(timeout=60) for watched in watching]
    states = {[e.data for e in seen if e.event == "part" and '"state"' in e.data][-1] for seen in ends}
    assert len(states) == 1
