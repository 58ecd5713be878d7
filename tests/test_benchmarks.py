"""The benchmarks: kit and plain path do the same work, and the figures have their shape. Nothing is timed here."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from conftest import make_tiny

from helpers import data
from helpers.data.documents import read_documents
from helpers.data.records import KitError
from helpers.experiment.assistant import Assistant
from helpers.models.foundation_model import load_model
from helpers.tuning import packing
from helpers.tuning.packing import IGNORED
from helpers.tuning.training_data import training_rows

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tools" / "benchmarks"
ABOUT = {"benchmark", "ratio", "ratio_low", "ratio_high", "agree", "created", "machine", "cores", "quick", "versions"}


def installed(name: str) -> bool:
    """Whether a distribution is there; a look for the module fails where the package around it is missing too."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


has_trl = installed("trl")
needs_trl = pytest.mark.skipif(not has_trl, reason="trl is not installed: pip install -e '.[bench]'")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The scripts import each other by their names."""
    monkeypatch.syspath_prepend(str(FOLDER))


def script(name: str):
    return importlib.import_module(name)


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
def test_the_peers_read_what_the_kit_packs(tiny, kind):
    sides = script("training_sides")
    material, settings = sides.what_is_learned(replace(job(kind, "", Path()), examples=24))
    rows, _, report = training_rows(tiny, material, settings)
    examples = [example for row in rows for example in sides.unpacked(row)]
    assert sum(label != IGNORED for each in examples for label in each.labels) == report["labelled_tokens"]
    assert all(
        label in (IGNORED, token) for each in examples for token, label in zip(each.ids, each.labels, strict=True)
    )
    if kind == "text":
        assert [example.ids for example in examples] == [row.ids[: row.tokens] for row in rows if row.tokens]
        return
    told = {tuple(pair.prompt + pair.response): len(pair.prompt) for pair in _encoded(tiny, material)}
    assert len(examples) > len(rows) and {tuple(example.ids) for example in examples} <= set(told)
    for example in examples:
        start = told[tuple(example.ids)]
        assert example.labels == [IGNORED] * start + example.ids[start:]


def _encoded(fm, material):
    from helpers.data.records import Question
    from helpers.models.prompts import ask

    return [packing.encode_pair(fm, e.id, ask(Question(e.id, e.task, e.prompt)), e.response) for e in material.pairs]


@pytest.mark.parametrize("kind", ["pairs", "text"])
@pytest.mark.parametrize("variant", ["padded, sdpa", "flat, eager"])
def test_the_stock_trainer_learns_what_the_kit_learns(tiny_llama, tmp_path, kind, variant):
    sides = script("training_sides")
    made = {
        side: sides.run(replace(job(kind, tiny_llama, tmp_path / side), side=side, variant=variant, validate=True))
        for side in ("kit", "trainer")
    }
    kit, peer = made["kit"], made["trainer"]
    assert kit["final_loss"] < kit["first_loss"] == peer["first_loss"]
    assert peer["final_loss"] == pytest.approx(kit["final_loss"], rel=1e-3)
    assert {name: kit[name] for name in ("tokens", "labelled", "steps", "weights")} == {
        name: peer[name] for name in ("tokens", "labelled", "steps", "weights")
    }
    assert kit["computed"] <= kit["tokens"] and len(peer["clock"]) == peer["steps"]


def test_the_batches_grouped_by_length_hold_every_example_once(tiny_llama, tmp_path):
    sides = script("training_sides")
    batches = [[sides.Example([i] * (i % 5 + 1), [i]) for i in range(start, start + 4)] for start in range(0, 40, 4)]
    grouped = sides.planned(replace(job("pairs", "", tmp_path), side="trainer", variant="grouped, sdpa"), batches)
    assert sorted(e.labels[0] for batch in grouped for e in batch) == list(range(40)) and len(grouped) == len(batches)
    assert grouped != batches


@pytest.mark.parametrize(("loss", "taken"), [(2.02, "grouped, sdpa"), (2.2, "flat, eager")])
def test_batches_grouped_by_length_give_way_where_they_reach_another_loss(loss, taken, tmp_path):
    def start(wanted):
        if wanted.side == "trials":
            return {"padded, sdpa": 2.0, "flat, eager": 1.0, "grouped, sdpa": 0.95}
        grouped = wanted.side == "trainer" and wanted.variant == "grouped, sdpa"
        return {"final_loss": loss if grouped else 2.0, "variant": wanted.variant}

    compared = script("training").compare(job("pairs", "", tmp_path), 2, start)
    assert compared["trials"]["fastest"] == taken
    assert {run["variant"] for run in [compared["trainer"]["validated"], *compared["trainer"]["timed"]]} == {taken}
    given_up = {"variant": "grouped, sdpa", "final_loss": loss}
    assert compared["trials"].get("other_work") == (None if taken == "grouped, sdpa" else given_up)


@pytest.mark.parametrize("kind", ["pairs", "all_weights"])
def test_a_step_is_timed_beside_the_least_that_it_could_take(kind, tiny_llama):
    step = script("step")
    made = step.work(kind, tiny_llama, "float32", 2, compiled=False)
    assert len(made["losses"]) == len(made["seconds"]) + step.WARM_UP and min(made["seconds"]) > 0
    assert len(made["seconds"]) in (1, 2, 3), "about two: rows come in whole passes"
    assert min(made["floor"].values()) > 0 and len(made["floor"]) == 5 and made["tokens"] == made["rows"] * 256
    compiled = made | {
        "losses": [loss * 1.005 for loss in made["losses"]],
        "seconds": [each / 2 for each in made["seconds"]],
    }
    found = step.figures({"plain": [made], "compiled": [compiled]})
    assert found["ratio"] == pytest.approx(2) and found["agree"] and found["compiling_s"] == [0.0]
    assert not step.figures({"plain": [made], "compiled": [made | {"losses": [9.0] * len(made["losses"])}]})["agree"]


def test_the_products_of_a_step_are_those_of_all_layers():
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.tuned = nn.Linear(4, 6).requires_grad_(False), nn.Linear(6, 5)
            self.head, self.config = nn.Linear(5, 9), None

        def get_output_embeddings(self):
            return self.head

    frozen, tuned = [(10, 4, 6, False), (10, 6, 4, False)], [(10, 6, 5, False), (10, 5, 6, False), (5, 10, 6, True)]
    assert list(script("floor").shapes(Model(), 10)) == frozen + tuned


def test_batches_of_one_length_need_what_as_many_of_the_first_need(tiny, monkeypatch):
    floors = script("floor")
    asked = []
    monkeypatch.setattr(floors, "products", lambda shapes, dtype: asked.append(next(shapes)[0]) or 1.0)
    monkeypatch.setattr(floors, "attention", lambda causal, mask: asked.append(tuple(mask.shape)) or 0.1)
    monkeypatch.setattr(floors, "between", lambda causal, tokens: asked.append(tokens) or 0.01)
    monkeypatch.setattr(floors, "loss", lambda causal, labelled: asked.append(labelled) or 10.0)
    monkeypatch.setattr(floors, "update", lambda model: 100.0)
    rows = [
        floors.Row([5] * 96, [5] * (n - 1) + [-100] * (97 - n), [0] * 96, [0] * n + [-1] * (96 - n))
        for n in (64, 60, 90)
    ]
    layers = tiny.model.config.num_hidden_layers
    found = floors.floor(tiny.model, [rows[:1], rows[1:2], rows[2:]])
    between = 0.03 * layers
    assert found == pytest.approx(
        {"products": 3, "attention": 0.3 * layers, "between": between, "loss": 30, "update": 300}
    )
    assert asked == [64, (1, 1, 64, 64), 64, 63, 96, (1, 1, 96, 96), 96, 89]


def test_the_update_is_timed_on_weights_that_stay_as_they_are():
    import torch

    model = torch.nn.Linear(3, 2).bfloat16()
    before = model.weight.clone()
    assert script("floor").update(model) > 0
    assert torch.equal(model.weight, before) and model.weight.grad is None


@needs_trl
def test_training_compares_all_sides_and_prints_its_figures(tiny_llama, tmp_path, capsys):
    training, sides = script("training"), script("training_sides")
    compared = training.summary(training.compare(job("pairs", tiny_llama, tmp_path), 1, sides.run), 1e12)
    record = {name: compared["against_sft"][name] for name in ("ratio", "ratio_low", "ratio_high")}
    assert training.finish("training", record | {"agree": compared["agree"], "pairs": compared}, arguments()) == 0
    shown = printed(capsys)
    assert shown.keys() >= ABOUT and abs(shown["pairs"]["against_sft"]["loss_difference"]) < 1e-3
    assert set(shown["pairs"]["trainer_variant"]["seconds_a_token"]) == set(sides.VARIANTS)
    for peer in ("sft", "trainer"):
        most = shown["pairs"][peer]["seconds"] / shown["pairs"]["kit"]["floor_s"]
        assert shown["pairs"][f"against_{peer}"]["at_most"] == pytest.approx(most) and most > 0
    for side in ("kit", "sft", "trainer"):
        figures = shown["pairs"][side]
        assert figures["tokens_per_s"] == pytest.approx(figures["tokens"] / figures["seconds"])
        assert figures["seconds_to_loss"] > 0 and figures["final_loss"] <= compared["target_loss"]


def test_the_seconds_to_a_loss_lie_between_the_steps_whose_end_is_known():
    training = script("training")
    run = {"first_loss": 4.0, "curve": [[10, 2.0]], "final_loss": 1.0, "steps": 20}
    assert [training.step_of(loss, run) for loss in (5.0, 3.0, 2.0, 1.5, 1.0)] == [0, 5, 10, 15, 20]
    assert [training.at_step(step, [[2, 4.0], [4, 6.0]]) for step in (0, 1, 2, 3, 4)] == [0, 2, 4, 5, 6]


def test_the_operations_of_a_run_are_six_for_what_is_tuned_and_four_for_what_is_not():
    training = script("training")
    run = {"computed": 10, "labelled": 2, "weights": {"layers": 100, "adapter": 7, "head": 30}}
    assert training.flops(run) == 10 * (4 * 100 + 6 * 7) + 2 * 4 * 30
    assert training.flops(run | {"weights": {"layers": 100, "adapter": 0, "head": 30}}) == 10 * 600 + 2 * 6 * 30


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


@pytest.mark.parametrize(("dtype", "agree"), [("float32", False), ("bfloat16", True)])
def test_other_texts_are_other_work_in_float32_even_if_as_many_are_right(monkeypatch, dtype, agree):
    answering = script("answering")
    monkeypatch.setattr(answering, "right_answers", lambda questions, texts, dataset: 1)

    def side(texts: list[str]) -> SimpleNamespace:
        told = [answering.Told(text, 0.1, 0.2, 3) for text in texts]
        return SimpleNamespace(ask_all=lambda questions: told[: len(questions)], model=SimpleNamespace(dtype=dtype))

    whole, empty = side(["yes"] * 20), side(["yes"] * 18 + [""] * 2)
    assert answering.scoring(empty, whole, range(20), None, 1)["agree"] == agree
    assert answering.scoring(whole, whole, range(20), None, 1)["agree"]


def test_the_peer_reads_the_kits_prompt_and_counts_its_tokens(tiny):
    answering = script("answering")
    question = data.open_dataset(ROOT / "datasets" / "tidewater").questions("facts_trained")[0]
    told, kit = answering.Peer(tiny).ask(question), Assistant(tiny).ask(question)
    assert (told.text, told.new_tokens) == (kit.text, kit.new_tokens)
    assert 0 < told.first_token_s <= told.total_s


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


def test_made_vectors_are_the_real_ones_first_and_their_neighbours_after():
    scale = script("retrieval_scale")
    real = np.linalg.qr(np.random.default_rng(1).normal(size=(384, 20)))[0].T
    made = scale.grown(real, 100)
    assert made.shape == (100, 384) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.allclose(made[:20], real, atol=1e-6)
    likeness = (made * np.tile(real, (5, 1))).sum(1)[20:]
    assert 0.85 < likeness.min() and likeness.max() < 0.95
    assert set(scale.exact_search(made, real[3])) == {"3", "23", "43", "63", "83"}
    assert scale.recall([["1", "2"], ["5"]], [["1", "2"], ["6"]]) == 0.5


def test_search_is_measured_embedded_and_on_a_server(embedder, capsys, monkeypatch):
    scale = script("retrieval_scale")
    monkeypatch.setattr(scale, "WIDTHS", (77,))
    monkeypatch.setattr(scale, "NEIGHBOURS", (24,))
    record = scale.measure([60], repeats=1, sweep=True, embedder=embedder, most=24)
    assert scale.finish("retrieval_scale", record, arguments()) == 0
    shown = printed(capsys)
    assert shown.keys() >= ABOUT
    for place in ("embedded_60", "server_60"):
        assert shown[place]["recall_5"] >= 0.98 and shown[place]["query_p50_s"] <= shown[place]["query_p95_s"]
        assert shown[place]["memory_bytes"] > 0 and shown[place]["build_s"] > 0
    assert shown["embedded_60"]["settings"]["ef_search"] > 0
    (swept,) = shown["embedded_60"]["sweep"].values()
    settings = swept["width 77"]["settings"]
    assert (settings["max_neighbors"], settings["ef_search"]) == (24, 77) and swept["width 77"]["recall_5"] >= 0.98
    assert swept["disk_bytes"] > 0 and shown["embedded_60"]["settings"]["max_neighbors"] != 24


# ---- start-up


def test_both_sides_start_and_answer_alike(tiny_llama, tmp_path, capsys):
    startup = script("startup")
    cells = ["answer = 'asked'", "class A:\n    ask = str\nanswer = A().ask(1)", "raise SystemError"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbformat.write(notebook, tmp_path / "asks.ipynb")
    record = startup.first_answers(tiny_llama, "float32", 1, warm_up=0) | startup.imports(1, warm_up=0)
    record["notebook"] = startup.notebook_to_answer(tmp_path / "asks.ipynb")
    assert startup.finish("startup", record, arguments()) == 0
    shown = printed(capsys)
    assert shown.keys() >= ABOUT and shown["kit"]["reply"] == shown["peer"]["reply"] != ""
    assert shown["notebook"]["cells"] == 2 and shown["notebook"]["memory_bytes"] > 0


def test_a_notebook_that_asks_nothing_or_fails_is_named(tmp_path):
    startup = script("startup")
    for source, message in (("1 + 1", "asks an assistant"), ("1 / 0  # .ask(", "ZeroDivisionError")):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), tmp_path / "n.ipynb")
        with pytest.raises(KitError, match=message):
            startup.notebook_to_answer(tmp_path / "n.ipynb")


# ---- what they share


def test_a_missing_peer_ends_with_the_command_that_installs_it(capsys):
    measuring = script("measuring")
    measuring.need("torch")
    for module in ("no_such_peer", "llama_index.llms.no_such_peer", "no_such.peer"):
        with pytest.raises(SystemExit) as ended:
            measuring.need(module)
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert module in told and "pip install -c constraints.txt -e '.[bench]'" in told


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


def test_the_limits_of_the_machine_are_found(monkeypatch):
    measuring = script("measuring")
    for name, value in (("SECONDS", 0.0), ("ROUNDS", 1), ("SHAPES", ((8, 8, 8),)), ("BUFFER", 2**16)):
        monkeypatch.setattr(measuring, name, value)
    assert measuring.matrix_peak("float32") > 0 and measuring.memory_bandwidth() > 0


def test_a_process_that_fails_is_told_of(tmp_path):
    measuring = script("measuring")
    (tmp_path / "says.py").write_text("import helpers, sys; print('{\"said\": \"' + sys.argv[1] + '\"}')")
    assert measuring.in_own_process(tmp_path / "says.py", "yes") == {"said": "yes"}
    (tmp_path / "fails.py").write_text("raise ValueError('no such thing')")
    with pytest.raises(KitError, match="no such thing"):
        measuring.in_own_process(tmp_path / "fails.py")


# ---- the record and the README's table


def figures(ratio: float, **told) -> dict:
    one = {"ratio": ratio, "ratio_low": ratio - 1, "ratio_high": ratio + 1}
    about = {
        "agree": True,
        "quick": True,
        "repeats": 3,
        "created": "2026-01-02T03:04:05+00:00",
        "machine": "A machine",
        "cores": 2,
    }
    return one | about | {"memory_bytes": 8 * 2**30, "versions": {"torch": "1.2"}} | told


def test_the_table_shows_each_ratio_and_what_did_not_agree():
    latest = script("latest")
    pairs = {"against_sft": figures(3.25), "against_trainer": figures(2.5), "kit": {"peak_memory_bytes": 1_870_000_000}}
    found = {"training": figures(3.25, pairs=pairs), "indexing": figures(4.0, agree=False, quick=False, repeats=1)}
    text = latest.table({"benchmarks": found, "failed": {"startup": "it broke"}})
    assert (
        "| training, labelled pairs | trl's SFTTrainer | 3.25 | 2.25 to 4.25 (rounds) | at least 3 | quick, 2026"
        in text
    )
    assert "| indexing | LlamaIndex's stock pipeline | 4.00 | one round | at least 2.5 | full, 2026-01-02 |" in text
    assert "packed text" not in text and "scoring" not in text
    assert "| training pairs: peak memory (GB) | 1.9 | at most 2.5 |" in text and "recall@5" not in text
    assert text.count("A machine, 2 cores, 8 GiB of memory, no accelerator, with torch 1.2") == 1
    timed = {"indexing": figures(4.0, gflops={"float32": 75.2, "bfloat16": 11.0})}
    assert "no accelerator, 75 GFLOP/s, with torch 1.2" in latest.table({"benchmarks": timed, "failed": {}})
    elsewhere = latest.table({"benchmarks": found | {"processes": timed["indexing"]}, "failed": {}})
    assert "\ntraining, indexing: measured on A machine" in elsewhere and "\nprocesses: measured on A mach" in elsewhere
    assert "did not do the same work in: indexing" in text and "Failed: startup." in text


def test_the_pages_tables_are_those_of_the_records():
    latest = script("latest")
    readme = latest.PAGE.read_text(encoding="utf-8")
    assert latest.with_tables(readme) == readme
    changed = latest.with_table(readme, {"benchmarks": {"indexing": figures(4.0)}, "failed": {}})
    assert "| indexing |" in changed and latest.NOTHING not in changed
    assert latest.with_table(changed, latest.read_latest()) == readme
    with pytest.raises(KitError, match="markers"):
        latest.with_table("no markers", None)


def test_a_benchmark_that_fails_keeps_the_figures_of_the_others(tmp_path, monkeypatch):
    latest = script("latest")
    monkeypatch.setattr(latest, "HERE", tmp_path)
    (tmp_path / "good.py").write_text(
        'import sys; print(\'on the way\'); print(\'{"ratio": 2, "told": "%s"}\' % sys.argv[1])'
    )
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    (tmp_path / "peerless.py").write_text("raise SystemExit(2)")
    latest.run_all(["good", "bad"], ["--quick"], tmp_path / "latest.json")
    record = latest.read_latest(tmp_path / "latest.json")
    assert record["benchmarks"] == {"good": {"ratio": 2, "told": "--json"}} and "exit code 3" in record["failed"]["bad"]
    (tmp_path / "bad.py").write_text("print('{\"ratio\": 5}')")
    latest.run_all(["bad"], [], tmp_path / "latest.json")
    record = latest.read_latest(tmp_path / "latest.json")
    assert set(record["benchmarks"]) == {"good", "bad"} and not record["failed"]
    with pytest.raises(SystemExit):
        latest.run_all(["peerless"], [], tmp_path / "latest.json")
    assert latest.read_latest(tmp_path / "latest.json") == record
    assert [path.name for path in tmp_path.glob(".latest*")] == []


# ---- processes


def made_run(*losses: float, seconds: float = 2.0) -> dict:
    return {
        "steps": 2, "losses": list(losses), "seconds": seconds, "tokens": 100, "dtype": "float32", "compiled": False,
        "peak_memory_bytes": 5,
    }  # fmt: skip


def test_processes_are_compared_by_their_losses_and_seconds():
    processes = script("processes")
    found = processes.figures({"one": [made_run(2.0, 1.0)], "several": [made_run(2.001, 1.0, seconds=4.0)]})
    assert found["agree"] and found["ratio"] == 0.5
    assert found["one"]["tokens_per_s"] == 50 and found["several"]["tokens_per_s"] == 25
    assert found["several"]["largest_loss_difference"] == pytest.approx(0.0005)
    apart = processes.figures({"one": [made_run(2.0, 1.0)], "several": [made_run(2.0, 1.02)]})
    assert not apart["agree"]


def test_two_processes_do_the_work_of_one(tiny_llama, small_world):
    told = arguments(model=tiny_llama, data=small_world, dtype="float32", processes=2, whole=False, fsdp=False)
    found = script("processes").compare(told)
    assert found["agree"] and found["steps"] == 4 and found["tokens"] > 0 and found["ratio"] > 0
    assert found["several"]["final_loss"] == pytest.approx(found["one"]["final_loss"], rel=1e-3)


@pytest.mark.parametrize("name", ["training", "step", "answering", "indexing", "retrieval_scale", "startup"])
def test_every_benchmark_is_run_by_latest_and_stands_in_the_table(name):
    latest = script("latest")
    assert name in latest.BENCHMARKS and name in {row[1] for row in latest.ROWS}
    assert re.search(rf"benchmarks/{name}\.py", (FOLDER / f"{name}.py").read_text(encoding="utf-8"))
