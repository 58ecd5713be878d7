"""The kit's typed records: Document, Example, Question -> Answer with Passages -> Score -> Result with Effort.

A record checks the types of its fields; what is wrong with one in a file becomes a `DataError` with line and field.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

SET_NAMES = {  # of the question sets, for readers
    "facts_trained": "Trained facts", "facts_heldout": "Held-out facts", "updates": "Changed facts",
    "two_hop": "Two-hop facts", "twins": "Answer or decline", "unanswerable": "Unanswerable", "terms": "House terms",
    "terms_completion": "Meanings completed", "terms_unread": "Terms in unread text", "terms_free": "Terms explained",
    "triage": "Triage", "general": "General knowledge",
}  # fmt: skip
QUESTION_SETS = tuple(SET_NAMES)
CHOICE_SETS = ("terms", "general")  # asked in the chat, scored by the log-probabilities of their choices
TEXT_SETS = ("terms_completion", "terms_unread")  # plain text in which each choice fills the blank, without a chat
BLANK = "____"
TIMED_SET = "facts_heldout"  # a typical query: asked again one at a time, and costs are computed from its times
TASKS = ("answers", "triage")

STRICT = ConfigDict(extra="forbid")  # an unknown field is a mistake, not something to ignore


class KitError(Exception):
    """An error whose message says what is wrong, where, and what to do about it."""


class DataError(KitError):
    """Something in the learner's files is wrong; the message names file, line and remedy."""


def _not_blank(text: str, info: ValidationInfo) -> str:
    if info.context and not text.strip():
        raise ValueError("the text is empty; write one, or leave the line out")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]  # not blank where it is read from a file


@dataclass(frozen=True, config=STRICT)
class Document:
    """One document: `text` without front matter, the file that it came from, and a `date` in ISO 8601 or empty."""

    id: str
    title: str
    text: str
    type: str = "document"
    revision: int = 1
    date: str = ""
    source: str = ""


@dataclass(frozen=True, config=STRICT)
class Fact:
    """One fact of the domain; `split` is `trained`, `heldout` or `new`, `documents` the ids that state it: `a;b`."""

    asset: Text
    field: Text
    value: Text
    split: Text
    documents: str = ""


@dataclass(frozen=True, config=STRICT)
class Example:
    """One labelled prompt-response pair of instruction tuning; the asset and the documents' ids that it is about."""

    id: Text
    task: Text
    prompt: Text
    response: Text
    asset: str = ""
    documents: tuple[Text, ...] = ()


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Note:
    """One unlabelled text of the corpus, and what sort of paper it is from."""

    id: Text
    text: Text
    genre: str = ""


@dataclass(frozen=True, config=STRICT)
class Question:
    """One test question; `asset`, `field` and `part` say what it is about, for intervals and slicing."""

    id: Text
    set: Text
    prompt: Text
    answers: tuple[Text, ...] = ()  # the accepted ones, the first canonical; none where no document holds the answer
    documents: tuple[Text, ...] = ()  # the ids of those that hold the answer
    choices: tuple[Text, ...] = ()  # with answers[0] among them
    asset: str = ""
    field: str = ""
    part: str = ""
    wording: str = ""  # which wording or report template asks it
    bridge: tuple[Text, ...] = ()  # the ids of documents that name the machine on the way to the answer

    @property
    def answerable(self) -> bool:
        """Whether a document holds the answer; where none does, declining is right."""
        return self.set != "unanswerable" and (self.set, self.part) != ("twins", "unanswerable")

    @model_validator(mode="after")
    def _check_file(self, info: ValidationInfo) -> Question:
        """Rules for questions in files; code may make questions whose answers nobody knows."""
        if not info.context:
            return self
        if not self.answers and self.answerable:
            raise ValueError("answers: a question needs one at least, except in the set 'unanswerable'")
        different = len(set(self.choices)) == len(self.choices) > 1
        if self.choices and not (different and set(self.answers[:1]) & set(self.choices)):
            raise ValueError("choices: two or more different texts are needed, with the first answer among them")
        if self.set in TEXT_SETS and not (self.choices and self.prompt.count(BLANK) == 1):
            raise ValueError(f"prompt: one blank ({BLANK}) is needed in it, and choices that fill it")
        return self


@dataclass(frozen=True, config=STRICT)
class Passage:
    """One retrieved chunk; `score` is the retriever's own (higher is better)."""

    document_id: str
    node_id: str
    text: str
    score: float
    title: str = ""


@dataclass(frozen=True, config=STRICT)
class Answer:
    """What an Assistant replied, and everything needed to understand why.

    Times are seconds, those of the answer's batch (it has its own where `batch_size` is 1); None for choice questions.
    """

    question_id: str
    text: str
    prompt: str  # the exact text that the model read, chat template included
    passages: tuple[Passage, ...] = ()
    prompt_tokens: int = 0
    new_tokens: int = 0
    retrieval_s: float = 0.0
    first_token_s: float | None = None
    total_s: float | None = None
    batch_size: int = 1
    logprobs: tuple[float, ...] = ()  # a mean log-probability for each choice, in their order


@dataclass(config=STRICT)
class Effort:
    """What a step cost. Seconds, bytes, and plain counts; never blended into one score."""

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


@dataclass(frozen=True, config=STRICT)
class Score:
    """One scored answer: `value` in 0..1, and a word that says why (`right`, `names another value`, ...)."""

    question: Question
    answer: Answer
    value: float
    why: str


@dataclass(config=STRICT)
class Result:
    """One run: one arm on one question set with one seed."""

    arm: str
    question_set: str
    seed: int
    profile: str
    experiment: str  # the hash of what must agree between compared runs: data, questions, base model, prompts, profile
    status: str  # `complete` or `interrupted`
    scores: list[Score]
    metrics: dict[str, Any]
    effort: Effort
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    claims: str = ""  # the hash of the claims that were written down before the run, if there were any
    schema: int = 2
