"""An Assistant and a question set in, scored answers and their times out: the same way for every arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..data import TIMED_SET, Dataset, Question, Score, sample
from ..models import generation, show_progress
from . import metrics
from .assistant import Assistant

if TYPE_CHECKING:
    from ..rag import Index

RETRIEVAL = ("hit_rate_1", "hit_rate_5", "mrr", "ndcg")  # what a result keeps of the scores of retrieval


@dataclass
class Evaluation:
    """Scored answers of one question set, in the order of the questions.

    `first_token_s` and `total_s` were taken one question at a time. `text_losses` holds, for each plain text that was
    read, its summed loss and its predicted tokens.
    """

    scores: list[Score] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    text_losses: list[tuple[float, int]] = field(default_factory=list)
    complete: bool = False

    def summary(self) -> dict[str, Any]:
        """Secondary metrics, times and perplexity, each where it applies."""
        found = summarise(self.scores)
        if self.first_token_s:
            found |= {"first_token_s": self.first_token_s, "total_s": self.total_s}
        if losses := [list(each) for each in self.text_losses]:
            found |= {"perplexity": generation.perplexity(self.text_losses), "text_losses": losses}
        return found


def evaluate(
    assistant: Assistant,
    questions: Sequence[Question],
    values: Mapping[str, Sequence[str]] | None = None,
    batch_size: int = generation.BATCH,
    latency_questions: int = 0,
    progress: bool = False,
    into: Evaluation | None = None,
    texts: Sequence[str] = (),
) -> Evaluation:
    """Asks every question, scores the replies, and times some of them one at a time.

    Args:
        assistant: Any arm.
        questions: One question set.
        values: For each asset every value that documents give it; a reply may not name another asset's.
        batch_size: How many replies are decoded together when they are scored.
        latency_questions: How many questions are asked again alone, when all are scored; none of a choice set.
        progress: Whether to show a progress bar.
        into: Filled as the work goes on, so that an interruption leaves the caller what was finished.
        texts: Plain texts whose loss under the assistant's weights is taken last; retrieval plays no part in it.
    """
    done = into if into is not None else Evaluation()
    with show_progress("Asking", len(questions), "questions", progress) as bar:
        for start in range(0, len(questions), 2 * batch_size):
            part = questions[start : start + 2 * batch_size]
            for question, answer in zip(part, assistant.ask_all(part, batch_size), strict=True):
                rivals = [v for asset, owned in (values or {}).items() if asset != question.asset for v in owned]
                done.scores.append(Score(question, answer, *metrics.score(question, answer, rivals)))
            bar.update(len(part))
    for question in sample(questions, latency_questions):
        if not question.choices:
            answer = assistant.ask(question)
            done.first_token_s.append(answer.first_token_s)
            done.total_s.append(answer.total_s)
    if texts:
        done.text_losses += generation.text_losses(assistant.model, texts)
    done.complete = True
    return done


def is_timed(question_set: str, dataset: Dataset) -> bool:
    """Whether costs tell of this set's times; its questions are then asked again, alone."""
    return question_set == (TIMED_SET if TIMED_SET in dataset.question_sets else dataset.question_sets[0])


def perplexity_texts(question_set: str, dataset: Dataset) -> list[str]:
    """The texts whose perplexity is reported with a set: general text with `general`, domain text with `terms`.

    Where the data has no `terms`, domain text goes with `facts_heldout`; with other sets there is none.
    """
    if question_set == "general":
        return dataset.general_text("evaluation")
    domain = "terms" if "terms" in dataset.question_sets else "facts_heldout"
    if question_set == domain and (dataset.folder / "corpus" / "validation.jsonl").is_file():
        return dataset.corpus("validation")
    return []


def retrieval_scores(assistant: Assistant, questions: Sequence[Question], index: Index | None) -> dict[str, Any]:
    """The scores of retrieval alone, where passages are retrieved and the questions name the right documents."""
    if index is None or not any(question.documents for question in questions):
        return {}
    from ..rag import score_retrieval

    found = score_retrieval(assistant.retriever, questions, index)
    return {"retrieval": {name: found[name] for name in RETRIEVAL}}


def text_perplexity(assistant: Assistant, texts: Sequence[str]) -> float:
    """Perplexity of plain texts under the assistant's weights; what it retrieves plays no part."""
    return generation.perplexity(generation.text_losses(assistant.model, texts))


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Secondary metrics of a scored set: exact match, token F1, abstentions, valid JSON; each where it applies."""
    written = [score for score in scores if not score.question.choices]
    if not written:
        return {}
    found = {"abstained": _mean(metrics.abstains(s.answer.text) for s in written)}
    if scores[0].question.set == "triage":
        return found | {"valid_json": _mean(metrics.read_json(s.answer.text) is not None for s in written)}
    if answerable := [score for score in written if score.question.answers]:
        for name, metric in (("exact_match", metrics.exact_match), ("token_f1", metrics.token_f1)):
            found[name] = _mean(metric(s.answer.text, s.question.answers) for s in answerable)
    return found


def _mean(values: Iterable[float]) -> float:
    given = list(values)
    return sum(given) / len(given)
