"""Words of a text: its sentences, and SQuAD's normal form."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache

ARTICLES = re.compile(r"\b(a|an|the)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
SHORT = 5  # words; a shorter sentence stays with the one before it


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation (of any script), no articles, single spaces."""
    text = text.lower()
    marks = {mark for mark in set(text) if mark in string.punctuation or unicodedata.category(mark).startswith("P")}
    return " ".join(ARTICLES.sub(" ", text.translate({ord(mark): None for mark in marks})).split())


def sentences(text: str) -> list[str]:
    """The sentences of a text; one of fewer than `SHORT` words stays with the sentence before it."""
    found: list[str] = []
    for piece in filter(None, SENTENCE_END.split(text.strip())):
        if found and len(piece.split()) < SHORT:
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found
