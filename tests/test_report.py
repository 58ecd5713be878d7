"""The report opens by itself, holds the results' numbers, and executes nothing that a model wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, costs, load_prices
from helpers.data.records import DataError
from helpers.experiment.results import Curve, of_one_figure, write_result
from helpers.plots import report

POINTS = [{"x": x, "value": x / 10, "low": x / 20, "high": x / 5} for x in (1, 4)]
ARMS = ("base", "base:few_shot", "rag", "customization", "domain_adaptation+customization")


@pytest.fixture(scope="module")
def made():
    return make_results(arms=ARMS, profile="quick")


@pytest.fixture(scope="module")
def page(made):
    curve = Curve("restatements", "restatements", "accuracy", "rag", POINTS)
    return report.page(Comparison(made), {"restatements": curve})


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


def test_the_page_holds_the_numbers_of_the_results(made, page):
    for row in Comparison(made).table().values():
        for question_set in ("facts_heldout", "triage", "general"):
            a = row[question_set]["accuracy"]
            assert f"<td>{a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]</td>" in page
    assert "quick profile" in page and f"{sum(len(r.scores) for r in made):,} scored answers" in page
    for heading in (
        "Accuracy",
        "expected",
        "textbook",
        "Effort",
        "Cost",
        "estimated by formula",
        "Freshness",
        "curves",
    ):
        assert re.search(f"<h2>[^<]*{heading}", page), heading
    prices = load_prices()
    assert f"label {prices.label:g}" in page and f"{costs(Comparison(made))['rag'].computing:.4f}" in page


def test_the_page_draws_quality_effort_and_cost_and_names_the_formula(page):
    alts = " ".join(attributes.get("alt", "") for tag, attributes in Tags(page).all if tag == "img")
    for told in ("Heat map", "preparation time", "ost of a month", "to the first token"):
        assert told in alts
    assert report.FORMULA.split(".")[0] in page and "arXiv:2001.08361" in page


def test_curves_of_several_arms_with_the_same_axes_share_a_figure(made):
    points = [{"x": 30, "value": 0.4, "low": 0.3, "high": 0.5}, {"x": 60, "value": 0.5, "low": 0.4, "high": 0.6}]
    curves = {
        name: Curve(name, x, "accuracy", arm, points)
        for name, x, arm in (("labels", "labels", "base"), ("adapted", "labels", "rag"), ("other", "passes", "rag"))
    }
    tags = Tags(report.page(Comparison(made), curves))
    alts = [attributes.get("alt", "") for tag, attributes in tags.all if tag == "img"]
    assert "Values of accuracy against labels: Base 0.40 at 30, 0.50 at 60; RAG 0.40 at 30, 0.50 at 60." in alts
    assert "Values of accuracy against passes: RAG 0.40 at 30, 0.50 at 60." in alts
    twice = [*curves.values(), Curve("again", "labels", "accuracy", "rag", points)]
    assert [[c.name for c in alike] for alike in of_one_figure(twice)] == [["labels", "adapted"], ["again"], ["other"]]


def test_what_a_model_wrote_is_text(made):
    evil = "<script>alert('x')</script>"
    turned = [replace(r, config=r.config | {"model": evil}, hardware={"processor": evil, "cores": 2}) for r in made]
    text = report.page(Comparison(turned))
    assert "<script" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize("arms", [("base",), ("rag",), ("customization", "rag")])
def test_missing_arms_and_sets_leave_sections_out(arms):
    for sets, absent in ((("terms",), "facts_heldout"), (("facts_heldout",), "terms")):
        made = make_results(arms=arms, sets=sets, profile="quick")
        text = report.page(Comparison(made))
        Tags(text)
        lines = report.markdown(Comparison(made)).splitlines()
        head, *rows = [line for line in lines if line.startswith("| ")][: len(arms) + 2]
        assert sets[0] in head and absent not in head
        assert {row.split("|")[1].strip(" *`") for row in rows} - {"---"} == set(arms)
        if sets == ("terms",):
            assert "Quality against time" not in text, "choices are not timed"
        elif len(arms) > 1:
            assert "Quality against time" in text and "Cost, by stated prices" in text


def test_runs_that_were_all_interrupted_and_shares_at_the_edge_are_said(made):
    text = report.page(Comparison([replace(r, status="interrupted") for r in made if r.arm == "base"]))
    assert "No run was completed" in text
    edge = make_results(arms=("base", "rag"), sets=("facts_heldout",), shares={"base": [0.0] * 8, "rag": [1.0] * 8})
    assert "+1.00" in report.page(Comparison(edge))
    one = [replace(r, scores=r.scores[:1]) for r in edge]
    Tags(report.page(Comparison(one)))


def test_the_report_is_written_for_a_folder(made, tmp_path):
    for each in made:
        write_result(tmp_path / "results", each)
    path = report.write_report(tmp_path / "results", tmp_path / "out" / "report.html")
    text = path.read_text(encoding="utf-8")
    assert text.endswith("</html>\n") and "The arms were not timed in turns" in text and "takes nothing in" in text
    with pytest.raises(DataError, match="not there"):
        report.write_report(tmp_path / "nowhere", tmp_path / "x.html")


def test_markdown_has_a_row_an_arm_and_every_number_is_in_the_results(made):
    text = report.markdown(Comparison(made))
    compared = Comparison(made).table()
    for arm, row in compared.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{arm}` |")]
        found = re.findall(r"(\d\.\d\d) \[(\d\.\d\d), (\d\.\d\d)\]", line)
        wanted = [row[s]["accuracy"] for s in row if s not in ("effort", "interrupted")]
        assert found == [tuple(f"{a[k]:.2f}" for k in ("value", "low", "high")) for a in wanted]
    assert "2026-01-02" in text and "Freshness" in text
