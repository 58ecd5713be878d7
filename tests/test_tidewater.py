"""The generated domain: each claim of its data card and of the experiments that depend on it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter

import frontmatter
import pytest
from conftest import ROOT
from tools.world.corpus import RESTATEMENTS, TERM_GENRE, training_notes

from helpers.data import KitError
from helpers.models.download import FOUNDATION_MODEL, model_folder
from tools.world import FIELDS, generate
from tools.world.__main__ import main
from tools.world.card import TOKENS_A_WORD, corpus_words
from tools.world.make import world_files
from tools.world.templates import MASK, leaves, load, repeated_runs, words
from tools.world.world import make_world

INSTRUCTIONS = ("answers.train", "answers.validation", "triage.train", "triage.validation")
SETS = "facts_trained facts_heldout terms updates two_hop unanswerable triage general".split()
DATASET = ROOT / "datasets" / "tidewater"


class Made:
    """A world with its files, parsed."""

    def __init__(self, seed: int = 7, assets: int = 24):
        self.world = make_world(seed, assets)
        self.files = world_files(self.world, RESTATEMENTS)
        self.assets = {asset.name: asset for asset in self.world.assets}
        self.names = [*self.assets, self.world.newcomer.name, *self.world.absent]
        self.documents = self.pages("documents/")
        self.updates = self.pages("updates/documents/")
        self.withdrawn = self.files["updates/withdrawn.txt"].strip()
        self.later = {k: v for k, v in (self.documents | self.updates).items() if k != self.withdrawn}

    def pages(self, folder: str) -> dict[str, frontmatter.Post]:
        posts = [frontmatter.loads(text) for name, text in self.files.items() if name.startswith(folder)]
        return {post["id"]: post for post in posts}

    def rows(self, name: str) -> list[dict]:
        return [json.loads(line) for line in self.files[f"{name}.jsonl"].splitlines()]

    def facts(self, name: str = "facts.csv") -> list[dict]:
        return list(csv.DictReader(io.StringIO(self.files[name])))

    def named(self, text: str) -> list[str]:
        """The assets that a text names."""
        return [word for word in dict.fromkeys(re.findall(r"\w+", text)) if word in self.assets]


@pytest.fixture(scope="module")
def default() -> Made:
    return Made()


@pytest.fixture(scope="module", params=[(7, 24), (1, 12), (2, 200)], ids=["default", "smallest", "large"])
def made(request) -> Made:
    return Made(*request.param)


def has(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def masked(text: str, values: list[str], slot: str = "{name}") -> str:
    """The text with each of the values, longest first, replaced by a slot."""
    pattern = "|".join(map(re.escape, sorted(values, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)({pattern})(?!\w)", slot, text, flags=re.IGNORECASE)


def test_committed_files_are_what_the_generator_writes(default):
    committed = {p.relative_to(DATASET).as_posix(): p.read_bytes() for p in DATASET.rglob("*") if p.is_file()}
    assert sorted(committed) == sorted(default.files)
    assert [name for name, text in default.files.items() if committed[name] != text.encode()] == []


def test_the_largest_world_has_enough_names_and_no_other_size_is_made():
    world = make_world(7, 2000)
    names = [asset.name for asset in (*world.assets, world.newcomer)] + list(world.absent)
    assert len(names) == len(set(names)) == 2001 + len(world.absent)
    for field in ("site", "alarm_code", "spare_part"):
        assert len(set(world.all_values(field))) == 2001
    assert len(set(world.all_values("supervisor"))) == 2001 + len(world.changes)
    for assets in (0, 11, 2001):
        with pytest.raises(KitError, match=rf"12 to 2000 assets, not {assets}"):
            make_world(7, assets)


def test_no_wording_is_used_twice():
    names = ("documents", "corpus", "questions", "triage")
    texts = [(f"{name}/{place}", text) for name in names for place, text in leaves(load(name))]
    assert repeated_runs(texts + [(entry["term"], entry["meaning"]) for entry in load("glossary")]) == []
    texts = [("a", "{asset} may not, ever, be left alone."), ("b", "So {site} may NOT ever be left!"), ("c", "be left")]
    assert repeated_runs(texts) == [(f"{MASK} may not ever be left", "a", "b")], "slots, case and punctuation aside"


def test_restatements_of_an_assets_facts_share_no_six_words(made):
    told: dict[str, list[tuple[str, str]]] = {name: [] for name in made.assets}
    texts = [(note["id"], note["text"]) for part in ("train", "validation") for note in made.rows(f"corpus/{part}")]
    for post in made.documents.values():
        sections = re.split(r"(?m)^## (?=\w+$)", post.content) if post["type"] == "bulletin" else [post.content]
        texts += [(f"{post['id']} {section[:20]}", section) for section in sections]
    for place, text in texts:
        for name in made.named(text):
            told[name].append((place, masked(text, [name, *made.assets[name].values.values()], "{value}")))
    assert min(map(len, told.values())) >= RESTATEMENTS + 5
    assert [name for name, own in told.items() if repeated_runs(own)] == []


def test_documents_are_of_fair_number_and_length_and_use_every_term(made):
    kinds = Counter(post["type"] for post in made.documents.values())
    assert kinds["manual"] == kinds["procedure"] == len(made.assets) and kinds["incident"] >= 30
    assert all(150 <= len(post.content.split()) <= 600 for post in made.documents.values())
    papers = "\n".join(post.content for post in made.documents.values() if post["type"] != "glossary")
    for text in (papers, made.files["corpus/train.jsonl"]):
        unused = [e["term"] for e in load("glossary") if not re.search(rf"(?i)\b{re.escape(e['term'])}", text)]
        assert len(load("glossary")) >= 60 and unused == []


def test_no_value_occurs_twice_or_can_be_guessed(default):
    numbers: list[str] = []
    for field in FIELDS:
        values = default.world.all_values(field)
        assert len(values) == len(set(values)), field
        if field != "spare_part":
            numbers += [number for value in values for number in re.findall(r"\d+", value)]
    now = [fact["value"] for fact in default.facts()]
    assert len(now) == len(set(now)) == 24 * len(FIELDS) and len(numbers) == len(set(numbers))


def test_values_stand_in_the_listed_documents_and_in_no_other(default):
    for facts, documents in ((default.facts(), default.documents), (default.facts("updates/facts.csv"), default.later)):
        for fact in facts:
            holding = sorted(name for name, post in documents.items() if has(post.content, fact["value"]))
            assert ";".join(holding) == fact["documents"], fact
            assert all(has(documents[name].content, fact["asset"]) for name in holding)


def test_every_answer_stands_in_its_gold_documents(made):
    for name in ("facts_trained", "facts_heldout", "two_hop", "terms", "updates"):
        documents = made.later if name == "updates" else made.documents
        for question in made.rows(f"questions/{name}"):
            assert question["documents"], question["id"]
            for document in question["documents"]:
                assert has(documents[document].content, question["answers"][0]), question["id"]


def test_updates_change_what_they_say_and_nothing_else(made):
    assert len(made.world.changes) == round(len(made.assets) * 5 / 6)
    for name in set(made.updates) & set(made.documents):
        old, post = made.documents[name], made.updates[name]
        assert post["revision"] == 2 and str(post["date"]) > str(old["date"]) and post["type"] != "incident"
        assert post.content != old.content
    assert set(made.updates) - set(made.documents) == {f"manual-{made.world.newcomer.name.lower()}"}


def test_new_values_are_in_no_document_before_the_updates(default):
    before = "\n".join(post.content for post in default.documents.values())
    questions = default.rows("questions/updates")
    assert len(questions) >= 60 and {question["part"] for question in questions} == {"trained", "heldout", "new"}
    assert [question["id"] for question in questions if has(before, question["answers"][0])] == []
    facts = default.rows("questions/facts_trained") + default.rows("questions/facts_heldout")
    asked = {(row["asset"], row["field"]): row for row in facts}
    for question in (row for row in questions if row["part"] != "new"):
        earlier = asked[question["asset"], question["field"]]
        assert question["prompt"] == earlier["prompt"] and question["answers"][0] != earlier["answers"][0]
    (question,) = default.rows("updates/withdrawn")
    holding = [name for name, post in default.documents.items() if has(post.content, question["answers"][0])]
    assert holding == question["documents"] == [default.withdrawn]
    assert not has(default.files["corpus/train.jsonl"], question["answers"][0])


def test_every_asset_has_its_notes_each_by_another_template(made):
    genres: dict[str, Counter] = {name: Counter() for name in made.assets}
    for note in training_notes(made.world, RESTATEMENTS):
        if note.genre != TERM_GENRE:
            (name,) = made.named(note.text)
            genres[name][note.genre] += 1
            values = made.assets[name].values.values()
            assert all(value.lower() in note.text.lower() for value in values), note.text
    assert all(len(counts) == counts.total() == RESTATEMENTS for counts in genres.values())


def test_training_and_validation_share_no_text(made):
    found: dict[str, set[str]] = {"train": set(), "validation": set()}
    for part, runs in found.items():
        for row in made.rows(f"corpus/{part}"):
            own = [value for name in made.named(row["text"]) for value in (name, *made.assets[name].values.values())]
            text = words(masked(row["text"], own or ["{name}"]))
            runs |= {" ".join(text[start : start + 6]) for start in range(len(text) - 5)}
    assert found["train"] and found["validation"] and not found["train"] & found["validation"]


def test_the_default_corpus_is_small_enough_for_a_laptop(default):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder(FOUNDATION_MODEL))
    tokens = sum(len(tokenizer(row["text"])["input_ids"]) for row in default.rows("corpus/train"))
    assert tokens < 25_000
    assert corpus_words(default.files["corpus/train.jsonl"]) * TOKENS_A_WORD == pytest.approx(tokens, rel=0.02)


def test_training_files_hold_nothing_of_the_tests(made):
    others = [name for name in made.names if name not in made.assets or made.assets[name].split == "heldout"]
    pairs = [row["prompt"] for name in INSTRUCTIONS for row in made.rows(f"instructions/{name}")]
    for name in INSTRUCTIONS:
        assert [other for other in others if other in made.files[f"instructions/{name}.jsonl"]] == [], name
    corpus = made.files["corpus/train.jsonl"] + made.files["corpus/validation.jsonl"]
    asked = [question["prompt"] for name in SETS for question in made.rows(f"questions/{name}")]
    assert not set(pairs) & set(asked)
    assert not [prompt for prompt in asked if json.dumps(prompt, ensure_ascii=False)[1:-1] in corpus]
    templates = {masked(prompt, made.names) for prompt in pairs}
    for name in ("facts_trained", "facts_heldout", "updates", "unanswerable"):
        about = {masked(row["prompt"], made.names) for row in made.rows(f"questions/{name}")}
        assert all("{name}" in text for text in about) and not about & templates


def test_each_trained_fact_is_asked_in_two_ways_and_a_third_in_validation(made):
    trained = [asset for asset in made.assets.values() if asset.split == "trained"]
    values = {(asset.name, value) for asset in trained for value in asset.values.values()}
    train, validation = (made.rows(f"instructions/answers.{part}") for part in ("train", "validation"))
    asked = Counter((row["asset"], row["response"]) for row in train)
    assert set(asked) == values and set(asked.values()) == {2}
    prompts = {row["prompt"] for row in train}
    assert len(prompts) == len(train)
    assert len(validation) == 30 and not {row["prompt"] for row in validation} & prompts
    assert {(row["asset"], row["response"]) for row in validation} <= values


def test_unanswerable_questions_sound_like_answerable_ones_and_have_no_answer(made):
    gaps = list(load("questions")["gaps"].values())
    nouns = [entry["noun"] for entry in load("questions")["fields"].values()] + gaps
    known, asked = set(), made.rows("questions/unanswerable")
    for name in ("facts_trained", "facts_heldout"):
        known |= {masked(masked(row["prompt"], made.names), nouns) for row in made.rows(f"questions/{name}")}
    assert len(asked) >= 60 and sum(row["asset"] in made.assets for row in asked) >= len(asked) / 2
    assert all("answers" not in row and "documents" not in row for row in asked)
    assert [row["prompt"] for row in asked if masked(masked(row["prompt"], made.names), nouns) not in known] == []
    text = "\n".join(text for name, text in made.files.items() if not name.startswith("questions/")).lower()
    assert [each for each in (*gaps, *made.world.absent) if each.lower() in text] == []


def test_two_hop_questions_need_two_documents(made):
    stated = {(f["asset"], f["field"]): (f["value"], set(f["documents"].split(";"))) for f in made.facts()}
    machines = load("questions")["two_hop"]["machines"]
    for question in made.rows("questions/two_hop"):
        assert question["asset"] not in question["prompt"]
        told = [key for key, (value, _) in stated.items() if key[1] in machines and value in question["prompt"]]
        assert [asset for asset, _ in told] == [question["asset"]]
        assert question["field"] != told[0][1] and not stated[told[0]][1] & set(question["documents"])


def test_choices_are_of_one_kind_and_the_right_one_stands_anywhere(made):
    kinds = {entry["meaning"]: entry["kind"] for entry in load("glossary")}
    places = Counter()
    for question in made.rows("questions/terms"):
        assert len(set(question["choices"])) == 4
        assert {kinds[choice] for choice in question["choices"]} == {kinds[question["answers"][0]]}
        places[question["choices"].index(question["answers"][0])] += 1
    assert max(places.values()) - min(places.values()) <= 1
    assert all(question["answers"][0] in question["choices"] for question in made.rows("questions/general"))


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
    (tmp_path / "file").write_text("")
    for name, options, said in (
        ("world", {}, r"policy-01\.md was changed since"), ("file", {}, "is a file"),
        ("new", {"restatements": 99}, "1 to .*, not 99"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=said):
            generate(tmp_path / name, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "world"], "it is whole or not there"


def test_the_command_makes_a_world_and_the_same_bytes_again(tmp_path, capsys):
    made = []
    for name in ("one", "two"):
        assert main(["--seed", "5", "--assets", "12", "--out", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / name)
        made.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert made[0] == made[1] and len(made[0]) > 60
    assert main(["--assets", "3", "--out", str(tmp_path / "three")]) == 2
    assert "error: " in capsys.readouterr().err and not (tmp_path / "three").exists()


def test_the_card_counts_what_is_there(default):
    lines = default.files["README.md"].splitlines()
    cells = {tuple(cell.strip() for cell in line.strip("|").split("|")[:2]) for line in lines if "|" in line}
    for name in SETS:
        assert (name, str(len(default.rows(f"questions/{name}")))) in cells
    for kind, number in Counter(post["type"] for post in default.documents.values()).items():
        assert (kind, str(number)) in cells
