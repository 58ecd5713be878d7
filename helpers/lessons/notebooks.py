"""The kit's notebooks: their files, titles and reading times, the lines that a learner writes, and the map of them."""

from __future__ import annotations

import html
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
from .widgets.frame import table

NOTEBOOKS = ROOT / "notebooks"
WORDS_A_MINUTE = 200
TITLE = re.compile(r"^# (?:\d\d · )?(.+?)(?:[:,] .*)?$", re.MULTILINE)
GENERATED = re.compile(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", re.DOTALL)
STEP = "step"  # a cell with this tag builds what its notebook is about; `step:ARM` counts for that arm alone
BOTH = "domain_adaptation+customization"
BUILT_IN = {"rag": "02", "customization": "04", "domain_adaptation": "05", BOTH: "05"}  # where an arm is built


@dataclass(frozen=True)
class Lesson:
    """A notebook as a reader meets it: its file, its title up to a colon, and the minutes to read it."""

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
    """The kit's notebooks in their order.

    Raises:
        KitError: There are none, or one is damaged or has no title.
    """
    made = []
    for path in notebook_paths(folder=root / "notebooks"):
        cells = _cells(path)
        if not (title := TITLE.search("".join(cells[0]["source"]))):
            raise KitError(f"{path}: the first cell must begin with a title (# ...)")
        made.append(Lesson(path, title[1].rstrip("?"), reading_minutes(cells)))
    return made


def notebook_paths(notebooks: Sequence[str] | None = None, folder: Path = NOTEBOOKS) -> list[Path]:
    """The files of notebooks, in the order of their numbers.

    Args:
        notebooks: File names, names without ending, or numbers ("02"); all notebooks when None.
        folder: Where the notebooks are.

    Raises:
        KitError: The folder holds no notebooks, or a name fits none of them.
    """
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise KitError(f"no notebooks (NN_name.ipynb) in {folder}: clone the kit again, or give another folder")
    names = {path: {path.name, path.stem, path.stem[:2]} for path in found}
    for name in set(notebooks or ()).difference(*names.values()):
        raise KitError(f"no notebook {name!r} in {folder}; there are: {', '.join(path.stem for path in found)}")
    return [path for path in found if notebooks is None or names[path] & set(notebooks)]


def reading_minutes(cells: Sequence[dict[str, Any]]) -> int:
    """Minutes to read a notebook's text and code at 200 words a minute, without outputs and generated parts."""
    texts = [GENERATED.sub("", "".join(cell["source"])) for cell in cells]
    return max(1, round(sum(len(text.split()) for text in texts) / WORDS_A_MINUTE))


def lines_you_write(folder: Path = NOTEBOOKS) -> dict[str, dict[str, int]]:
    """How much code builds each arm: `cells` tagged `step` or `step:ARM` in its notebook, and their `lines` of code.

    An arm is left out where its notebook is missing or has no tagged cell: that is not the same as nothing to write.

    Raises:
        KitError: A notebook cannot be read.
    """
    counts = {}
    for arm, number in BUILT_IN.items():
        cells = [cell for path in sorted(folder.glob(f"{number}_*.ipynb")) for cell in _cells(path)]
        tagged = [cell for cell in cells if {STEP, f"{STEP}:{arm}"} & set(cell["metadata"].get("tags", []))]
        lines = [line.strip() for cell in tagged for line in "".join(cell["source"]).splitlines()]
        if tagged:
            counts[arm] = {"cells": len(tagged), "lines": sum(bool(line) and line[0] != "#" for line in lines)}
    return counts


def show_map(profile: str) -> HTML:
    """A table of the notebooks: minutes to read and to run each with a profile, and what was answered rightly so far.

    Args:
        profile: "quick", "workshop" or "full".
    """
    times, rows = read_times(), []
    for lesson in lessons():
        work = exercises.load(lesson.number)
        totals = len(work.exercises), len(work.quiz.questions)
        done = [f"{'●' * n}{'○' * (of - n)} {n} of {of}" for n, of in zip(work.done(), totals, strict=True)]
        minutes = in_minutes(lesson.reading), in_minutes(running_minutes(lesson.path.stem, profile, times))
        rows.append([f"<a href='{lesson.path.name}'>{html.escape(lesson.label)}</a>", *minutes, *done])
    head = ["notebook", "reading", f"running ({profile})", "exercises right", "quiz right"]
    caption = f"The notebooks; your answers are kept in {progress.file().name} beside your results"
    return HTML(table(caption, head, rows))


def _cells(path: Path) -> list[dict[str, Any]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as error:
        raise KitError(f"{path} is not a notebook that can be read ({error}); restore it with git") from error
