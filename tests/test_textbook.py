"""The textbook table: each row carries the measured numbers, and its verdict follows them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from synthetic import make_results

from helpers.analysis import rules
from helpers.analysis.comparison import table
from helpers.analysis.textbook import FIELDS, MEASURES, as_html, as_markdown, frame, measured, take_aways

ROWS = {"when", "effort", "cost", "latency", "freshness", "permanence", "generality", "compute", "privacy", "limits"}


@pytest.fixture(scope="module")
def made():
    return make_results()


@pytest.fixture(scope="module")
def rows(made):
    return {row.id: row for row in measured(made)}


def test_every_row_of_the_textbook_is_measured(rows):
    assert set(rows) == ROWS and {e["measure"] for e in rules.load("textbook", FIELDS)} == set(MEASURES)
    for row in rows.values():
        assert re.search(r"\d", row.measured) and row.rag and row.tuning
        assert row.support != "not measured", row
        assert "$" not in row.measured, "JupyterLab sets what stands between two of them as a formula"


def test_a_world_that_behaves_as_textbooks_say_supports_them(rows):
    for name in ("when", "effort", "latency", "freshness", "permanence", "compute", "privacy", "limits"):
        assert rows[name].support == "supported", rows[name]


def test_numbers_are_those_of_the_results(made, rows):
    compared = table(made)
    for arm, question_set, row in (("rag", "updates", "freshness"), ("customization", "facts_trained", "privacy"),
                                   ("base", "general", "permanence"), ("rag", "two_hop", "limits")):  # fmt: skip
        a = compared[arm][question_set]["accuracy"]
        assert f"{arm} {a['value']:.2f} [{a['low']:.2f}, {a['high']:.2f}]" in rows[row].measured
    effort = compared["customization"]["effort"]
    assert f"{effort['wall_s'] / 60:.1f} minutes and {effort['labelled_examples']} labels" in rows["effort"].measured


def test_claims_are_contradicted_where_results_say_otherwise():
    turned = make_results(
        arms=("base", "rag", "customization", "domain_adaptation+customization"),
        shares={"rag": [0.1] * 8, "customization": [0.9] * 8, "domain_adaptation+customization": [0.9] * 8},
    )
    found = {row.id: row.support for row in measured(turned)}
    assert found["freshness"] == found["when"] == "contradicted"
    quick = {name: [0.01 + i / 1000 for i in range(12)] for name in ("total_s", "first_token_s")}
    fast = [replace(r, metrics=r.metrics | quick) if r.arm == "rag" and "total_s" in r.metrics else r for r in turned]
    assert {row.id: row.support for row in measured(fast)}["latency"] == "contradicted"
    small = {"domain_adaptation+customization": 1, "rag": 2}  # bytes of peak memory, which decide nothing
    lean = [replace(r, effort=replace(r.effort, peak_memory_bytes=small.get(r.arm, 3))) for r in turned]
    assert found["compute"] == {row.id: row.support for row in measured(lean)}["compute"] == "supported"
    assert found["generality"] == "not measured", "the triage-only arm is missing"


def test_missing_arms_are_said_and_not_guessed():
    found = measured(make_results(arms=("base",), sets=("general",), profile="quick"))
    assert {row.support for row in found} == {"not measured"} and take_aways(found) == []


def test_the_table_is_given_as_markdown_and_as_html_that_is_escaped(rows):
    listed = list(rows.values())
    text = as_markdown(listed)
    assert len(text.splitlines()) == len(listed) + 2
    assert all(line.count(" | ") == 4 for line in text.splitlines()[2:])
    assert list(frame(listed).index) == [row.row for row in listed]
    evil = as_html([replace(listed[0], row="<b>row</b>", measured="<script>alert(1)</script>")])
    assert "<script>" not in evil and "&lt;script&gt;" in evil and "&lt;b&gt;row" in evil
    assert evil.count("<tr>") == 2, "the head and one row"


def test_take_aways_are_the_measured_sentences(rows):
    said = take_aways(list(rows.values()))
    decided = [row for row in rows.values() if row.support in ("supported", "contradicted")]
    assert len(said) == len(decided) and all(row.measured in line for row, line in zip(decided, said, strict=True))
