"""Reading data files: what is right is read, and each mistake is named with its file, its line and a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.data.dataset import (
    Dataset,
    data_hash,
    general_text,
    load_corpus,
    load_examples,
    load_prompts,
    load_questions,
    open_dataset,
)
from helpers.data.records import QUESTION_SETS, DataError, Example, Question

GOOD = {"id": "a", "set": "own", "prompt": "Who?", "answers": ["Me", "I"]}


def written(folder: Path, *lines: dict | str, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n", "utf-8")
    return path


def error(read, path: Path) -> str:
    """The message of the error that reading raises; it always begins with the file."""
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def test_questions_are_read_in_order_and_blank_lines_skipped(tmp_path):
    second = {"id": "b", "set": "terms", "prompt": "Which?", "answers": ["x"], "choices": ["y", "x"], "part": "p"}
    path = written(tmp_path, GOOD, "", "  ", second | {"documents": ["d"], "asset": "A", "field": "f"})
    assert load_questions(path) == [
        Question("a", "own", "Who?", ("Me", "I")),
        Question("b", "terms", "Which?", ("x",), ("d",), ("y", "x"), "A", "f", "p"),
    ]


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n\r\n")
    assert [question.id for question in load_questions(path)] == ["a"]


@pytest.mark.parametrize(
    ("line", "problem", "remedy"),
    [
        ('{"id": "b", "set"', ":2: not valid JSON", "one object a line"),
        ("[1, 2]", ":2: expected a JSON object in braces, found list", "one a line"),
        (GOOD, ":2: the id 'a' is already used in line 1", "its own id"),
        ({"set": "own", "prompt": "Who?", "answers": ["Me"]}, ":2: the field 'id' is missing", "Add it"),
        ({"id": "b", "set": "own", "answers": ["Me"]}, ":2: the field 'prompt' is missing", "Add it"),
        ({"id": "b", "set": "own", "prompt": "Who?"}, ":2: the field 'answers' is missing", "Add a list"),
        (GOOD | {"id": 7}, ":2: the field 'id' must be a text, not 7", "Put it in quotes"),
        (GOOD | {"id": "b", "prompt": " "}, ":2: the field 'prompt' is empty", "Write a text"),
        (GOOD | {"id": "b", "answers": "Me"}, ":2: the field 'answers' must be a list of texts", "Use"),
        (GOOD | {"id": "b", "answers": [1999]}, ":2: the field 'answers' must be a list of texts", "Use"),
        (GOOD | {"id": "b", "answers": []}, ":2: 'answers' is empty", "Give one answer"),
        (GOOD | {"id": "b", "answers": [""]}, ":2: the field 'answers' holds an empty text", "Write it out"),
        (GOOD | {"id": "b", "choices": ["You", "We"]}, ":2: the choices do not contain 'Me'", "Put the first answer"),
        (GOOD | {"id": "b", "choices": ["Me", "Me"]}, ":2: 'choices' needs two or more different", "Mend the list"),
        (GOOD | {"id": "b", "choises": ["Me", "I"]}, ":2: unknown field 'choises'", "choices"),
    ],
)
def test_each_mistake_in_a_question_is_named_with_its_line(tmp_path, line, problem, remedy):
    message = error(load_questions, written(tmp_path, GOOD, line))
    assert message.startswith(problem) and remedy in message


def test_only_unanswerable_questions_may_lack_answers(tmp_path):
    path = written(tmp_path, {"id": "a", "set": "unanswerable", "prompt": "Who?"})
    assert load_questions(path)[0].answers == ()


def test_files_that_cannot_be_read_are_named(tmp_path):
    message = error(load_questions, tmp_path / "absent.jsonl")
    assert "no such file" in message and "python -m helpers world --out" in message
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xe9"}\n')
    assert "byte 8 is not UTF-8. Save the file anew" in error(load_questions, tmp_path / "latin.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    assert "holds no lines to read. Write one JSON object" in error(load_questions, tmp_path / "empty.jsonl")
    assert "no such file" in error(load_questions, tmp_path)


def test_prompts_need_an_id_and_a_prompt_alone(tmp_path):
    path = written(tmp_path, {"id": "1", "prompt": "Who?"}, {"id": "2", "prompt": "Where?", "note": 3})
    assert load_prompts(path) == [Question("1", "asked", "Who?"), Question("2", "asked", "Where?")]
    assert ":1: the field 'prompt' is missing" in error(load_prompts, written(tmp_path, {"id": "1"}))


def test_examples_and_corpora_are_read_and_checked(tmp_path):
    pair = {"id": "1", "task": "answers", "prompt": "Who?", "response": "Me"}
    path = written(tmp_path, pair, pair | {"id": "2", "asset": "A"})
    assert load_examples(path) == [
        Example("1", "answers", "Who?", "Me"),
        Example("2", "answers", "Who?", "Me", "A"),
    ]
    assert ":1: the field 'response' is empty" in error(load_examples, written(tmp_path, pair | {"response": ""}))
    assert load_corpus(written(tmp_path, {"id": "1", "text": "One."}, {"id": "2", "text": "Two."})) == ["One.", "Two."]
    assert ":2: the field 'text' is missing" in error(
        load_corpus, written(tmp_path, {"id": "1", "text": "One."}, {"id": "2", "txt": "Two."})
    )


def test_a_dataset_opens_all_its_parts(small_world):
    dataset = open_dataset(small_world)
    assert all(path.name.endswith(".md") for path in dataset.documents_folder.iterdir())
    assert all(path.name.endswith(".md") for path in dataset.updates_folder.iterdir())
    for name in QUESTION_SETS:
        assert {question.set for question in dataset.questions(name)} == {name}
    assert [question.documents for question in dataset.questions("withdrawn")] == [tuple(dataset.withdrawn)]
    for part in ("train", "validation"):
        assert {example.task for example in dataset.examples("triage", part)} == {"triage"}
        assert len(dataset.corpus(part)) == len(set(dataset.corpus(part)))
    facts, later = dataset.facts(), dataset.facts(updated=True)
    assert len(facts) == 12 * 8 and len(later) == 13 * 8
    changed = {(fact.asset, fact.field) for fact in facts} & {
        (fact.asset, fact.field) for fact in set(later) - set(facts)
    }
    assert {field for _, field in changed} == {"supervisor", "inspection_interval", "radio_channel"}
    for fact in facts + later:
        assert fact.value in dataset.values[fact.field]


def test_a_dataset_says_what_is_missing(small_world, tmp_path):
    with pytest.raises(DataError, match=r"absent: there is no such folder.*python -m helpers world --out"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(DataError, match=r"documents: there is no such folder"):
        open_dataset(tmp_path)
    dataset = Dataset(small_world)
    with pytest.raises(DataError, match=r"no question set 'fact'. Sets of this folder: facts_heldout, facts_trained"):
        dataset.questions("fact")
    with pytest.raises(DataError, match="no part 'test'. Choose one of: train, validation"):
        dataset.corpus("test")
    with pytest.raises(DataError, match=r"no such file"):
        dataset.examples("poems")


def test_general_text_is_found_beside_the_data_or_in_the_kit(tmp_path):
    own = general_text("evaluation")
    assert len(own) >= 30 and not set(own) & set(general_text("replay"))
    (tmp_path / "mine").mkdir()
    assert general_text("evaluation", beside=tmp_path / "mine") == own
    (tmp_path / "general").mkdir()
    written(tmp_path / "general", "One", "line.\r", "\r", "Two.", name="evaluation.txt")
    assert general_text("evaluation", beside=tmp_path / "mine") == ["One line.", "Two."]
    with pytest.raises(DataError, match="no such file"):
        general_text("replay", beside=tmp_path / "mine")
    written(tmp_path / "general", "", name="replay.txt")
    with pytest.raises(DataError, match="the file is empty. Put paragraphs"):
        general_text("replay", beside=tmp_path / "mine")
    with pytest.raises(DataError, match="no part of the general text 'train'. Choose one of: evaluation, replay"):
        general_text("train")


def test_the_hash_follows_names_and_contents_but_not_the_card(tmp_path):
    (tmp_path / "a").mkdir()
    written(tmp_path / "a", "one", name="x.txt")
    first = data_hash(tmp_path)
    written(tmp_path, "about", name="README.md")
    written(tmp_path, "hidden", name=".cache")
    assert data_hash(tmp_path) == first
    written(tmp_path / "a", "two", name="x.txt")
    second = data_hash(tmp_path)
    written(tmp_path / "a", "one", name="x.txt")
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "y.txt")
    renamed = data_hash(tmp_path)
    written(tmp_path / "a", "a document of that name", name="README.md")
    assert len({first, second, renamed, data_hash(tmp_path)}) == 4
    with pytest.raises(DataError, match="no files to read here"):
        data_hash(tmp_path / "absent")
