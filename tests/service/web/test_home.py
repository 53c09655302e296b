"""The start page over HTTP: what is listed, searched and done."""

from __future__ import annotations

import re

import httpx
import pytest

from service.store import queries
from tests.service.scored_runs import World

PLAIN = "name: plain\ndataset: {name: xor}\nmodel: {hidden: [2]}\nsweep: {seeds: 3}\n"


def listed(client: httpx.Client, **filters: str) -> list[str]:
    page = client.get("/", params=filters)
    return re.findall(r'<h2><a href="/experiments/\w+">([^<]*)</a>', page.text)


def test_it_lists_experiments_with_answer_and_dots(world: World, client: httpx.Client) -> None:
    world.ask(world.QUESTION)
    world.submit(world.QUESTION.replace("name: activations", "name: waiting"))
    page = client.get("/").text
    assert "relu better than sigmoid" in page
    assert "no answer yet (tune: 0 of 24 runs)" in page
    assert "24 waiting" in page
    assert page.count('class="dot scheduled"') == 24 + 1  # and one beside the number


def test_a_diverged_run_is_never_shown_as_finished(world: World, client: httpx.Client) -> None:
    experiment = world.submit(PLAIN)
    world.work(experiment.id, score=lambda run: None if run.index == 1 else 0.5)
    page = client.get("/").text
    assert page.count('class="dot diverged"') == 1 + 1
    assert page.count('class="dot finished"') == 2 + 1
    assert "1 diverged" in page
    assert "2 finished" in page


def test_a_run_whose_loss_grew_without_end_is_shown_as_diverged(world: World, client: httpx.Client) -> None:
    """It trained all its epochs and its loss is a number still: its diagnosis says that it diverged."""
    experiment = world.submit(PLAIN)
    grown = {"gradus.diagnosis.diverged": "Diverged: the loss is 235 after epoch 5, at the start it was 2.3."}
    world.work(experiment.id, tags=lambda run: grown if run.index == 1 else {})
    (run,) = [run for run in queries.all_runs(world.store, experiment.id) if run.index == 1]
    for address in ("/", f"/experiments/{experiment.id}"):
        page = client.get(address).text
        assert page.count('class="dot diverged"') == 1 + 1
        assert "1 diverged" in page
    page = client.get(f"/runs/{run.id}").text
    assert 'class="dot diverged"' in page
    assert 'class="dot finished"' not in page


def test_search_and_filters(world: World, client: httpx.Client) -> None:
    world.submit(
        PLAIN.replace("name: plain", "name: first\ntags: {course: nn-101}\ndescription: About Gates")
    )
    world.submit(PLAIN.replace("name: plain", "name: second\ntags: {course: nn-102}"))
    world.ask(world.QUESTION)
    assert listed(client) == ["activations", "second", "first"]
    assert listed(client, q="gates") == ["first"]
    assert listed(client, q="nn-10") == ["second", "first"]
    assert listed(client, q="100%") == []
    assert listed(client, tag="course=nn-102") == ["second"]
    assert listed(client, dataset="xor") == ["second", "first"]
    assert listed(client, status="FINISHED") == ["activations"]
    assert listed(client, dataset="xor", status="FINISHED") == []
    assert "No experiment is like that" in client.get("/", params={"q": "none"}).text
    assert client.get("/", params={"cursor": "x"}).status_code == 422


def test_fifty_on_a_page(world: World, client: httpx.Client) -> None:
    for number in range(52):
        world.submit(PLAIN.replace("name: plain", f"name: number {number:02}"))
    first = client.get("/")
    assert len(listed(client)) == 50
    following = re.search(r'href="([^"]*)" rel="next"', first.text)
    assert following
    second = client.get(following[1].replace("&amp;", "&")).text
    assert re.findall(r"/experiments/\w+\">(number \d\d)", second) == ["number 01", "number 00"]
    assert 'rel="next"' not in second


def test_the_first_visit_offers_three_lessons_to_press(client: httpx.Client) -> None:
    page = client.get("/").text
    addresses = re.findall(r'method="post" action="(/lessons/[\w-]+)"', page)
    assert len(addresses) == 3
    assert 'class="filters"' not in page, "nothing to look through yet"
    pressed = client.post(addresses[0])
    assert "Networks are being trained" in client.get(pressed.headers["location"]).text
    assert 'class="filters"' in client.get("/").text
    assert 'class="filters"' in client.get("/?q=nothing").text


def test_buttons_do_what_they_say(world: World, client: httpx.Client) -> None:
    id = world.submit(PLAIN).id
    path = f"/experiments/{id}"

    def counts() -> dict[str, int]:
        return queries.get_experiment(world.store, id).counts

    assert client.post(f"{path}/cancel").headers["location"] == path
    assert counts()["KILLED"] == 3
    client.post(f"{path}/about", data={"name": "renamed", "description": "two\r\nlines"})
    changed = queries.get_experiment(world.store, id)
    assert (changed.name, changed.description) == ("renamed", "two\nlines")
    assert client.post(f"{path}/about", data={"name": ""}).status_code == 422
    client.post(f"{path}/retry")
    assert counts()["SCHEDULED"] == 3
    world.work(id)
    client.post(f"{path}/extend", data={"seeds": "2"})
    assert queries.get_experiment(world.store, id).n_runs == 5
    table = client.get(f"{path}/runs.csv").text.splitlines()
    assert len(table) == 1 + 5
    assert table[0].startswith("id,index,stage,status,reason,attempt,")
    client.post(f"{path}/delete")
    assert listed(client) == []
    gone = client.get(f"{path}/report")
    assert gone.status_code == 404
    assert gone.headers["content-type"].startswith("text/html")


def test_names_are_escaped(world: World, client: httpx.Client) -> None:
    world.submit(PLAIN.replace("name: plain", "name: '<img src=x onerror=alert(1)>'\ntags: {sum: '<b>'}"))
    page = client.get("/").text
    assert "<img src=x" not in page
    assert "<b>" not in page


@pytest.mark.parametrize("path", ["/", "/new", "/workers", "/login", "/experiments/none/report"])
def test_pages_keep_to_a_strict_policy(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]* (style|on\w+)=", page.text)
    assert not re.search(r"<script(?![^>]*src=)", page.text)
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        assert client.get(address).status_code == 200
        assert "immutable" in client.get(address).headers["cache-control"]
    assert client.get("/static/none.css").status_code == 404
    assert client.get("/static/..%2fview.py").status_code == 404


def test_another_site_cannot_press_a_button(world: World, client: httpx.Client) -> None:
    id = world.submit(PLAIN).id
    answer = client.post(f"/experiments/{id}/delete", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert listed(client) == ["plain"]
