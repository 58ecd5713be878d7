"""An Assistant and a question set in, scored answers and their times out: the same way for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import rag
from ..data import Dataset, Note, Question, Score, sample
from ..models import generation, show_progress
from . import metrics
from .assistant import Assistant
from .whole_documents import SameText

RETRIEVAL = (  # what a result keeps of the scores of retrieval
    "hit_rate_1", "hit_rate_5", "mrr", "ndcg", "document_hit_rate_1", "document_hit_rate_5", "document_mrr",
)  # fmt: skip


@dataclass
class Evaluation:
    """Scored answers of one question set, in the order of the questions.

    `first_token_s` and `total_s` were taken one question at a time. `text_losses` holds, for each plain text that was
    read, its summed loss and its predicted tokens, and `genres` its genre, empty where it has none.
    """

    scores: list[Score] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    text_losses: list[tuple[float, int]] = field(default_factory=list)
    genres: list[str] = field(default_factory=list)
    complete: bool = False

    def summary(self, kinds: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What `metrics.summary` says of the scores, times, and perplexity, by genre too: each where it applies."""
        found = metrics.summary(self.scores, kinds)
        if self.first_token_s:
            found |= {"first_token_s": self.first_token_s, "total_s": self.total_s}
        if self.text_losses:
            losses = [list(each) for each in self.text_losses]
            found |= {"perplexity": generation.perplexity(self.text_losses), "text_losses": losses}
            if any(self.genres):
                of: dict[str, list[tuple[float, int]]] = {}
                for genre, own in zip(self.genres, self.text_losses, strict=True):
                    of.setdefault(genre, []).append(own)
                found["perplexity_by_genre"] = {genre: generation.perplexity(own) for genre, own in sorted(of.items())}
        return found


def evaluate(
    assistant: Assistant,
    questions: Sequence[Question],
    values: Mapping[str, Sequence[str]] | None = None,
    batch_size: int = generation.BATCH,
    latency_questions: int = 0,
    progress: bool = False,
    into: Evaluation | None = None,
    texts: Sequence[Note] = (),
) -> Evaluation:
    """Asks every question, scores the replies, and times some of them one at a time.

    Args:
        assistant: Any arm.
        questions: One question set.
        values: For each asset every value that documents give it; a reply may not name another asset's.
        batch_size: How many replies are decoded together when they are scored.
        latency_questions: How many questions are asked again alone, when all are scored; none of a choice set.
        progress: Whether to show a progress bar.
        into: Filled as the work goes on, so that an interruption leaves the caller what was finished; with what is in
            it already, the work goes on from there.
        texts: Plain texts whose loss under the assistant's weights is taken last; retrieval plays no part in it.
    """
    done = into if into is not None else Evaluation()
    rivals = metrics.Rivals(values or {})
    with show_progress("Asking", len(questions), "questions", progress, len(done.scores)) as bar:
        for start in range(len(done.scores), len(questions), 2 * batch_size):
            part = questions[start : start + 2 * batch_size]
            for question, answer in zip(part, assistant.ask_all(part, batch_size), strict=True):
                done.scores.append(Score(question, answer, *metrics.score(question, answer, rivals)))
            bar.update(len(part))
    alone = [assistant.ask(question) for question in sample(questions, latency_questions) if not question.choices]
    done.first_token_s, done.total_s = [each.first_token_s for each in alone], [each.total_s for each in alone]
    done.genres = [note.genre for note in texts]
    done.text_losses = generation.text_losses(assistant.model, [note.text for note in texts]) if texts else []
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


def retrieval_scores(
    assistant: Assistant, questions: Sequence[Question], index: rag.Index | SameText | None
) -> dict[str, Any]:
    """The scores of retrieval alone, where passages are retrieved and the questions name the right documents."""
    if isinstance(index, SameText):
        return {"retrieval": {"gold_share": index.gold_share(questions)}}
    if index is None or not any(question.documents for question in questions):
        return {}
    found = rag.score_retrieval(assistant.retriever, assistant.worded(questions), index)
    return {"retrieval": {name: found[name] for name in RETRIEVAL if name in found}}


def text_perplexity(assistant: Assistant, texts: Sequence[str]) -> float:
    """Perplexity of plain texts under the assistant's weights; what it retrieves plays no part."""
    return generation.perplexity(generation.text_losses(assistant.model, texts))
