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

from helpers.data import KitError
from helpers.models.download import FOUNDATION_MODEL, model_folder
from tools.world import CHANGING, FIELDS, generate
from tools.world.__main__ import main
from tools.world.card import ASKS, TOKENS_A_WORD, corpus_words
from tools.world.make import world_files
from tools.world.notes import RESTATEMENTS, training_notes, validation_notes
from tools.world.templates import MASK, leaves, load, repeated_runs
from tools.world.world import make_world

DATASET = ROOT / "datasets" / "tidewater"
BY_FACT = ("facts_trained", "facts_heldout", "updates", "twins", "two_hop")


class Made:
    """A world with its files, parsed."""

    def __init__(self, seed: int = 7, assets: int = 24):
        self.world = make_world(seed, assets)
        self.files = world_files(self.world, RESTATEMENTS)
        self.assets = {asset.name: asset for asset in self.world.fleet(3)}
        self.rounds = [self.pages("documents/")]
        for number in (1, 2, 3):
            gone = self.files.get(f"updates/{number}/withdrawn.txt", "").split()
            now = self.rounds[-1] | self.pages(f"updates/{number}/documents/")
            self.rounds.append({name: post for name, post in now.items() if name not in gone})
        self.documents, self.later = self.rounds[0], self.rounds[-1]

    def pages(self, folder: str) -> dict[str, frontmatter.Post]:
        posts = [frontmatter.loads(text) for name, text in self.files.items() if name.startswith(folder)]
        return {post["id"]: post for post in posts}

    def rows(self, name: str) -> list[dict]:
        return [json.loads(line) for line in self.files[f"{name}.jsonl"].splitlines()]

    def facts(self, after: int = 0) -> list[dict]:
        return list(csv.DictReader(io.StringIO(self.files[f"updates/{after}/facts.csv" if after else "facts.csv"])))

    def names(self, *splits: str) -> list[str]:
        return [asset.name for asset in self.assets.values() if asset.split in splits]


@pytest.fixture(scope="module")
def default() -> Made:
    return Made()


@pytest.fixture(scope="module", params=[(7, 24), (1, 12), (2, 200)])
def made(request) -> Made:
    return Made(*request.param)


def times(text: str, value: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE))


def test_committed_files_are_what_the_generator_writes(default):
    committed = {p.relative_to(DATASET).as_posix(): p.read_bytes() for p in DATASET.rglob("*") if p.is_file()}
    assert sorted(committed) == sorted(default.files)
    assert [name for name, text in default.files.items() if committed[name] != text.encode()] == []
    for name in BY_FACT:
        row = f"| {name} | {ASKS[name]} | {len(default.rows(f'questions/{name}'))} |"
        assert row in default.files["README.md"]


def test_the_largest_world_has_enough_names_and_no_other_size_is_made():
    world = make_world(7, 2000)
    assert len({asset.name for asset in world.fleet(3)}) == 2003
    for field in ("location", "alarm_code", "spare_part"):
        assert len(set(world.all_values(field))) == 2003
    assert len(set(world.all_values("supervisor"))) == len(world.all_values("supervisor"))
    for assets in (0, 11, 2001):
        with pytest.raises(KitError, match=rf"12 to 2000 assets, not {assets}"):
            make_world(7, assets)


def test_no_wording_of_a_note_is_used_again():
    documents = [("documents", text) for _, text in leaves(load("documents"))]
    repeated = repeated_runs(documents + list(leaves(load("notes"))))
    assert [run for run in repeated if run[2] != "documents"] == []
    texts = [("a", "{asset} may not, ever, be left alone."), ("b", "So {location} may NOT ever be left!")]
    assert repeated_runs(texts) == [(f"{MASK} may not ever be left", "a", "b")], "slots, case and punctuation aside"


def test_each_fact_is_in_the_listed_documents_once_a_page_and_in_no_other(default):
    for after, documents in enumerate(default.rounds):
        pages: dict[str, set[str]] = {}
        for fact in default.facts(after):
            holding = {name: times(post.content, fact["value"]) for name, post in documents.items()}
            listed = fact["documents"].split(";")
            assert {name: count for name, count in holding.items() if count} == dict.fromkeys(listed, 1), fact
            assert len(listed) <= 2 and all(times(documents[name].content, fact["asset"]) for name in listed)
            pages.setdefault(fact["asset"], set()).update(listed)
        assert max(map(len, pages.values())) <= 3


def test_documents_are_varied_short_and_whole(made):
    for post in made.documents.values():
        assert 40 <= len(post.content.split()) <= 260, post["id"]
        prose = [line for line in post.content.splitlines() if not re.match(r"#|- |\d+\. |\||$", line)]
        assert [line for line in prose if line[-1] not in ".!?:,}"] == [], post["id"]


def test_no_value_occurs_twice_or_is_of_another_fields_kind(default):
    numbers: list[str] = []
    kinds = {row["field"]: row["pattern"] for row in csv.DictReader(io.StringIO(default.files["kinds.csv"]))}
    for field in FIELDS:
        values = default.world.all_values(field)
        assert len(values) == len(set(values)) and all(re.search(kinds[field], value) for value in values), field
        strangers = [v for other in FIELDS if other != field for v in default.world.all_values(other)]
        assert not [value for value in strangers if re.search(kinds[field], value)]
        numbers += [number for value in values if field != "spare_part" for number in re.findall(r"\d+", value)]
    assert len(numbers) == len(set(numbers))


def test_every_answer_is_in_its_documents_and_wordings_are_balanced(made):
    for name in (*BY_FACT, "terms", "terms_free"):
        documents = made.later if name == "updates" else made.documents
        asked = made.rows(f"questions/{name}")
        for question in (row for row in asked if row.get("part") != "unanswerable"):
            assert question["documents"] and question["wording"], question["id"]
            assert all(times(documents[page].content, question["answers"][0]) for page in question["documents"])
        uses: dict[str, Counter] = {}
        for question in asked:
            uses.setdefault(question["wording"].rsplit("-", 1)[0], Counter())[question["wording"]] += 1
        assert all(max(counts.values()) - min(counts.values()) <= 2 for counts in uses.values()), (name, uses)
    for wordings in load("questions")["fields"].values():
        assert len(wordings["evaluation"]) >= 6 and len(wordings["training"]) >= 5


def test_rounds_change_what_they_say_and_nothing_else(made):
    changed = {fact: number for number, facts in enumerate(made.world.rounds) for fact in facts}
    assert len(changed) == round(made.world.size * 5 / 3) < sum(map(len, made.world.rounds))
    for before, after in zip(made.rounds, made.rounds[1:], strict=False):
        for name in (name for name in set(before) & set(after) if before[name].content != after[name].content):
            assert after[name]["revision"] == before[name]["revision"] + 1 and after[name]["type"] != "incident"
            assert str(after[name]["date"]) > str(before[name]["date"])
    new = f"manual-{made.world.newcomer.name.lower()}"
    assert [new in documents for documents in made.rounds] == [False, False, True, True]
    (question,) = made.rows("updates/withdrawn")
    for documents in made.rounds:
        holding = [name for name, post in documents.items() if times(post.content, question["answers"][0])]
        assert holding == (question["documents"] if documents is not made.later else [])
    now = {(row["asset"], row["field"]): row["value"] for row in made.facts()}
    for row in made.rows("questions/updates"):
        fact, old = (row["asset"], row["field"]), now.get((row["asset"], row["field"]))
        assert row["part"] == ("changed" if fact in changed else "kept" if fact in now else "new")
        assert (row["answers"][0] == old) == (row["part"] == "kept")
        assert row["part"] != "kept" or max(made.later[page]["revision"] for page in row["documents"]) > 1
        assert row["part"] != "changed" or row["field"] in CHANGING


def test_notes_state_what_documents_state_and_each_fact_often_enough(made):
    fields = {(asset.name, value): field for asset in made.world.assets for field, value in asset.values.items()}
    for notes, least, most in ((training_notes(made.world), RESTATEMENTS, 11), (validation_notes(made.world), 1, 2)):
        stated = Counter()
        for _, text in notes:
            (name,) = {word for word in re.findall(r"\w+", text) if word in made.assets}
            own = [field for (asset, value), field in fields.items() if asset == name and times(text, value)]
            assert 2 <= len(own) <= 3 and 2 <= len(re.findall(r"[.!?](?= |$)", text)) <= 5, text
            known = [name, *made.assets[name].values.values()]
            rest = re.sub("|".join(map(re.escape, sorted(known, key=len, reverse=True))), "", text, flags=re.IGNORECASE)
            assert not re.search(r"\d", rest), "no number that no document has"
            stated.update((name, field) for field in own)
        assert set(stated) == {(asset.name, field) for asset in made.world.assets for field in FIELDS}
        assert least <= min(stated.values()) and max(stated.values()) <= most


def test_the_default_notes_are_small_enough_for_a_laptop(default):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder(FOUNDATION_MODEL))
    count = [len(tokenizer(row["text"])["input_ids"]) for row in default.rows("corpus/train")]
    assert sum(len(tokenizer(text)["input_ids"]) for _, text in training_notes(default.world)) < 45_000
    assert corpus_words(default.files["corpus/train.jsonl"]) * TOKENS_A_WORD == pytest.approx(sum(count), rel=0.03)


def test_training_files_hold_nothing_of_the_tests(made):
    kept = made.names("heldout", "check", "new")
    train, validation = (made.rows(f"instructions/answers.{part}") for part in ("train", "validation"))
    checks = made.rows("instructions/checks")
    assert len(checks) == 36 and {row["asset"] for row in checks[:16]} == set(made.names("check"))
    pairs = [row["prompt"] for row in [*train, *validation]]
    sets = [name.removesuffix(".jsonl") for name in made.files if name.startswith("questions/")]
    asked = [row for name in sets for row in made.rows(name)]
    assert not [prompt for prompt in pairs if any(times(prompt, name) for name in kept)]
    assert not {row["prompt"] for row in asked} & {*pairs, *(row["prompt"] for row in checks)}
    assert not {row.get("asset") for row in asked} & set(made.names("check"))
    wordings = [text for field in load("questions")["fields"].values() for texts in field.values() for text in texts]
    assert len(wordings) == len(set(wordings))
    corpus = made.files["corpus/train.jsonl"] + made.files["corpus/validation.jsonl"]
    assert not [row for row in asked if json.dumps(row["prompt"], ensure_ascii=False)[1:-1] in corpus]
    values = {(name, value) for name in made.names("trained") for value in made.assets[name].values.values()}
    counts = Counter((row["asset"], row["response"]) for row in train if "asset" in row)
    assert set(counts) == values and set(counts.values()) == {2} and len(set(pairs)) == len(pairs)
    assert {(row["asset"], row["response"]) for row in validation} <= values


def test_twins_differ_in_what_is_asked_and_only_one_has_an_answer(made):
    rows = made.rows("questions/twins")
    known, unknown = ([row for row in rows if row["part"] == part] for part in ("answerable", "unanswerable"))
    assert len(known) == len(unknown) == len({(row["asset"], row["wording"]) for row in known}) == 40
    assert [(row["asset"], row["wording"]) for row in known] == [(row["asset"], row["wording"]) for row in unknown]
    assert not [row for row in unknown if row.get("answers") or row.get("documents")]
    papers = "\n".join(text for name, text in made.files.items() if not name.startswith("questions/")).lower()
    for word in "manufacturer,hull colour,designer,purchase price,blade length,total weight,warranty,serial".split(","):
        assert word not in papers and any(word in row["prompt"] for row in unknown), word


def test_two_hop_questions_need_two_documents(made):
    stated = {(f["asset"], f["field"]): (f["value"], set(f["documents"].split(";"))) for f in made.facts()}
    machines = load("questions")["two_hop"]["machines"]
    for question in made.rows("questions/two_hop"):
        assert question["asset"] not in question["prompt"]
        (named,) = [key for key, (value, _) in stated.items() if key[1] in machines and value in question["prompt"]]
        assert named[0] == question["asset"] and named[1] != question["field"]
        assert stated[named][1] == set(question["bridge"]) and not set(question["bridge"]) & set(question["documents"])


def test_other_documents_are_as_many_and_of_another_fleet(default):
    others = default.pages("other_documents/")
    assert len(others) == len(default.documents) and "triage-rules" not in others
    assert not [name for name in default.assets for post in others.values() if times(post.content, name)]


def test_a_world_replaces_itself_and_nothing_else(tmp_path):
    out = tmp_path / "world"
    generate(out, seed=3, assets=12)
    first = (out / "facts.csv").read_bytes()
    generate(out, seed=4, assets=12)
    assert (out / "facts.csv").read_bytes() != first
    (out / "documents" / "policy-01.md").write_text("changed")
    (tmp_path / "file").write_text("")
    for name, options, message in (
        ("world", {}, r"policy-01\.md was changed since"), ("file", {}, "is a file"),
        ("new", {"restatements": 99}, "1 to .*, not 99"),
    ):  # fmt: skip
        with pytest.raises(KitError, match=message):
            generate(tmp_path / name, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "world"], "it is whole or not there"
    sums = (out / "world.json").read_bytes()
    assert main(["--seed", "4", "--assets", "12", "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "world.json").read_bytes() == sums
    assert main(["--assets", "3", "--out", str(tmp_path / "three")]) == 2 and not (tmp_path / "three").exists()
