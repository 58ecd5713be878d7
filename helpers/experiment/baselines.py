"""Triage without a language model: what scikit-learn makes of the same labelled reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ..data import Answer, Effort, Example, Question
from ..models import measure


class Baseline:
    """A classifier for each part of a record; it is asked as an `Assistant` is.

    A value such as "HP-4" has two parts, so that one is predicted that no example has as a whole.
    """

    def __init__(self, make: Callable[[], ClassifierMixin], examples: Sequence[Example]) -> None:
        """Trains on labelled reports, whose responses are records with the same fields, in JSON."""
        records, texts = [json.loads(example.response) for example in examples], [each.prompt for each in examples]
        self.fields: dict[str, list[Any]] = {}
        for name in records[0]:
            parts = [str(record[name]).split("-") for record in records]
            columns = (
                zip(*parts, strict=True) if len(set(map(len, parts))) == 1 else [["-".join(each) for each in parts]]
            )
            kinds = [(labels, make() if len(set(labels)) > 1 else DummyClassifier()) for labels in columns]
            self.fields[name] = [classifier.fit(texts, labels) for labels, classifier in kinds]

    def ask_all(self, questions: Sequence[Question], batch_size: int = 0, **_: Any) -> list[Answer]:
        """One record a question, in their order."""
        begun, texts = time.perf_counter(), [question.prompt for question in questions]
        values = {
            name: list(map("-".join, zip(*(each.predict(texts).tolist() for each in parts), strict=True)))
            for name, parts in self.fields.items()
        }
        taken = {"total_s": time.perf_counter() - begun, "batch_size": len(questions)}
        records = [{name: column[i] for name, column in values.items()} for i in range(len(texts))]
        return [Answer(q.id, json.dumps(r), q.prompt, **taken) for q, r in zip(questions, records, strict=True)]


BASELINES: dict[str, Callable[[], ClassifierMixin]] = {
    "constant": DummyClassifier,  # the most common label
    "bag_of_words": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1_000)),
}


def fit(name: str, examples: Sequence[Example]) -> tuple[Baseline, Effort]:
    """The baseline of this name, and what making it took."""
    with measure() as effort:
        made = Baseline(BASELINES[name], examples)
    effort.labelled_examples = len(examples)
    return made, effort
