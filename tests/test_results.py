"""Result files: the same record back, whole or not at all, and a clear word about every file that is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import ROOT

from helpers.data.records import Answer, DataError, Effort, Passage, Question, Result, Score
from helpers.experiment import results


def make_result(arm: str = "base:few_shot", question_set: str = "facts_heldout", **fields) -> Result:
    question = Question("q1", question_set, "Who? „Wer?“", ("Maren", "M."), ("manual-1",), asset="Ash", field="who")
    passage = Passage("manual-1", "node-1", "Maren runs it.\n", 0.75, "Brackwell")
    answer = Answer("q1", "Maren", "<|user|>Who?", (passage,), 12, 3, 0.01, 0.02, 0.03, 1)
    choice = Question("q2", "terms", "What?", ("a",), choices=("a", "b"))
    chosen = Answer("q2", "a", "<|user|>What?", prompt_tokens=5, batch_size=32, logprobs=(-0.5, -1.25))
    record = Result(
        arm, question_set, 7, "quick", "0123456789abcdef", "complete",
        [Score(question, answer, 1.0, "right"), Score(choice, chosen, 1.0, "right choice")],
        {"exact_match": 1.0, "first_token_s": [0.02]}, Effort(wall_s=1.5, documents=3), {"model": "tiny"},
        {"torch": "2"}, {"cores": 2}, "abc1234", "2025-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(record, **fields)


def test_a_result_comes_back_as_it_was(tmp_path):
    made = make_result()
    path = results.write_result(tmp_path / "new" / "folder", made)
    assert results.read_results(path.parent) == [results.read_result(path)] == [made]
    assert "„Wer?“" in path.read_text(encoding="utf-8") and b"\r" not in path.read_bytes()
    assert results.write_result(path.parent, made) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name], "something was left beside the result"


def test_file_names_work_everywhere_and_tell_runs_apart(tmp_path):
    runs = [
        make_result(), make_result(arm="base"), make_result(arm="rag+customization"), make_result(question_set="terms"),
        make_result(seed=8), make_result(experiment="f" * 16),
    ]  # fmt: skip
    names = [results.write_result(tmp_path, run).name for run in runs]
    assert len(set(names)) == len(runs)
    assert not [name for name in names if set(name) & set('<>:"/\\|?*')]
    assert results.read_results(tmp_path) == [run for _, run in sorted(zip(names, runs, strict=True))]


def test_versions_time_and_revision_are_those_of_this_kit(monkeypatch):
    assert set(results.versions()) == set(results.PACKAGES) and results.now().endswith("+00:00")
    revision = results.git_revision()
    assert revision == "" or revision.removesuffix("+").isalnum()
    monkeypatch.setenv("PATH", "")
    assert results.git_revision() == "", "without git there is no revision, and no error"


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
    for right, wrong, named in (
        ('"schema": 1', '"schema": 2', "has schema 2; this kit reads 1"),
        ('"value": 1.0', '"value": "high"', r"scores\.0\.value"),
    ):
        path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
        with pytest.raises(DataError, match=named):
            results.read_result(path)


def test_every_recorded_result_of_the_kit_comes_back_as_it_was(tmp_path):
    paths = sorted((ROOT / "results" / "reference").glob("*.seed*.json"))
    for path in paths:
        recorded = results.read_result(path)
        written = results.write_result(tmp_path, recorded)
        assert written.name == path.name and results.read_result(written) == recorded
    assert len(results.read_results(tmp_path)) == len(paths) > 0


def test_a_result_is_reused_only_when_it_is_complete_and_made_in_the_same_way(tmp_path):
    made = make_result()
    path = results.write_result(tmp_path, made)
    assert results.finished(path, made.config) == made
    assert results.finished(path, made.config | {"model": "other"}) is None
    assert results.finished(tmp_path / "absent.json", made.config) is None
    results.write_result(tmp_path, replace(made, status="interrupted"))
    assert results.finished(path, made.config) is None


def test_a_curve_comes_back_sorted_and_a_damaged_one_is_named(tmp_path):
    points = [{"x": x, "value": 0.5, "low": 0.4, "high": 0.6} for x in (4, 1)]
    path = results.write_curve(tmp_path, results.Curve("labels", "pairs", "accuracy", "customization", points))
    assert [point["x"] for point in results.read_curves(tmp_path)["labels"].points] == [1, 4]
    for wrong in ("{", '{"name": "labels"}', path.read_text(encoding="utf-8").replace("0.5", "NaN")):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(DataError, match="labels"):
            results.read_curves(tmp_path)
    assert results.read_curves(tmp_path / "absent") == {}


def test_an_empty_and_a_missing_folder_say_how_to_fill_them(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="study --out") as caught:
            results.read_results(folder)
        assert str(folder) in str(caught.value)
