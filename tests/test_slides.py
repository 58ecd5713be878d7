"""Slides are made from the notebooks, show what they should, and ask nothing of the web."""

from __future__ import annotations

import re

import nbformat
import pytest
from conftest import ROOT

from helpers.data import open_dataset
from tools.slides import __main__ as slides

NOTEBOOKS = sorted(slides.FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The pages by the names of their notebooks."""
    return {path.stem: slides.page(path) for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slide_is_there_code_is_not_and_nothing_is_fetched_from_the_web(pages, path):
    page = pages[path.stem]
    places = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)", page)
    files = [place for place in places if not place.startswith("data:")]
    assert files and all(place.removeprefix("reveal.js/").startswith(slides.USED) for place in files), files
    assert not re.search(r"@import\s+[^;]*https?:|import\s[^;\n]*from ['\"]https?:", page)
    markdown = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    titles = [heading[1] for heading in (re.match(r"#+ (.+)", source) for source in markdown) if heading]
    text = re.sub(r"<[^>]+>", "", page).replace("&amp;", "&")
    assert len(titles) >= 7 and all(title in text for title in titles)
    assert page.count("<section") >= len(titles) and '<aside class="notes">' in page
    assert "from helpers import" not in text and "Traceback" not in text


def test_the_pages_show_a_question_the_times_and_the_reference_results(pages):
    question = open_dataset(ROOT / "datasets" / "tidewater").questions("facts_heldout")[0]
    assert question.answers[0] in pages["opening"] and "00 · " in pages["opening"]
    assert re.search(r'<img[^>]*\balt="[^"]+"', pages["recap"]) and "not recorded yet" not in pages["recap"]
