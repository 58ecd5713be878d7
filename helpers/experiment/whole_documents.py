"""What comes before every question without a search: the rules of a task, or as many documents as can be read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from statistics import fmean

from ..data import Dataset, Document, Passage, Question, apply_updates, read_documents
from ..models import FoundationModel
from .arms import RULES, Arm

ROOM = 512  # tokens of the model's context that are left for the chat template, the question and the answer


class SameText:
    """Takes a retriever's place, and gives every question the same text of these documents."""

    def __init__(self, documents: Sequence[Document], kind: str) -> None:
        self.document_ids = [document.id for document in documents]
        text = "\n\n".join(document.text for document in documents)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.passages = [Passage(kind, f"{kind}-{digest}", text, 1.0, f"{len(documents)} documents")]

    def retrieve_all(self, questions: Sequence[str]) -> list[list[Passage]]:
        """The text, for each question."""
        return [self.passages for _ in questions]

    def gold_share(self, questions: Sequence[Question]) -> float:
        """The share of the questions that name their documents of which one is in the text, in 0..1."""
        named = [question.documents for question in questions if question.documents]
        return fmean(not set(self.document_ids).isdisjoint(each) for each in named) if named else 0.0


def same_text(arm: Arm, dataset: Dataset, fm: FoundationModel, updated: bool = False) -> SameText | None:
    """What an arm shows every question: the rules, or the documents that fit; None where it shows neither."""
    if arm.shows("rules"):
        documents = read_documents(dataset.documents_folder)
        return SameText([each for each in documents if Path(each.source).name == Path(RULES).name], "rules")
    return fitting_documents(dataset, fm, updated=updated) if arm.shows("documents") else None


def fitting_documents(
    dataset: Dataset, fm: FoundationModel, most: int | None = None, updated: bool = False
) -> SameText:
    """The text of the documents that the model's context has room for, at most `most`, in one fixed order.

    The order is that of the hashes of their ids, so that each kind of document has its share; a smaller number of
    documents is the beginning of a larger one.
    """
    documents = read_documents(dataset.documents_folder)
    documents = apply_updates(documents, dataset.folder / "updates") if updated else documents
    ordered = sorted(documents, key=lambda document: hashlib.sha256(document.id.encode()).digest())[:most]
    lengths = accumulate(fm.count_tokens(f"{document.text}\n\n") for document in ordered)
    fitting = takewhile(lambda each: each[1] <= fm.context_length - ROOM, zip(ordered, lengths, strict=False))
    return SameText([document for document, _ in fitting], "documents")
