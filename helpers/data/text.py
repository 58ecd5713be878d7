"""Words of a text: its sentences, its normal form, whether it holds a value, and cloze questions. No model is asked."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from .records import Document, Question

ARTICLES = re.compile(r"\b(a|an|the)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
SHORT = 5  # words; a shorter sentence stays with the one before it

CLOZE_PART = "cloze"  # the part of a question set by which such questions are known
ABOUT = 100  # about how many questions of each kind are made, of at most so many documents
WORDS = range(8, 36)  # how long a sentence with a gap may be
WORD = re.compile(r"[^\W\d_][\w'-]{4,}|\d[\d.,]*\d|\d+")
HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
PLAIN = re.compile(r"[\w\s.,;:()'%°/-]+[.!?]")


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation (of any script), no articles, single spaces."""
    text = text.lower()
    marks = {mark for mark in set(text) if mark in string.punctuation or unicodedata.category(mark).startswith("P")}
    return " ".join(ARTICLES.sub(" ", text.translate({ord(mark): None for mark in marks})).split())


def contains(text: str, values: Sequence[str]) -> str | None:
    """The first of the values that is in the text as whole words (in normal form), or None."""
    padded = f" {normalise(text)} "
    return next((value for value in values if (normal := normalise(value)) and f" {normal} " in padded), None)


def sentences(text: str) -> list[str]:
    """The sentences of a text; one of fewer than `SHORT` words stays with the sentence before it."""
    found: list[str] = []
    for piece in filter(None, SENTENCE_END.split(text.strip())):
        if found and len(piece.split()) < SHORT:
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


def cloze_questions(documents: Sequence[Document]) -> list[Question]:
    """Makes questions out of documents that came without: a gap in a sentence, or the heading above it.

    They are weak evidence: they ask for words that happen to be in a text, in the words of that text, so retrieval is
    easy, and nobody may ever want to know the answer. The gap is the word of its sentence that fewest documents hold.
    Of more than `ABOUT` documents only so many are asked about, spread over the list by the hashes of their ids.
    """
    rarity = Counter(word for document in documents for word in {w.lower() for w in WORD.findall(document.text)})
    each = max(1, round(ABOUT / max(1, len(documents))))
    made: dict[int, list[Question]] = {}
    for number, document in sorted(enumerate(documents), key=lambda one: hashlib.sha256(one[1].id.encode()).digest()):
        if asked := [*_gaps(document, rarity, each), *_headings(document, each)]:
            made[number] = [
                Question(f"cloze-{number + 1}-{n}", "facts_heldout", prompt, (answer,), (document.id,), part=CLOZE_PART)
                for n, (prompt, answer) in enumerate(asked, 1)
            ]
        if len(made) == ABOUT:
            break
    return [question for _, questions in sorted(made.items()) for question in questions]


def _gaps(document: Document, rarity: Counter[str], count: int) -> list[tuple[str, str]]:
    """Sentences without a word that occurs in them once and not first, the rarest words first; each sentence once."""
    gaps = []
    for _, sentence in _sentences(document):
        for word in WORD.findall(sentence)[1:]:
            gapped, times = re.subn(rf"(?<!\w){re.escape(word)}(?!\w)", "____", sentence)
            if times == 1:
                question = f'Which word or number is missing in this sentence of "{document.title}"? {gapped}'
                gaps.append((rarity[word.lower()], -len(word), sentence, question, word))
    best: dict[str, tuple[str, str]] = {}
    for _, _, sentence, question, word in sorted(gaps, key=lambda gap: gap[:2]):
        best.setdefault(sentence, (question, word))
    return list(best.values())[:count]


def _headings(document: Document, count: int) -> list[tuple[str, str]]:
    """The first sentence under each heading, where a document has several."""
    first: dict[str, str] = {}
    for heading, sentence in _sentences(document):
        if heading not in ("", document.title):
            first.setdefault(heading, sentence)
    asked = [(f'Under which heading of "{document.title}" is this? {text}', name) for name, text in first.items()]
    return asked[:count] if len(asked) > 1 else []


def _sentences(document: Document) -> Iterator[tuple[str, str]]:
    """The whole, plain sentences of a document, each with the heading above it."""
    heading, lines = "", []
    for line in [*map(str.strip, document.text.splitlines()), ""]:
        found = HEADING.match(line)
        if line and not found:
            lines.append(line)
            continue
        for sentence in sentences(" ".join(lines)):
            if len(sentence.split()) in WORDS and PLAIN.fullmatch(sentence) and sentence[0].isupper():
                yield heading, sentence
        lines, heading = [], found[1] if found else heading
