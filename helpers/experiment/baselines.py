"""Triage without a language model: what scikit-learn makes of the same labelled reports."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ..data import Answer, Example, Question


class Baseline:
    """A classifier for each part of a record; it is asked as an `Assistant` is.

    A value such as "HP-4" has two parts, so that one is predicted that no example has as a whole.
    """

    def __init__(self, name: str, examples: Sequence[Example]) -> None:
        """Trains the baseline of this name on labelled reports, whose responses are records with the same fields."""
        records, texts = [json.loads(example.response) for example in examples], [each.prompt for each in examples]
        self.fields: dict[str, list[Any]] = {}
        for field in records[0]:
            parts = [str(record[field]).split("-") for record in records]
            if len(set(map(len, parts))) > 1:
                parts = [["-".join(each)] for each in parts]
            self.fields[field] = []
            for labels in zip(*parts, strict=True):
                make = BASELINES[name] if len(set(labels)) > 1 else DummyClassifier
                self.fields[field].append(make().fit(texts, labels))

    def ask_all(self, questions: Sequence[Question], batch_size: int = 0, **_: Any) -> list[Answer]:
        """One record a question, in their order."""
        texts = [question.prompt for question in questions]
        values = {
            name: list(map("-".join, zip(*(each.predict(texts).tolist() for each in parts), strict=True)))
            for name, parts in self.fields.items()
        }
        records = [{name: column[i] for name, column in values.items()} for i in range(len(texts))]
        return [Answer(q.id, json.dumps(r), q.prompt) for q, r in zip(questions, records, strict=True)]


BASELINES: dict[str, Callable[[], ClassifierMixin]] = {
    "constant": DummyClassifier,  # the most common label
    "bag_of_words": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1_000)),
}
