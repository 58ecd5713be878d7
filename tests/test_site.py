"""The site: pages that lead to each other, open from a folder, and fetch nothing."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from conftest import ROOT
from synthetic import make_results

from helpers.experiment.results import write_result
from tools.lessons import lessons
from tools.site import __main__ as site

LINK = re.compile(r"<a\b[^>]*\bhref=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of the kit by their names, with a report of made results, and diagrams that a script draws."""
    root = tmp_path_factory.mktemp("kit")
    for name in ("notebooks", "docs"):
        (root / name).symlink_to(ROOT / name)
    for each in make_results(arms=("base", "rag"), sets=("facts_heldout",)):
        write_result(root / "results" / "reference", each)
    with pytest.MonkeyPatch.context() as patch:
        (root / "mermaid.min.js").write_text("", encoding="utf-8")
        patch.setattr(site, "fetch_mermaid", lambda: root / "mermaid.min.js")
        first = site.make_site(root / "site", root)
    assert first == root / "site" / "index.html"
    return {path.name: path.read_text(encoding="utf-8") for path in first.parent.glob("*.html")}


def test_all_pages_are_there_and_every_link_finds_its_page(pages):
    found = lessons()
    assert pages.keys() == {"index.html", "glossary.html", "report.html", *(f"{each.path.stem}.html" for each in found)}
    for name, page in pages.items():
        files = {target.partition("#")[0] for target in LINK.findall(page)}
        assert {target for target in files if target and not target.startswith("https://")} <= pages.keys(), name
    before, after = f"{found[0].path.stem}.html", f"{found[2].path.stem}.html"
    middle = pages[f"{found[1].path.stem}.html"]
    assert f'href="{before}" rel="prev"' in middle and f'href="{after}" rel="next"' in middle


def test_nothing_is_fetched_and_diagrams_have_words(pages):
    for name, page in pages.items():
        places = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)", page)
        assert all(place.startswith("data:") or place == "mermaid.min.js" for place in places), name
        for diagram in re.findall(r"<figure><div class=\"jp-Mermaid\">.*?</figure>", page, re.DOTALL):
            assert re.search(r"<figcaption>[^<]{20,}</figcaption>", diagram), name


def test_formulas_are_drawn_and_code_and_strange_texts_stay(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell(
            "A scale $\\frac{a}{r}$, `$HOME` and 5 $ or 6 $.\n\n[gone](nowhere.md) [b](01_rag.ipynb)"
        ),
        nbformat.v4.new_code_cell("print('$x$ <b>')", metadata={"tags": ["exercise"]}),
    ]
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    page = site.linked(site.notebook_html(path), {"01_rag.ipynb": "01_rag.html"})
    assert page.count("<img") == 1 and 'alt="\\frac{a}{r}"' in page and "<code>$HOME</code>" in page
    assert "5 $ or 6 $" in page and "$x$ &lt;b&gt;" in re.sub(r"<[^>]+>", "", page) and "celltag_exercise" in page
    assert "gone" in page and "nowhere" not in page and 'href="01_rag.html"' in page
