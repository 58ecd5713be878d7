"""Scores of single answers: what counts as right, as a rival, as an abstention, as valid JSON."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace

import pytest
from conftest import ROOT

from helpers.data import table
from helpers.data.dataset import open_dataset
from helpers.data.records import Answer, Question
from helpers.data.values import contains, normalise
from helpers.experiment import metrics

TABLE = table(ROOT / "tests/cases/metrics.yaml")
ABSTENTIONS, ANSWERS = TABLE["abstentions"], TABLE["answers"]


def asked(question_set: str = "facts_heldout", *answers: str, choices: tuple[str, ...] = ()) -> Question:
    return Question("q", question_set, "?", answers, choices=choices)


def score(question: Question, text: str, *values: str) -> tuple[float, str]:
    return metrics.score(question, Answer("q", text, "?"), values)


# ---- SQuAD's normal form, exact match and F1


def test_f1_agrees_with_torchmetrics_and_is_one_exactly_for_the_same_words():
    from torchmetrics.text import SQuAD

    rng = random.Random("metrics")
    words = ["tide", "The", "pump,", "31", "a", "Holloway", "kW."]
    for _ in range(60):
        told, gold = (" ".join(rng.choices(words, k=rng.randint(1, 5))) for _ in range(2))
        if not normalise(told) or not normalise(gold):
            continue
        right = {"answers": {"answer_start": [0], "text": [gold]}, "id": "1"}
        theirs = SQuAD()([{"prediction_text": told, "id": "1"}], [right])
        f1, exact = metrics.token_f1(told, [gold]), metrics.exact_match(told, [gold])
        assert [f1 * 100, exact * 100] == pytest.approx([theirs["f1"].item(), theirs["exact_match"].item()], abs=1e-3)
        assert (f1 == 1) == (sorted(normalise(told).split()) == sorted(normalise(gold).split())) and f1 >= exact
    assert metrics.token_f1("the Denver Broncos won", ["Denver Broncos", "Broncos"]) == pytest.approx(0.8)
    assert metrics.token_f1("", ["Denver"]) == metrics.token_f1("Denver", []) == metrics.token_f1("a", ["the"]) == 0


# ---- contains, and rivals


CASES = [
    (gold.strip().split("§"), reply.strip(), sign == "=")
    for entry in TABLE["values"].replace("\n", " || ").split(" || ") if entry
    for gold, *rest in [re.split(r" ([=≠]) ", entry)]
    for sign, replies in zip(rest[::2], rest[1::2], strict=True) for reply in replies.split("~")
]  # fmt: skip


@pytest.mark.parametrize(("answers", "reply", "right"), CASES)
def test_a_reply_holds_a_value_where_number_sign_unit_and_name_agree(answers, reply, right):
    assert (contains(reply, answers) is not None) == right
    assert score(asked("facts_heldout", *answers), reply)[0] == float(right)
    assert contains("", answers) is None


def test_a_fact_is_right_when_it_is_named_and_no_other_value_is():
    question = asked("facts_heldout", "channel 31", "31")
    others = ("channel 31", "channel 40", "Maren Holloway", "channel 317")
    assert score(question, "It is channel 31.", *others) == (1.0, "right")
    assert score(question, "31", *others)[0] == 1
    assert score(question, "Channel 31, not channel 40", *others) == (0.0, "names another value too: channel 40")
    assert score(question, "Maren Holloway is on channel 31", *others)[0] == 0
    assert score(question, "channel 317", *others) == (0.0, "names another value instead: channel 317")
    assert score(question, "channel 318", *others) == (0.0, "the answer is not in the reply")
    assert score(question, "I do not know", *others) == (0.0, "abstains")
    question = asked("facts_heldout", "North Sound")  # a part of the right answer is no rival, a longer value is
    assert score(question, "North Sound", "North Sound", "Sound")[0] == 1
    assert score(question, "North Sound Deep", "North Sound", "North Sound Deep")[0] == 0


def test_every_right_answer_of_a_world_is_right_and_those_of_others_are_wrong(small_world):
    dataset = open_dataset(small_world)
    values = {value for owned in dataset.values_by_asset.values() for value in owned}
    for name in ("facts_trained", "facts_heldout", "two_hop", "updates"):
        questions = dataset.questions(name)
        for question in questions:
            for answer in question.answers:
                assert score(question, f"It is {answer}.", *values) == (1.0, "right"), (question.id, answer)
        for question, other in itertools.pairwise(questions):
            if not set(question.answers) & set(other.answers):
                assert score(question, other.answers[0], *values)[0] == 0, (question.id, other.answers[0])
                both = f"{question.answers[0]}, {other.answers[0]}"
                assert score(question, both, *values)[0] == 0, (question.id, both)


def test_different_values_of_a_world_differ_in_normal_form_and_none_is_an_abstention(small_world):
    values = {(fact.field, fact.value) for fact in open_dataset(small_world).facts()}
    assert len({(field, normalise(value)) for field, value in values}) == len(values)
    assert not [value for _, value in values if not normalise(value) or metrics.abstains(value)]


def test_normal_form_is_squads_and_typeset_punctuation_counts_as_such():
    normal_forms = {
        "The Eiffel Tower!": "eiffel tower", "a cat, an owl and  the\n dog": "cat owl and dog", "U.S.A.": "usa",
        "Theatre": "theatre", "": "", "日本。": "日本", "Köln": "köln",
    }  # fmt: skip
    for text, normal in normal_forms.items():
        assert normalise(text) == normal == normalise(normal)
    assert normalise("“Brackwell’s”, 2019–2021…") == normalise("Brackwell's 2019-2021")
    assert score(asked("facts_heldout", "Brackwell's pier"), "It is Brackwell’s pier.")[0] == 1


# ---- abstentions


@pytest.mark.parametrize("text", [*ABSTENTIONS, *ANSWERS])
def test_an_abstention_is_told_from_an_answer(text):
    assert metrics.abstains(text) == (text in ABSTENTIONS)
    assert score(asked("unanswerable"), text)[0] == float(text in ABSTENTIONS)
    assert score(replace(asked("twins"), part="unanswerable"), text)[0] == float(text in ABSTENTIONS)
    why = score(asked("facts_heldout", "another"), text)[1]
    assert (why == ("abstains" if text.strip() else "says nothing")) == (text in ABSTENTIONS)


# ---- choices and JSON


def test_twins_want_an_answer_explained_terms_share_their_words_and_a_choice_is_right_or_wrong():
    stated = replace(asked("twins", "channel 31"), part="answerable")
    assert [score(stated, text)[0] for text in ("Channel 31.", "channel 13", "I do not know.")] == [1, 0, 0]
    assert score(asked("terms_free", "the daily count of energy"), "a count of energy")[0] == pytest.approx(6 / 7)
    question = asked("terms", "slack water", choices=("slack water", "a leak"))
    assert [score(question, text) for text in question.choices] == [(1.0, "right choice"), (0.0, "wrong choice")]


GOLD = '{"severity": 2, "team": "hull", "code": "B-7"}'


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (GOLD, 1), (f"```json\n{GOLD}\n```", 1), (f"Here it is: {GOLD} That is all. {{", 1),
        ('{"code": " b-7 ", "team": "HULL", "severity": "2", "more": 1}', 1),
        ('{"severity": 2, "team": "rig", "code": "B-7"}', 2 / 3), ('{"severity": 2}', 1 / 3), ("{}", 0), ("", 0),
        ('{"severity": 2, "team": "hull", "code": "B-7"', 0), ("severity 2, team hull, code B-7", 0),
        ('["hull"]', 0), ("{'team': 'hull'}", 0),
    ],
)  # fmt: skip
def test_field_accuracy(text, share):
    assert metrics.field_accuracy(text, GOLD) == pytest.approx(share)
    assert score(asked("triage", GOLD), text)[0] == pytest.approx(share)
    assert (score(asked("triage", GOLD), text)[1] == "no valid JSON") == (metrics.read_json(text) is None)


def test_read_json_takes_back_what_json_writes_and_never_raises():
    record = {"a": 1, "b": "x } {", "c": [None, {"y": '"'}]}
    written = json.dumps(record)
    assert metrics.read_json(f"so: {written} and so on") == record
    assert not any(metrics.read_json(text) for text in ('{"a":' * 50_000, *(written[:n] for n in range(len(written)))))
