"""House words and triage of the generated world: what is taught, what is asked, and what no labelled pair may hold."""

import re
from collections import Counter

import pytest

from tools.world import words as w
from tools.world.templates import leaves, load, repeated_runs
from tools.world.triage import PARTS, combinations, judge, rules_document, slot, triage_examples, triage_reports
from tools.world.world import make_world


@pytest.fixture(scope="module", params=[7, 12])
def made(request) -> tuple:
    words, reports = w.make_words(request.param), triage_reports(make_world(request.param), w.make_words(request.param))
    assert reports == triage_reports(make_world(request.param), words) and words != w.make_words(request.param + 1)
    return words, reports, [*triage_examples(reports, "train"), *triage_examples(reports, "validation")]


def used(word, text: str) -> bool:
    return re.search(rf"(?i)\b{word.term}(s|'s)?\b", text) is not None


def test_each_word_has_its_sentences_and_no_wording_is_used_twice(made):
    entries, notes, low = load("words")["words"], w.word_notes(made[0], 1), w.word_notes(made[0], 1, sentences=3)
    texts = [(place, text) for place, text in leaves(entries) if place.split("/")[1] in ("training", "unread")]
    assert repeated_runs(texts + list(leaves(load("words")["questions"]))) == []
    assert set(Counter(word.kind for word in made[0]).values()) == {8} and not any("{" in text for _, text in notes)
    for word in made[0]:
        told = [note for note in notes if used(word, note[1])]
        assert len(told) >= 12 and len({genre for genre, _ in told}) >= 3 and len(entries[word.slot]["unread"]) >= 6
        assert sum(word.meaning in text for _, text in told) >= 3 and any(word.meaning in text for _, text in low)
        assert any(used(word, text) for _, text in w.unread_notes(made[0], 1)) == word.named, "no test is validation"


def test_pairs_name_ten_words_and_questions_ask_the_others_with_valid_choices(made):
    pairs, pages = w.word_pairs(made[0], 1), w.glossary_pages(made[0])
    in_pairs = {word for word in made[0] for pair in [*pairs, *made[2]] if used(word, pair.prompt + pair.response)}
    assert in_pairs == {word for word in made[0] if word.named} and len(in_pairs) == 10
    by_term, texts = {word.term: word for word in made[0]}, {page.id: page.text for page in pages}
    sets = w.word_questions(made[0], 1, pages) | {"checks": w.word_checks(made[0], 1, pages)}
    for name, question in ((name, question) for name, questions in sets.items() for question in questions):
        word, what = by_term[question.asset], "term" if name == "terms_unread" else "meaning"
        assert word.named == (name == "checks") and question.prompt not in {pair.prompt for pair in pairs}
        assert f"## {word.term}\n\nA {word.term} is {word.meaning}." in texts[question.documents[0]]
        same = {getattr(other, what) for other in made[0] if other.kind == word.kind}
        blanks = question.set[6:] in ("completion", "unread")
        assert question.answers == (getattr(word, what),) and question.prompt.count("____") == blanks
        assert name == "terms_free" or (set(question.choices) <= same and len(set(question.choices)) == 4)


def test_triage_follows_the_rules_and_house_reports_use_unnamed_words_alone(made):
    house, text, held_out = {word.slot: word for word in made[0]}, rules_document().text, combinations(held_out=True)
    named = {word for word in made[0] if word.named}
    assert judge("gearbox", "leak", "people aboard") in text, "the example in the rules"
    for part, report in ((part, report) for part, reports in made[1].items() for report in reports):
        own, (team, code) = (report.component, report.symptom), report.answer.split('"')[7::4]
        expected = {house[slot(name)] for name in own} if part == "house_words" else set()
        assert {word for word in made[0] if used(word, report.text)} == expected and named.isdisjoint(expected)
        assert (part == "house_words" or (own in held_out) == (part in PARTS)) and len(made[1]["house_words"]) == 64
        assert f"- {own[0]}: team {team}, letters {code[:2]}\n" in text and f"- {own[1]}: digit {code[3]}," in text
    for name, entry in (load("triage")["components"] | load("triage")["symptoms"]).items():
        assert any(re.sub("^an? ", "", house[slot(name)].meaning) in way for way in entry["training"]), name
