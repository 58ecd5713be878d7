"""Notebooks as lessons: their titles, and how long they take."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from helpers.data.records import KitError
from helpers.models.machine import hardware
from tools import lessons
from tools.times import measured_on, read_times, record_times

HERE = hardware()


def test_recorded_times_keep_those_of_notebooks_that_failed(tmp_path):
    path, other = tmp_path / "times.json", HERE | {"processor": "Abacus"}
    old = {"01_rag": {"seconds": 120.0, "hardware": other, "created": "2026-01-02"}}
    path.write_text(json.dumps({"quick": old}), encoding="utf-8")
    runs = [
        SimpleNamespace(notebook=Path(f"{name}.ipynb"), seconds=seconds, error=error)
        for name, seconds, error in (("01_rag", 9.0, "NameError"), ("02_instruction_tuning", 7.04, ""))
    ]
    record_times("quick", runs, path)
    kept = read_times(path)["quick"]
    assert {name: each["seconds"] for name, each in kept.items()} == {"01_rag": 120.0, "02_instruction_tuning": 7.0}
    assert kept["01_rag"]["hardware"]["processor"] == "Abacus" and kept["02_instruction_tuning"]["hardware"] == HERE
    lines = measured_on({"quick": kept}, ["quick", "workshop"])
    assert [line.partition(":")[0] for line in lines] == ["- `quick`, 01", "- `quick`, 02"]
    assert "Abacus" in lines[0] and "2026-01-02" in lines[0] and "Abacus" not in lines[1]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match="times.json"):
        read_times(path)


def test_a_lesson_has_a_title_and_minutes_and_a_damaged_notebook_is_named(tmp_path):
    found = lessons.lessons()
    assert [lesson.number for lesson in found] == [*(f"{n:02}" for n in range(7)), *"abc"]
    assert all(lesson.label.startswith(f"{lesson.number.upper()} · ") and lesson.reading > 0 for lesson in found)
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
