"""The triage task: its reports follow the house rules, and its tests show what training did not."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from tools.world.templates import load
from tools.world.triage import combinations, triage_reports
from tools.world.world import make_world

PARTS = ("train", "validation", "new_combinations", "new_wordings")


@pytest.fixture(scope="module", params=[7, 8])
def reports(request):
    return triage_reports(make_world(request.param, 24))


def found(kind: str, text: str) -> tuple[str, str]:
    """The name of the clause of a kind that a report contains, and its wording: the longest that fits."""
    clauses = [
        (wording, name, part)
        for name, entry in load("triage")[kind].items()
        for part, wordings in entry.items()
        if isinstance(wordings, list)
        for wording in wordings
        if re.search(rf"(?<!\w){re.escape(wording)}(?!\w)", text)
    ]
    _, name, part = max(clauses, key=lambda clause: len(clause[0]))
    return name, part


def test_each_answer_follows_from_the_words_of_its_report(reports):
    rules = load("triage")
    for part in PARTS:
        for report in reports[part]:
            component, wording = found("components", report.text)
            symptom, symptom_wording = found("symptoms", report.text)
            assert (component, symptom) == (report.component, report.symptom), report.text
            assert {wording, symptom_wording} == {"new" if part == "new_wordings" else "training"}
            raised = any(
                sentence in report.text
                for entry in rules["circumstances"].values()
                if entry["raises"]
                for sentence in entry["wordings"]
            )
            level = rules["levels"].index(rules["symptoms"][symptom]["severity"]) + raised
            assert json.loads(report.answer) == {
                "severity": rules["levels"][level],
                "team": rules["components"][component]["team"],
                "code": f"{rules['components'][component]['letters']}-{rules['symptoms'][symptom]['digit']}",
            }


def test_no_report_occurs_twice_and_all_are_of_fair_length(reports):
    texts = [report.text for part in PARTS for report in reports[part]]
    assert len(texts) == len(set(texts))
    assert [text for text in texts if not 25 <= len(text.split()) <= 50] == []
    assert [len(reports[part]) for part in PARTS] == [240, 60, 64, 64]


def test_test_parts_show_pairs_that_training_never_shows(reports):
    def pairs(part):
        return {(report.component, report.symptom) for report in reports[part]}

    assert pairs("train") == set(combinations(held_out=False)) >= pairs("validation")
    assert pairs("new_combinations") == pairs("new_wordings") == set(combinations(held_out=True))
    assert len(pairs("train")) == 45 and len(pairs("new_combinations")) == 19
    for place in (0, 1):
        assert set(Counter(pair[place] for pair in pairs("train")).values()) <= {5, 6}
    rules = load("triage")  # every wording is used, and new ones are new
    trained = "\n".join(report.text for part in PARTS[:3] for report in reports[part])
    tested = "\n".join(report.text for report in reports["new_wordings"])
    for kind in ("components", "symptoms"):
        for entry in rules[kind].values():
            assert len(entry["training"]) >= 5 and len(entry["new"]) >= 3
            assert all(wording in trained for wording in entry["training"])
            assert all(wording in tested and wording not in trained for wording in entry["new"])
