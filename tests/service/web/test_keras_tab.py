"""The builder's third tab."""

from __future__ import annotations

import html
from pathlib import Path

import httpx

CODE = (Path(__file__).resolve().parents[3] / "examples/keras/cnn.py").read_text()


def test_a_pasted_program_becomes_form_and_yaml(client: httpx.Client) -> None:
    page = client.post("/new/edit", data={"do": "keras", "text": "name: other\n", "code": CODE}).text
    assert "filters: 32, kernel_size: 5" in page
    assert "3,274,634" in page
    assert "read as filters=" in page
    assert "<code>filter=32,</code>" in page
    # the program stays in its tab, and the tab stays open
    assert html.escape(CODE.strip().splitlines()[-1]) in html.unescape(page)
    assert 'id="tab-keras" checked' in page


def test_what_is_no_program_leaves_the_spec_as_it_is(client: httpx.Client) -> None:
    page = client.post("/new/edit", data={"do": "keras", "text": "name: mine\n", "code": "model = ("}).text
    assert "name: mine" in page
    assert "line 1: this is no Python" in page


def test_an_entry_that_changes_keeps_the_program(client: httpx.Client) -> None:
    page = client.post("/new/edit", data={"do": "entry", "text": "name: mine\n", "code": "x = 1 < 2"}).text
    assert "x = 1 &lt; 2" in page
