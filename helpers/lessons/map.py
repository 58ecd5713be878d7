"""The map of notebook 00: every notebook with its minutes, and what was answered rightly so far."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.display import HTML

from ..data import ROOT, KitError
from . import exercises, progress
from .times import in_minutes, read_times, running_minutes

WORDS_A_MINUTE = 200


TITLE = re.compile(r"^# (?:\d\d · )?(.+?)(?:[:,] .*)?$", re.MULTILINE)


COMPARISON = "06"


@dataclass(frozen=True)
class Lesson:
    """A notebook as a reader meets it: its number, its title up to a colon, and the minutes to read it."""

    path: Path
    title: str
    reading: int

    @property
    def number(self) -> str:
        """The two digits in front of its name."""
        return self.path.stem[:2]

    @property
    def label(self) -> str:
        """What a link to it shows."""
        return f"{self.number} · {self.title}"


def lessons(root: Path = ROOT) -> list[Lesson]:
    """The kit's notebooks in their order."""
    return [_lesson(path) for path in notebook_paths(folder=root / "notebooks")]


def reading_minutes(cells: list[dict[str, Any]]) -> int:
    """Minutes to read a notebook's text and code at 200 words a minute, without outputs and generated parts."""
    texts = [
        re.sub(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", "", "".join(cell["source"]), flags=re.S) for cell in cells
    ]
    return max(1, round(sum(len(text.split()) for text in texts) / WORDS_A_MINUTE))


def show_map(profile: str) -> HTML:
    """The map of notebook 00: each notebook with its minutes in a profile, and what was answered rightly so far."""
    times, solvable = read_times(), exercises.lessons()
    rows = []
    for lesson in lessons():
        done = ["", ""]
        if lesson.number in solvable:
            work = exercises.load(lesson.number)
            totals = (len(work.exercises), len(work.quiz.questions))
            done = [
                f"{'●' * n}{'○' * (of - n)} {n} of {of}" * (of > 0) for n, of in zip(work.done(), totals, strict=True)
            ]
        minutes = in_minutes(running_minutes(lesson.path.stem, profile, times))
        cells = "".join(f"<td>{text}</td>" for text in (f"{lesson.reading} minutes", minutes, *done))
        rows.append(f"<tr><th scope='row'><a href='{lesson.path.name}'>{lesson.label}</a></th>{cells}</tr>")
    names = ("notebook", "reading", f"running ({profile})", "exercises right", "quiz right")
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    whole = to_the_comparison(lessons(), profile, times)
    caption = f"Your way; what you have answered is kept in {progress.file().name} beside your results"
    return HTML(
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>{whole}</p>"
    )


def to_the_comparison(found: list[Lesson], profile: str, times: dict[str, Any]) -> str:
    """How long the way to the comparison takes, in a sentence; empty where a run of it was not measured."""
    along = [each for each in found if each.number <= COMPARISON]
    *before, last = (running_minutes(each.path.stem, profile, times) for each in along)
    if None in (*before, last):
        return ""
    return (
        f"From 00 to {COMPARISON} with the {profile} profile: {in_minutes(sum(each.reading for each in along))} of "
        f"reading and {in_minutes(sum(before))} of running, where {COMPARISON} opens on the results that came with the "
        "kit: with OWN = False in its first cell, or before you have run anything; otherwise it measures what is "
        f"missing, {in_minutes(last)} more in the recorded run."
    )


def _lesson(path: Path) -> Lesson:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title = TITLE.search("".join(cells[0]["source"]))
    if title is None:
        raise KitError(f"{path}: the first cell must begin with a title (# ...)")
    return Lesson(path, title[1].rstrip("?"), reading_minutes(cells))


NOTEBOOKS = ROOT / "notebooks"


def notebook_paths(notebooks: Sequence[str] | None = None, folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks to run, in the order of their numbers.

    Args:
        notebooks: file names, names without ending, or numbers ("02"); all notebooks when None.
        folder: where the notebooks lie.

    Raises:
        KitError: the folder holds no notebooks, or a name fits none of them.
    """
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise KitError(f"no notebooks (NN_name.ipynb) in {folder}: clone the kit again, or give another folder")
    if notebooks is None:
        return found
    chosen = set()
    for name in notebooks:
        fits = [path for path in found if name in (path.name, path.stem, path.stem[:2])]
        if not fits:
            raise KitError(f"no notebook {name!r} in {folder}; those there are: {', '.join(p.stem for p in found)}")
        chosen.update(fits)
    return sorted(chosen)
