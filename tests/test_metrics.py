"""Scores of single answers: what counts as right, as a rival, as an abstention, as valid JSON."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace

import pytest

from helpers.data.dataset import open_dataset
from helpers.data.records import Answer, Question
from helpers.data.values import contains, normalise
from helpers.experiment import metrics

ABSTENTIONS = (
    "I do not know.", "I don't know", "I don’t know that.", "Unknown", "The passages do not say.", "It is not stated.",
    "The documents don't say who runs it.", "The passages do not mention a radio channel.", "Not specified.",
    "There is no information on this.", "No answer is given.", "N/A", "None", "It cannot be determined.",
    "That is not known.", "It is not given in the documents.", "Unable to answer.", "", "  ", "I am not sure.",
    "It isn't mentioned.", "The text doesn't give a number.", "The passage does not contain this information.",
    "Das steht nicht in den Passagen.", "I'm sorry, but I do not know.", "No se indica.",
    "The passages mention Brackwell, but do not say who supervises it.", "I have no idea.", "I cannot tell.",
    "The passage only describes the pump. It doesn't give the channel.", "The date is unknown.", "Je ne sais pas.",
    "The passages do not contain the answer. Please ask a colleague.", "Answer: The passages do not say.",
    "The passages do not say whether it runs at 80 °C.", "**The passages do not say.**", "Ich weiß es nicht.",
    "The manual does not list a warranty.", "I don't have access to that information.", "文中没有提到。",
)  # fmt: skip
ANSWERS = (
    "45 days", "Maren Holloway", "channel 31", "850 kW", "2009", "Nona Unwin", "Cannich Sound", "Noneley Bank", "C-729",
    "Knott Reach", "every 90 days", "Nadia Canton", "Noah Notley", "The supervisor is Una Daubeny.",
    "The pump cannot run above 80 °C.", "The passages do not say, but it is 45 days.", "I do not know. Channel 31.",
    "I am not sure, but I think it is Maren Holloway.", "Not stated, but probably 2009.", "No, it does not.", "Yes.",
    "The tank does not contain oil.", "The valve is not listed as critical.", "It does not have a supervisor.",
    "The pump is not available at site B.", "No.", "Not required", "None of the crews uses it.", "Nicht über 80 °C.",
    "The passages do not say; the capacity is 850 kW.", "It cannot be lifted by one person.", "Unknown Shoal",
)  # fmt: skip


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


# accepted answers (§) = replies that hold one (~) ≠ replies that hold none || the next value
VALUES = """
1.5 MW = 1,5 MW ~ It makes 1.50 MW. ~ 1.5MW ~ 1.5 megawatts ≠ 15 MW ~ 1.5 mW ~ 1.5 kW
850 kW = 850 kilowatts ~ 850kW ~ 850 KW ~ 850.0 kW ~ **850 kW** ~ "850 kW" ~ (850 kW) ≠ 8500 kW ~ 85.0 kW ~ -850 kW
-5 °C = −5 °C ~ minus 5 degrees Celsius ~ It is -5°C. ~ –5 °C ≠ 5 °C
5 °C = 5 degrees C ≠ -5 °C ~ 5 degrees ~ 5 °F || 2030 ≠ 20-30 || 20-30 = 20–30 ≠ 2030
20-30 bar = 20 to 30 bar ≠ 30 bar || 20 to 30 bar = 20-30 bar || 30 bar ≠ 20-30 bar || 10 ≠ range 5-10
-10 ≠ range 5-10 || 5-10 = range 5-10 || 60 days = It changed from 45 to 60 days. || C++ = It is C++. ~ "C++" ≠ C
C = It is C. ≠ C++ || C# = It is C#. ≠ C || A+ ≠ A || .NET = .NET ≠ NET || Node.js = Node.js.
v1.10 = v1.10. ~ V1.10 ≠ v11.0 ~ v1.1 || version 3.10 ≠ version 3.1 || 3.10 = 3.1 || 1.10.2 ≠ 1.102
€50 = 50 € ~ 50€ ~ 50 EUR ~ 50 euros ~ EUR 50 ≠ $50 || -€50 = €-50 ≠ €50 || $1,000 = 1000 dollars || 1 000 = 1000
1000 = 1 000 ~ 1,000 ~ 1.000 ~ 1'000 || 1,000 = 1.000 ≠ 1 || 1.000 = 1 || 1.025 ≠ 1025 || 1,000,000 = 1000000
1.000.000 = 1 000 000 || 1,234.5 = 1234.5 || 1.234,5 = 1234.5 || 12 500 kW = 12,500 kW || 12 ≠ 12 500 kW
10⁶ = 10^6 ≠ 106 || 106 ≠ 10⁶ || 10^6 = 1,000,000 ~ 1 million || 3 × 10⁶ = 3,000,000 || 2.5 million = 2,500,000
10⁻³ = 0.001 || m² = m2 || 5 m² = 5 m2 ~ 5 m^2 ≠ 5 m || Straße = STRASSE || K-302 = K302 ≠ K-3020 ~ K-30-2
K302 = K-302 || K-17-4 = K‑17‑4 ≠ K174 || C-729 = The code is C-729. || B-7 ≠ B-17
channel 31§31 = 31 ~ It is channel 31. ≠ channel 317 ~ channel 131 || channel 3 ≠ channel 31
45 days§45 = 45 days ~ 45 ~ every 45 days ~ 45-day interval ≠ 45 weeks || 45 days ≠ forty-five days
5 days = five days || 2 years = two yrs || 5% = 5 percent ~ 5 per cent ≠ 50% ~ 0.5% ~ 5 || 5 % = 5% || 0.5% = .5 %
No = No, it does not. ~ no ≠ I have no idea ~ The pump is not in use ~ North
Yes = Yes. ~ yes, it is ≠ The answer begins with yes
12 March 2024 = March 12, 2024 ~ 2024-03-12 ~ 12.03.2024 ~ 12th of March 2024 ≠ 13 March 2024 ~ March 2024
March 2024 ≠ 12 March 2024 || 2024 ≠ 12 March 2024 || 2009 = built in 2009 ~ in 2009. ≠ 12009
2019-2021 = 2019–2021 ≠ 2019 || 07:30 = 7:30 || 7:30 ≠ 730 || 12:30 ≠ 1230 || 0017 ≠ 17 || 07 = 7 || +5 = 5
１５ MW = 15 MW || 15 MW = １５ ＭＷ || ٣ = 3 || Maren Holloway = Maren Holloway runs it ~ maren holloway
Holloway ≠ Holloways || Brackwell's pier = It is Brackwell’s pier. || North-East Sound = North East Sound
the Sound = Sound || U.S.A. = USA || Vitamin A = Vitamin A is needed ≠ Vitamin C || Köln = KÖLN ~ Köln
水泵 = 答案是水泵。 || 850 千瓦 = 功率为850千瓦 || 3 m/s = 3 m/s || 90 km/h = 90 km/h
12 kWh = 12 kilowatt-hours ≠ 12 kW || 1/2 ≠ 12 || 24/7 ≠ 247 || AC/DC ≠ AC and DC || 555-1234 ≠ 5551234
anything = anything else || the ≠ anything || 31 = **31** ~ 31, 32 ≠ channels 31,32 || 32 = 31, 32
3 ≠ It is the third || 1e6 = 1000000 || $5 = $5.00 ≠ $50
5 mA = 5 mA ≠ 5 MA || 5 mm = 5 millimetres ≠ 5 m || 3.5 t = 3.5 tonnes || 60 Hz = 60 hertz ≠ 60 kHz
"""
CASES = [
    (gold.strip().split("§"), reply.strip(), sign == "=")
    for entry in VALUES.replace("\n", " || ").split(" || ") if entry
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
