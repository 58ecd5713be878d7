"""The lecture's table and the advice: the data files are sound, and each verdict follows from known numbers."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from conftest import ROOT
from synthetic import TUNED, make_results

from helpers.analysis import Comparison, advise, costs, in_brackets, questionnaire, rules, span, textbook_rows
from helpers.analysis.conclusions import Lecture, Rules
from helpers.data import table
from helpers.data.records import DataError, KitError
from helpers.experiment import ARMS, plain_name


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results())


@pytest.fixture(scope="module")
def rows(made):
    return {row.id: row for row in textbook_rows(made)}


def test_every_statement_of_the_lecture_is_there_with_claims_on_arms_that_exist():
    lecture = rules.read_rules("lecture", Lecture)
    named = {side.arm for row in lecture.statements for claim in row.claims for side in (claim.first, claim.second)}
    assert {arm.removesuffix(":60_labels") for arm in named - {""}} <= set(ARMS)
    assert len({row.id for row in lecture.statements}) == len(lecture.statements) == 21
    assert Counter(row.about for row in lecture.statements) == {
        "RAG": 8, "Fine-tuning": 8, "Customization": 2, "Continued pretraining": 3,
    }  # fmt: skip
    words = {row.id: row.says.lower() for row in lecture.statements}
    assert words["rag-effort"] == "medium." and words["tuning-effort"] == "high."
    assert "low to medium" in words["rag-cost"] and "from low to high, depending on the size" in words["tuning-cost"]
    limits = lecture.thresholds
    assert limits["medium_hours"] < limits["high_hours"] and limits["medium_usd"] < limits["high_usd"]


def test_figures_are_those_of_the_results_and_say_what_each_arm_was_given(made, rows):
    compared = made.table()
    for arm, question_set, row in (("rag", "updates", "rag-external"), ("customization", "triage", "tuning-tasks")):
        assert f"{plain_name(arm)} {in_brackets(compared[arm][question_set])}" in rows[row].measured
    assert f"Instruction-tuned {TUNED.wall_s / 60:.1f} minutes" in rows["customization-light"].measured
    assert f"RAG {span(costs(made)['rag'].hours)}" in rows["rag-effort"].measured
    assert re.search(r"RAG [\d.]+ s \(\d\.\d\d × Both tunings, \[\d", rows["tuning-latency"].measured)
    assert rows["rag-external"].measured.endswith("Given: RAG documents, Base nothing.")
    assert rows["tuning-price"].measured.endswith("Both tunings notes and pairs, RAG documents.")


def test_a_statement_is_as_good_as_the_worst_of_its_claims(rows):
    assert {rows[name].verdict for name in ("rag-external", "tuning-tasks", "customization-specific")} == {"shown"}
    assert rows["rag-static"].verdict == rows["tuning-permanent"].verdict == "by construction"
    shares = {"rag": [0.01] * 20, "customization": [0.9] * 20}
    turned = {row.id: row for row in textbook_rows(Comparison(make_results(arms=("base", *shares), shares=shares)))}
    assert turned["rag-external"].verdict == turned["rag-static"].verdict == "contradicted"
    assert turned["rag-external"].sentence == rows["rag-external"].contradicted
    untested = turned["adaptation-tasks"]
    assert untested.verdict == "not tested here" and "There is no" in untested.sentence
    bare = textbook_rows(Comparison(make_results(arms=("base",), sets=("terms",), profile="quick")))
    assert {row.verdict for row in bare} == {"not tested here", "by construction"}


@pytest.mark.parametrize(("notes", "wanted"), [(0, "contradicted"), (600, "not shown"), (6000, "shown")])
def test_levels_are_judged_by_the_whole_range_of_prices(made, notes, wanted):
    both = "domain_adaptation+customization"
    own = [replace(r, effort=replace(r.effort, documents=notes)) if "domain" in r.arm else r for r in made.results]
    rows = {row.id: row.verdict for row in textbook_rows(Comparison(own))}
    hours = {arm: each.hours for arm, each in costs(Comparison(own)).items()}
    assert 4 < hours["rag"].min() and hours["rag"].max() < 40 and rows["rag-effort"] == "shown"
    assert rows["tuning-effort"] == wanted
    assert (hours[both].min() > 40, hours[both].max() > 40) == (wanted == "shown", wanted != "contradicted")


# ---- the advice

PLAIN, CASES = table(ROOT / "tests/cases/advice.yaml").values()


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
    text = "; ".join(figure for _, figure in advice.reasons)
    assert f"RAG {in_brackets(made.table()['rag']['facts_heldout'])}" in text
    assert f"RAG {made.update('rag')['effort']['wall_s']:.2f} s" in text and "× Instruction-tuned" in text
    assert {rule.speaks_for for rule, _ in advice.reasons} >= {"rag", "tuning", "own"}
    assert {figure for _, figure in advise(PLAIN).reasons} == {"Not measured here."}


def test_advice_says_how_sure_its_figures_are_and_what_would_change_it(made):
    sure = advise(PLAIN, made)
    assert float(re.search(r"in (\d+)% of 2,000 resamples", sure.holds)[1]) > 90
    assert "RAG, with solved examples in the prompt" in sure.flips
    rag, both = (made.table()[arm]["facts_heldout"]["accuracy"] for arm in ("rag", "domain_adaptation+customization"))
    gap = float(re.search(r"Both tunings being right ([\d.]+) more often", sure.flips)[1])
    assert gap == pytest.approx(rag["value"] - both["value"], abs=0.02)
    assert "not measured" in advise(PLAIN).holds and "more often" not in advise(PLAIN).flips
    alike = {arm: [0.6] * 20 for arm in ("rag", "domain_adaptation+customization")}
    unclear = advise(PLAIN, Comparison(make_results(arms=tuple(alike), sets=("facts_heldout",), shares=alike)))
    assert 2 < float(re.search(r"in (\d+)% of", unclear.holds)[1]) < 98
    assert advise(PLAIN | {"documents": "no"}, made).holds.startswith("Your answers decide")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["reasons"][0]["if"].update(weather=["fine"]), "weather"),
        (lambda r: r["reasons"][0]["figure"][0].update(metric="luck"), "reasons.1.figure.1.metric.*luck"),
        (lambda r: r["reasons"][0].update({"and an index follows": None}), "and an index follows"),
        (lambda r: r["recommendations"][-1].update({"if": {"form": ["no"]}}), "fit every answer"),
    ],
)
def test_rules_that_make_no_sense_are_refused(monkeypatch, tmp_path, change, named):
    content = yaml.safe_load((rules.FOLDER / "advice.yaml").read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "advice.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr(rules, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=f"(?s)advice.yaml.*{named}"):
        questionnaire()
