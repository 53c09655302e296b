"""`/vocabulary`: the words of the pages, each in a sentence; pages link to a word's own line."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from service.web.view import PageRoute, VisitDep
from service.words import catalogue

router = APIRouter(include_in_schema=False, route_class=PageRoute)
NAMES, MEANINGS = "word.", "word_means."


@router.get("/vocabulary")
def vocabulary(visit: VisitDep) -> Response:
    """The page. It needs no login: it shows nothing of anybody."""
    words = [key.removeprefix(NAMES) for key in catalogue(visit.words.language) if key.startswith(NAMES)]
    return visit.page("vocabulary.html", words=words)
