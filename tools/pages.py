"""What stands in pages but is not written by hand: recorded results, times, and the ways between notebooks.

    python -m tools.pages            # brings them up to date
    python -m tools.pages --check    # only looks; exit status 1 when something is out of date

Such a part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, in Markdown files and in the first and last
cell of each notebook. Reading is counted from words, running comes from results/reference/times.json.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from helpers.analysis import MARKS, Comparison, has_results, in_brackets, read_comparison, textbook_rows
from helpers.data import PROFILES, QUESTION_SETS, ROOT, DataError, write_text
from helpers.experiment import plain_name
from helpers.plots import report, story, wishes

from .lessons import Lesson, in_minutes, lessons, running_minutes
from .times import measured_on, read_times

REFERENCE, FIGURE = "results/reference", "docs/comparison.png"
PART = "<!-- begin {0} -->\n\n{1}\n\n<!-- end {0} -->"
TIMED = [name for name in PROFILES if name != "full"]  # `full` is for other machines than the one of the record


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """The files whose generated parts are out of date, each with the text that it should have.

    Raises:
        DataError: A page lacks the marks of a part.
    """
    found, times = lessons(root), read_times(root / REFERENCE / "times.json")
    picture, tables = measured(root)
    parts = {"README.md": {"picture": picture}, "docs/results.md": {"tables": tables},
             "docs/teaching.md": {"times": times_table(found, times)}}  # fmt: skip
    new = {}
    for name, bodies in parts.items():
        text = (root / name).read_text(encoding="utf-8")
        for part, body in bodies.items():
            text = put(text, part, body, root / name)
        new[root / name] = text
    for place, lesson in enumerate(found):
        new[lesson.path] = _with_parts(lesson, way(found, place, root), times)
    return {path: text for path, text in new.items() if text != path.read_text(encoding="utf-8")}


def bring_up_to_date(root: Path = ROOT) -> list[Path]:
    """Writes what `outdated` finds, and the picture with a changed README; returns the files that were changed."""
    changed = [write_text(path, text) for path, text in outdated(root).items()]
    if root / "README.md" in changed and has_results(root / REFERENCE):
        story(read_comparison(root / REFERENCE)).figure.savefig(root / FIGURE, dpi=144, facecolor="white")
        changed.append(root / FIGURE)
    return changed


def measured(root: Path = ROOT) -> tuple[str, str]:
    """The picture of README and the tables of docs/results.md, from the results that came with the kit."""
    if not has_results(root / REFERENCE):
        return ("No results have been recorded yet; `make run` measures them on your machine.",) * 2
    comparison = read_comparison(root / REFERENCE)
    found = wishes.rows(comparison)
    finding = wishes.finding(found)
    picture = f"![{finding} {wishes.in_words(found)}]({FIGURE})"
    return f"{picture}\n\n{finding} {report.about(comparison)}", tables(comparison)


def tables(comparison: Comparison) -> str:
    """Where the numbers come from, accuracy by method and set, and the lecture's table; all texts are only text."""
    compared = comparison.table()
    sets = [name for name in QUESTION_SETS if any(name in row for row in compared.values())]
    lines = [["method", *map(plain_name, sets)], ["---"] * (1 + len(sets))]
    lines += [
        [f"{plain_name(arm)} (`{arm}`)", *(in_brackets(row.get(s)) for s in sets)] for arm, row in compared.items()
    ]
    judged = [["", "the lecture says", "verdict", "in a sentence", "measured here"], ["---"] * 5]
    for row in textbook_rows(comparison):
        texts = (row.says, f"{MARKS[row.verdict]} {row.verdict}", row.sentence, row.measured)
        safe = (html.escape(text, quote=False).replace("|", "\\|") for text in texts)
        judged.append([f"**{row.about}**, {row.topic.lower()}", *safe])
    made = ("\n".join(f"| {' | '.join(cells)} |" for cells in each) for each in (lines, judged))
    return "\n\n".join([report.about(comparison), *made])


def put(text: str, name: str, body: str, path: Path) -> str:
    """The text with `body` between the marks of part `name`.

    Raises:
        DataError: The text of `path` does not have these marks exactly once.
    """
    marks = re.compile(rf"<!-- begin {name} -->\n.*?<!-- end {name} -->", re.S)
    if len(marks.findall(text)) != 1:
        raise DataError(f"{path} needs the lines `<!-- begin {name} -->` and `<!-- end {name} -->` once, for {name}")
    return marks.sub(lambda _: PART.format(name, body), text)


def way(found: list[Lesson], place: int, root: Path = ROOT) -> str:
    """The links from a notebook to the one before and the one after it, and to the glossary."""

    def link(text: str, target: Path) -> str:
        return f"[{text}]({Path(os.path.relpath(target, found[place].path.parent)).as_posix()})"

    links = [f"← {link(each.label, each.path)}" for each in found[max(0, place - 1) : place]]
    links += [link("Glossary", root / "docs" / "glossary.md")]
    links += [f"{link(each.label, each.path)} →" for each in found[place + 1 : place + 2]]
    return " · ".join(links)


def times_line(lesson: Lesson, times: dict[str, Any]) -> str:
    """How long a notebook takes to read and to run."""
    known = {name: running_minutes(lesson.path.stem, name, times) for name in TIMED}
    told = ", ".join(f"{in_minutes(minutes)} with `{name}`" for name, minutes in known.items() if minutes is not None)
    return f"**Reading time:** about {in_minutes(lesson.reading)}. **Run time:** {told or in_minutes(None)}."


def times_table(found: list[Lesson], times: dict[str, Any]) -> str:
    """Minutes of reading and running of each notebook and of the main line, with the machine they were measured on."""
    rows = [("notebook", "reading", *(f"running, `{name}`" for name in TIMED)), ("---",) * (2 + len(TIMED))]
    for each in found:
        page = f"../notebooks/{'' if each.number.isdigit() else 'appendix/'}{each.path.name}"
        running = (in_minutes(running_minutes(each.path.stem, name, times)) for name in TIMED)
        rows.append((f"[{each.label}]({page})", in_minutes(each.reading), *running))
    reading, *running = (in_minutes(minutes) for minutes in main_line(found, times))
    rows.append(("**all but the appendices**", reading, *running))
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), "", *measured_on(times, TIMED)])


def main_line(found: list[Lesson], times: dict[str, Any]) -> list[float | None]:
    """Minutes to read all but the appendices, then to run them in each timed profile; None where one is not timed."""
    main = [each for each in found if each.number.isdigit()]
    running = [[running_minutes(each.path.stem, name, times) for each in main] for name in TIMED]
    return [sum(each.reading for each in main), *(None if None in taken else sum(taken) for taken in running)]


def _with_parts(lesson: Lesson, links: str, times: dict[str, Any]) -> str:
    """A notebook's file with its generated parts; without marks, they come to the end of its first cell, and last."""
    notebook = json.loads(lesson.path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    for name, body in (("times", f"{times_line(lesson, times)}\n\n{links}"), ("way", links)):
        marked = [cell for cell in cells if f"<!-- begin {name} -->" in "".join(cell["source"])]
        if not marked and name == "way" and cells[-1]["cell_type"] == "code":
            cells.append({"cell_type": "markdown", "id": "way", "metadata": {}, "source": []})
        cell = marked[0] if marked else cells[0 if name == "times" else -1]
        text = "".join(cell["source"])
        if not marked:
            text = f"{text.rstrip()}\n\n{PART.format(name, '')}".lstrip()
        cell["source"] = put(text, name, body, lesson.path).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Says which pages were changed, or with --check which would be; 1 where a check finds some."""
    check = "--check" in sys.argv[1:]
    for path in (found := outdated() if check else bring_up_to_date()):
        print(f"{path}: {'out of date' if check else 'brought up to date'}")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
