"""The benchmarks: kit and plain path do the same work, and the figures have their shape. Nothing is timed here."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import data
from helpers.data.documents import read_documents
from helpers.data.records import KitError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tools" / "benchmarks"
ABOUT = {"benchmark", "ratio", "ratio_low", "ratio_high", "agree", "created", "machine", "cores", "quick", "versions"}


def script(name: str):
    return importlib.import_module(f"tools.benchmarks.{name}")


def arguments(**told) -> argparse.Namespace:
    return argparse.Namespace(**{"json": True, "quick": True, "repeats": 1} | told)


def printed(capsys) -> dict:
    """The JSON document of the last line."""
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# ---- training


def job(kind: str, model: str, out: Path, **told):
    return script("training_sides").Job("kit", kind, str(out), model, "float32", 1.0, 24, **told)


@pytest.mark.parametrize("kind", ["pairs", "text"])
def test_the_stock_trainer_learns_what_the_kit_learns(llama, tmp_path, kind):
    sides = script("training_sides")
    made = {
        side: sides.run(
            replace(job(kind, llama.name, tmp_path / side), side=side, variant="flat, eager", validate=True)
        )
        for side in ("kit", "trainer")
    }
    kit, peer = made["kit"], made["trainer"]
    assert kit["final_loss"] < kit["first_loss"] == peer["first_loss"]
    assert peer["final_loss"] == pytest.approx(kit["final_loss"], rel=1e-3)
    assert {name: kit[name] for name in ("tokens", "labelled", "steps", "weights")} == {
        name: peer[name] for name in ("tokens", "labelled", "steps", "weights")
    }
    assert kit["computed"] <= kit["tokens"] and len(peer["clock"]) == peer["steps"]


# ---- indexing and search


def test_indexing_finds_the_same_on_all_sides(embedder, capsys):
    indexing = script("indexing")
    dataset = data.open_dataset(ROOT / "datasets" / "tidewater")
    documents = read_documents(dataset.documents_folder)[:6]
    there = {document.id for document in documents}
    asked = [
        q for q in dataset.questions("facts_trained") + dataset.questions("facts_heldout") if there & set(q.documents)
    ]
    record = indexing.measure(documents, asked, "float32", repeats=1)
    assert indexing.finish("indexing", record, arguments()) == 0
    shown = printed(capsys)
    assert shown.keys() >= ABOUT and shown["questions"] == len(asked) > 0
    assert 0 < shown["kit"]["hits_1"] <= shown["kit"]["hits_5"] == shown["stock"]["hits_5"]


# ---- the record and the README's table


def test_the_pages_tables_are_those_of_the_records():
    latest = script("latest")
    readme = latest.PAGE.read_text(encoding="utf-8")
    assert latest.with_table(readme, latest.read_latest()) == readme
    with pytest.raises(KitError, match="markers"):
        latest.with_table("no markers", None)
