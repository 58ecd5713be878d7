"""The generated domain: each claim of its data card and of the experiments that depend on it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import frontmatter
import pytest

from helpers.data import QUESTION_SETS, KitError, open_dataset
from helpers.models.download import FOUNDATION_MODEL, model_folder
from tools.world import FIELDS, generate
from tools.world.__main__ import main
from tools.world.card import TOKENS_A_WORD, corpus_words
from tools.world.corpus import RESTATEMENTS, TERM_GENRE, training_notes
from tools.world.make import world_files
from tools.world.templates import MASK, leaves, load, repeated_runs, words
from tools.world.world import World, make_world

INSTRUCTIONS = ("answers.train", "answers.validation", "triage.train", "triage.validation")
DATASET = Path(__file__).resolve().parent.parent / "datasets" / "tidewater"
TEMPLATE_FILES = ("documents", "corpus", "questions", "triage")


class Made:
    """A world with its files, parsed."""

    def __init__(self, seed: int = 7, assets: int = 24, restatements: int = RESTATEMENTS):
        self.world = make_world(seed, assets)
        self.restatements = restatements
        self.files = world_files(self.world, restatements)
        self.documents = self.pages("documents/")
        self.updates = self.pages("updates/documents/")
        self.withdrawn = self.files["updates/withdrawn.txt"].strip()
        self.later = {k: v for k, v in (self.documents | self.updates).items() if k != self.withdrawn}

    def pages(self, folder: str) -> dict[str, frontmatter.Post]:
        posts = [frontmatter.loads(text) for name, text in self.files.items() if name.startswith(folder)]
        return {post["id"]: post for post in posts}

    def rows(self, name: str) -> list[dict]:
        return rows(self.files, name)

    def facts(self, name: str = "facts.csv") -> list[dict]:
        return list(csv.DictReader(io.StringIO(self.files[name])))

    def names(self, split: str) -> set[str]:
        return {asset.name for asset in self.world.assets if asset.split == split}


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module", params=[(7, 24), (1, 12), (2, 200)], ids=["default", "smallest", "large"])
def any_made(request) -> Made:
    return Made(*request.param)


@pytest.fixture(scope="module")
def world(any_made) -> World:
    return any_made.world


@pytest.fixture(scope="module")
def files(any_made) -> dict[str, str]:
    return any_made.files


@pytest.fixture(scope="module")
def default_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "tidewater"
    generate(folder)
    return folder


def rows(files: dict[str, str], name: str) -> list[dict]:
    return [json.loads(line) for line in files[f"{name}.jsonl"].splitlines()]


def has(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def template_texts() -> list[tuple[str, str]]:
    texts = [(f"{name}/{place}", text) for name in TEMPLATE_FILES for place, text in leaves(load(name))]
    return texts + [(f"glossary/{entry['term']}", entry["meaning"]) for entry in load("glossary")]


def test_committed_files_are_what_the_generator_writes(made):
    committed = {
        path.relative_to(DATASET).as_posix(): path.read_bytes() for path in DATASET.rglob("*") if path.is_file()
    }
    assert sorted(committed) == sorted(made.files)
    assert [name for name, text in made.files.items() if committed[name] != text.encode()] == []


@pytest.mark.parametrize("assets", [0, 11, 2001])
def test_sizes_out_of_bounds_are_refused(assets):
    with pytest.raises(KitError, match=rf"12 to 2000 assets, not {assets}"):
        make_world(7, assets)


def test_the_largest_world_has_enough_names():
    world = make_world(7, 2000)
    names = [asset.name for asset in (*world.assets, world.newcomer)] + list(world.absent)
    assert len(names) == len(set(names)) == 2001 + len(world.absent)
    for field in ("site", "alarm_code", "spare_part"):
        assert len(set(world.all_values(field))) == 2001
    assert len(set(world.all_values("supervisor"))) == 2001 + len(world.changes)


def test_no_wording_is_used_twice():
    assert repeated_runs(template_texts()) == []
    texts = [("a", "{asset} may not, ever, be left alone."), ("b", "So {site} may NOT ever be left!"), ("c", "be left")]
    assert repeated_runs(texts) == [(f"{MASK} may not ever be left", "a", "b")], "slots, case and punctuation aside"


def test_restatements_of_an_assets_facts_share_no_six_words(any_made):
    names = {asset.name: asset for asset in any_made.world.assets}
    masks = {name: sorted({name, *asset.values.values()}, key=len, reverse=True) for name, asset in names.items()}
    told: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for note in any_made.rows("corpus/train") + any_made.rows("corpus/validation"):
        for name in {word for word in re.findall(r"\w+", note["text"]) if word in names}:
            told[name].append((note["id"], note["text"]))
    for post in any_made.documents.values():
        for section in re.split(r"(?m)^## (?=\w+$)", post.content) if post["type"] == "bulletin" else [post.content]:
            for name in {word for word in re.findall(r"\w+", section) if word in names}:
                told[name].append((f"{post['id']} {section[:20]}", section))
    for name, texts in told.items():
        pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, masks[name]))})(?!\w)", re.IGNORECASE)
        assert len(texts) >= any_made.restatements + 5
        assert repeated_runs((place, pattern.sub("{value}", text)) for place, text in texts) == []


def test_documents_are_of_fair_number_and_length(any_made):
    kinds = Counter(post["type"] for post in any_made.documents.values())
    assert kinds["manual"] == kinds["procedure"] == len(any_made.world.assets) and kinds["incident"] >= 30
    assert all(150 <= len(post.content.split()) <= 600 for post in any_made.documents.values())


def test_no_value_occurs_twice_and_no_number_in_two_fields(made):
    numbers: list[str] = []
    for field in FIELDS:
        values = made.world.all_values(field)
        assert len(values) == len(set(values)), field
        if field != "spare_part":
            numbers += [number for value in values for number in re.findall(r"\d+", value)]
    now = [value for asset in made.world.assets for value in asset.values.values()]
    assert len(now) == len(set(now)) and len(numbers) == len(set(numbers))


def test_no_field_can_be_guessed(made):
    facts = made.facts()
    right = 0
    for field in FIELDS:
        right += Counter(fact["value"] for fact in facts if fact["field"] == field).most_common(1)[0][1]
    assert len(facts) == 24 * len(FIELDS) and right / len(facts) <= 0.05


def test_values_stand_in_the_listed_documents_and_in_no_other(made):
    for facts, documents in ((made.facts(), made.documents), (made.facts("updates/facts.csv"), made.later)):
        for fact in facts:
            holding = sorted(name for name, post in documents.items() if has(post.content, fact["value"]))
            assert ";".join(holding) == fact["documents"], fact
            assert all(has(documents[name].content, fact["asset"]) for name in holding)


def test_every_answer_stands_in_its_gold_documents(any_made):
    for name in ("facts_trained", "facts_heldout", "two_hop", "terms", "updates"):
        documents = any_made.later if name == "updates" else any_made.documents
        for question in any_made.rows(f"questions/{name}"):
            assert question["documents"], question["id"]
            for document in question["documents"]:
                assert has(documents[document].content, question["answers"][0]), question["id"]


def test_updates_change_what_they_say_and_nothing_else(any_made):
    assert len(any_made.world.changes) == round(len(any_made.world.assets) * 5 / 6)
    for name, post in any_made.updates.items():
        if name in any_made.documents:
            old = any_made.documents[name]
            assert post["revision"] == 2 and str(post["date"]) > str(old["date"]) and post["type"] != "incident"
            assert post.content != old.content
    new = set(any_made.updates) - set(any_made.documents)
    assert new == {f"manual-{any_made.world.newcomer.name.lower()}"}


def test_new_values_are_in_no_document_before_the_updates(made):
    before = "\n".join(post.content for post in made.documents.values())
    questions = made.rows("questions/updates")
    assert len(questions) >= 60 and {question["part"] for question in questions} == {"trained", "heldout", "new"}
    assert [question["id"] for question in questions if has(before, question["answers"][0])] == []
    asked = {
        (row["asset"], row["field"]): row
        for part in ("trained", "heldout")
        for row in made.rows(f"questions/facts_{part}")
    }
    for question in (row for row in questions if row["part"] != "new"):
        earlier = asked[question["asset"], question["field"]]
        assert question["prompt"] == earlier["prompt"] and question["answers"][0] != earlier["answers"][0]


def test_only_the_withdrawn_document_answers_its_question(made):
    (question,) = made.rows("updates/withdrawn")
    holding = [name for name, post in made.documents.items() if has(post.content, question["answers"][0])]
    assert holding == question["documents"] == [made.withdrawn]
    assert not has(made.files["corpus/train.jsonl"], question["answers"][0])


def test_every_term_is_used_in_documents_and_corpus(made):
    papers = "\n".join(post.content for post in made.documents.values() if post["type"] != "glossary")
    for name, text in (("documents", papers), ("corpus", made.files["corpus/train.jsonl"])):
        unused = [e["term"] for e in load("glossary") if not re.search(rf"(?i)\b{re.escape(e['term'])}", text)]
        assert len(load("glossary")) >= 60 and unused == [], name


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
    training = {row["prompt"] for name in INSTRUCTIONS for row in rows(files, f"instructions/{name}")}
    corpus = files["corpus/train.jsonl"] + files["corpus/validation.jsonl"]
    asked = [question["prompt"] for name in QUESTION_SETS for question in rows(files, f"questions/{name}")]
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
    for name, options, said in (("file", {}, "is a file"), ("new", {"restatements": 99}, "1 to .*, not 99")):
        with pytest.raises(KitError, match=said):
            generate(tmp_path / name, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "world"], "it is whole or not there"


def test_the_command_makes_a_world_and_the_same_bytes_again(tmp_path, capsys):
    for name in ("one", "two"):
        assert main(["--seed", "5", "--assets", "12", "--out", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / name)
    paths = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")) for n in ("one", "two")]
    assert paths[0] == paths[1] and len(paths[0]) > 60
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in paths[0])
    assert main(["--assets", "3", "--out", str(tmp_path / "three")]) == 2
    assert "error: " in capsys.readouterr().err and not (tmp_path / "three").exists()


def test_the_card_counts_what_is_there(default_folder):
    text = (default_folder / "README.md").read_text(encoding="utf-8")
    cells = {
        tuple(cell.strip() for cell in line.strip("|").split("|")[:2]) for line in text.splitlines() if "|" in line
    }
    for path in (default_folder / "questions").glob("*.jsonl"):
        assert (path.stem, str(len(path.read_text("utf-8").splitlines()))) in cells
    for kind in ("manual", "procedure", "incident", "bulletin", "policy", "glossary"):
        assert (kind, str(len(list((default_folder / "documents").glob(f"{kind}-*.md"))))) in cells
