"""The hand-written templates: reading them, filling their slots, and the rule that no wording is used twice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from helpers.data import KitError

SLOT = re.compile(r"\{(\w+)\}")
MASK = "\u25a1"
_OPENING = re.compile(r"(?:^|[.!?][\"'\u201d\u2019)]?\s+|\n\n)(?:[-*>] |\d+\. )?[\"'\u201c\u2018(]?$")
_WORD = re.compile(rf"[{MASK}]|[^\W_]+(?:['\u2019-][^\W_]+)*")


@cache
def load(name: str) -> Any:
    """Reads one template file of the package.

    Args:
        name: The file's name without its ending, such as `documents`.

    Returns:
        What the YAML holds; shared between callers, so it must not be changed.

    Raises:
        KitError: The file is missing or is not valid YAML.
    """
    file = Path(__file__).parent / "templates" / f"{name}.yaml"
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KitError(f"The template file {file} is missing. Check it out again from the repository.") from None
    except yaml.YAMLError as error:
        raise KitError(
            f"The template file {file} is not valid YAML: {error}. Correct it where the message says."
        ) from None


def seeded(seed: int, purpose: str) -> Random:
    """A random generator of its own for each purpose, so that a change to one leaves the others as they were.

    Args:
        seed: The world's seed.
        purpose: Any name.

    Returns:
        A generator that gives the same numbers on every platform.
    """
    return Random(int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:8], "big"))


def slots(text: str) -> list[str]:
    """The names of the slots in a template, in order of appearance."""
    return SLOT.findall(text)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replaces each `{slot}` by its value, with a capital letter where a sentence begins.

    Args:
        text: A template.
        values: Slot names and what stands for them.

    Returns:
        The filled text, without white space at its ends.

    Raises:
        KitError: The template uses a slot that has no value.
    """
    missing = [slot for slot in slots(text) if slot not in values]
    if missing:
        raise KitError(f"A template uses the unknown slot {{{missing[0]}}}: {text[:60]!r}. Known: {', '.join(values)}.")

    def value(match: re.Match) -> str:
        word = values[match[1]]
        return word[:1].upper() + word[1:] if _OPENING.search(text[: match.start()]) else word

    return SLOT.sub(value, text).strip()


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a template file, each with the way to it (such as `manual/3/body`)."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, branch in tree.items():
            yield from leaves(branch, f"{path}/{key}" if path else str(key))
    elif isinstance(tree, list):
        for number, branch in enumerate(tree):
            yield from leaves(branch, f"{path}/{number}")


def words(text: str) -> list[str]:
    """The words of a text in lower case without punctuation; each slot counts as the same one word."""
    return _WORD.findall(SLOT.sub(MASK, text).lower())


def repeated_runs(texts: Iterable[tuple[str, str]], length: int = 6) -> list[tuple[str, str, str]]:
    """Finds wordings that are used twice.

    Args:
        texts: Pairs of a place and its text, slots still in it.
        length: How many words in a row make a repetition.

    Returns:
        Triples of the run of words, the place where it was first, and the place where it is again.
    """
    first: dict[tuple[str, ...], str] = {}
    repeated = []
    for place, text in texts:
        row = words(text)
        for start in range(len(row) - length + 1):
            run = tuple(row[start : start + length])
            if run in first:
                repeated.append((" ".join(run), first[run], place))
            else:
                first[run] = place
    return repeated


class Rotation:
    """Hands out the numbers 0 to `size` - 1, each as often as the others, in a new shuffled order each time round."""

    def __init__(self, size: int, random: Random):
        self._random = random
        self._used = dict.fromkeys(range(size), 0)
        self._rank = {number: random.random() for number in self._used}

    def next(self, avoid: Iterable[int] = ()) -> int:
        """The least used number, one of `avoid` only if no other is left."""
        banned = set(avoid)
        choice = min(self._used, key=lambda number: (number in banned, self._used[number], self._rank[number]))
        self._used[choice] += 1
        self._rank[choice] = self._random.random()
        return choice
