"""Advice: every rule is reached by a case, each answer has a recommendation, and figures come from results."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import yaml
from synthetic import make_results

from helpers.analysis import rules
from helpers.analysis.advice import Advice, advise, as_markdown, load_rules, questionnaire
from helpers.analysis.comparison import table
from helpers.data.records import DataError, KitError

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


@pytest.fixture(scope="module")
def made():
    return make_results()


@pytest.mark.parametrize(("answers", "rule"), CASES)
def test_each_case_gets_the_recommendation_that_fits(answers, rule):
    assert advise(PLAIN | answers).id == rule


def test_every_recommendation_and_reason_is_reached(made):
    found = load_rules()
    assert {rule for _, rule in CASES} == {rule["id"] for rule in found["recommendations"]}
    asked = questionnaire()
    seen: set[str] = set()
    for values in itertools.product(*(question["answers"] for question in asked)):
        advice = advise(dict(zip((question["id"] for question in asked), values, strict=True)))
        assert isinstance(advice, Advice) and advice.arms and advice.reasons
        seen |= {reason.text for reason in advice.reasons}
    assert {rule["because"] for rule in found["reasons"]} <= seen


def test_the_honest_answer_may_be_both_or_neither():
    assert advise(PLAIN | {"documents": "no"}).take.startswith("neither: prompt better, or take a larger model")
    assert advise(PLAIN | {"form": "yes", "labels": "many"}).take.startswith("both")


def test_figures_are_those_of_the_results(made):
    advice = advise(PLAIN | {"latency": "tight", "sources": "yes", "privacy": "stay"}, made)
    rag = table(made)["rag"]["facts_heldout"]["accuracy"]
    text = as_markdown(advice)
    assert f"rag {rag['value']:.2f} [{rag['low']:.2f}, {rag['high']:.2f}]" in text
    update = next(r for r in made if (r.arm, r.question_set) == ("rag", "updates")).metrics["update"]
    assert f"{update['effort']['wall_s']:.1f} s" in text and "times" in text and "Not measured" not in text
    assert {reason.speaks_for for reason in advice.reasons} >= {"rag", "tuning", "own"}
    without = advise(PLAIN, [r for r in made if r.arm != "rag"])
    assert without.take == advice.take and "Not measured here." in as_markdown(without)


def test_sources_are_told_for_the_held_out_facts_where_there_are_any(made):
    case = PLAIN | {"sources": "yes"}
    shares = {"terms": 0.25, "facts_heldout": 0.75}
    rag = [
        replace(r, metrics=r.metrics | {"retrieval": {"hit_rate_1": shares[r.question_set]}})
        for r in make_results(arms=("rag",), sets=("terms", "facts_heldout"), profile="quick")
    ]
    for results, named in ((rag, "on facts_heldout, "), (rag[:1], "on terms, ")):
        assert f"{named}the first passage is a right source" in as_markdown(advise(case, results))
    assert f"source for {shares['facts_heldout']:.0%}" in as_markdown(advise(case, rag))


def test_answers_that_are_missing_or_not_offered_are_refused():
    with pytest.raises(KitError, match="'changes' .*daily. Got 'hourly'"):
        advise(PLAIN | {"changes": "hourly"})
    with pytest.raises(KitError, match="'privacy'"):
        advise({name: value for name, value in PLAIN.items() if name != "privacy"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["reasons"][0]["if"].update(weather=["fine"]), "weather"),
        (lambda r: r["reasons"][0].update(figure="luck"), "luck"),
        (lambda r: r["reasons"][0].update({"and an index follows": None}), "holds a comma"),
        (lambda r: r["recommendations"][-1].update({"if": {"form": ["no"]}}), "fit every answer"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path, change, named):
    content = yaml.safe_load((rules.FOLDER / "advice.yaml").read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "advice.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DataError, match=named):
        load_rules(tmp_path)
