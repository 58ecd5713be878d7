"""Hand work is what the tagged cells hold, and nothing counted is not reported as nothing to do."""

from __future__ import annotations

import nbformat
import pytest

from helpers.handwork import BUILT_IN, count_steps
from helpers.records import KitError


def write(path, *cells: tuple[str, bool]) -> None:
    made = [nbformat.v4.new_code_cell(text, metadata={"tags": ["step"]} if step else {}) for text, step in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def test_tagged_cells_and_their_lines_are_counted(tmp_path):
    write(tmp_path / "02_rag.ipynb", ("# why\nindex = build()\n\nask(index)", True), ("look()", False))
    write(tmp_path / "04_tuning.ipynb", ("train()", True), ("save()", True))
    write(tmp_path / "05_text.ipynb", ("train()", False))
    found = count_steps(tmp_path)
    assert found == {
        "rag": {"cells": 1, "lines": 2}, "customization": {"cells": 2, "lines": 2},
        "rag+customization": {"cells": 3, "lines": 4},
    }  # fmt: skip


def test_missing_notebooks_leave_arms_out_and_torn_ones_are_named(tmp_path):
    assert count_steps(tmp_path) == {}
    (tmp_path / "04_torn.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match="04_torn"):
        count_steps(tmp_path)


def test_the_kits_own_notebooks_can_be_counted():
    found = count_steps()
    assert set(found) <= set(BUILT_IN) and all(each["cells"] > 0 and each["lines"] > 0 for each in found.values())
