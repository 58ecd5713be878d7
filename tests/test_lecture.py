"""The lecture's table and the advice: the data files are sound, and each verdict follows from known numbers."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import pytest
import yaml
from synthetic import TUNED, make_results

from helpers import analysis
from helpers.analysis import Comparison, advise, questionnaire, rules, textbook_rows
from helpers.analysis.advice import Rules
from helpers.data.records import DataError, KitError


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results())


def changed(comparison, arm, question_set, **metrics):
    run = comparison.run(arm, question_set)
    return Comparison([replace(r, metrics=r.metrics | metrics) if r is run else r for r in comparison.results])


@pytest.fixture(scope="module")
def rows(made):
    return {row.id: row for row in textbook_rows(made)}


def test_a_world_that_behaves_as_textbooks_say_supports_them(rows):
    for name in ("when", "effort", "latency", "freshness", "permanence", "compute", "privacy", "limits"):
        assert rows[name].support == "shown", rows[name]
    for row in rows.values():
        assert re.search(r"\d", row.measured) and row.rag and row.tuning and row.support != "not measured"
        assert "$" not in row.measured, "JupyterLab sets what stands between two of them as a formula"


def test_numbers_are_those_of_the_results(made, rows):
    compared = made.table()
    for arm, question_set, row in (("rag", "updates", "freshness"), ("customization", "facts_trained", "privacy"),
                                   ("base", "general", "permanence"), ("rag", "two_hop", "limits")):  # fmt: skip
        shown = "{value:.2f} [{low:.2f}, {high:.2f}]".format(**compared[arm][question_set]["accuracy"])
        assert f"{arm} {shown}" in rows[row].measured
    assert f"customization {TUNED.wall_s / 60:.1f} minutes" in rows["effort"].measured
    assert f"labelled pairs: customization {TUNED.labelled_examples}, rag 0" in rows["effort"].measured
    assert re.search(r"rag [\d.]+ s \(\d\.\d\d × customization, \[\d", rows["latency"].measured)
    assert "(estimated)" in rows["freshness"].measured


def test_rows_are_contradicted_or_not_measured_where_results_say_so():
    shares = {"rag": [0.1] * 8, "customization": [0.9] * 8, "domain_adaptation+customization": [0.9] * 8}
    turned = Comparison(make_results(arms=("base", *shares), shares=shares))
    found = {row.id: row.support for row in textbook_rows(turned)}
    assert found["freshness"] == found["when"] == "contradicted" and found["compute"] == "shown"
    assert found["generality"] == "not measured", "the triage-only arm is missing"
    bare = textbook_rows(Comparison(make_results(arms=("base",), sets=("terms",), profile="quick")))
    assert {row.support for row in bare} == {"not measured"} and analysis.take_aways(bare) == []
    moved = changed(turned, "rag", "general", text_losses=[(400.0, 100)] * 30, perplexity=math.exp(4))
    assert {row.id: row.support for row in textbook_rows(moved)}["permanence"] == "contradicted"


def test_the_table_is_given_as_markdown_that_is_escaped(rows):
    listed = list(rows.values())
    text = analysis.textbook_markdown(listed)
    assert len(text.splitlines()) == len(listed) + 2
    assert all(line.count(" | ") == 4 for line in text.splitlines()[2:])
    evil = analysis.textbook_markdown([replace(listed[0], row="<b>row</b>", measured="<script>x</script> | more")])
    assert "<script>" not in evil and "&lt;script&gt;" in evil and "&lt;b&gt;row" in evil and "\\| more" in evil
    decided = [row for row in listed if row.support in ("shown", "contradicted")]
    assert all(row.measured in line for row, line in zip(decided, analysis.take_aways(listed), strict=True))


# ---- the advice

PLAIN = {"documents": "yes", "changes": "monthly", "labels": "none", "form": "no", "latency": "relaxed",
         "compute": "some", "sources": "no", "privacy": "may"}  # fmt: skip
CASES = [
    ({}, "rag"),
    ({"changes": "daily", "sources": "yes"}, "rag"),
    ({"labels": "many", "latency": "tight"}, "rag"),
    ({"labels": "many", "latency": "tight", "changes": "never"}, "weights"),
    ({"labels": "many", "latency": "tight", "changes": "never", "sources": "yes"}, "rag"),
    ({"labels": "many", "latency": "tight", "changes": "never", "compute": "none"}, "rag"),
    ({"form": "yes", "labels": "many"}, "both"),
    ({"form": "yes", "labels": "many", "compute": "none"}, "rag-form"),
    ({"form": "yes", "labels": "few"}, "rag-form"),
    ({"documents": "no", "form": "yes", "labels": "many"}, "customization"),
    ({"documents": "no", "form": "yes", "labels": "many", "compute": "none"}, "prompt-no-compute"),
    ({"documents": "no", "form": "yes", "labels": "few"}, "prompt"),
    ({"documents": "no"}, "neither"),
]


def test_each_case_gets_the_rule_that_fits_and_every_rule_is_reached():
    for answers, rule in CASES:
        assert advise(PLAIN | answers).id == rule, answers
    found = rules.read_rules("advice", Rules)
    assert {rule for _, rule in CASES} == {rule.id for rule in found.recommendations}
    offered = [[(question.id, value) for value in question.answers] for question in questionnaire()]
    reached = {rule.id for case in itertools.product(*offered) for rule in found.reasons if rule.fits(dict(case))}
    assert reached == {rule.id for rule in found.reasons}
    with pytest.raises(KitError, match="'changes' .*daily. Got 'hourly'"):
        advise(PLAIN | {"changes": "hourly"})
    with pytest.raises(KitError, match="'documents'.* Got None"):
        advise({})


def test_figures_of_the_advice_are_those_of_the_results(made):
    advice = advise(PLAIN | {"latency": "tight", "sources": "yes", "privacy": "stay"}, made)
    text = analysis.advice_markdown(advice)
    assert "rag {value:.2f} [{low:.2f}, {high:.2f}]".format(**made.table()["rag"]["facts_heldout"]["accuracy"]) in text
    assert f"rag {made.update('rag')['effort']['wall_s']:.2f} s" in text and "× customization" in text
    assert "hit rate at k = 1 on facts_heldout: rag 0.90" in text and "ot measured" not in text
    assert {reason.speaks_for for reason in advice.reasons} >= {"rag", "tuning", "own"}
    assert {reason.figure for reason in advise(PLAIN).reasons} == {"Not measured here."}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["reasons"][0]["if"].update(weather=["fine"]), "weather"),
        (lambda r: r["reasons"][0]["figure"][0].update(metric="luck"), "reasons.1.figure.1.metric.*luck"),
        (lambda r: r["reasons"][0].update({"and an index follows": None}), "and an index follows"),
        (lambda r: r["recommendations"][-1].update({"if": {"form": ["no"]}}), "fit every answer"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path, change, named):
    content = yaml.safe_load((rules.FOLDER / "advice.yaml").read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "advice.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DataError, match=f"(?s)advice.yaml.*{named}"):
        questionnaire(tmp_path)
