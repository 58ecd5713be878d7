"""Evaluation: a fixed sample, scores in order, latency taken alone, and nothing lost to an interruption."""

from __future__ import annotations

import pytest
from conftest import interrupted_at

from helpers.data.dataset import open_dataset, sample
from helpers.data.records import Answer, Note, Question, Score
from helpers.experiment import metrics
from helpers.experiment.assistant import Assistant
from helpers.experiment.evaluation import Evaluation, evaluate, perplexity_texts
from helpers.models import generation
from helpers.models.generation import perplexity


def questions(count: int, prefix: str = "q") -> list[Question]:
    return [Question(f"{prefix}{i}", "facts_heldout", f"Question number {i}?", (str(i),)) for i in range(count)]


@pytest.fixture(scope="module")
def dataset(small_world):
    return open_dataset(small_world)


# ---- evaluation


def test_scores_stand_in_the_order_of_the_questions(tiny, dataset):
    asked = dataset.questions("facts_heldout")[:6] + dataset.questions("terms")[:3] + dataset.questions("triage")[:2]
    done = evaluate(Assistant(tiny), asked, batch_size=2)
    assert done.complete and [score.question for score in done.scores] == asked
    for score in done.scores:
        assert score.answer.question_id == score.question.id
        assert (score.value, score.why) == metrics.score(score.question, score.answer)
    assert done.measured == {}


def test_values_of_other_assets_are_passed_on(tiny):
    asked = questions(1)
    told = Assistant(tiny).ask(asked[0]).text
    right = [Question("q0", "facts_heldout", asked[0].prompt, (told.split()[0],))]
    assert evaluate(Assistant(tiny), right).scores[0].value == 1
    rivals = evaluate(Assistant(tiny), right, values={"another": [told.split()[-1]]}).scores[0]
    assert rivals.value == 0 and "another value" in rivals.why


def test_latency_is_taken_one_question_at_a_time(tiny, dataset):
    asked_alone = []

    class Watched(Assistant):
        def ask(self, question, max_new_tokens=None):
            answer = super().ask(question, max_new_tokens)
            asked_alone.append((question.id, answer))
            return answer

    asked = dataset.questions("facts_heldout")[:8]
    done = evaluate(Watched(tiny), asked, batch_size=4, latency_questions=3)
    first_token_s, total_s = done.measured["first_token_s"], done.measured["total_s"]
    assert len(first_token_s) == len(total_s) == 3 and len(done.scores) == 8
    assert [name for name, _ in asked_alone] == [question.id for question in sample(asked, 3)], "it was warm already"
    assert all(answer.batch_size == 1 for _, answer in asked_alone)
    assert total_s == [answer.total_s for _, answer in asked_alone]
    assert all(0 < first <= total for first, total in zip(first_token_s, total_s, strict=True))
    assert {score.answer.batch_size for score in done.scores} == {4}
    choices = evaluate(Assistant(tiny), dataset.questions("terms")[:3], latency_questions=3)
    assert choices.complete and len(choices.scores) == 3 and choices.measured == {}, "a choice has no latency"


def test_an_interruption_leaves_what_was_finished(tiny):
    asked = questions(12)
    whole = evaluate(Assistant(tiny), asked, batch_size=1)
    into = Evaluation()
    with interrupted_at(tiny, 7), pytest.raises(KeyboardInterrupt):
        evaluate(Assistant(tiny), asked, batch_size=1, into=into)
    assert not into.complete and 0 < len(into.scores) < 12
    finished = [(score.question, score.answer.text, score.value) for score in into.scores]
    assert finished == [(s.question, s.answer.text, s.value) for s in whole.scores[: len(finished)]]
    evaluate(Assistant(tiny), asked, batch_size=1, into=into)
    assert into.complete and [s.answer.text for s in into.scores] == [s.answer.text for s in whole.scores]


def test_perplexity_is_that_of_the_weights_and_goes_with_its_question_set(tiny, dataset):
    texts = ["The tide turns twice a day.", "Ropes are checked first."]
    notes = [Note(genre, text, genre) for genre, text in zip(("log", "rule"), texts, strict=True)]
    losses = generation.text_losses(tiny, texts)
    found = evaluate(Assistant(tiny), dataset.questions("terms")[:2], texts=notes).measured
    by_genre = {note.genre: pytest.approx(perplexity([own])) for note, own in zip(notes, losses, strict=True)}
    assert found.pop("perplexity_by_genre") == by_genre
    assert found == {"perplexity": pytest.approx(perplexity(losses)), "text_losses": losses}
    texts = {name: perplexity_texts(name, dataset) for name in dataset.question_sets}
    assert {name for name, found in texts.items() if found} == {"general", "terms"}
    assert texts["terms"] == dataset.notes("validation") and all(note.genre for note in texts["terms"])
    assert [note.text for note in texts["general"]] == dataset.general_text("evaluation")


# ---- secondary metrics


def summary(question_set: str, *pairs: tuple[str, str], choices: tuple[str, ...] = ()) -> dict[str, float]:
    """The secondary metrics of replies to questions of a set: pairs of the right answer and the reply."""
    scores = []
    for i, (gold, told) in enumerate(pairs):
        question = Question(f"q{i}", question_set, "?", (gold,) if gold else (), choices=choices, field="channel")
        scores.append(Score(question, Answer(question.id, told, "?"), 0.0, "not looked at"))
    return metrics.summary(scores, {"channel": r"\b\d\d\b"} if question_set == "updates" else {})


def test_summaries_hold_what_applies_to_the_set():
    facts = summary("facts_heldout", ("31", "31"), ("40", "It is 40."), ("7", "I do not know"))
    assert facts == pytest.approx({"abstained": 1 / 3, "exact_match": 1 / 3, "token_f1": (1 + 0.5 + 0) / 3})
    assert summary("updates", ("31", "It is 40."), ("40", "Nobody"))["right_kind"] == [1, 0]
    assert summary("triage", ('{"a": 1}', '{"a": 2}'), ('{"a": 1}', "no")) == {"abstained": 0.0, "valid_json": 0.5}
    assert summary("unanswerable", ("", "I do not know"), ("", "31")) == {"abstained": 0.5}
    assert summary("terms", ("a", "a"), choices=("a", "b")) == summary("facts_heldout") == {}
