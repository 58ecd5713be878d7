"""The kit's typed records: what goes into an experiment and what comes out of it.

Document, Example, Question  ->  Assistant  ->  Answer (with Passages)  ->  Score  ->  Result (with Effort)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

QUESTION_SETS = (
    "facts_trained", "facts_heldout", "terms", "updates", "two_hop", "unanswerable", "triage", "general",
)  # fmt: skip
CHOICE_SETS = ("terms", "general")
TIMED_SET = "facts_heldout"  # what a query is like: asked again one at a time, and costs are told of these times
TASKS = ("answers", "triage")


class KitError(Exception):
    """An error whose message says what is wrong, where, and what to do about it."""


class DataError(KitError):
    """Something in the learner's files is wrong; the message names file, line and remedy."""


@dataclass(frozen=True)
class Document:
    """One document of the enterprise data source.

    `text` is the body without front matter; `source` is the file it came from; `date` is ISO 8601 or empty.
    """

    id: str
    title: str
    text: str
    type: str = "document"
    revision: int = 1
    date: str = ""
    source: str = ""


@dataclass(frozen=True)
class Example:
    """One labelled prompt-response pair of instruction tuning; `asset` is empty where no asset is named."""

    id: str
    task: str
    prompt: str
    response: str
    asset: str = ""


@dataclass(frozen=True)
class Question:
    """One test question.

    `answers` are the accepted answers, the first one canonical (empty only in the set `unanswerable`);
    `documents` are the ids of the documents that hold the answer; `choices` contains `answers[0]` where
    there are any; `asset`, `field` and `part` say what the question is about, for resampling and slicing.
    """

    id: str
    set: str
    prompt: str
    answers: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    asset: str = ""
    field: str = ""
    part: str = ""


@dataclass(frozen=True)
class Passage:
    """One retrieved chunk; `score` is the retriever's own (higher is better)."""

    document_id: str
    node_id: str
    text: str
    score: float
    title: str = ""


@dataclass(frozen=True)
class Answer:
    """What an Assistant replied, and everything needed to understand why.

    `prompt` is the exact text the model read, chat template included. Times are seconds; they are those of
    this answer alone only when `batch_size` is 1, otherwise those of its batch, and None for choice questions.
    `logprobs` holds one mean log-probability per choice, in the order of the question's choices.
    """

    question_id: str
    text: str
    prompt: str
    passages: tuple[Passage, ...] = ()
    prompt_tokens: int = 0
    new_tokens: int = 0
    retrieval_s: float = 0.0
    first_token_s: float | None = None
    total_s: float | None = None
    batch_size: int = 1
    logprobs: tuple[float, ...] = ()


@dataclass
class Effort:
    """What a step cost; see `helpers.effort`. Seconds, bytes, and plain counts; never blended into one score."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    tokens_seen: int = 0
    trainable_parameters: int = 0
    artefact_bytes: int = 0
    labelled_examples: int = 0
    documents: int = 0

    def __add__(self, other: Effort) -> Effort:
        """Adds up everything but the peak memory, of which the larger one stays."""
        summed = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Effort(**summed | {"peak_memory_bytes": max(self.peak_memory_bytes, other.peak_memory_bytes)})


@dataclass(frozen=True)
class Score:
    """One scored answer: `value` in 0..1, and a word that says why (`right`, `names another value`, ...)."""

    question: Question
    answer: Answer
    value: float
    why: str


@dataclass
class Result:
    """One run: one arm on one question set with one seed. `status` is `complete` or `interrupted`.

    `experiment` is the hash of what must agree between compared runs: data, questions, base model, prompts, profile.
    """

    arm: str
    question_set: str
    seed: int
    profile: str
    experiment: str
    status: str
    scores: list[Score]
    metrics: dict[str, Any]
    effort: Effort
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    git_revision: str = ""
    created: str = ""
    schema: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Result:
        """The inverse of `to_dict`."""
        scores = [_score(row) for row in record["scores"]]
        return cls(**record | {"scores": scores, "effort": Effort(**record["effort"])})


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


def _score(row: dict[str, Any]) -> Score:
    passages = tuple(Passage(**p) for p in row["answer"]["passages"])
    answer = Answer(**_tuples(row["answer"]) | {"passages": passages})
    return Score(Question(**_tuples(row["question"])), answer, row["value"], row["why"])
