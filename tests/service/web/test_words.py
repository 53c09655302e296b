"""English and Chinese have the same texts with the same places, and every text that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import httpx
import pytest

import service.web
from service.web.view import LANGUAGES, Words, catalogue

FOLDER = Path(service.web.__file__).parent


def places(text: str) -> set[str]:
    return {name for form in text.split("|") for _, name, _, _ in Formatter().parse(form) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogues_are_equal(language: str) -> None:
    english, other = catalogue("en"), catalogue(language)
    assert other.keys() == english.keys()
    assert {key: places(text) for key, text in other.items()} == {
        key: places(text) for key, text in english.items()
    }
    assert all(text.strip() for text in other.values())


def test_every_text_that_a_page_names_exists() -> None:
    sources = [*FOLDER.glob("templates/*.html"), *FOLDER.glob("*.py")]
    named = {
        key for path in sources for key in re.findall(r'(?:\bt|words)\(f?"([\w.]+)"', path.read_text("utf-8"))
    }
    assert len(named) > 60
    beginnings = tuple(key for key in named if key.endswith((".", "_")))
    known = catalogue("en").keys()
    assert {key for key in named if key not in beginnings} <= known
    assert all(any(key.startswith(beginning) for key in known) for beginning in beginnings)


def test_one_and_several() -> None:
    english = Words("en")
    assert english("dots.label", n=1) == "1 run"
    assert english("dots.label", n=2) == "2 runs"
    assert Words("zh")("dots.label", n=1) == "1 次运行"


def test_the_language_is_the_address_then_the_choice_then_the_wish(client: httpx.Client) -> None:
    def language(path: str = "/", wish: str = "") -> str:
        match = re.search(r'<html lang="(\w+)"', client.get(path, headers={"accept-language": wish}).text)
        assert match
        return match[1]

    assert language() == "en"
    assert language(wish="fr, zh-CN;q=0.9, en;q=0.8") == "zh"
    assert language("/?lang=en", wish="zh") == "en"
    assert language(wish="zh") == "en", "the switch was used"
    assert language("/?lang=zh") == "zh"
    assert "新建实验" in client.get("/new").text


def test_every_link_to_a_word_has_its_line(client: httpx.Client) -> None:
    page = client.get("/vocabulary").text
    linked = {
        word
        for path in FOLDER.glob("templates/*.html")
        for word in re.findall(r"/vocabulary#(\w+)", path.read_text("utf-8"))
    }
    assert len(linked) >= 4
    assert all(f'id="{word}"' in page for word in linked)
