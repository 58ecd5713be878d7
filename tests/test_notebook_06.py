"""Notebook 06 alone: it opens from result files."""

from __future__ import annotations

import os
import re

import papermill
import pytest
from conftest import ROOT
from synthetic import make_results
from test_notebooks import offline, outputs, shown_text

from helpers.analysis import Comparison
from helpers.experiment.results import write_result
from helpers.plots import report
from tools.notebooks import NOTEBOOKS

PATH = NOTEBOOKS / "06_compare.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook, executed from results of all arms without a network."""
    folder = tmp_path_factory.mktemp("reference")
    made = make_results()
    for each in made:
        write_result(folder, each)
    own = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in offline(own).items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]]))
        notebook = papermill.execute_notebook(
            str(PATH), str(own / "06.ipynb"), {"REFERENCE": str(folder)}, cwd=str(PATH.parent), kernel_name="python3",
            language="python", progress_bar=False,
        )  # fmt: skip
    return notebook, made, own


def test_it_opens_from_reference_results_says_so_and_shows_every_arm_with_its_numbers(executed):
    notebook, made, own = executed
    text = "\n".join(map(shown_text, outputs(notebook, "stream", "display_data", "execute_result")))
    assert "the results that came with the kit, not runs of yours" in text and report.about(Comparison(made)) in text
    page = (own / "reference" / "comparison.html").read_text(encoding="utf-8")
    assert "not runs of yours" in page and (own / "reference" / "compared.json").is_file()
    assert not (own / "workshop").exists(), "reference results must not be put among one's own"
    for arm, row in Comparison(made).table().items():
        for name, shown_as in (("facts_heldout", "held-out facts"), ("triage", "triage")):
            assert f"{shown_as} {row[name]['accuracy']['value']:.2f}" in text, (arm, name)
    assert text.count("<img") >= 4 and all(re.search(r'alt="[^"]{40,}"', tag) for tag in re.findall("<img[^>]*>", text))
