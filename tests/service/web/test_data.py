"""`/data`: what a file holds, the spec that trains on it, and what is said of a file that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.service.api.conftest import Served, serve
from tests.service.own_files import CSV, known


@pytest.fixture
def pages(tmp_path: Path) -> object:
    with serve(tmp_path / "home") as served:
        yield served


def test_a_file_is_shown_with_its_columns_and_a_spec(pages: Served) -> None:
    dataset = known(pages.store, pages.settings.datasets)
    with pages.client() as client:
        page = client.get("/data").text
        assert page.count("<svg viewBox") == 2
        assert "cat, dog" in page
        assert "dataset: {name: upload, id: pets, target: kind}" in page
        assert "28 rows to train on, 4 for validation, 8 for testing" in page
        address = re.search(r'href="(/new\?spec=[^"]+)"', page)
        assert address
        assert "1-32-1" in client.get(address[1]).text, "the builder shows the network on this file"
        assert "上传自己的文件" in client.get("/data?lang=zh").text
        client.cookies.clear()
        gone = client.post(f"/data/{dataset.id}/delete", headers={"origin": pages.url})
        assert gone.status_code in (303, 422)  # MLflow is away here; the file is forgotten all the same
        assert "There are no files yet" in client.get("/data?lang=en").text


def test_the_form_takes_a_file_that_is_known(pages: Served) -> None:
    known(pages.store, pages.settings.datasets)
    with pages.client() as client:
        answer = client.post(
            "/data", files={"file": ("animals.csv", CSV)}, data={"target": "size", "kind": "regression"}
        )
        assert answer.status_code == 303
        assert "<strong>animals</strong>" in client.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    ("content", "form", "said"),
    [
        (CSV, {"target": "kin"}, "did you mean kind"),
        (CSV, {"kind": "guess"}, "there is no kind"),
        (b"a,b\n1,2\n3,x\n4,5\n", {}, "row 3, column b"),
    ],
)
def test_what_cannot_be_used_is_said_above_the_form(
    pages: Served, content: bytes, form: dict[str, str], said: str
) -> None:
    known(pages.store, pages.settings.datasets)
    with pages.client() as client:
        answer = client.post("/data", files={"file": ("a.csv", content)}, data=form)
        assert (answer.status_code, said in answer.text) == (422, True)


def test_without_a_file_the_form_says_so(pages: Served) -> None:
    with pages.client() as client:
        answer: httpx.Response = client.post("/data", data={"name": "x"})
        assert (answer.status_code, "no file was chosen" in answer.text) == (422, True)
