"""Notebooks as lessons: their titles, and how long they take."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from helpers.data.records import KitError
from helpers.lessons import notebooks
from helpers.models.machine import hardware, speed
from tools import lessons
from tools.times import measured_on, record_times, with_recorded_times

HERE = hardware()


def record(folder: Path, times_as_fast: float = 1.0) -> Path:
    """A record of one notebook from a machine so many times as fast as this one."""
    machine = HERE | {"processor": "Abacus", "gflops": {"float32": speed(HERE) * times_as_fast, "bfloat16": 0.1}}
    kept = {"quick": {"02_rag_index": {"seconds": 120.0, "hardware": machine, "created": "2026-01-02"}}}
    path = folder / "times.json"
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


# Times.


@pytest.mark.parametrize(
    ("times_as_fast", "says"), [(1.0, ""), (1.1, ""), (5.0, "5.0 times as long"), (0.25, "4.0 times as fast")]
)
def test_the_time_of_a_notebook_is_compared_with_this_machine(tmp_path, times_as_fast, says):
    text = notebooks.expected_seconds("02", "quick", record(tmp_path, times_as_fast))
    assert text.startswith("About 2 minutes with the quick profile (measured on Abacus, ")
    assert ("matrix product" in text) == bool(says) and says in text


def test_a_record_without_the_machines_speed_without_the_notebook_and_a_damaged_one(tmp_path):
    path = record(tmp_path)
    old = json.loads(path.read_text(encoding="utf-8"))
    del old["quick"]["02_rag_index"]["hardware"]["gflops"]
    path.write_text(json.dumps(old), encoding="utf-8")
    assert "matrix product" not in notebooks.expected_seconds("02", "quick", path)
    for number, profile in (("02", "workshop"), ("03", "quick")):
        assert notebooks.expected_seconds(number, profile, path).startswith(f"Not measured yet with the {profile}")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match="times.json"):
        notebooks.read_times(path)


def test_a_printed_time_follows_the_record(tmp_path):
    path = record(tmp_path, 5.0)
    printed = f"Python 3\n{notebooks.expected_seconds('02', 'quick', path)}\nAbout 5 s of work\n"
    kept = notebooks.read_times(path)
    assert with_recorded_times(printed, "02_rag_index", kept) == printed, "it states the recorded time already"
    kept["quick"]["02_rag_index"]["seconds"] = 30.0
    new = f"About 30 s with the quick profile (measured on Abacus, {HERE['cores']} cores)."
    assert with_recorded_times(printed, "02_rag_index", kept) == f"Python 3\n{new}\nAbout 5 s of work\n"
    unknown = notebooks.expected_seconds("02", "quick", tmp_path / "none.json")
    assert with_recorded_times(unknown, "02_rag_index", kept) == new
    for number, times in (("03_rag_limits", kept), ("02_rag_index", {})):
        assert with_recorded_times(printed, number, times) == printed


def test_recorded_times_keep_those_of_notebooks_that_failed(tmp_path):
    path = record(tmp_path)
    runs = [
        SimpleNamespace(notebook=Path(f"{name}.ipynb"), seconds=seconds, error=error)
        for name, seconds, error in (("02_rag_index", 9.0, "NameError"), ("03_rag_limits", 7.04, ""))
    ]
    record_times("quick", runs, path)
    kept = notebooks.read_times(path)["quick"]
    assert {name: each["seconds"] for name, each in kept.items()} == {"02_rag_index": 120.0, "03_rag_limits": 7.0}
    assert kept["02_rag_index"]["hardware"]["processor"] == "Abacus" and kept["03_rag_limits"]["hardware"] == HERE
    lines = measured_on({"quick": kept}, ["quick", "workshop"])
    assert [line.partition(":")[0] for line in lines] == ["- `quick`, 02", "- `quick`, 03"]
    assert "Abacus" in lines[0] and "2026-01-02" in lines[0] and "Abacus" not in lines[1]


# Notebooks.


def test_a_lesson_has_a_title_and_minutes_and_a_damaged_notebook_is_named(tmp_path):
    found = lessons.lessons()
    assert [lesson.number for lesson in found] == [f"{n:02}" for n in range(8)]
    assert all(lesson.label.startswith(f"{lesson.number} · ") and lesson.reading > 0 for lesson in found)
    folder = tmp_path / "notebooks"
    with pytest.raises(KitError, match="no notebooks"):
        lessons.lessons(tmp_path)
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("no title")]), folder / "09_more.ipynb")
    with pytest.raises(KitError, match="09_more.ipynb.*title"):
        lessons.lessons(tmp_path)
    (folder / "04_torn.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match="04_torn"):
        lessons.lessons(tmp_path)
