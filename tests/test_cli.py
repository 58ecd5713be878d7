"""The commands: help for each, errors of one sentence, and JSON that a program can read without looking."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import ROOT, make_tiny, run_python
from synthetic import make_results
from test_comparison import run as make_run

from helpers import verbs
from helpers.__main__ import main
from helpers.analysis import Comparison, read_comparison
from helpers.data import dataset, profiles
from helpers.experiment import results
from helpers.rag.chunking import RagSettings

VERBS = ("doctor", "fetch", "ask", "train", "study", "compare")


def kit(*arguments) -> SimpleNamespace:
    """Runs `python -m helpers ARGUMENTS` in this process, wide enough that no line is broken."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["helpers", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def assert_one_sentence(run, *named: str) -> None:
    """The command failed with status 2, a sentence on stderr that names these, and nothing on stdout."""
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("error: ") and "Traceback" not in run.stderr
    assert all(str(name) in run.stderr for name in named), run.stderr


@pytest.fixture
def folder(tmp_path):
    """A folder with the results of two arms."""
    for made in (make_run(), make_run("rag", values=(1, 1, 1)), make_run("rag", "terms")):
        results.write_result(tmp_path / "results", made)
    return tmp_path / "results"


# ---- help and errors


def test_help_lists_every_command_and_each_has_help_of_its_own():
    listed = kit("--help")
    assert listed.returncode == 0 and "Usage" in kit().stdout
    for verb in VERBS:
        run = kit(verb, "--help")
        assert verb in listed.stdout
        assert run.returncode == 0 and "Usage" in run.stdout and verb in run.stdout, run.stderr
        assert len(run.stdout) > 200, "the help of a command says what it does"


def test_fetch_gives_folders_and_doctor_says_by_its_status_whether_something_is_missing(tmp_path):
    run = kit("fetch", "all-MiniLM-L6-v2")
    assert run.returncode == 0 and run.stdout.strip().endswith("all-MiniLM-L6-v2"), run.stderr
    whole, empty = (run_python("-m", "helpers", "doctor", **place) for place in ({}, {"KIT_HOME": str(tmp_path)}))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert empty.returncode == 1 and "python -m helpers fetch" in empty.stdout


# ---- what the commands print


def test_compare_prints_one_json_object_and_nothing_else(folder):
    run, comparison = kit("compare", folder, "--json"), read_comparison(folder)
    assert (run.returncode, run.stderr, run.stdout.count("\n")) == (0, "", 1)
    assert json.loads(run.stdout) == comparison.table()
    assert kit("compare", folder).stdout.strip() == comparison.text().strip()


@pytest.fixture(scope="module")
def synthetic_folder(tmp_path_factory):
    """Results of a world in which RAG fails, so that some claims are contradicted."""
    folder = tmp_path_factory.mktemp("synthetic")
    for each in make_results(arms=("base", "rag"), shares={"rag": [0.02] * 8}):
        results.write_result(folder, each)
    return folder


def test_compare_judges_claims_and_is_strict_when_asked(synthetic_folder):
    judged = kit("compare", synthetic_folder, "--claims")
    assert judged.returncode == 0, judged.stderr
    assert "CONTRADICTED    rag-heldout" in judged.stdout and "NOT MEASURED    both-heldout" in judged.stdout
    strict = kit("compare", synthetic_folder, "--strict")
    assert strict.returncode == 1 and strict.stdout == judged.stdout and "Traceback" not in strict.stderr


def test_compare_writes_a_report_and_a_figure(synthetic_folder, tmp_path):
    page, figure = tmp_path / "out.html", tmp_path / "main.png"
    made = kit("compare", synthetic_folder, "--report", page, "--figure", figure)
    assert made.returncode == 0, made.stderr
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert made.stderr.split() == [str(page), str(figure)]
    run = kit("compare", synthetic_folder, "--figure", tmp_path / "main.doc")
    assert_one_sentence(run, "main.doc", ".svg")


def test_ask_prints_one_json_line_an_answer(tmp_path, small_world):
    questions = tmp_path / "questions.jsonl"
    rows = [{"id": f"own-{i}", "prompt": prompt} for i, prompt in enumerate(("Who lifts „rotors“?", "What is this?"))]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = kit("ask", "--data", small_world, "--questions", questions, "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["id"] for row in told] == ["own-0", "own-1"]
    known = {path.stem for path in (small_world / "documents").iterdir()}
    for row in told:
        assert isinstance(row["text"], str) and 0 < row["first_token_s"] <= row["total_s"]
        assert len(row["documents"]) == RagSettings().k and set(row["documents"]) <= known


def test_several_seeds_and_settings_are_run_each_in_its_own_folder(tmp_path, small_world, monkeypatch, capsys):
    few = replace(profiles.PROFILES["quick"], questions_per_set=2, latency_questions=1, training_share=0.003)
    monkeypatch.setitem(profiles.PROFILES, "quick", few)
    monkeypatch.setattr(dataset.Dataset, "question_sets", ["facts_heldout", "triage"])
    out, model = tmp_path / "out", str(make_tiny("Llama", tmp_path / "model"))
    verbs.study(
        "rag,customization", "quick", "7,8", str(small_world), out=out, model=model, settings=["k=1,2", "k=2,1"]
    )
    for k, seed in itertools.product((1, 2), (7, 8)):
        found = read_comparison(out / f"k={k},seed={seed}")
        assert {(r.arm, r.question_set, r.seed) for r in found.results} == {
            (arm, name, seed) for arm in ("rag", "customization") for name in ("facts_heldout", "triage")
        }
        rag = found.runs("rag", "facts_heldout")[seed]
        assert rag.config["rag"]["k"] == len(rag.scores[0].answer.passages) == k
    folders = [path.parent for path in (out / "adapters").rglob("*.safetensors")]
    assert len(folders) == len(set(folders)) == 4, "two trainings with each of two seeds, whatever k is"
    assert "16 result files in" in capsys.readouterr().out

    other = shutil.copytree(small_world, tmp_path / "other")
    (other / "documents" / "more.md").write_text("# More\n\nThe crew has tea at four, whatever the tide does.\n")
    verbs.study("base", "quick", "7,8", f"{small_world},{other}", out=tmp_path / "worlds", model=model)
    paired = {(r.seed, r.config["data_hash"]) for r in results.read_results(tmp_path / "worlds")}
    assert paired == {(7, dataset.open_dataset(small_world).hash), (8, dataset.open_dataset(other).hash)}


def test_a_study_runs_can_be_interrupted_and_goes_on(tmp_path, small_world):
    model, folder, stopped = make_tiny("Qwen2", tmp_path / "model"), tmp_path / "out", False
    command = ["-m", "helpers", "study", "--arms", "base,base:few_shot", "--data", small_world, "--model", model]
    command += ["--profile", "quick"]
    for out in ("first", "second", "third") if sys.platform != "win32" else ():
        folder = tmp_path / out
        arguments = [str(part) for part in [sys.executable, *command, "--out", folder]]
        child = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while child.poll() is None and not list(folder.glob("*.seed*.json")):
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        stderr = child.communicate()[1]
        if child.returncode != 0:  # else all was done before the signal came: try again in another folder
            stopped = child.returncode == 130 and "Traceback" not in stderr and "what was finished is kept" in stderr
            break
    assert stopped or sys.platform == "win32", "three interruptions in a row were not noticed"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.seed*.json")}
    run = run_python(*command, "--out", folder, COLUMNS="200")
    assert run.returncode == 0, run.stderr
    made = results.read_results(folder)
    assert len(made) == 2 * 11 and {result.status for result in made} == {"complete"}
    assert any(path.stat().st_mtime_ns == when for path, when in kept.items()) or not kept
    assert Comparison(made).text().splitlines()[0].strip() in run.stdout
    assert f"22 result files in {folder}" in run.stdout
