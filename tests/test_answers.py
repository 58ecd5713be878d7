"""Single answers side by side: every arm is shown, and what a model wrote stays text."""

from __future__ import annotations

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, answer_card, answer_ids, answer_reasons
from helpers.data.profiles import get_profile
from helpers.data.records import DataError

ARMS = ("base", "base:few_shot", "rag", "customization", "domain_adaptation+customization")


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results(arms=ARMS, sets=("facts_heldout",), profile="quick"))


def test_a_card_shows_every_arm_and_escapes_what_was_written(made):
    ids = answer_ids(made, "facts_heldout")
    assert len(ids) == get_profile("quick").questions_per_set
    (rag,) = made.runs("rag", "facts_heldout")
    wrong = next(score for score in rag.scores if score.value == 0)
    text = answer_card(made, "facts_heldout", wrong.question.id)
    assert all(f'<th scope="row">{arm}</th>' in text for arm in ARMS)
    assert "<b>something" not in text and "&lt;b&gt;something" in text and "<i>" not in text
    assert wrong.question.answers[0] in text and "✗ wrong: the answer is not in the reply" in text
    with pytest.raises(DataError, match="'q-none'"):
        answer_card(made, "facts_heldout", "q-none")


def test_questions_are_found_by_how_the_arms_fared():
    made = Comparison(make_results(arms=ARMS, sets=("facts_heldout",), profile="workshop"))
    scores = {r.arm: {s.question.id: s.value for s in r.scores} for r in made.results}
    some, none = (answer_ids(made, "facts_heldout", where) for where in ("disagree", "all wrong"))
    assert some and none and not set(some) & set(none)
    for name in some:
        assert len({by_id[name] for by_id in scores.values()}) == 2
    for name in none:
        assert {by_id[name] for by_id in scores.values()} == {0.0}
    with pytest.raises(DataError, match="disagree"):
        answer_ids(made, "facts_heldout", "some")
    with pytest.raises(DataError, match="no arm has complete answers to terms"):
        answer_ids(made, "terms")


def test_reasons_are_counted(made):
    counted = answer_reasons(made, "facts_heldout")
    assert counted["rag"].sum() == get_profile("quick").questions_per_set and list(counted.columns) == list(ARMS)
    assert counted.loc["right", "rag"] == sum(score.value for score in made.scores("rag", "facts_heldout"))
