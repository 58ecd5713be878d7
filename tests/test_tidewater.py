"""The generated domain: each claim of its data card and of the experiments that stand on it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import frontmatter
import pytest

from helpers.data.records import KitError
from tools.world import FIELDS
from tools.world.corpus import RESTATEMENTS
from tools.world.make import world_files
from tools.world.templates import MASK, leaves, load, repeated_runs
from tools.world.world import make_world

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
        return [json.loads(line) for line in self.files[f"{name}.jsonl"].splitlines()]

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


def test_the_same_seed_gives_the_same_files_and_another_seed_does_not():
    first, again, other = Made(5, 12), Made(5, 12), Made(6, 12)
    assert first.files == again.files
    assert first.files["facts.csv"] != other.files["facts.csv"]
    assert not {a.values["spare_part"] for a in first.world.assets} & {
        a.values["spare_part"] for a in other.world.assets
    }


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


def test_names_and_documents_are_of_fair_number_and_length(any_made):
    known = sorted(load("names")["asset_starts"], key=len, reverse=True)
    starts = {
        split: [next(start for start in known if name.startswith(start)) for name in any_made.names(split)]
        for split in ("trained", "heldout")
    }
    assert set(starts["trained"]) & set(starts["heldout"])
    assert all(len(set(group)) < len(group) for group in starts.values())
    kinds = Counter(post["type"] for post in any_made.documents.values())
    assert kinds["manual"] == kinds["procedure"] == len(any_made.world.assets) and kinds["incident"] >= 30
    assert all(150 <= len(post.content.split()) <= 600 for post in any_made.documents.values())


def test_no_value_occurs_twice_and_no_number_in_two_fields(made):
    numbers: list[str] = []
    for field in FIELDS:
        values = made.world.all_values(field)
        assert len(values) == len(set(values)), field
        if field not in ("alarm_code", "spare_part"):
            numbers += [number for value in set(values) for number in re.findall(r"\d+", value)]
        else:
            numbers += [value.split("-")[1] for value in values if field == "alarm_code"]
    now = [value for asset in made.world.assets for value in asset.values.values()]
    assert len(now) == len(set(now))
    # Channels and intervals draw on the same small numbers; at most a few are shared after the updates.
    repeated = [number for number, times in Counter(numbers).items() if times > 1]
    assert repeated == []


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
