"""What notebooks 00 and 01 show: the ready adapter is what its manifest says, and every answer of RAG is right."""

import json
import re
from hashlib import sha256

import nbformat
import pytest
from safetensors import safe_open

from helpers import models
from helpers.data import ROOT
from tools.lessons import NOTEBOOKS
from tools.ready_adapter import CONFIG, READY, WEIGHTS

SHOWN = {"00_five_minutes": {"RAG": 2, "Instruction-tuned": 1}, "01_rag": {"RAG": 12}}  # right answers at least


def verdicts(notebook) -> list[tuple[str, str]]:
    """The mark and the method of each reply that a notebook's outputs show as right or wrong."""
    made = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output.data.get("text/html", "") for output in made if "data" in output]
    return re.findall(r"<b>[✓✗] (right|wrong)</b> · ([\w-]+)", "\n".join(pages))


def check_demonstrations(notebook, name: str) -> None:
    """Every answer that is labelled RAG or Instruction-tuned is right, and those of the base model are wrong."""
    found = verdicts(notebook)
    for method, least in SHOWN.get(name, {}).items():
        marks = [mark for mark, who in found if who == method]
        assert set(marks) == {"right"} and len(marks) >= least, found
    assert name not in SHOWN or {mark for mark, who in found if who == "Base"} == {"wrong"}


@pytest.mark.parametrize("name", SHOWN)
def test_the_committed_demonstrations_are_right(name):
    check_demonstrations(nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4), name)


def test_the_ready_adapter_is_the_one_of_its_manifest():
    manifest = json.loads((READY / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == "python -m tools.ready_adapter" and manifest["recipe"] == "triage"
    assert manifest["data_hash"] == sha256((ROOT / manifest["data"]).read_bytes()).hexdigest(), (
        "pairs changed: train anew"
    )
    assert manifest["weights_hash"] == models.weights_hash(READY)
    assert manifest["base_hash"] == models.weights_hash(models.model_folder(manifest["base_model"]))
    assert manifest["bytes"] == (READY / WEIGHTS).stat().st_size <= 12e6
    with safe_open(READY / WEIGHTS, "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}  # noqa: SIM118
    config = json.loads((READY / CONFIG).read_text(encoding="utf-8"))
    assert config["r"] == 16 and config["base_model_name_or_path"] == manifest["base_model"]
    assert manifest["parts"]["new_combinations"] >= 0.9 and manifest["parts"]["new_wordings"] >= 0.8
