"""What a data set looks like, in the builder and on the page of data sets."""

from __future__ import annotations

import struct
import zlib

import httpx
import numpy as np
import pytest

from service.web.data_picture import picture, png, sheet
from service.words import Words

SAY = Words("en")


def test_a_png_holds_its_pixels() -> None:
    """Two images of 1 × 2 and 1 × 2 with a line between them, read back by hand."""
    images = np.array([[[[7], [8]]], [[[9], [10]]]], np.uint8)
    content = png(sheet(images))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">2I5B", content[16:29]) == (5, 1, 8, 0, 0, 0, 0)
    length = struct.unpack(">I", content[33:37])[0]
    assert zlib.decompress(content[41 : 41 + length]) == bytes([0, 7, 8, 0, 9, 10])


@pytest.mark.parametrize(
    ("given", "holds", "says"),
    [
        ("xor", "<circle", "4 samples"),
        ({"name": "blobs", "classes": 3}, "<path", "240 samples"),
        ("sine", "<circle", "target over input"),
        ("digits", "data:image/png", "first 20 images"),
        ({"name": "stripes", "height": 4, "width": 4}, "data:image/png", "first 20 images"),
        ({"name": "stripes", "height": 2048, "width": 2048, "samples": 10}, "", ""),
        ("diabetes", "<circle", "over input 3 of 10"),
        ({"name": "recall", "length": 3, "vocabulary": 2}, " → 1", "first 8 sequences"),
        ("nonsense", "", ""),
        ({"name": "blobs", "classes": -3}, "", ""),
    ],
)
def test_a_picture_suits_the_data(given: object, holds: str, says: str) -> None:
    markup, text = picture(given, None, SAY)
    assert holds in markup
    assert says in text
    assert bool(markup) == bool(holds)


def test_the_builder_and_the_page_of_data_sets_show_them(client: httpx.Client) -> None:
    assert "first 20 images" in client.get("/new").text
    page = client.get("/data").text
    assert page.count('class="data"') > 8
    assert "it is not on this machine (cifar-10-binary.tar.gz)" in page
