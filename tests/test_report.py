"""The report opens by itself, holds the results' numbers, and executes nothing that a model wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, costs, in_brackets, load_prices, span
from helpers.data import DataError
from helpers.experiment import Curve
from helpers.experiment.results import write_result
from helpers.plots import report

POINTS = [{"x": x, "value": x / 10, "low": x / 20, "high": x / 5} for x in (1, 4)]
ARMS = ("base", "base:few_shot", "rag", "customization", "domain_adaptation+customization")


@pytest.fixture(scope="module")
def made():
    return make_results(arms=ARMS, profile="quick")


@pytest.fixture(scope="module")
def page(made):
    curves = (("labels", "labels", "base"), ("adapted", "labels", "rag"), ("restatements", "passes", "rag"))
    return report.page(Comparison(made), {name: Curve(name, x, "accuracy", arm, POINTS) for name, x, arm in curves})


class Tags(HTMLParser):
    """Collects tags, and fails on one that is closed where another is open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(page):
    tags = Tags(page)
    assert tags.open == []
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in tags.all}
    for tag, attributes in tags.all:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in page and "@import" not in page and "@media print" in page
    pictures = [attributes for tag, attributes in tags.all if tag == "img"]
    assert len(pictures) >= 5 and all(len(picture["alt"]) > 40 for picture in pictures)


def test_the_page_holds_the_numbers_of_the_results_under_plain_names(made, page):
    comparison = Comparison(made)
    for row in comparison.table().values():
        for question_set in ("facts_heldout", "triage", "general"):
            assert f"<td>{in_brackets(row[question_set])}</td>" in page
    assert report.about(comparison) in page and f"{sum(len(r.scores) for r in made):,} scored answers" in page
    assert (
        f"label {span(load_prices()['label'])}" in page and f"<td>{span(costs(comparison)['rag'].hours)}</td>" in page
    )
    assert '<th scope="row" title="domain_adaptation+customization">Both tunings</th>' in page
    assert "<code>domain_adaptation+customization</code>" in page and "takes nothing in" in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert len(headings) == 11 and {"Take away", "Differences from RAG"} <= set(headings)
    alts = " ".join(attributes["alt"] for tag, attributes in Tags(page).all if tag == "img")
    for shown in ("ost of a month", "to the first token", "against passes: RAG 0.10 at 1"):
        assert shown in alts
    assert "against labels: Base 0.10 at 1, 0.40 at 4; RAG 0.10 at 1" in alts, "arms with the same axes share a figure"


def test_what_a_model_or_a_machine_wrote_is_text(made):
    evil = "<script>alert('x')</script> `<b>`"
    turned = [replace(r, config=r.config | {"model": evil}, hardware={"processor": evil, "cores": 2}) for r in made]
    page = report.page(Comparison(turned), note=evil)
    assert "<script" not in page and "<b>" not in page and page.count("&lt;script&gt;") == 3


@pytest.mark.parametrize("arms", [("base",), ("customization", "rag")])
def test_missing_arms_and_sets_leave_sections_out(arms):
    for sets, there, absent in ((("terms",), "House terms", "Held-out"), (("facts_heldout",), "Held-out", "House")):
        made = make_results(arms=arms, sets=sets, profile="quick")
        page = report.page(Comparison(made))
        assert Tags(page).open == [] and ("Differences from RAG" in page) == ("rag" in arms)
        head, _, *rows = [line for line in report.markdown(Comparison(made)).splitlines() if line.startswith("| ")]
        assert there in head and absent not in head
        assert [re.search(r"`(.+?)`", row)[1] for row in rows[: len(arms)]] == list(arms)
        assert ("Cost, by stated prices" in page) == (sets == ("facts_heldout",)), "choices are not timed"


def test_interrupted_runs_and_shares_at_the_edge_are_shown(made):
    text = report.page(Comparison([replace(r, status="interrupted") for r in made if r.arm == "base"]))
    assert "No run was completed" in text and "base: " in text
    edge = make_results(arms=("base", "rag"), sets=("facts_heldout",), shares={"base": [0.0] * 8, "rag": [1.0] * 8})
    assert "+1.00" in report.page(Comparison(edge))
    assert Tags(report.page(Comparison([replace(r, scores=r.scores[:1]) for r in edge]))).open == []


def test_the_report_is_written_for_a_folder(made, tmp_path):
    for each in made:
        write_result(tmp_path / "results", each)
    path = report.write_report(tmp_path / "results", tmp_path / "out" / "report.html")
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    with pytest.raises(DataError, match="not there"):
        report.write_report(tmp_path / "nowhere", tmp_path / "x.html")


def test_markdown_has_a_row_an_arm_and_every_number_is_in_the_results(made):
    text = report.markdown(Comparison(made))
    for arm, row in Comparison(made).table().items():
        (line,) = [line for line in text.splitlines() if f"(`{arm}`) |" in line]
        wanted = [in_brackets(figures) for name, figures in row.items() if name != "effort"]
        assert [cell.strip() for cell in line.split("|")[2:-1]] == wanted
    assert report.about(Comparison(made)) in text and "**Customization**" in text
