"""Slides are made from the notebooks, show what they should, and ask nothing of the web."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from helpers.data.files import ROOT
from helpers.data.records import KitError
from tools import slides

NOTEBOOKS = sorted((ROOT / "slides").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REVEAL = ROOT / "slides" / "reveal.js"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages by the names of their notebooks."""
    return {path.stem: slides.page(path) for path in NOTEBOOKS}


def loaded(page: str) -> list[str]:
    """All that a browser would fetch for a page."""
    return re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)", page)


def test_there_is_an_opening_and_a_recap():
    assert [path.stem for path in NOTEBOOKS] == ["opening", "recap"]


@pytest.mark.parametrize("name", ["opening", "recap"])
def test_a_page_loads_reveal_from_beside_itself_and_nothing_from_the_web(made, name):
    files = [place for place in loaded(made[name]) if not place.startswith("data:")]
    assert files and all(place.startswith("reveal.js/") for place in files), files
    assert not re.search(r"@import\s+[^;]*https?:|import\s[^;\n]*from ['\"]https?:", made[name])
    wanted = {place.removeprefix("reveal.js/") for place in files}
    assert all(place.startswith(slides.USED) for place in wanted)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slide_is_there_and_code_is_not_shown(made, path):
    notebook = nbformat.read(path, 4)
    headings = [re.search(r"^#+ (.+)", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
    titles = [heading[1] for heading in headings if heading]
    assert len(titles) >= 7
    text = re.sub(r"<[^>]+>", "", made[path.stem])
    assert all(title in text.replace("&amp;", "&") for title in titles)
    assert made[path.stem].count("<section") >= len(titles) and '<aside class="notes">' in made[path.stem]
    assert "from helpers import" not in text and "Traceback" not in text


def test_the_opening_shows_a_question_and_the_times(made):
    from helpers import data

    question = data.open_dataset(ROOT / "datasets" / "tidewater").questions("facts_heldout")[0]
    assert question.answers[0] in made["opening"] and "06 · The comparison" in made["opening"]


def test_the_recap_shows_the_reference_results_or_says_that_there_are_none(made):
    from helpers.analysis import has_results

    recorded = has_results(ROOT / "results" / "reference")
    assert ("not recorded yet" in made["recap"]) != recorded
    assert bool(re.search(r'<img[^>]*\balt="[^"]+"', made["recap"])) == recorded


def test_a_notebook_that_fails_is_named(tmp_path):
    shutil.copy(ROOT / "slides" / "template.html.j2", tmp_path)
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    broken.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(broken, tmp_path / "broken.ipynb")
    with pytest.raises(KitError, match="broken.ipynb could not be made into slides.*\n?(.|\n)*division by zero"):
        slides.page(tmp_path / "broken.ipynb")


@pytest.mark.skipif(CHROMIUM is None or not REVEAL.is_dir(), reason="needs chromium, and `make slides` once")
@pytest.mark.parametrize("name", ["opening", "recap"])
def test_a_browser_shows_the_slides_without_a_network(made, name, tmp_path):
    from playwright.sync_api import sync_playwright

    Path(tmp_path / f"{name}.html").write_text(made[name], encoding="utf-8")
    shutil.copytree(REVEAL, tmp_path / "reveal.js")
    errors, outside = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("file:") else outside.append(request.url))
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        total = page.evaluate("Reveal.getTotalSlides()")
        seen = []
        for _ in range(total - 1):
            seen.append(page.evaluate("Reveal.getCurrentSlide().innerText"))
            page.evaluate("Reveal.slide(Reveal.getIndices().h + 1)")
        assert page.evaluate("Reveal.isLastSlide()")
        folder = ROOT / "tests" / "screenshots"
        folder.mkdir(exist_ok=True)
        page.evaluate("Reveal.slide(0)")
        page.screenshot(path=folder / f"slides-{name}.png")
        browser.close()
    assert errors == [] and [url for url in outside if not url.startswith(("data:", "blob:"))] == []
    assert len(set(seen)) == total - 1 and all(text.strip() for text in seen)
