"""The generated domain's corpus, pairs and questions, and how a world gets into a folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from helpers.data.dataset import open_dataset
from helpers.data.records import QUESTION_SETS, KitError
from helpers.models.download import FOUNDATION_MODEL, model_folder
from tools.world import FIELDS, generate
from tools.world.__main__ import main
from tools.world.card import TOKENS_A_WORD, corpus_words
from tools.world.corpus import RESTATEMENTS, TERM_GENRE, training_notes
from tools.world.make import world_files
from tools.world.templates import load, words
from tools.world.world import World, make_world

INSTRUCTIONS = ("answers.train", "answers.validation", "triage.train", "triage.validation")


@pytest.fixture(scope="module", params=[(7, 24), (1, 12), (2, 200)], ids=["default", "smallest", "large"])
def world(request) -> World:
    return make_world(*request.param)


@pytest.fixture(scope="module")
def files(world) -> dict[str, str]:
    return world_files(world, RESTATEMENTS)


@pytest.fixture(scope="module")
def default_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "tidewater"
    generate(folder)
    return folder


def rows(files: dict[str, str], name: str) -> list[dict]:
    return [json.loads(line) for line in files[f"{name}.jsonl"].splitlines()]


def sets(files: dict[str, str]) -> dict[str, list[dict]]:
    return {name: rows(files, f"questions/{name}") for name in QUESTION_SETS}


def masked(text: str, names: list[str]) -> str:
    """The text with each name of a list replaced by a slot."""
    return re.sub(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", "{name}", text)


def every_name(world: World) -> list[str]:
    return [asset.name for asset in (*world.assets, world.newcomer)] + list(world.absent)


def test_every_asset_has_its_notes_each_by_another_template(world):
    names = {asset.name for asset in world.assets}
    notes = training_notes(world, RESTATEMENTS)
    told = Counter()
    genres: dict[str, Counter] = {name: Counter() for name in names}
    for note in notes:
        if note.genre != TERM_GENRE:
            (name,) = {word for word in re.findall(r"\w+", note.text)} & names
            told[name] += 1
            genres[name][note.genre] += 1
            values = next(asset.values for asset in world.assets if asset.name == name)
            assert all(value.lower() in note.text.lower() for value in values.values()), note.text
    assert set(told) == names and set(told.values()) == {RESTATEMENTS}
    assert all(max(counts.values()) == 1 for counts in genres.values())


def test_training_and_validation_share_no_text(world, files):
    assets = {asset.name: [asset.name, *asset.values.values()] for asset in world.assets}
    found: dict[str, set[str]] = {}
    for part in ("train", "validation"):
        for row in rows(files, f"corpus/{part}"):
            own = [value for word in set(re.findall(r"\w+", row["text"])) for value in assets.get(word, ())]
            found.setdefault(part, set()).update(" ".join(run) for run in runs(masked(row["text"], own or ["{name}"])))
    assert found["train"] and found["validation"] and not found["train"] & found["validation"]


def runs(text: str) -> list[list[str]]:
    row = words(text)
    return [row[start : start + 6] for start in range(len(row) - 5)]


def test_the_default_corpus_is_small_enough_for_a_laptop(default_folder):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder(FOUNDATION_MODEL))
    texts = open_dataset(default_folder).corpus()
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts)
    assert tokens < 25_000
    estimate = corpus_words((default_folder / "corpus" / "train.jsonl").read_text("utf-8")) * TOKENS_A_WORD
    assert estimate == pytest.approx(tokens, rel=0.02)


def test_no_pair_names_an_asset_that_is_not_trained(world, files):
    others = [asset.name for asset in world.assets if asset.split == "heldout"] + [world.newcomer.name, *world.absent]
    for name in INSTRUCTIONS:
        text = files[f"instructions/{name}.jsonl"]
        assert [other for other in others if other in text] == [], name


def test_no_test_prompt_is_in_a_training_file(files):
    training = {row[key] for name in INSTRUCTIONS for row in rows(files, f"instructions/{name}") for key in ("prompt",)}
    corpus = files["corpus/train.jsonl"] + files["corpus/validation.jsonl"]
    asked = [question["prompt"] for questions in sets(files).values() for question in questions]
    assert not training & set(asked)
    assert not [prompt for prompt in asked if json.dumps(prompt, ensure_ascii=False)[1:-1] in corpus]


def test_no_question_about_a_fact_shares_a_template_with_a_training_pair(world, files):
    names = every_name(world)
    trained = {masked(row["prompt"], names) for row in rows(files, "instructions/answers.train")}
    trained |= {masked(row["prompt"], names) for row in rows(files, "instructions/answers.validation")}
    for name in ("facts_trained", "facts_heldout", "updates", "unanswerable"):
        asked = {masked(row["prompt"], names) for row in rows(files, f"questions/{name}")}
        assert all("{name}" in text for text in asked) and not asked & trained


def test_each_trained_fact_is_asked_in_two_ways_and_a_third_in_validation(world, files):
    values = {
        (asset.name, value) for asset in world.assets if asset.split == "trained" for value in asset.values.values()
    }
    train = rows(files, "instructions/answers.train")
    asked = Counter((row["asset"], row["response"]) for row in train)
    assert set(asked) == values and set(asked.values()) == {2}
    prompts = {row["prompt"] for row in train}
    assert len(prompts) == len(train)
    validation = rows(files, "instructions/answers.validation")
    assert len(validation) == 30 and not {row["prompt"] for row in validation} & prompts
    assert {(row["asset"], row["response"]) for row in validation} <= values


def test_unanswerable_questions_sound_like_answerable_ones(world, files):
    names = every_name(world)
    nouns = [entry["noun"] for entry in load("questions")["fields"].values()] + list(load("questions")["gaps"].values())
    known = {
        masked(masked(row["prompt"], names), nouns)
        for name in ("facts_trained", "facts_heldout")
        for row in rows(files, f"questions/{name}")
    }
    questions = rows(files, "questions/unanswerable")
    real = [row for row in questions if row["asset"] in {asset.name for asset in world.assets}]
    assert len(questions) >= 60 and len(real) >= len(questions) / 2
    assert all("answers" not in row and "documents" not in row for row in questions)
    assert [row["prompt"] for row in questions if masked(masked(row["prompt"], names), nouns) not in known] == []


def test_nothing_answers_an_unanswerable_question(world, files):
    text = "\n".join(text for name, text in files.items() if not name.startswith("questions/")).lower()
    assert [gap for gap in load("questions")["gaps"].values() if gap in text] == []
    assert [name for name in world.absent if name.lower() in text] == []


def test_two_hop_questions_need_two_documents(world, files):
    stated = {}
    for line in files["facts.csv"].splitlines()[1:]:
        asset, field, value, _, documents = line.split(",")
        stated[asset, field] = (value, set(documents.split(";")))
    for question in rows(files, "questions/two_hop"):
        assert question["asset"] not in question["prompt"]
        told = [
            (asset, field)
            for (asset, field), (value, _) in stated.items()
            if field in load("questions")["two_hop"]["machines"] and value in question["prompt"]
        ]
        assert [asset for asset, _ in told] == [question["asset"]]
        assert question["field"] != told[0][1] and not stated[told[0]][1] & set(question["documents"])


def test_choices_are_of_one_kind_and_the_right_one_stands_anywhere(files):
    kinds = {entry["meaning"]: entry["kind"] for entry in load("glossary")}
    places = Counter()
    for question in rows(files, "questions/terms"):
        assert len(set(question["choices"])) == 4
        assert {kinds[choice] for choice in question["choices"]} == {kinds[question["answers"][0]]}
        places[question["choices"].index(question["answers"][0])] += 1
    assert max(places.values()) - min(places.values()) <= 1
    for question in rows(files, "questions/general"):
        assert question["answers"][0] in question["choices"]


def test_accepted_answers_belong_to_one_asset(default_folder):
    dataset = open_dataset(default_folder)
    facts = dataset.questions("facts_trained") + dataset.questions("facts_heldout")
    for field in FIELDS:
        answers = [answer for question in facts if question.field == field for answer in question.answers]
        assert len(answers) == len(set(answers)) >= 24


def test_a_world_replaces_itself_and_nothing_else(tmp_path):
    out = tmp_path / "world"
    generate(out, seed=3, assets=12)
    first = (out / "facts.csv").read_bytes()
    generate(out, seed=4, assets=12)
    assert (out / "facts.csv").read_bytes() != first
    (out / "mine.txt").write_text("a note")
    with pytest.raises(KitError, match=r"mine\.txt was not made by this command"):
        generate(out, seed=3, assets=12)
    (out / "mine.txt").unlink()
    (out / "documents" / "policy-01.md").write_text("changed")
    with pytest.raises(KitError, match=r"policy-01\.md was changed since"):
        generate(out, seed=3, assets=12)
    (tmp_path / "file").write_text("")
    with pytest.raises(KitError, match="is a file"):
        generate(tmp_path / "file")


def test_the_command_makes_a_world_and_the_same_bytes_again(tmp_path, capsys):
    for name in ("one", "two"):
        assert main(["--seed", "5", "--assets", "12", "--out", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / name)
    paths = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")) for n in ("one", "two")]
    assert paths[0] == paths[1] and len(paths[0]) > 60
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in paths[0])
    assert main(["--assets", "3", "--out", str(tmp_path / "three")]) == 2
    assert "error: " in capsys.readouterr().err and not (tmp_path / "three").exists()


def test_a_world_is_whole_or_not_there(tmp_path):
    with pytest.raises(KitError, match=r"Restatements can be 1 to \d+ \(one a template\), not 99"):
        generate(tmp_path / "world", restatements=99)
    assert list(tmp_path.iterdir()) == []
    generate(tmp_path / "world", assets=12, restatements=1)
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_the_card_counts_what_is_there(default_folder):
    text = (default_folder / "README.md").read_text(encoding="utf-8")
    cells = {
        tuple(cell.strip() for cell in line.strip("|").split("|")[:2]) for line in text.splitlines() if "|" in line
    }
    for path in (default_folder / "questions").glob("*.jsonl"):
        assert (path.stem, str(len(path.read_text("utf-8").splitlines()))) in cells
    for kind in ("manual", "procedure", "incident", "bulletin", "policy", "glossary"):
        assert (kind, str(len(list((default_folder / "documents").glob(f"{kind}-*.md"))))) in cells
