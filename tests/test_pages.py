"""Generated parts are up to date, and the notebooks lead from one to the next and say how long they take."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from synthetic import make_results

from helpers.analysis import Comparison, in_brackets
from helpers.data.files import ROOT
from helpers.experiment.results import write_result
from helpers.models import hardware
from helpers.plots import report
from tools import pages

LESSONS = pages.lessons()
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^\| (?!term \|)([^|-][^|]+?) \| ([^|]+?) \| \[([^]]+)\]\(([^)]+)\) \|$", GLOSSARY, re.MULTILINE)


def cells(path: Path, kind: str) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def of_each_notebook():
    return pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)


# What is committed.


def test_generated_parts_are_up_to_date():
    assert [path.name for path in pages.outdated()] == [], "run `python -m tools.pages`"


@of_each_notebook()
def test_a_notebook_leads_to_its_neighbours_says_its_time_and_links_to_files_that_are_there(lesson):
    place, texts = LESSONS.index(lesson), cells(lesson.path, "markdown")
    beside = {each.path for each in LESSONS[max(0, place - 1) : place + 2]} - {lesson.path}
    for text in (texts[0], *(text for text in texts if "<!-- begin way -->" in text)):
        targets = {(lesson.path.parent / target).resolve() for _, target in LINK.findall(text)}
        assert beside | {ROOT / "docs" / "glossary.md"} <= targets
    said = r"^\*\*Reading time:\*\* about \d+ minutes\. \*\*Run time:\*\* .*`quick`.*\.$"
    assert re.search(said, texts[0], re.MULTILINE)
    for shown, target in LINK.findall("\n".join(texts)):
        assert shown and (target.startswith(("https://", "#")) or (lesson.path.parent / target).is_file()), target


def test_the_main_line_fits_into_a_morning():
    reading, _, workshop = pages.main_line(LESSONS, pages.read_times())
    if workshop is None:
        pytest.skip("not every notebook was timed in the workshop profile on a machine that did nothing else")
    assert reading + workshop <= 195


@of_each_notebook()
def test_pictures_and_diagrams_are_told_in_words(lesson):
    text = "\n".join(cells(lesson.path, "markdown"))
    for diagram in re.findall(r"```mermaid\n(.*?)```", text, re.S):
        assert re.search(r"accTitle: \S", diagram) and re.search(r"accDescr: \S", diagram), diagram
    assert all(shown.strip() for shown in re.findall(r"!\[([^\]]*)\]", text))


def test_every_link_of_a_page_to_a_file_finds_it():
    for page in ("README.md", "docs/teaching.md", "docs/glossary.md"):
        targets = [target for _, target in LINK.findall((ROOT / page).read_text(encoding="utf-8"))]
        files = [(ROOT / page).parent / target for target in targets if not target.startswith(("https://", "#"))]
        assert files and all(file.exists() for file in files), page


def test_the_glossary_is_sorted_and_linked():
    names = [name.lower() for name, *_ in TERMS]
    assert len(names) > 40 and names == sorted(names) and len(set(names)) == len(names)
    assert GLOSSARY.count("\n| ") == len(TERMS) + 2, "a row that is not: term, meaning, notebook"
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_term_is_taught_where_the_glossary_says():
    never = []
    for term, meaning, number, target in TERMS:
        assert len(meaning.split()) >= 8, term
        if number == "left out":
            assert f"- **{term.capitalize()}**" in GLOSSARY
            continue
        path = ROOT / "docs" / target
        assert path.is_file() and path.name.startswith(number.lower())
        words = " ".join(cells(path, "markdown") + cells(path, "code")).lower().split()
        never += [f"{path.name} never says {term!r}"] if term.lower() not in " ".join(words) else []
    assert never == []


# How parts are made.


@pytest.fixture
def kit(tmp_path):
    """A copy of all that generated parts are made of and written into."""
    for name in ("README.md", "docs/teaching.md", "docs/results.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "results" / "reference", tmp_path / "results" / "reference")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    return tmp_path


def test_new_times_reach_the_notebook_and_the_table(kit):
    times = kit / "results" / "reference" / "times.json"
    record = json.loads(times.read_text(encoding="utf-8"))
    run = {"seconds": 77 * 60, "hardware": hardware(), "created": "2026-01-02"}
    record["workshop"]["02_instruction_tuning"] = run
    times.write_text(json.dumps(record), encoding="utf-8")
    assert {path.name for path in pages.outdated(kit)} == {"02_instruction_tuning.ipynb", "teaching.md"}
    pages.bring_up_to_date(kit)
    assert pages.outdated(kit) == {}
    notebook = kit / "notebooks" / "02_instruction_tuning.ipynb"
    assert "77 minutes with `workshop`" in cells(notebook, "markdown")[0]
    assert (kit / "docs" / "teaching.md").read_text(encoding="utf-8").count("| 77 minutes |") == 1


def test_recorded_results_reach_the_pages_with_every_number(kit):
    made = make_results(arms=("base", "rag"), sets=("facts_heldout", "terms"))
    for old in (kit / "results" / "reference").glob("*.seed*.json"):
        old.unlink()
    for each in made:
        write_result(kit / "results" / "reference", each)
    changed = pages.bring_up_to_date(kit)
    assert kit / "README.md" in changed and (kit / pages.FIGURE).stat().st_size > 10_000
    readme = (kit / "README.md").read_text(encoding="utf-8")
    assert report.about(Comparison(made)) in readme and f"]({pages.FIGURE})" in readme
    tables = (kit / "docs" / "results.md").read_text(encoding="utf-8")
    assert pages.tables(Comparison(made)) in tables and "<" not in pages.tables(Comparison(made))
    for arm, row in Comparison(made).table().items():
        (line,) = [line for line in tables.splitlines() if f"(`{arm}`) |" in line]
        wanted = [in_brackets(figures) for name, figures in row.items() if name != "effort"]
        assert [cell.strip() for cell in line.split("|")[2:-1]] == wanted
