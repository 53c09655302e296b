"""The page of the course."""

from __future__ import annotations

import httpx

from experiments.course import lessons
from service.store import queries
from tests.service.scored_runs import World


def test_the_page_has_every_lesson_in_both_languages(client: httpx.Client) -> None:
    for language in ("en", "zh"):
        page = client.get(f"/lessons?lang={language}").text
        places = [page.index(f'id="{name}"') for name in lessons()]
        assert places == sorted(places)
        assert lessons()["01-perceptron-and"].claim.in_language(language) in page


def test_the_address_of_a_lesson_leads_to_its_place(client: httpx.Client) -> None:
    answer = client.get("/lessons/22-residual-network", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lessons#22-residual-network")
    assert client.get("/lessons/nonsense").status_code == 404


def test_the_button_queues_the_runs(client: httpx.Client) -> None:
    answer = client.post("/lessons/01-perceptron-and", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lessons#01-perceptron-and")
    assert "Networks are being trained" in client.get("/lessons?lang=en").text
    assert client.post("/lessons/nonsense").status_code == 404


def test_the_films_of_all_seeds_are_there_once_the_lesson_is_done(world: World, client: httpx.Client) -> None:
    """Asked for when they are opened, and not while the runs train."""
    client.post("/lessons/01-perceptron-and")
    assert "data-films" not in client.get("/lessons").text
    experiments, _ = queries.list_experiments(world.store, limit=1)
    world.work(experiments[0].id, lambda run: 1.0)
    page = client.get("/lessons").text
    assert page.count("data-films") == 1
    films = [f'data-film="/runs/{run.id}/film"' for run in queries.all_runs(world.store, experiments[0].id)]
    assert len(films) == 5
    assert all(film in page for film in films)


def test_lessons_of_one_or_two_inputs_are_filmed() -> None:
    filmed = [name for name, lesson in lessons().items() if lesson.film]
    assert filmed[:4] == ["01-perceptron-and", "02-perceptron-or", "03-perceptron-xor", "04-xor-hidden"]
    assert all(lessons()[name].document()["diagnostics"]["film"] for name in filmed)
    assert "film" not in lessons()["13-relu-sparsity"].document().get("diagnostics", {})
