"""Outputs of executed copies are taken into the notebooks, and only those that fit."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.data.records import KitError
from tools.notebooks import NotebookRun
from tools.publish import LIVE, publish


def make(folder, source="6 * 7", error=""):
    """A committed notebook without outputs and its executed copy, as papermill leaves it."""
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("P = 1", metadata={"tags": ["parameters"]}),
        new_code_cell(source),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "00_a.ipynb")
    executed = nbformat.read(folder / "00_a.ipynb", as_version=4)
    executed.cells.insert(2, new_code_cell("P = 2", metadata={"tags": ["injected-parameters"]}, execution_count=2))
    last = executed.cells[-1]
    last.execution_count, last.metadata["execution"] = 3, {"status": "idle"}
    last.outputs = [new_output("execute_result", {"text/plain": "42"}, execution_count=3)]
    (folder / "out").mkdir()
    nbformat.write(executed, folder / "out" / "00_a.ipynb")
    return NotebookRun(folder / "00_a.ipynb", folder / "out" / "00_a.ipynb", 1.0, 0, error)


def test_outputs_are_taken_over_and_counted_from_one(tmp_path):
    run = make(tmp_path)
    publish([run])
    made = nbformat.read(run.notebook, as_version=4)
    assert [cell.source for cell in made.cells] == ["# Title", "P = 1", "6 * 7"]
    assert [cell.get("execution_count") for cell in made.cells] == [None, 1, 2]
    assert made.cells[2].outputs[0].data["text/plain"] == "42" and made.cells[2].outputs[0].execution_count == 2
    assert "execution" not in made.cells[2].metadata


def test_widgets_and_progress_bars_are_left_out_and_static_parts_stay(tmp_path):
    run = make(tmp_path)
    executed = nbformat.read(run.executed, as_version=4)
    static = new_output("display_data", {"text/html": "<table></table>"})
    live = new_output("display_data", {LIVE: {"model_id": "1"}, "text/plain": "VBox(children=())"})
    executed.cells[-1].outputs = [new_output("stream", text="told"), live, static, live]
    nbformat.write(executed, run.executed)
    publish([run])
    kept = nbformat.read(run.notebook, as_version=4).cells[-1].outputs
    assert [output.output_type for output in kept] == ["stream", "display_data"] and kept[1] == static


def test_a_notebook_changed_since_is_refused_and_left(tmp_path):
    run = make(tmp_path)
    notebook = nbformat.read(run.notebook, as_version=4)
    notebook.cells[2].source = "6 * 8"
    nbformat.write(notebook, run.notebook)
    with pytest.raises(KitError, match="changed since"):
        publish([run])
    assert not nbformat.read(run.notebook, as_version=4).cells[2].outputs


def test_a_failed_run_is_refused(tmp_path):
    with pytest.raises(KitError, match="00_a failed"):
        publish([make(tmp_path, error="KeyError")])
