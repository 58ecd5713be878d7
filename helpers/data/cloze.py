"""Cloze questions for documents that came without questions: a gap in a sentence, or the heading above it.

They are weak evidence. They ask for words that happen to stand in a text, in the words of that text, so retrieval has
an easy time, and nobody may ever want to know the answer. They show that the machinery works, and little more.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from .records import Document, Question
from .text import sentences

CLOZE_PART = "cloze"  # the part of a question set by which such questions are known
ABOUT = 100  # about how many questions of each kind are made, of at most so many documents
WORDS = (8, 35)  # how long a sentence may be
WORD = re.compile(r"[^\W\d_][\w'-]{4,}|\d[\d.,]*\d|\d+")
HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
PLAIN = re.compile(r"[\w\s.,;:()'%°/-]+[.!?]")


def cloze_questions(documents: Sequence[Document]) -> list[Question]:
    """Makes questions out of documents; the same documents give the same questions.

    The gap is the rarest word or number of its sentence, by the number of documents that hold it; of each document
    those sentences are taken whose gap is rarest. Of more than `ABOUT` documents only so many are asked about, spread
    over the list by the hashes of their ids.

    Args:
        documents: Any documents; short ones and those without whole sentences give no question.

    Returns:
        Questions of the part `CLOZE_PART`, in the order of the documents, with the document as their gold.
    """
    rarity = Counter(word for document in documents for word in {w.lower() for w in WORD.findall(document.text)})
    each = max(1, round(ABOUT / max(1, len(documents))))
    made: dict[int, list[Question]] = {}
    for number, document in sorted(enumerate(documents), key=lambda one: hashlib.sha256(one[1].id.encode()).digest()):
        if len(made) == ABOUT:
            break
        told = list(_sentences(document))
        gaps = [
            (rarity[word.lower()], place, word, text) for place, (_, text) in enumerate(told) for word in _gaps(text)
        ]
        rarest: dict[str, tuple[str, str]] = {}
        for _, _, word, text in sorted(gaps, key=lambda gap: (gap[0], -len(gap[2]), gap[1])):
            rarest.setdefault(text, (word, _with_gap(text, word)))
        asked = [
            (f'Which word or number is missing in this sentence of "{document.title}"? {gapped}', word)
            for word, gapped in list(rarest.values())[:each]
        ]
        first_under = {heading: text for heading, text in reversed(told) if heading not in ("", document.title)}
        if len(first_under) > 1:
            asked += [
                (f'Under which heading of "{document.title}" does this stand? {text}', heading)
                for heading, text in list(reversed(first_under.items()))[:each]
            ]
        if asked:
            made[number] = [
                Question(f"cloze-{number + 1}-{n}", "facts_heldout", prompt, (answer,), (document.id,), part=CLOZE_PART)
                for n, (prompt, answer) in enumerate(asked, 1)
            ]
    return [question for _, questions in sorted(made.items()) for question in questions]


def _sentences(document: Document) -> Iterator[tuple[str, str]]:
    """The whole, plain sentences of a document, each with the heading that it stands under."""
    heading, lines = "", []
    for line in [*document.text.splitlines(), "#"]:
        found = HEADING.match(line.strip())
        if line.strip() and not found and line != "#":
            lines.append(line.strip())
            continue
        for sentence in sentences(" ".join(lines)):
            if WORDS[0] <= len(sentence.split()) <= WORDS[1] and PLAIN.fullmatch(sentence) and sentence[0].isupper():
                yield heading, sentence
        lines, heading = [], found[1] if found else heading


def _gaps(sentence: str) -> list[str]:
    """The words and numbers that stand once in a sentence, its first word left out."""
    words = WORD.findall(sentence)
    return [word for word in words[1:] if len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", sentence)) == 1]


def _with_gap(sentence: str, word: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "____", sentence)
