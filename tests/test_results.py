"""Result files: the same record back, whole or not at all, and a clear word about every file that is none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import ROOT

from helpers.data.dataset import open_dataset
from helpers.data.records import Answer, DataError, Effort, Passage, Question, Result, Score
from helpers.experiment import results


def make_result(arm: str = "base:few_shot", question_set: str = "facts_heldout", **fields) -> Result:
    question = Question("q1", question_set, "Who? „Wer?“", ("Maren", "M."), ("manual-1",), asset="Ash", field="who")
    passage = Passage("manual-1", "node-1", "Maren runs it.\n", 0.75, "Brackwell")
    answer = Answer("q1", "Maren", "<|user|>Who?", (passage,), 12, 3)
    choice = Question("q2", "terms", "What?", ("a",), choices=("a", "b"))
    chosen = Answer("q2", "a", "", prompt_tokens=5, logprobs=(-0.5, -1.25))
    record = Result(
        arm, question_set, 7, "quick", "0123456789abcdef", "complete",
        [Score(question, answer, 1.0, "right"), Score(choice, chosen, 1.0, "right choice")],
        {"abstained": 0.0, "exact_match": 1.0, "token_f1": 1.0, "first_token_s": [0.02]},
        Effort(wall_s=1.5, documents=3), {"model": "tiny"}, {"torch": "2"}, {"cores": 2},
        "2025-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(record, **fields)


def test_a_result_comes_back_as_it_was(tmp_path):
    made = make_result()
    path = results.write_result(tmp_path / "new" / "folder", made)
    assert results.read_results(path.parent) == [results.read_result(path)] == [made]
    (shared,) = path.parent.glob("shared.*.json")
    assert "„Wer?“" in shared.read_text(encoding="utf-8") and b"\r" not in shared.read_bytes() + path.read_bytes()
    assert results.write_result(path.parent, made) == path
    left = sorted(file.name for file in path.parent.glob("[!.]*"))
    assert left == sorted([path.name, shared.name]), "something was left beside the result"


def test_prompts_and_shared_texts_are_kept_once_and_scores_follow_the_present_rules(tmp_path):
    made = make_result()
    first = made.scores[0]
    second = replace(first, answer=replace(first.answer, text="Ida, not Maren"))
    batched = [replace(each, answer=replace(each.answer, batch_size=2)) for each in (first, second) * 20]
    values, kinds = {"Ash": ["Maren"], "Elm": ["Ida"]}, {"who": "^M"}
    path = results.write_result(tmp_path, replace(made, scores=batched, metrics={}), values, kinds)
    read = results.read_result(path)
    assert [score.value for score in read.scores] == [1, 0] * 20 and "Ida" in read.scores[1].why
    assert read.metrics["right_kind"] == [1, 0] * 20 and read.metrics["abstained"] == 0
    assert [score.answer.prompt for score in read.scores] == [first.answer.prompt] + [""] * 39
    assert {passage.text for score in read.scores for passage in score.answer.passages} == {"Maren runs it.\n"}
    other = make_result(question_set="updates")
    results.write_result(tmp_path, other)
    assert results.read_result(path) == read, "what another result brings takes nothing away"
    assert sum(file.read_text(encoding="utf-8").count("Maren runs it.") for file in tmp_path.glob("*.json")) == 1


def test_two_processes_write_into_one_folder(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\nsys.path.insert(0, 'tests')\n"
        "from helpers.experiment import results\nfrom test_results import make_result\n"
        "for n in range(12):\n    made = make_result(f'arm{n}-{sys.argv[1]}')\n    own = made.scores[0]\n"
        "    made.scores = [replace(own, question=replace(own.question, id=made.arm))]\n"
        "    results.write_result(Path(sys.argv[2]), made)\n", encoding="utf-8",
    )  # fmt: skip
    command = [sys.executable, str(script)]
    running = [
        subprocess.Popen([*command, name, str(tmp_path / "out")], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        for name in "ab"
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert {score.question.id for each in results.read_results(tmp_path / "out") for score in each.scores} == {
        f"arm{n}-{name}" for n in range(12) for name in "ab"
    }


def test_file_names_work_everywhere_and_tell_runs_apart(tmp_path):
    runs = [
        make_result(), make_result(arm="base"), make_result(arm="rag+customization"), make_result(seed=8),
        make_result(question_set="updates"), make_result(experiment="f" * 16),
    ]  # fmt: skip
    names = [results.write_result(tmp_path, run).name for run in runs]
    assert len(set(names)) == len(runs)
    assert not [name for name in names if set(name) & set('<>:"/\\|?*')]
    assert results.read_results(tmp_path) == [run for _, run in sorted(zip(names, runs, strict=True))]


# ---- files that are no results


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "JSON"), (b'{"schema": 1, "arm"', "JSON"), (b'{"schema": "\xff"}', "JSON"),
        (b"[]", "cannot be read as a result"), (b'{"schema": 1, "scores": 3, "effort": {}}', "arm"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_named_with_a_remedy(tmp_path, content, where):
    path = tmp_path / "base.terms.seed7.01234567.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        results.read_results(tmp_path)
    assert all(part in str(caught.value) for part in (str(path), where, "Delete it"))


def test_another_schema_and_a_damaged_part_are_named(tmp_path):
    path = results.write_result(tmp_path, make_result())
    text = path.read_text(encoding="utf-8")
    (shared,) = tmp_path.glob("shared.*.json")
    kept = shared.read_text(encoding="utf-8")
    for damaged in ("{", kept.replace('"prompt"', '"promt"')):
        shared.write_text(damaged, encoding="utf-8")
        with pytest.raises(DataError, match="shared.*Delete it"):
            results.read_result(path)
    shared.unlink()
    with pytest.raises(DataError, match="shared.*results beside it need it"):
        results.read_result(path)
    shared.write_text(kept, encoding="utf-8")
    for right, wrong, named in (
        ('"schema": 2', '"schema": 3', "has schema 3; this kit reads 1 and 2"),
        ('"new_tokens": [3, 0]', '"new_tokens": [3, "no"]', r"scores\.1\.answer\.new_tokens"),
        ('"new_tokens": [3, 0]', '"new_tokens": [3]', "scores: .*shorter"),
        ('"question": ["', '"question": ["x', "lacks 'x.*not written together"),
    ):
        path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
        with pytest.raises(DataError, match=named):
            results.read_result(path)


def test_every_recorded_result_of_the_kit_comes_back_as_it_was(tmp_path):
    paths = sorted((ROOT / "results" / "reference").glob("*.seed*.json"))
    values = open_dataset(ROOT / "datasets" / "tidewater").values_by_asset
    for path in paths:
        recorded = results.read_result(path)
        written = results.write_result(tmp_path, recorded, values)
        read = results.read_result(written)
        assert written.name == path.name and [s.value for s in read.scores] == [s.value for s in recorded.scores]
        read, recorded = ([p.text for s in each.scores for p in s.answer.passages] for each in (read, recorded))
        assert read == recorded
    assert len(results.read_results(tmp_path)) == len(paths) > 0


def test_a_curve_comes_back_sorted_and_a_damaged_one_is_named(tmp_path):
    points = [{"x": x, "value": 0.5, "low": 0.4, "high": 0.6} for x in (4, 1)]
    path = results.write_curve(tmp_path, results.Curve("labels", "pairs", "accuracy", "customization", points))
    assert [point["x"] for point in results.read_curves(tmp_path)["labels"].points] == [1, 4]
    whole = path.read_text(encoding="utf-8")
    for wrong in ("{", '{"name": "labels"}', whole.replace("0.5", "NaN"), whole.replace('"low"', '"least"')):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(DataError, match="labels.curve.json"):
            results.read_curves(tmp_path)
    assert results.read_curves(tmp_path / "absent") == {}


def test_an_empty_and_a_missing_folder_say_how_to_fill_them(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="study --out") as caught:
            results.read_results(folder)
        assert str(folder) in str(caught.value)
