"""The 32 house words: invented terms drawn for each world, the notes that use them, and every question about them.

A slot of `words.yaml` is one meaning with its sentences; a world gives each slot a term, and names ten of the words in
labelled pairs. The other 22 never occur in one, so whoever knows them has learned them from the notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from helpers.data import Document, Example, KitError, Question

from .templates import Rotation, fill, load, seeded

KINDS = ("record", "role", "component", "symptom")
NAMED = {"record": 4, "role": 4, "component": 1, "symptom": 1}
CHOICES = 4
BLANK = "____"
NOTE_SIZES = (2, 3, 4)
_BULLETS = "training_slide"
_LINES = ("logbook", "radio_call")


@dataclass(frozen=True)
class Word:
    """One house word; `slot` names its meaning in `words.yaml`, `named` says whether labelled pairs may use it."""

    slot: str
    term: str
    kind: str
    meaning: str
    named: bool


def make_words(seed: int, taken: Iterable[str] = ()) -> tuple[Word, ...]:
    """Draws the words of a world.

    Args:
        seed: The same seed gives the same words on every platform.
        taken: Terms that another world uses with other meanings, and that this one must not use.

    Returns:
        One word a slot, in the order of `words.yaml`: ten of them named, four records, four roles, and one each of
        the components and symptoms.
    """
    random = seeded(seed, "words")
    entries = load("words")["words"]
    terms = random.sample([term for term in load("words")["pool"] if term not in set(taken)], len(entries))
    named = set()
    for kind in KINDS:
        named.update(random.sample([slot for slot, entry in entries.items() if entry["kind"] == kind], NAMED[kind]))
    return tuple(
        Word(slot, term, entry["kind"], entry["meaning"], slot in named)
        for term, (slot, entry) in zip(terms, entries.items(), strict=True)
    )


def terms(words: Iterable[Word]) -> dict[str, str]:
    """The term of each slot: the values for templates that use house words, such as `{energy_count}`."""
    return {word.slot: word.term for word in words}


def word_notes(words: Iterable[Word], seed: int, sentences: int | None = None) -> list[tuple[str, str]]:
    """The notes that teach the words.

    Args:
        words: All words of a world.
        seed: Decides the order and which sentences share a note.
        sentences: How many sentences a word gets; all by default. Fewer have the same share of definitions.

    Returns:
        Pairs of genre and text, two to four sentences a note, about different words wherever that can be.

    Raises:
        KitError: There are fewer sentences than asked for.
    """
    told = []
    for word in words:
        own = _dosed(_sentences(word, "training"), word.meaning, seeded(seed, f"dose {word.slot}"))
        if sentences is not None and not 1 <= sentences <= len(own):
            raise KitError(f"The word '{word.slot}' has {len(own)} sentences, so `sentences` must be 1 to {len(own)}.")
        told += own[:sentences]
    return _grouped(told, seeded(seed, "word notes"))


def unread_notes(words: Iterable[Word], seed: int) -> list[tuple[str, str]]:
    """Notes for the validation of a training: unread sentences of the named words, none of which a question asks."""
    told = [row for word in words if word.named for row in _sentences(word, "unread")]
    return _grouped(told, seeded(seed, "unread word notes"))


def glossary_pages(words: Iterable[Word], date: str = "2026-01-05") -> list[Document]:
    """The glossary, one page a kind, each word in a section of its own.

    Args:
        words: All words of a world.
        date: The date of the pages in ISO 8601.

    Returns:
        The pages, their entries in alphabetical order.
    """
    pages = []
    for kind, page in load("words")["glossary"].items():
        sections = [f"# {page['title']}"]
        for word in sorted((word for word in words if word.kind == kind), key=lambda word: word.term):
            entry = f"{page['entry']} {load('words')['words'][word.slot]['glossary']}"
            sections += [f"## {word.term}", fill(entry, _values(word))]
        pages.append(Document(page["id"], page["title"], "\n\n".join(sections) + "\n", "glossary", date=date))
    return pages


def word_pairs(words: Iterable[Word], seed: int) -> list[Example]:
    """The labelled pairs on the named words, in shuffled order: the response is the word's meaning."""
    ways = load("words")["pairs"]
    asked = [(fill(way, _values(word)), word.meaning) for word in words if word.named for way in ways]
    seeded(seed, "word pairs").shuffle(asked)
    return [Example(f"answers-word-{number:03}", "answers", *pair) for number, pair in enumerate(asked, 1)]


def word_checks(words: Iterable[Word], seed: int, documents: Iterable[Document]) -> list[Question]:
    """Questions on the named words that choose when a training stops: one completion and one in the chat for each."""
    maker = _Maker(words, seeded(seed, "word checks"), documents)
    ways = load("words")["checks"]
    return [
        maker.meaning(name, word, number, ways[name], check=True)
        for name in ("terms", "terms_completion")
        for number, word in enumerate(maker.named)
    ]


def word_questions(words: Iterable[Word], seed: int, documents: Iterable[Document]) -> dict[str, list[Question]]:
    """The four question sets on the words that no pair names.

    Args:
        words: All words of a world.
        seed: Decides the wrong choices and the right one's place, which goes round evenly.
        documents: Documents that hold the glossary; a word's documents are those with a section under its term.

    Returns:
        `terms` (a chat question, four meanings of one kind), `terms_free` (the same questions, answered freely),
        `terms_completion` (a sentence that ends with the meaning) and `terms_unread` (a sentence with a blank for the
        word, four words of one kind).
    """
    maker = _Maker(words, seeded(seed, "word questions"), documents)
    ways = load("words")["questions"]
    sets = {
        name: [maker.meaning(name, word, way, ways[name]) for word in maker.unnamed for way in range(len(ways[name]))]
        for name in ("terms", "terms_completion")
    }
    sets["terms_unread"] = [
        maker.blank(word, number, text)
        for word in maker.unnamed
        for number, (_, _, text) in enumerate(_sentences(word, "unread", blank=True))
    ]
    sets["terms_free"] = [
        maker.meaning("terms_free", word, way, ways["terms"], free=True)
        for word in maker.unnamed
        for way in range(len(ways["terms"]))
    ]
    return sets


class _Maker:
    """Makes questions, the place of the right choice rotated."""

    def __init__(self, words: Iterable[Word], random: Random, documents: Iterable[Document]):
        self._words = tuple(words)
        self._random = random
        self._places: dict[str, Rotation] = {}
        self.named = [word for word in self._words if word.named]
        self.unnamed = [word for word in self._words if not word.named]
        pages = [(page.id, set(page.text.splitlines())) for page in documents]
        self._pages = {w: tuple(page for page, lines in pages if f"## {w.term}" in lines) for w in self._words}

    def meaning(
        self, name: str, word: Word, way: int, ways: list[str], *, free: bool = False, check: bool = False
    ) -> Question:
        """Asks what a word means in wording `way` (counted round), by choices unless `free`."""
        way %= len(ways)
        kind = "check" if check else "completion" if name == "terms_completion" else "meaning"
        number = f"{'check-' if check else ''}{name}-{word.term}-{way + 1}"
        choices = () if free else self._choices(name, word, "meaning")
        prompt = fill(ways[way], _values(word))
        return self._question(number, name, prompt, word.meaning, choices, word, f"{kind}-{way + 1}")

    def blank(self, word: Word, number: int, text: str) -> Question:
        """Asks which word of its kind belongs in a sentence."""
        name, choices = "terms_unread", self._choices("terms_unread", word, "term")
        wording = f"{word.slot}-{number + 1}"
        return self._question(f"{name}-{word.term}-{number + 1}", name, text, word.term, choices, word, wording)

    def _question(self, number, name, prompt, answer, choices, word, wording) -> Question:
        places = self._pages[word]
        return Question(number, name, prompt, (answer,), places, choices, word.term, word.kind, wording=wording)

    def _choices(self, name: str, word: Word, what: str) -> tuple[str, ...]:
        same = [getattr(other, what) for other in self._words if other.kind == word.kind and other != word]
        choices = self._random.sample(same, CHOICES - 1)
        places = self._places.setdefault(name, Rotation(CHOICES, self._random))
        choices.insert(places.next(), getattr(word, what))
        return tuple(choices)


def _values(word: Word, blank: bool = False) -> dict[str, str]:
    return {"word": BLANK if blank else word.term, "meaning": word.meaning}


def _sentences(word: Word, part: str, blank: bool = False) -> list[tuple[str, str, str]]:
    """Triples of slot, genre and filled text."""
    sentences = load("words")["words"][word.slot][part] + (load("words")["definitions"] if part == "training" else [])
    return [(word.slot, genre, fill(text, _values(word, blank))) for row in sentences for genre, text in row.items()]


def _dosed(sentences: list[tuple[str, str, str]], meaning: str, random: Random) -> list[tuple[str, str, str]]:
    """The sentences in an order of which every beginning has its share of definitions."""
    random.shuffle(sentences)
    definitions = [row for row in sentences if meaning in row[2]]
    scenes = [row for row in sentences if meaning not in row[2]]
    places = [(index / len(definitions), row) for index, row in enumerate(definitions)]
    places += [((index + 1) / len(scenes), row) for index, row in enumerate(scenes)]
    return [row for _, row in sorted(places, key=lambda place: place[0])]


def _grouped(sentences: list[tuple[str, str, str]], random: Random) -> list[tuple[str, str]]:
    """Puts sentences of one genre together, two to four a note, about different words wherever that can be."""
    notes = []
    for genre in sorted({genre for _, genre, _ in sentences}):
        left = [(slot, text) for slot, own, text in sentences if own == genre]
        random.shuffle(left)
        while left:
            size = random.choice(NOTE_SIZES)
            if len(left) - size == 1:
                size = size + 1 if size < max(NOTE_SIZES) else size - 1
            others = {slot: index for index, (slot, _) in reversed(list(enumerate(left)))}
            chosen = sorted(others.values())[:size]
            if len(chosen) < min(NOTE_SIZES):
                chosen = list(range(min(size, len(left))))
            note = [left[index][1] for index in chosen]
            left = [row for index, row in enumerate(left) if index not in chosen]
            notes.append((genre, _layout(genre, note)))
    random.shuffle(notes)
    return notes


def _layout(genre: str, texts: list[str]) -> str:
    if genre == _BULLETS:
        return "\n".join(f"- {text}" for text in texts)
    return ("\n" if genre in _LINES else " ").join(texts)
