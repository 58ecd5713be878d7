"""The unlabelled domain text: notes that restate every fact in other words, and sentences that use the house terms."""

from __future__ import annotations

from dataclasses import dataclass

from helpers.data import KitError

from .templates import Rotation, fill, load, seeded
from .world import World

TERM_GENRE = "word_list"
RESTATEMENTS = 7
SENTENCES_A_TERM = 3
SENTENCES_A_NOTE = 4


@dataclass(frozen=True)
class Note:
    """One unit of the corpus."""

    id: str
    genre: str
    text: str


def note_templates() -> list[tuple[str, str]]:
    """Every whole-note template of the training part with its genre."""
    return [(genre, text) for genre, texts in load("corpus")["genres"].items() for text in texts]


def training_notes(world: World, restatements: int) -> list[Note]:
    """The training part: each asset's eight facts told `restatements` times, each time by another template.

    Args:
        world: The table of facts.
        restatements: Notes an asset, at most the number of templates; genres repeat only after all have had a turn.

    Returns:
        The notes, shuffled across assets.

    Raises:
        KitError: There are fewer templates than restatements asked for.
    """
    templates = note_templates()
    if not 1 <= restatements <= len(templates):
        raise KitError(f"Restatements can be 1 to {len(templates)} (one a template), not {restatements}.")
    random = seeded(world.seed, "corpus")
    rotation = Rotation(len(templates), random)
    notes = []
    for asset in world.assets:
        used: list[int] = []
        for _ in range(restatements):
            told = [templates[i][0] for i in used]
            fewest = min(told.count(genre) for genre, _ in templates)
            barred = [i for i, (genre, _) in enumerate(templates) if i in used or told.count(genre) > fewest]
            used.append(rotation.next(avoid=barred if len(barred) < len(templates) else used))
        notes += [(templates[i][0], fill(templates[i][1], world.values(asset))) for i in used]
    notes += _term_notes(world, min(SENTENCES_A_TERM, restatements))
    random.shuffle(notes)
    return [Note(f"note-{number:05}", genre, text) for number, (genre, text) in enumerate(notes, 1)]


def validation_notes(world: World) -> list[Note]:
    """The validation part: one note an asset, by templates kept for it, and one more sentence a term.

    Args:
        world: The table of facts.

    Returns:
        The notes, shuffled across assets.
    """
    templates = load("corpus")
    random = seeded(world.seed, "corpus validation")
    rotation = Rotation(len(templates["validation"]), random)
    notes = [
        ("validation", fill(templates["validation"][rotation.next()], world.values(asset))) for asset in world.assets
    ]
    sentences = list(templates["term_validation"].values())
    random.shuffle(sentences)
    notes += [(TERM_GENRE, text) for text in _grouped(sentences)]
    random.shuffle(notes)
    return [Note(f"validation-{number:05}", genre, text) for number, (genre, text) in enumerate(notes, 1)]


def _term_notes(world: World, each: int) -> list[tuple[str, str]]:
    """`each` sentences a term, so grouped that the sentences of one note are about different terms."""
    random = seeded(world.seed, "terms")
    terms = load("corpus")["terms"]
    sentences = []
    for turn in range(each):
        order = sorted(terms)
        random.shuffle(order)
        sentences += [terms[term][turn].strip() for term in order]
    return [(TERM_GENRE, text) for text in _grouped(sentences)]


def _grouped(sentences: list[str]) -> list[str]:
    starts = range(0, len(sentences), SENTENCES_A_NOTE)
    return [" ".join(text.strip() for text in sentences[i : i + SENTENCES_A_NOTE]) for i in starts]
