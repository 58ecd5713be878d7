"""The Assistant: what it shows the model, and what it keeps of the answer."""

from __future__ import annotations

import pytest

from helpers.data.records import DataError, Document, Example, Question
from helpers.experiment.assistant import SHORT_ANSWER, Assistant
from helpers.models import generation
from helpers.rag.chunking import RagSettings
from helpers.rag.index import build_index
from helpers.rag.store import open_store

DOCUMENTS = [
    Document("one", "Brackwell", "Brackwell stands in the sound. Its supervisor is Maren Holloway."),
    Document("two", "Corrindale", "Corrindale turns at 850 kW. Call its crew on channel 31 {with care}."),
    Document("three", "Eastness", "Eastness was built in 2009. Nobody lifts a rotor alone there."),
    Document("four", "Lifting", "Ropes are checked first. Then the rotor is lifted by two people."),
]
ASKED = [
    Question("w1", "facts_heldout", "Who supervises Brackwell?", ("Maren Holloway",), ("one",)),
    Question("c1", "terms", "What is slack water?", ("no current",), choices=("a drink", "no current", "a leak")),
    Question("t1", "triage", "Reply with JSON only. Report: the pump leaks.", ('{"team": "hull"}',)),
    Question("w2", "facts_heldout", "Which channel reaches Corrindale, and what else is known?", ("31",), ("two",)),
    Question("c2", "general", "Is ice cold?", ("yes",), choices=("yes", "no")),
]
SHOWN = {
    "answers": [Example("a1", "answers", "Who runs Holmsey?", "Ida Reed"), Example("a2", "answers", "When?", "1999")],
    "triage": [Example("b1", "triage", "The mast hums.", '{"team": "rig"}')],
}


@pytest.fixture(scope="module")
def index(embedder, tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("index"))
    return build_index(DOCUMENTS, store, embedder, RagSettings(), progress=False)[0]


def plain(answers) -> list[tuple]:
    """What must agree exactly between two ways of asking."""
    return [(a.question_id, a.text, a.prompt, [p.node_id for p in a.passages], a.new_tokens) for a in answers]


def assert_same(some, others) -> None:
    """Texts, prompts and passages agree exactly, log-probabilities to float32's rounding."""
    assert plain(some) == plain(others)
    for one, other in zip(some, others, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


# ---- what the model reads


def test_the_bare_question_says_how_to_reply(tiny):
    assistant = Assistant(tiny)
    told = assistant.prompt(ASKED[0])
    assert told.startswith(ASKED[0].prompt) and "answer only" in told
    assert [assistant.prompt(alone) for alone in ASKED[1:3]] == [alone.prompt for alone in ASKED[1:3]]


def test_the_expanded_prompt_holds_each_passage_as_it_is_and_the_question(tiny, index):
    assistant = Assistant(tiny, retriever=index.retriever(k=4))
    for question in [*ASKED, Question("q", "own", "What is {x} or {0} at Corrindale {with care}?")]:
        passages = assistant.retriever.retrieve(question.prompt)
        told = assistant.prompt(question, passages)
        places = [told.index(passage.text) for passage in passages]
        assert places == sorted(places), "the best passage must come first"
        assert told.index(question.prompt) > places[-1] and "a leak" not in told


def test_few_shot_shows_the_examples_of_the_task_and_none_with_choices(tiny):
    assistant = Assistant(tiny, examples=SHOWN)
    told, choice, triage = (answer.prompt for answer in assistant.ask_all(ASKED[:3]))
    for example in SHOWN["answers"]:
        assert told.index(example.prompt) < told.index(example.response) < told.index(ASKED[0].prompt)
    assert "mast" not in told + choice and "Holmsey" not in triage + choice and "mast" in triage


# ---- answers


@pytest.mark.parametrize("kind", ["bare", "few-shot", "rag"])
def test_an_answer_keeps_the_exact_prompt_and_ask_all_equals_ask(tiny, index, kind):
    assistant = {
        "bare": Assistant(tiny),
        "few-shot": Assistant(tiny, examples=SHOWN),
        "rag": Assistant(tiny, retriever=index.retriever(k=2)),
    }[kind]
    together = assistant.ask_all(ASKED)
    assert [answer.question_id for answer in together] == [question.id for question in ASKED]
    assert_same(together, [assistant.ask(question) for question in ASKED])
    assert_same(together, assistant.ask_all(ASKED[::-1], batch_size=2)[::-1])
    for question, answer in zip(ASKED, together, strict=True):
        told = assistant.prompt(question, answer.passages)
        assert answer.prompt == tiny.chat(told, examples=assistant.turns(question))
        assert answer.prompt_tokens == tiny.count_tokens(answer.prompt)
        assert len(answer.passages) == (2 if kind == "rag" else 0)
        assert (answer.retrieval_s > 0) == (kind == "rag")
    alone = assistant.ask(ASKED[0])
    assert alone.batch_size == 1 and alone.retrieval_s < alone.first_token_s <= alone.total_s


def test_choices_are_chosen_and_words_are_written(tiny):
    for question, answer in zip(ASKED, Assistant(tiny).ask_all(ASKED), strict=True):
        if question.choices:
            assert len(answer.logprobs) == len(question.choices)
            assert answer.text == question.choices[answer.logprobs.index(max(answer.logprobs))]
            assert answer.first_token_s is None and answer.total_s is None and answer.new_tokens == 0
        else:
            assert answer.logprobs == ()
            assert 0 < answer.first_token_s <= answer.total_s
            assert answer.new_tokens <= (48 if question.set == "triage" else SHORT_ANSWER)


def test_a_text_set_is_read_without_a_chat_after_its_passages(tiny, index):
    question = Question("u", "terms_unread", "The ____ of Brackwell is Ida.", ("crew",), choices=("crew", "supervisor"))
    completion = Question("c", "terms_completion", "In the yard, rotor means ____", ("x",), choices=("x", "a y"))
    bare, completed = Assistant(tiny).ask_all([question, completion])
    assert (bare.prompt, completed.prompt) == (question.prompt, completion.prompt)
    assert bare.logprobs == pytest.approx(generation.blank_logprobs(tiny, [bare.prompt], [question.choices])[0])
    seen = Assistant(tiny, retriever=index.retriever(k=2)).ask(question)
    assert seen.prompt == "\n\n".join([*(passage.text for passage in seen.passages), question.prompt])
    assert len(seen.passages) == 2 and seen.logprobs != bare.logprobs and seen.text in question.choices


def test_plain_strings_and_limits(tiny):
    assistant = Assistant(tiny)
    answer = assistant.ask("Who supervises Brackwell?", max_new_tokens=2)
    assert answer.new_tokens <= 2 and "Who supervises Brackwell?" in answer.prompt
    first, second = assistant.ask_all(["Who?", "When?"])
    assert first.question_id != second.question_id
    assert assistant.ask_all([]) == []
    with pytest.raises(DataError, match="context of 1024"):
        assistant.ask("tide " * 1024)
