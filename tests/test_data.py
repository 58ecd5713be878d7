"""Records and data folders: what is right is read, and each mistake is named with its file, its line and a remedy."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, write
from pydantic import TypeAdapter, ValidationError

from helpers.data import QUESTION_SETS, Answer, DataError, Effort, Example, Fact, Passage, Question, Result, Score
from helpers.data.dataset import Dataset, general_questions, open_dataset, read_prompts, sample
from helpers.data.files import read_records, table

GOOD = {"id": "a", "set": "own", "prompt": "Who?", "answers": ["Me", "I"]}


def lines(path: Path, *rows: dict | str) -> Path:
    return write(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def read_questions(path: Path) -> list[Question]:
    return read_records(path, Question)


def test_records_are_made_by_position_are_values_and_check_their_types():
    question = Question("a", "own", "Who?", ["Me"], ("d",))
    assert question == Question(id="a", set="own", prompt="Who?", answers=("Me",), documents=("d",))
    assert len({question, replace(question), replace(question, part="p")}) == 2
    for wrong in ({"id": 7}, {"answers": "Me"}, {"choises": ["Me"]}):
        with pytest.raises(ValidationError):
            Question(**GOOD | wrong)
    assert Effort(1.0, peak_memory_bytes=5) + Effort(2.0, peak_memory_bytes=3) == Effort(3.0, peak_memory_bytes=5)


def test_a_result_comes_back_from_json_as_it_was():
    answer = Answer("a", "Me", "prompt", (Passage("d", "n", "text", 0.5),), 3, 1, logprobs=(-0.5,))
    scores = [Score(Question(**GOOD), answer, 1.0, "right")]
    made = Result("base", "own", 7, "quick", "e", "complete", scores, {"f1": [0.5]}, Effort(1.5), {"model": "tiny"})
    result = TypeAdapter(Result)
    record = json.loads(result.dump_json(made))
    assert result.validate_python(record) == made
    with pytest.raises(ValidationError, match="joules"):
        result.validate_python(record | {"effort": {"joules": 3}})


def test_questions_are_read_in_order_whatever_ends_a_line(tmp_path):
    second = {"id": "b", "set": "terms", "prompt": "Which?", "answers": ["x"], "choices": ["y", "x"], "part": "p"}
    path = lines(tmp_path / "file.jsonl", GOOD, "", "  ", second | {"documents": ["d"], "asset": "A", "field": "f"})
    other = Question("b", "terms", "Which?", ("x",), ("d",), ("y", "x"), "A", "f", "p")
    expected = [Question("a", "own", "Who?", ("Me", "I")), other]
    assert read_questions(path) == expected
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_questions(path) == expected
    unanswerable = {"id": "a", "set": "unanswerable", "prompt": "Who?"}
    assert read_questions(lines(path, unanswerable))[0].answers == ()
    unstated = {"set": "twins", "part": "unanswerable", "wording": "w1", "bridge": ["d"]}
    assert read_questions(lines(path, unanswerable | unstated))[0].bridge == ("d",)


@pytest.mark.parametrize(("line", "place", "remedy"), table(ROOT / "tests/cases/mistakes.yaml"))
def test_each_mistake_is_named_by_file_line_field_and_remedy(tmp_path, line, place, remedy):
    path = lines(tmp_path / "file.jsonl", GOOD, line)
    with pytest.raises(DataError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}{place}") and remedy in str(caught.value)


def test_examples_and_prompts(tmp_path):
    pair = {"id": "1", "task": "answers", "prompt": "Who?", "response": "Me"}
    path = lines(tmp_path / "pairs.jsonl", pair, pair | {"id": "2", "asset": "A"})
    first = Example("1", "answers", "Who?", "Me")
    assert read_records(path, Example) == [first, replace(first, id="2", asset="A")]
    path = lines(tmp_path / "asked.jsonl", {"id": "1", "prompt": "Who?"}, {"id": "2", "prompt": "Where?", "note": 3})
    assert read_prompts(path) == [Question("1", "asked", "Who?"), Question("2", "asked", "Where?")]
    with pytest.raises(DataError, match=r"asked.jsonl:1: prompt: .*Add it"):
        read_prompts(lines(path, {"id": "1"}))


def test_facts_are_read_and_checked(tmp_path):
    head = "asset,field,value,split,documents"
    dataset = Dataset(tmp_path)
    lines(tmp_path / "facts.csv", head, 'A,site,"Here, there",trained,a;b', "B,site,Else,new,")
    assert dataset.facts() == [Fact("A", "site", "Here, there", "trained", "a;b"), Fact("B", "site", "Else", "new")]
    assert dataset.values_by_asset == {"A": ("Here, there",), "B": ("Else",)}
    for rows, said in (
        ((head, "A,site,Here,trained,a", "A,site,,trained,a"), "facts.csv:3: value: .*write one"),
        ((head, "A,site,Here, there,trained,a"), "facts.csv:2: more cells"),
        (("asset,field,value,documents", "A,site,Here,a"), "facts.csv:2: split: .*Add it"),
    ):
        lines(tmp_path / "facts.csv", *rows)
        with pytest.raises(DataError, match=said):
            dataset.facts()


def test_a_dataset_opens_all_its_parts(small_world):
    dataset = open_dataset(small_world)
    assert all(path.name.endswith(".md") for path in dataset.documents_folder.iterdir())
    assert dataset.question_sets == [name for name in QUESTION_SETS if name in dataset.question_sets]
    for name in dataset.question_sets:
        assert {question.set for question in dataset.questions(name)} == {name}
    assert [len(question.documents) for question in dataset.questions("withdrawn")] == [1]
    for part in ("train", "validation"):
        assert {example.task for example in dataset.examples("triage", part)} == {"triage"}
        assert len(dataset.corpus(part)) == len(set(dataset.corpus(part)))
    facts, later = dataset.facts(), dataset.facts(after=3)
    assert len(facts) == 14 * 8 and len(later) == 15 * 8
    for fact in facts + later:
        assert fact.value in dataset.values_by_asset[fact.asset]


def test_a_dataset_says_what_is_missing(small_world, tmp_path):
    dataset = Dataset(small_world)
    for call, said in (
        (lambda: open_dataset(tmp_path / "absent"), r"absent: there is no such folder.*python -m tools.world --out"),
        (lambda: open_dataset(tmp_path), r"documents: there is no such folder"),
        (lambda: dataset.questions("fact"), r"no question set 'fact'. Sets of this folder: facts_trained, facts_h"),
        (lambda: dataset.corpus("test"), "test.jsonl: there is no such file"),
        (lambda: dataset.examples("poems"), "poems.train.jsonl: there is no such file"),
    ):
        with pytest.raises(DataError, match=said):
            call()


def test_general_text_for_evaluation_is_not_trained_on_and_questions_are_balanced(small_world):
    dataset = open_dataset(small_world)
    evaluation, replay = dataset.general_text("evaluation"), dataset.general_text("replay")
    assert len(evaluation) >= 30 and "\n" not in "".join(evaluation)
    six = [{tuple(words[i : i + 6]) for words in map(str.split, texts) for i in range(len(words) - 5)}
           for texts in (evaluation, replay)]  # fmt: skip
    assert not six[0] & six[1]
    questions = general_questions()
    assert set(Counter(question.field for question in questions).values()) == {20} and len(questions) == 200
    places = Counter(question.choices.index(question.answers[0]) for question in questions)
    assert places == dict.fromkeys(range(4), 50) and len({question.prompt for question in questions}) == 200


def test_a_sample_is_fixed_and_contains_smaller_ones():
    questions = [Question(f"q{n}", "own", "Who?") for n in range(50)]
    ten, twenty = sample(questions, 10), sample(questions, 20)
    assert len(ten) == 10 and set(ten) < set(twenty) and twenty == sorted(twenty, key=questions.index)
    assert sample(questions, None) == sample(questions, 99) == questions


def test_the_hash_follows_names_and_contents_but_not_the_card(tmp_path):
    write(tmp_path / "a" / "x.txt", "one\n")
    first = Dataset(tmp_path).hash
    assert first == "9dff56c43a590ceb93ffd08539be1643de47fafcb07c0311245f981bd951d8d9", "recorded results carry it"
    write(tmp_path / "README.md", "about")
    write(tmp_path / ".cache", "hidden")
    assert Dataset(tmp_path).hash == first
    write(tmp_path / "a" / "x.txt", "two")
    second = Dataset(tmp_path).hash
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "y.txt")
    renamed = Dataset(tmp_path).hash
    write(tmp_path / "a" / "README.md", "a document of that name")
    assert len({first, second, renamed, Dataset(tmp_path).hash}) == 4
    with pytest.raises(DataError, match="there are no files"):
        assert Dataset(tmp_path / "absent").hash
