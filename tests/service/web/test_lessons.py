"""The page of the course."""

from __future__ import annotations

import httpx

from experiments.course import lessons


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
