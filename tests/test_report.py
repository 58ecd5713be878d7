"""The report opens by itself, holds the results' numbers, and executes nothing that a model wrote."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, costs, in_brackets, span
from helpers.data import DataError
from helpers.experiment import Curve, plain_name
from helpers.experiment.results import write_result
from helpers.plots import report, wishes

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
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(page):
    tags = Tags(page)
    assert tags.open == []
    scripts = [attributes.get("type") for tag, attributes in tags.all if tag == "script"]
    assert scripts == ["application/json", None] and not {"link", "iframe", "object", "embed"} & dict(tags.all).keys()
    for tag, attributes in tags.all:
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("src", "data:").startswith("data:") and attributes.get("href", "#").startswith("#")
    assert "url(" not in page and "@import" not in page and "@media print" in page
    policy = next(a["content"] for tag, a in tags.all if a.get("http-equiv") == "Content-Security-Policy")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert policy.startswith("default-src 'none'; img-src data:") and "connect-src" not in policy
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy, (
        "no other script runs"
    )
    pictures = [attributes for tag, attributes in tags.all if tag == "img"]
    assert len(pictures) >= 4 and all(len(picture["alt"]) > 40 for picture in pictures)
    links = {attributes["href"][1:] for tag, attributes in tags.all if tag == "a"}
    assert links and links <= {attributes.get("id") for _, attributes in tags.all}


def test_the_page_begins_with_the_finding_and_holds_the_numbers_under_plain_names(made, page):
    comparison, text = Comparison(made), html.unescape(page)
    body = text[text.index("<body>") :]
    places = [
        body.index(each) for each in (wishes.finding(wishes.rows(comparison)), "<img", *report.sentences(comparison))
    ]
    assert places == sorted(places) and places[-1] < body.index("<h2>") < body.index("Before you conclude</h2>")
    for row in comparison.table().values():
        for question_set in ("facts_heldout", "triage", "general"):
            assert f"<td>{in_brackets(row[question_set])}</td>" in page
    assert report.about(comparison) in page and f"{sum(len(r.scores) for r in made):,} scored answers" in page
    assert f"<td>{span(costs(comparison)['rag'].hours)}</td>" in page and "takes nothing in" in page
    assert '<th scope="row" title="domain_adaptation+customization">Both tunings</th>' in page
    alts = " ".join(attributes["alt"] for tag, attributes in Tags(page).all if tag == "img")
    for shown in ("knows your facts", "ost of a month", "against passes: RAG 0.10 at 1"):
        assert shown in alts
    assert "against labels: Base 0.10 at 1, 0.40 at 4; RAG 0.10 at 1" in alts, "arms with the same axes share a figure"


def test_the_explorer_holds_every_answer_with_its_passages(made):
    comparison = Comparison(made)
    data = report.answers(comparison)
    told = sorted(
        (data["methods"][method], data["sets"][each["set"]], each["prompt"], data["texts"][text], value,
         tuple(data["passages"][place][0] for place in seen))
        for each in data["questions"] for method, text, value, _, seen in each["answers"]
    )  # fmt: skip
    assert told == sorted(
        (plain_name(r.arm), plain_name(r.question_set), s.question.prompt, s.answer.text, s.value,
         tuple(passage.document_id for passage in s.answer.passages))
        for r in made for s in r.scores
    )  # fmt: skip
    assert len(set(data["texts"])) == len(data["texts"]) and data["worlds"] == [7]


def test_what_a_model_or_a_machine_wrote_is_text(made):
    evil = "</script><script>alert('x')</script> `<b>`"
    turned = [replace(r, config=r.config | {"model": evil}, hardware={"processor": evil, "cores": 2}) for r in made]
    for result in turned:
        result.scores = [replace(s, answer=replace(s.answer, text=evil)) for s in result.scores]
    page = report.page(Comparison(turned))
    assert page.count("<script") == page.count("</script>") == 2 and "<b>" not in page
    assert page.count("&lt;script&gt;") == 2 and "\\u003cscript\\u003e" in page


@pytest.mark.parametrize("arms", [("base",), ("customization", "rag")])
def test_missing_arms_and_sets_leave_sections_out(arms):
    for sets, there, absent in ((("terms",), "House terms", "Held-out"), (("facts_heldout",), "Held-out", "House")):
        made = make_results(arms=arms, sets=sets, profile="quick")
        page = report.page(Comparison(made))
        assert Tags(page).open == [] and ("Differences from RAG" in page) == ("rag" in arms)
        head = next(line for line in page.splitlines() if there in line and "<th" in line)
        assert absent not in head
        assert ("Stated, not measured" in page) == (sets == ("facts_heldout",)), "choices are not timed"


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
