"""The notes on machines, for continued pretraining: every fact of the documents again, in other words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from helpers.data import KitError

from .templates import fill, load, seeded, slots
from .world import FIELDS, World

RESTATEMENTS = 8
MOST = 11


@dataclass(frozen=True)
class Note:
    """One unit of the corpus."""

    id: str
    genre: str
    text: str


def training_notes(world: World, restatements: int = RESTATEMENTS) -> list[tuple[str, str]]:
    """The training part: each fact of each machine `restatements` times or a little more, never twice in one wording.

    Args:
        world: The table of facts.
        restatements: In how many notes each fact is stated, 1 to `MOST`.

    Returns:
        Pairs of genre and text, with two or three facts of one machine in each.

    Raises:
        KitError: The number of restatements is out of bounds.
    """
    if not 1 <= restatements <= MOST:
        raise KitError(f"Restatements can be 1 to {MOST}, not {restatements}: choose --restatements in that range.")
    return _notes(world, load("notes")["training"], restatements, seeded(world.seed, "notes"))


def validation_notes(world: World) -> list[tuple[str, str]]:
    """The validation part: each fact of each machine once, in templates kept for it."""
    return _notes(world, load("notes")["validation"], 1, seeded(world.seed, "validation notes"))


def _notes(world: World, genres: dict[str, list[str]], wanted: int, random: Random) -> list[tuple[str, str]]:
    templates = [(genre, text) for genre, texts in genres.items() for text in texts]
    used = Counter()
    notes = []
    for asset in world.assets:
        chosen = _choose(templates, wanted, used, random)
        used.update(chosen)
        notes += [(templates[i][0], fill(templates[i][1], world.values(asset))) for i in chosen]
    return notes


def _choose(templates: list[tuple[str, str]], wanted: int, used: Counter, random: Random) -> list[int]:
    """Templates for one machine: those with most facts still wanting come first, then those with fewest too many."""
    told = [[field for field in slots(text) if field in FIELDS] for _, text in templates]
    stated = Counter()
    left = set(range(len(templates)))
    rank = {i: random.random() for i in left}
    chosen = []
    while any(stated[field] < wanted for field in FIELDS):
        over = {field: stated[field] - wanted for field in FIELDS}
        best = min(left, key=lambda i: (sum(1 + over[f] if over[f] >= 0 else -1 for f in told[i]), used[i], rank[i]))
        left.discard(best)
        chosen.append(best)
        stated.update(told[best])
    return chosen
