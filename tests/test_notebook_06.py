"""Notebook 06 alone: it opens from result files, and each number in its text comes from them."""

from __future__ import annotations

import ast
import os
import re

import nbformat
import papermill
import pytest
from conftest import ROOT
from synthetic import make_results
from test_notebooks import offline

from helpers.analysis import Comparison
from helpers.experiment.results import write_result
from helpers.plots import report
from tools.notebooks import NOTEBOOKS

PATH = NOTEBOOKS / "06_compare.ipynb"
REFERENCE = ROOT / "results" / "reference"
NAMES = re.compile(r"06_compare|hit_rate_[15]|^06$")  # digits that are parts of names
LINKS = re.compile(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|notebook \d\d|[Ee]xercise \d|numbered \d|`q\.e\d|```.*?```", re.DOTALL)


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


def shown(notebook) -> str:
    parts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            parts += [output.get("text", ""), data.get("text/markdown", ""), data.get("text/html", "")]
    return "\n".join(parts)


def test_it_opens_from_reference_results_says_so_and_shows_every_arm_with_its_numbers(executed):
    notebook, made, own = executed
    text = shown(notebook)
    assert "the results that came with the kit, not runs of yours" in text and report.about(Comparison(made)) in text
    page = (own / "reference" / "comparison.html").read_text(encoding="utf-8")
    assert "not runs of yours" in page and (own / "reference" / "compared.json").is_file()
    assert not (own / "workshop").exists(), "reference results must not be put among one's own"
    for arm, row in Comparison(made).table().items():
        for name, shown_as in (("facts_heldout", "held-out facts"), ("triage", "triage")):
            assert f"{shown_as} {row[name]['accuracy']['value']:.2f}" in text, (arm, name)
    assert text.count("<img") >= 4 and all(re.search(r'alt="[^"]{40,}"', tag) for tag in re.findall("<img[^>]*>", text))


def test_no_number_stands_in_the_text_or_in_a_sentence_that_code_prints():
    for cell in nbformat.read(PATH, 4).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", "", cell.source, flags=re.S)  # generated
            prose = LINKS.sub("", prose.partition("## Further reading")[0])  # the years of papers
            prose = prose.removeprefix("# 06 · ")  # the notebook's own number, in its title
            assert not re.search(r"\d", prose), f"a number typed into prose: {prose}"
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        formats = {id(part) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec
                   for part in ast.walk(node.format_spec)}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in formats:
                told = "" if re.fullmatch(r"\{:[^}]*\}", node.value) else node.value  # a format is no sentence
                assert not re.search(r"\d", NAMES.sub("", told)), node.value
