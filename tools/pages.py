"""What stands in pages but is not written by hand: results, times, plans, ways between notebooks, badges.

    python -m helpers pages            # brings them up to date
    python -m helpers pages --check    # only looks; exit status 1 when something is out of date

Such a part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, in Markdown files and in the first and last
cell of each notebook; the time that it printed follows. Reading is counted from words, running comes from times.json.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from helpers.analysis import comparison as compare
from helpers.analysis import has_results, interleaved, read_comparable
from helpers.data import PROFILES, ROOT, DataError, write_text
from helpers.lessons import (
    Lesson,
    in_minutes,
    lessons,
    measured_on,
    read_times,
    retold,
    running_minutes,
)
from helpers.plots import figures, overview, report

REFERENCE, FIGURE = "results/reference", "docs/comparison.png"
PART = "<!-- begin {0} -->\n\n{1}\n\n<!-- end {0} -->"
TIMED = [name for name in PROFILES if name != "full"]  # `full` is for other machines than the one of the record


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """The files whose generated parts are out of date, each with the text that it should have.

    Raises:
        DataError: A page lacks the marks of a part, or docs/plans.yaml names a notebook that is not there.
    """
    found, times = lessons(root), read_times(root / "results" / "reference" / "times.json")
    wanted = {root / "README.md": {"results": measured(root), "badges": badges(root), "colab": colab_cell(root)}}
    wanted[root / "docs" / "workshop.md"] = {"times": times_table(found, times), "plans": plans(root, found, times)}
    new = {}
    for path, parts in wanted.items():
        text = path.read_text(encoding="utf-8")
        for name, body in parts.items():
            text = put(text, name, body, path)
        new[path] = text
    for place, lesson in enumerate(found):
        new[lesson.path] = _with_parts(lesson, way(found, place), times)
    return {path: text for path, text in new.items() if text != path.read_text(encoding="utf-8")}


def bring_up_to_date(root: Path = ROOT) -> list[Path]:
    """Writes what `outdated` finds, and the main figure with a changed README; returns the files that were changed."""
    changed = [write_text(path, text) for path, text in outdated(root).items()]
    reference = root / REFERENCE
    if root / "README.md" in changed and has_results(reference):
        figure = overview(compare.table(read_comparable(reference)))
        figure.savefig(root / FIGURE, dpi=110, facecolor="white")
        changed.append(root / FIGURE)
    return changed


def measured(root: Path = ROOT) -> str:
    """The main figure and the tables of the results that came with the kit; a sentence where there are none."""
    if not has_results(root / REFERENCE):
        return "No results have been recorded yet; `make run` measures them on your machine."
    made = interleaved(read_comparable(root / REFERENCE), root / REFERENCE)
    words = figures.accuracy_in_words(compare.table(made))
    figure = f"![Accuracy of every arm on every question set, with intervals. {words}]({FIGURE})"
    return f"{figure}\n\n{report.markdown(made)}"


def put(text: str, name: str, body: str, path: Path) -> str:
    """The text with `body` between the marks of part `name`.

    Raises:
        DataError: The text of `path` does not have these marks exactly once.
    """
    marks = re.compile(rf"<!-- begin {name} -->\n.*?<!-- end {name} -->", re.S)
    if len(marks.findall(text)) != 1:
        raise DataError(f"{path} needs the lines `<!-- begin {name} -->` and `<!-- end {name} -->` once, for {name}")
    return marks.sub(lambda _: PART.format(name, body), text)


def way(found: list[Lesson], place: int) -> str:
    """The links from a notebook to the one before and the one after it, and to the glossary."""
    links = [f"← [{found[place - 1].label}]({found[place - 1].path.name})"] if place else []
    links += ["[Glossary](../docs/glossary.md)"]
    links += [f"[{each.label}]({each.path.name}) →" for each in found[place + 1 : place + 2]]
    return " · ".join(links)


def times_line(lesson: Lesson, times: dict[str, Any]) -> str:
    """How long a notebook takes to read and to run."""
    known = {name: running_minutes(lesson.path.stem, name, times) for name in TIMED}
    told = ", ".join(f"{in_minutes(minutes)} with `{name}`" for name, minutes in known.items() if minutes is not None)
    return f"**Reading time:** about {in_minutes(lesson.reading)}. **Run time:** {told or in_minutes(None)}."


def times_table(found: list[Lesson], times: dict[str, Any]) -> str:
    """Minutes of reading and running of each notebook, and of all, with the machine that they were measured on."""
    lines = [_row("notebook", "reading", *(f"running, `{name}`" for name in TIMED)), _row(*["---"] * (2 + len(TIMED)))]
    running = {name: [running_minutes(each.path.stem, name, times) for each in found] for name in TIMED}
    for place, each in enumerate(found):
        link = f"[{each.label}](../notebooks/{each.path.name})"
        lines.append(_row(link, in_minutes(each.reading), *(in_minutes(running[name][place]) for name in TIMED)))
    sums = []
    for name, taken in running.items():
        mixed = " (not of one run)" if len(measured_on(times, [name])) > 1 else ""
        sums.append(in_minutes(None if None in taken else sum(taken)) + mixed)
    lines.append(_row("**all**", in_minutes(sum(each.reading for each in found)), *sums))
    return "\n".join([*lines, "", *measured_on(times, TIMED)])


def plans(root: Path, found: list[Lesson], times: dict[str, Any]) -> str:
    """The plans of docs/plans.yaml as tables, with each notebook's minutes and what is left of the time.

    Raises:
        DataError: A plan names a notebook that is not there.
    """
    return "\n\n".join(_plan(plan, found, times) for plan in read_plans(root))


def read_plans(root: Path = ROOT) -> list[dict[str, Any]]:
    """The plans as data: title, minutes, and steps with either `minutes` set aside or a `notebook` and a profile."""
    return yaml.safe_load((root / "docs" / "plans.yaml").read_text(encoding="utf-8"))


def step_minutes(step: dict[str, Any], found: list[Lesson], times: dict[str, Any]) -> tuple[int, float | None]:
    """Minutes of a step: those set aside or of reading, and those of running (None: not measured; 0: nothing runs).

    Raises:
        DataError: The step names a notebook that is not there.
    """
    if "notebook" not in step:
        return step["minutes"], 0.0
    lesson = next((each for each in found if each.number == step["notebook"]), None)
    if lesson is None:
        raise DataError(f"docs/plans.yaml names notebook {step['notebook']!r}, which is not there")
    return lesson.reading, running_minutes(lesson.path.stem, step["run"], times) if "run" in step else 0.0


def badges(root: Path = ROOT) -> str:
    """The badges for Binder and Colab."""
    place, start = repository(root), "notebooks/00_start_here.ipynb"
    binder = f"https://mybinder.org/v2/gh/{place}/HEAD?labpath={start.replace('/', '%2F')}"
    colab = f"https://colab.research.google.com/github/{place}/blob/main/{start}"
    return (
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})\n"
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})"
    )


def colab_cell(root: Path = ROOT) -> str:
    """What a Colab notebook must run first, as an indented block."""
    name = repository(root).partition("/")[2]
    lines = [
        f"!git clone https://github.com/{repository(root)}",
        f"%cd {name}/notebooks",
        "%pip install --quiet -c ../constraints.txt -e ..",
        "!python -m helpers fetch",
        'import sys; sys.path.insert(0, "..")',
    ]
    return "\n".join(f"      {line}" for line in lines)


def repository(root: Path = ROOT) -> str:
    """OWNER/NAME of the repository, from its address in pyproject.toml, which stands nowhere else.

    Raises:
        DataError: It is no address of a GitHub repository.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    place = project["urls"]["Repository"].removesuffix("/").partition("github.com/")[2]
    if place.count("/") != 1:
        raise DataError("pyproject.toml: [project.urls] Repository must be https://github.com/OWNER/NAME")
    return place


def _with_parts(lesson: Lesson, links: str, times: dict[str, Any]) -> str:
    """A notebook's file with its generated parts; where a cell lacks the marks, they are put at its end."""
    notebook = json.loads(lesson.path.read_text(encoding="utf-8"))
    for place, name, body in ((0, "times", f"{times_line(lesson, times)}\n\n{links}"), (-1, "way", links)):
        cell = notebook["cells"][place]
        text = "".join(cell["source"])
        if f"<!-- begin {name} -->" not in text:
            text = f"{text.rstrip()}\n\n{PART.format(name, '')}"
        cell["source"] = put(text, name, body, lesson.path).splitlines(keepends=True)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", []) if "text" in output):
        output["text"] = retold("".join(output["text"]), lesson.path.stem, times).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _plan(plan: dict[str, Any], found: list[Lesson], times: dict[str, Any]) -> str:
    head = [_row("step", "how", "talk or reading", "running"), _row(*["---"] * 4)]
    lines = [f"### {plan['title']}", "", plan["for"], "", *head]
    total, unknown = 0.0, False
    for step in plan["steps"]:
        minutes, running = step_minutes(step, found, times)
        lesson = next((each for each in found if each.number == step.get("notebook")), None)
        what = f"[{lesson.label}](../notebooks/{lesson.path.name})" if lesson else step["what"]
        how = f"{step['how']}; `{step['run']}`" if "run" in step else step["how"]
        lines.append(_row(what, how, in_minutes(minutes), in_minutes(running) if "run" in step else "–"))
        total, unknown = total + minutes + (running or 0), unknown or running is None
    left = plan["minutes"] - round(total)
    kept = f"{round(total)} are taken and **{left} are left** for exercises and questions."
    note = " Runs that are not measured yet are not counted." if unknown else ""
    return "\n".join([*lines, "", f"Of {plan['minutes']} minutes, {kept}{note}"])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
