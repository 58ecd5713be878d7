"""The kit's notebooks: their titles, how long they take to read and to run, and the map of them."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.display import HTML

from ..data import ROOT, KitError
from ..experiment import versions
from ..models import describe, hardware, speed
from . import exercises
from .widgets.frame import table

NOTEBOOKS = ROOT / "notebooks"
TIMES = ROOT / "results" / "reference" / "times.json"
LIKE = 0.8  # machines whose speeds differ by less take about the same time
WORDS_A_MINUTE = 200
TITLE = re.compile(r"^# (?:\d\d · )?(.+?)(?:[:,] .*)?$", re.MULTILINE)
GENERATED = re.compile(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", re.DOTALL)


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
    """The files of the notebooks (NN_name.ipynb) in a folder, in their order; KitError where there are none."""
    if found := sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        return found
    raise KitError(f"no notebooks (NN_name.ipynb) in {folder}: clone the kit again, or give another folder")


def reading_minutes(cells: Sequence[dict[str, Any]]) -> int:
    """Minutes to read a notebook's text and code at 200 words a minute, without outputs and generated parts."""
    texts = [GENERATED.sub("", "".join(cell["source"])) for cell in cells]
    return max(1, round(sum(len(text.split()) for text in texts) / WORDS_A_MINUTE))


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
    return HTML(table("The notebooks; your answers are kept in progress.json beside your results", head, rows))


def header(notebook: str, profile: str) -> str:
    """What a notebook prints first: versions, machine, and how long it takes; see `expected_seconds`."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python}, {packages}\n{describe(hardware())}\n{expected_seconds(notebook, profile)}"


def expected_seconds(notebook: str, profile: str, path: Path = TIMES) -> str:
    """How long a notebook takes, in words, from a recorded run; or that nobody has measured it.

    Args:
        notebook: Its name without ending, or its number ("02").
        profile: The profile it will run with.
        path: The record; see `read_times`.

    Raises:
        KitError: The record is there and cannot be read.
    """
    by_number = {name[:2]: record for name, record in read_times(path).get(profile, {}).items()}
    if (record := by_number.get(notebook[:2])) is None:
        return f"Not measured yet with the {profile} profile on this machine."
    text, there, here = recorded_time(record, profile), speed(record["hardware"]), speed(hardware())
    faster = here / there if here and there else 1.0
    if faster <= LIKE:
        return f"{text} A matrix product takes {1 / faster:.1f} times as long here: expect that much more."
    return text if faster < 1 / LIKE else f"{text} A matrix product is {faster:.1f} times as fast here: expect less."


def recorded_time(record: dict[str, Any], profile: str) -> str:
    """A recorded time and its machine, as a notebook announces them."""
    seconds, machine = record["seconds"], record["hardware"]
    length = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"About {length} with the {profile} profile (measured on {machine['processor']}, {machine['cores']} cores)."


def read_times(path: Path = TIMES) -> dict[str, Any]:
    """The record of runs: profile, then notebook, then its `seconds`, `hardware` and day; empty where there is none.

    Raises:
        KitError: It is there and cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise KitError(f"{path} cannot be read as JSON ({error}); restore it with git, or delete it") from error


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
