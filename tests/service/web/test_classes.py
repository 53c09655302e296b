"""The pages of a class: joining in the browser, the wall, opening it."""

from __future__ import annotations

import re
from pathlib import Path

from service import operations
from tests.service.api.conftest import serve


def test_a_student_joins_in_the_browser_and_the_lecturer_opens_the_wall(tmp_path: Path) -> None:
    with serve(tmp_path, auth_required=True) as served:
        _, code = operations.create_class(served.store, "nn-101", 2)
        _, secret = operations.create_key(served.store, owner="lecturer", scopes=["admin"])
        with (
            served.client(follow_redirects=True) as student,
            served.client(follow_redirects=True) as lecturer,
        ):
            assert f'value="{code}"' in student.get(f"/join?code={code}").text
            wrong = student.post("/join", data={"code": "nonsense", "student": "安娜"})
            assert (wrong.status_code, "No class has this code" in wrong.text) == (422, True)
            assert student.post("/join", data={"code": code, "student": "  "}).status_code == 422
            welcome = student.post("/join?lang=zh", data={"code": code, "student": "安娜"}).text
            shown = re.search(r"gradus_[\w-]+", welcome)
            assert shown is not None
            assert operations.authenticate(served.store, shown[0]) is not None
            assert "nn-101-安娜" in welcome
            student.post("/lessons/01-perceptron-and")
            assert student.get("/classes").status_code == 403

            lecturer.post("/login", data={"key": secret})
            page = lecturer.get("/classes/nn-101?lang=en").text
            assert "nn-101-安娜" in page
            assert "01-perceptron-and (1)" in page
            assert "Networks are being trained" in page
            lecturer.post("/classes/nn-101/open", data={"opened": "true"})
            assert student.get("/classes").url.path == "/classes/nn-101"
            assert student.post("/classes/nn-101/open", data={"opened": "false"}).status_code == 403
            assert student.get("/classes/other").status_code == 404
