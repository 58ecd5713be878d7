"""An arm and a question set in, scored answers and their times out: the same way for every arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import rag
from ..data import Dataset, Effort, Note, Question, Score, sample
from ..models import generation, show_progress
from . import metrics
from .arms import SameText
from .assistant import Assistant
from .baselines import Baseline


@dataclass(frozen=True)
class PreparedArm:
    """An arm that is ready for one question set.

    Attributes:
        assistant: What is asked.
        effort: What preparing the arm took, for all question sets, its recipes' starting points included.
        measured: What a result says beside its scores: `weights` (their hash) and, with the set `updates`, `update`:
            what it takes the arm to absorb the changed documents; `measured` in it is false where weights would have to
            be trained again, and where the arm absorbs nothing and its effort is zero.
        alike: Equal for two arms whose answers to this set are the same: same weights, same context.
    """

    assistant: Assistant | Baseline
    effort: Effort
    measured: dict[str, Any]
    alike: tuple[Any, ...]


@dataclass
class Evaluation:
    """Scored answers of one question set, in the order of the questions.

    `measured` has, each where it applies: `first_token_s` and `total_s`, taken one question at a time; `text_losses`,
    for each plain text that was read its summed loss and its predicted tokens, and their `perplexity`, by genre too.
    """

    scores: list[Score] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    complete: bool = False


def evaluate(
    assistant: Assistant, questions: Sequence[Question], values: Mapping[str, Sequence[str]] | None = None,
    batch_size: int = generation.BATCH, latency_questions: int = 0, progress: bool = False,
    into: Evaluation | None = None, texts: Sequence[Note] = (),
) -> Evaluation:  # fmt: skip
    """Asks every question of a set, scores the replies, and times some of them one at a time.

    Args:
        assistant, questions: Any arm, and one question set.
        values: For each asset every value that documents give it; a reply may not name another asset's.
        batch_size: How many replies are decoded together when they are scored.
        latency_questions: How many questions are asked again alone, when all are scored; none of a choice set.
        progress: Whether to show a progress bar.
        into: Filled as the work goes on, and gone on from: an interruption leaves the caller what was finished.
        texts: Plain texts whose loss under the assistant's weights is taken last; retrieval plays no part in it.
    """
    done, rivals = into or Evaluation(), metrics.Rivals(values or {})
    with show_progress("Asking", len(questions), "questions", progress, len(done.scores)) as bar:
        for start in range(len(done.scores), len(questions), 2 * batch_size):
            part = questions[start : start + 2 * batch_size]
            for question, answer in zip(part, assistant.ask_all(part, batch_size), strict=True):
                done.scores.append(Score(question, answer, *metrics.score(question, answer, rivals)))
            bar.update(len(part))
    alone = [assistant.ask(question) for question in sample(questions, latency_questions) if not question.choices]
    if alone:
        done.measured = {phase: [getattr(each, phase) for each in alone] for phase in ("first_token_s", "total_s")}
    if texts:
        losses = generation.text_losses(assistant.model, [note.text for note in texts])
        done.measured |= {"perplexity": generation.perplexity(losses), "text_losses": losses}
        read, genres = list(zip(texts, losses, strict=True)), sorted({note.genre for note in texts} - {""})
        by_genre = {
            genre: generation.perplexity([own for note, own in read if note.genre == genre]) for genre in genres
        }
        done.measured |= {"perplexity_by_genre": by_genre} if genres else {}
    done.complete = True
    return done


def perplexity_texts(question_set: str, dataset: Dataset) -> list[Note]:
    """The texts whose perplexity is reported with a set: general text with `general`, domain text with `terms`.

    Where the data has no `terms`, domain text goes with `facts_heldout`; with other sets there is none.
    """
    if question_set == "general":
        return [Note(f"general-{n}", text) for n, text in enumerate(dataset.general_text("evaluation"))]
    domain = "terms" if "terms" in dataset.question_sets else "facts_heldout"
    held_back = (dataset.folder / "corpus" / "validation.jsonl").is_file()
    return dataset.notes("validation") if question_set == domain and held_back else []


def retrieval_scores(assistant: Assistant, questions: Sequence[Question]) -> dict[str, Any]:
    """The scores of retrieval alone, where passages are retrieved and the questions name the right documents."""
    retriever = getattr(assistant, "retriever", None)  # a baseline has none
    if isinstance(retriever, SameText):
        return {"retrieval": {"gold_share": retriever.gold_share(questions)}}
    if retriever is None or not any(question.documents for question in questions):
        return {}
    return {"retrieval": rag.score_retrieval(retriever, assistant.worded(questions))}
