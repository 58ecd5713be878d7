"""Hand work is what the tagged cells hold, and nothing counted is not reported as nothing to do."""

from __future__ import annotations

import nbformat
import pytest

from helpers.data.records import KitError
from helpers.lessons.handwork import BUILT_IN, count_steps


def write(path, *cells: tuple[str, str]) -> None:
    made = [nbformat.v4.new_code_cell(text, metadata={"tags": [tag]} if tag else {}) for text, tag in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


def test_tagged_cells_and_their_lines_are_counted_for_the_arms_that_they_build(tmp_path):
    write(tmp_path / "02_rag.ipynb", ("# why\nindex = build()\n\nask(index)", "step"), ("look()", ""))
    write(tmp_path / "04_tuning.ipynb", ("look()", ""))
    both = "step:domain_adaptation+customization"
    write(tmp_path / "05_text.ipynb", ("read()", "step"), ("train()\nsave()", both), ("look()", "step:another"))
    assert count_steps(tmp_path) == {
        "rag": {"cells": 1, "lines": 2},
        "domain_adaptation": {"cells": 1, "lines": 1},
        "domain_adaptation+customization": {"cells": 2, "lines": 3},
    }


def test_missing_notebooks_leave_arms_out_and_torn_ones_are_named(tmp_path):
    assert count_steps(tmp_path) == {}
    (tmp_path / "04_torn.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match="04_torn"):
        count_steps(tmp_path)


def test_the_kits_own_notebooks_can_be_counted():
    found = count_steps()
    assert set(found) == set(BUILT_IN) and all(each["cells"] > 0 and each["lines"] > 0 for each in found.values())
