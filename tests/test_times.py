"""How long a notebook takes, as it says before it runs: from a record, compared with this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.lessons import times
from helpers.models.machine import hardware, speed
from tools.notebooks import NotebookRun

HERE = hardware()


def record(folder: Path, times_as_fast: float = 1.0) -> Path:
    """A record of one notebook from a machine so many times as fast as this one."""
    machine = HERE | {"processor": "Abacus", "gflops": {"float32": speed(HERE) * times_as_fast, "bfloat16": 0.1}}
    kept = {"quick": {"02_rag_index": {"seconds": 120.0, "hardware": machine, "created": "2026-01-02"}}}
    path = folder / "times.json"
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("times_as_fast", "says"), [(1.0, None), (1.1, None), (5.0, "5.0 times as long"), (0.25, "4.0 times as fast")]
)
def test_the_time_of_a_notebook_is_compared_with_this_machine(tmp_path, times_as_fast, says):
    told = times.expected_seconds("02", "quick", record(tmp_path, times_as_fast))
    assert told.startswith("About 2 minutes with the quick profile (measured on Abacus, ")
    assert ("matrix product" in told) == bool(says) and (says or "") in told


def test_a_record_without_the_machines_speed_and_one_without_the_notebook(tmp_path):
    path = record(tmp_path)
    old = json.loads(path.read_text(encoding="utf-8"))
    del old["quick"]["02_rag_index"]["hardware"]["gflops"]
    path.write_text(json.dumps(old), encoding="utf-8")
    assert "matrix product" not in times.expected_seconds("02", "quick", path)
    assert "Not measured yet with the workshop profile" in times.expected_seconds("02", "workshop", path)
    assert "Not measured yet" in times.expected_seconds("03", "quick", path)


def test_a_printed_time_follows_the_record(tmp_path):
    path = record(tmp_path, 5.0)
    printed = f"Python 3\n{times.expected_seconds('02', 'quick', path)}\nAbout 5 s of work\n"
    kept = times.read_times(path)
    assert times.retold(printed, "02_rag_index", kept) == printed, "it tells the recorded time already"
    kept["quick"]["02_rag_index"]["seconds"] = 30.0
    told = times.retold(printed, "02_rag_index", kept)
    now = f"About 30 s with the quick profile (measured on Abacus, {HERE['cores']} cores)."
    assert told == f"Python 3\n{now}\nAbout 5 s of work\n"
    unknown = times.expected_seconds("02", "quick", tmp_path / "none.json")
    assert times.retold(unknown, "02_rag_index", kept) == now
    assert times.retold(printed, "03_rag_limits", kept) == times.retold(printed, "02_rag_index", {}) == printed


def test_recorded_times_keep_those_of_notebooks_that_failed(tmp_path):
    path = record(tmp_path)
    made = [
        NotebookRun(Path(f"{name}.ipynb"), tmp_path / name, seconds, error)
        for name, seconds, error in (("02_rag_index", 9.0, "NameError"), ("03_rag_limits", 7.04, ""))
    ]
    times.record_times("quick", made, path)
    kept = times.read_times(path)["quick"]
    assert {name: each["seconds"] for name, each in kept.items()} == {"02_rag_index": 120.0, "03_rag_limits": 7.0}
    assert kept["02_rag_index"]["hardware"]["processor"] == "Abacus" and kept["03_rag_limits"]["hardware"] == HERE
    lines = times.measured_on({"quick": kept}, ["quick", "workshop"])
    assert [line.partition(":")[0] for line in lines] == ["- `quick`, 02", "- `quick`, 03"]
    assert "Abacus" in lines[0] and "2026-01-02" in lines[0] and "Abacus" not in lines[1]
    assert times.measured_on({"quick": {"02_rag_index": kept["02_rag_index"]}}, ["quick"])[0].startswith("- `quick`: ")


def test_the_first_lines_of_a_notebook_name_versions_and_machine():
    told = times.header("02", "quick").splitlines()
    assert told[0].startswith("Python 3") and "torch" in told[0]
    assert f"{HERE['cores']} cores" in told[1] and told[1].endswith("GFLOP/s")
    assert told[2] == times.expected_seconds("02", "quick")
