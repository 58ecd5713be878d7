"""An Assistant and a question set in, scored answers and their times out: the same way for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from ..data import WARM_UP, Dataset, Question, Score, sample
from ..models import generation
from . import metrics
from .assistant import Assistant


@dataclass
class Evaluation:
    """Scored answers of one question set; `first_token_s` and `total_s` were taken one question at a time."""

    scores: list[Score] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    complete: bool = False


def evaluate(
    assistant: Assistant,
    questions: Sequence[Question],
    values: Mapping[str, Sequence[str]] | None = None,
    batch_size: int = generation.BATCH,
    latency_questions: int = 0,
    progress: bool = False,
    into: Evaluation | None = None,
) -> Evaluation:
    """Asks every question, scores the replies, and times some of them one at a time.

    Args:
        assistant: Any arm.
        questions: One question set.
        values: For each asset every value that documents give it; a reply may not name another asset's.
        batch_size: How many replies are decoded together when they are scored.
        latency_questions: How many questions are asked again alone, when all are scored; none of a choice set.
        progress: Whether to show progress bars.
        into: Filled as the work goes on, so that an interruption leaves the caller what was finished.

    Returns:
        The evaluation; its scores stand in the order of the questions.
    """
    done = into if into is not None else Evaluation()
    starts = range(0, len(questions), 2 * batch_size)
    many = tqdm(total=len(questions), desc="questions", unit="question", disable=not progress or len(starts) < 2)
    with many as bar:
        for start in starts:
            part = questions[start : start + 2 * batch_size]
            for question, answer in zip(part, assistant.ask_all(part, batch_size, progress=progress), strict=True):
                done.scores.append(Score(question, answer, *metrics.score(question, answer, _rivals(values, question))))
            bar.update(len(part))
        time_alone(assistant, questions, latency_questions, done, warm=True)
    done.complete = True
    return done


def time_alone(
    assistant: Assistant, questions: Sequence[Question], count: int, into: Evaluation, warm: bool = False
) -> None:
    """Asks `count` of the questions one at a time, and keeps the seconds; none of a choice set.

    Unless it is `warm`, having answered with these weights a moment ago, it is warmed up by the first of them.
    """
    timed = [q for q in sample(questions, count) if not q.choices] if count else []
    if timed and not warm:
        assistant.ask(timed[0], max_new_tokens=WARM_UP)
    for question in timed:
        answer = assistant.ask(question)
        into.first_token_s.append(answer.first_token_s)
        into.total_s.append(answer.total_s)


def _rivals(values: Mapping[str, Sequence[str]] | None, question: Question) -> list[str]:
    """Every value of the assets that the question is not about."""
    return [value for asset, owned in (values or {}).items() if asset != question.asset for value in owned]


def texts_beside(question_set: str, dataset: Dataset) -> list[str]:
    """The texts whose perplexity stands beside a set: general text with `general`, domain text with `terms`.

    Where the data has no `terms`, domain text stands beside `facts_heldout`; beside other sets there is none.
    """
    if question_set == "general":
        return dataset.general_text("evaluation")
    domain = "terms" if "terms" in dataset.question_sets else "facts_heldout"
    if question_set == domain and (dataset.folder / "corpus" / "validation.jsonl").is_file():
        return dataset.corpus("validation")
    return []


def text_losses(assistant: Assistant, texts: Sequence[str]) -> list[tuple[float, int]]:
    """Summed loss and predicted tokens of each plain text under the assistant's weights; retrieval plays no part."""
    return generation.text_losses(assistant.model, texts)


def text_perplexity(assistant: Assistant, texts: Sequence[str]) -> float:
    """Perplexity of plain texts under the assistant's weights; what it retrieves plays no part."""
    return generation.perplexity(text_losses(assistant, texts))


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Secondary metrics of a scored set: exact match, token F1, abstentions, valid JSON; each where it applies."""
    told = [s for s in scores if not s.question.choices]
    if not told:
        return {}
    mean = {"abstained": _mean([float(metrics.abstains(s.answer.text)) for s in told])}
    if scores[0].question.set == "triage":
        return mean | {"valid_json": _mean([float(metrics.read_json(s.answer.text) is not None) for s in told])}
    answerable = [s for s in told if s.question.answers]
    if answerable:
        mean["exact_match"] = _mean([metrics.exact_match(s.answer.text, s.question.answers) for s in answerable])
        mean["token_f1"] = _mean([metrics.token_f1(s.answer.text, s.question.answers) for s in answerable])
    return mean


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
