"""The benchmarks: kit and plain path do the same work, and the figures have their shape. Nothing is timed here."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_tiny

from helpers import data
from helpers.data.documents import read_documents
from helpers.data.records import KitError
from helpers.models.foundation_model import load_model

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


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory) -> str:
    return str(make_tiny("Llama", tmp_path_factory.mktemp("bench-model")))


# ---- training


def job(kind: str, model: str, out: Path, **told):
    return script("training_sides").Job("kit", kind, str(out), model, "float32", 1.0, 24, **told)


@pytest.mark.parametrize("kind", ["pairs", "text"])
def test_the_stock_trainer_learns_what_the_kit_learns(tiny_llama, tmp_path, kind):
    sides = script("training_sides")
    made = {
        side: sides.run(
            replace(job(kind, tiny_llama, tmp_path / side), side=side, variant="flat, eager", validate=True)
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


# ---- answers


def test_answering_has_the_same_answers_on_both_sides(tiny_folder, embedder, capsys):
    answering = script("answering")
    fm = load_model(tiny_folder, device="cpu", dtype="float32")
    with torch.no_grad():
        for weight in fm.model.parameters():
            weight.copy_(weight.bfloat16())  # as models are shipped: packed weights then lose nothing
    record = answering.measure(fm, embedder, count=6, single=2, repeats=1, documents=6)
    assert answering.finish("answering", record, arguments()) == 0
    shown = printed(capsys)
    assert shown.keys() >= ABOUT
    for part in ("without_context", "with_passages"):
        assert shown[part]["same_texts"] == shown[part]["questions"] == 6
        assert shown[part]["kit"]["new_tokens_per_s"] > 0 and shown[part]["single"]["peer"]["first_token_s"] > 0


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


# ---- what they share


def test_sides_take_turns_and_a_ratio_is_the_peers_seconds_over_the_kits():
    measuring, order = script("measuring"), []
    made = measuring.take_turns({"kit": lambda: order.append("kit"), "peer": lambda: order.append("peer")}, 3)
    assert order == ["kit", "peer", "peer", "kit", "kit", "peer"] and len(made["kit"]) == 3
    assert measuring.ratio([1.0, 2.0, 1.0], [3.0, 4.0, 5.0]) == {"ratio": 3.0, "ratio_low": 2.0, "ratio_high": 5.0}


def test_work_that_differs_ends_with_exit_code_1(capsys):
    measuring = script("measuring")
    record = {"ratio": 2.0, "ratio_low": 1.0, "ratio_high": 3.0, "agree": False, "kit": {"right": 3}}
    assert measuring.finish("training", record, arguments()) == 1
    told = capsys.readouterr()
    assert "did not do the same work" in told.err and "kit.right: 3" in told.out


# ---- the record and the README's table


def figures(ratio: float, **told) -> dict:
    about = {"agree": True, "quick": True, "repeats": 3, "created": "2026-01-02T03:04:05+00:00", "versions": {}}
    about |= {"machine": "A machine", "cores": 2, "memory_bytes": 8 * 2**30}
    return about | {"ratio": ratio, "ratio_low": ratio - 1, "ratio_high": ratio + 1} | told


def test_the_pages_tables_are_those_of_the_records():
    latest = script("latest")
    readme = latest.PAGE.read_text(encoding="utf-8")
    assert latest.with_table(readme, latest.read_latest()) == readme
    changed = latest.with_table(readme, {"benchmarks": {"indexing": figures(4.0)}, "failed": {}})
    assert "| indexing |" in changed and latest.NOTHING not in changed
    assert latest.with_table(changed, latest.read_latest()) == readme
    with pytest.raises(KitError, match="markers"):
        latest.with_table("no markers", None)


def test_a_benchmark_that_fails_keeps_the_figures_of_the_others(tmp_path, monkeypatch):
    latest = script("latest")
    command = latest.command_of
    scripts = {name: str(tmp_path / f"{name}.py") for name in ("good", "bad", "peerless")}
    starts = {name: [sys.executable, script] for name, script in scripts.items()}
    monkeypatch.setattr(latest, "command_of", lambda name, told: [*starts[name], *command(name, told)[3:]])
    (tmp_path / "good.py").write_text("import sys; print('on the way'); print('{\"told\": \"%s\"}' % sys.argv[1])")
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    (tmp_path / "peerless.py").write_text("raise SystemExit(2)")
    latest.run_all(["good", "bad"], ["--quick"], tmp_path / "latest.json")
    record = latest.read_latest(tmp_path / "latest.json")
    assert record["benchmarks"] == {"good": {"told": "--json"}} and "exit code 3" in record["failed"]["bad"]
    (tmp_path / "bad.py").write_text("print('{\"ratio\": 5}')")
    latest.run_all(["bad"], [], tmp_path / "latest.json")
    record = latest.read_latest(tmp_path / "latest.json")
    assert set(record["benchmarks"]) == {"good", "bad"} and not record["failed"]
    with pytest.raises(SystemExit):
        latest.run_all(["peerless"], [], tmp_path / "latest.json")
    assert latest.read_latest(tmp_path / "latest.json") == record
    assert [path.name for path in tmp_path.glob(".latest*")] == []
