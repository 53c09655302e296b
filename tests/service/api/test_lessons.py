"""`/v1/lessons`: the course as a person has it."""

from __future__ import annotations

from typing import Any

from experiments.course import lessons


def test_the_course_is_listed_in_its_order(client: Any) -> None:
    rows = client.get("/v1/lessons").json()["items"]
    assert [row["name"] for row in rows] == list(lessons())
    for row in rows:
        assert row["state"] == ("not yet" if row["trains"] else "done")
        assert row["trains"] or row["verdict"] == row["states"]


def test_what_is_on_paper_is_answered_at_once_in_both_languages(client: Any) -> None:
    answer = client.post("/v1/lessons/29-output-size-as-printed")
    assert answer.status_code == 200
    assert (answer.json()["verdict"], answer.json()["checks"][0]["measured"]) == ("refuted", 4)
    chinese = client.get("/v1/lessons/29-output-size-as-printed?lang=zh").json()
    assert chinese["sentence"].startswith("应为 4")


def test_a_lesson_that_trains_is_queued_and_found_again(client: Any) -> None:
    answer = client.post("/v1/lessons/01-perceptron-and")
    assert answer.status_code == 201
    body = answer.json()
    assert (body["state"], body["verdict"], body["sentence"]) == ("running", None, None)
    experiment = client.get(f"/v1/experiments/{body['experiment_id']}").json()
    assert experiment["tags"]["lesson"] == "01-perceptron-and"
    assert client.get("/v1/lessons/01-perceptron-and").json()["experiment_id"] == body["experiment_id"]


def test_there_is_no_other_lesson(client: Any) -> None:
    assert client.get("/v1/lessons/nonsense").status_code == 404
    assert client.post("/v1/lessons/nonsense").status_code == 404


def test_every_lesson_on_paper_has_its_picture_and_one_that_trains_has_it_afterwards(client: Any) -> None:
    for row in client.get("/v1/lessons").json()["items"]:
        picture = row["links"].get("picture")
        assert picture is not None or row["trains"]
        if picture is not None:
            answer = client.get(picture, params={"lang": "zh"})
            assert answer.headers["content-type"].startswith("image/svg+xml")
            assert lessons()[row["name"]].picture.says.zh in answer.text
    assert client.get("/v1/lessons/01-perceptron-and/picture.svg").status_code == 404
