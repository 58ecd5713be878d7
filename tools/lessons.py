"""The notebooks as lessons: their titles, and how long they take to read and to run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.data import ROOT, KitError

NOTEBOOKS = ROOT / "notebooks"
WORDS_A_MINUTE = 200
EXERCISE = "exercise"  # the tag of an exercise's cells, and of the quiz
TITLE = re.compile(r"^# (?:(?:\d\d|[A-Z]) · )?(.+?)(?:[:,] .*)?$", re.MULTILINE)
GENERATED = re.compile(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """A notebook as a reader meets it: its file, its title up to a colon, and the minutes to read it."""

    path: Path
    title: str
    reading: int

    @property
    def number(self) -> str:
        """What its name begins with: two digits, or the letter of an appendix."""
        return number(self.path)

    @property
    def label(self) -> str:
        """What a link to it shows."""
        return f"{self.number.upper()} · {self.title}"


def number(path: Path) -> str:
    """What a notebook's name begins with: "01", or "b" for an appendix."""
    return path.stem.partition("_")[0]


def lessons(root: Path = ROOT) -> list[Lesson]:
    """The kit's notebooks in their order, then the appendices.

    Raises:
        KitError: There are none, or one is damaged or has no title.
    """
    made = []
    for path in notebook_paths(root / "notebooks"):
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError) as error:
            raise KitError(f"{path} is not a notebook that can be read ({error}); restore it with git") from error
        if not (title := TITLE.search("".join(cells[0]["source"]))):
            raise KitError(f"{path}: the first cell must begin with a title (# ...)")
        made.append(Lesson(path, title[1].rstrip("?"), reading_minutes(cells)))
    return made


def notebook_paths(folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks of a folder (NN_name.ipynb) in their order, then its appendices; KitError where there are none."""
    if found := sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        return found + sorted((folder / "appendix").glob("[a-z]_*.ipynb"))
    raise KitError(f"no notebooks (NN_name.ipynb) in {folder}: clone the kit again, or give another folder")


def reading_minutes(cells: Sequence[dict[str, Any]]) -> int:
    """Minutes to read a notebook's text and code at 200 words a minute; outputs and exercises are not counted."""
    read = [cell for cell in cells if EXERCISE not in cell["metadata"].get("tags", [])]
    return max(1, round(sum(map(word_count, read)) / WORDS_A_MINUTE))


def word_count(cell: dict[str, Any]) -> int:
    """The words of a cell, without the parts that are generated."""
    return len(GENERATED.sub("", "".join(cell["source"])).split())


def running_minutes(notebook: str, profile: str, times: dict[str, Any]) -> float | None:
    """Minutes that a notebook's recorded run took; None where nobody has measured it."""
    record = times.get(profile, {}).get(notebook)
    return record["seconds"] / 60 if record else None


def in_minutes(minutes: float | None) -> str:
    """Minutes in words, rounded; None was not measured."""
    if minutes is None:
        return "not measured yet"
    whole = "1 minute" if round(minutes) == 1 else f"{round(minutes)} minutes"
    return whole if minutes >= 1 else "under a minute"
