"""Writes a whole world into a folder, or nothing at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from helpers.data import Document, Fact, KitError, general_questions

from .card import card
from .harder import twin_questions, two_hop_questions
from .notes import RESTATEMENTS, Note, training_notes, validation_notes
from .pages import Page, after_updates, documents, slug, stated_in, updates, withdrawn_id
from .questions import (
    answer_pairs,
    check_questions,
    examples,
    fact_questions,
    update_questions,
    withdrawn_question,
)  # fmt: skip
from .templates import load, seeded
from .triage import rules_document, triage_examples, triage_questions, triage_reports
from .words import Word, glossary_pages, make_words, unread_notes, word_checks, word_notes, word_pairs, word_questions
from .world import FIELDS, ROUNDS, World, make_world

MARK = "world.json"
CARD = "README.md"
GENERATOR = "helpers.tidewater"  # as in every folder made so far, so that it is recognised
OTHER_SEED = 1000  # how far the seed of the world that lends its documents is from this one's


def generate(out: Path | str, seed: int = 7, assets: int = 24, restatements: int = RESTATEMENTS) -> World:
    """Makes a world and writes it; an earlier world in the same folder is replaced.

    Args:
        out: The folder to make. If it exists it must be empty, or as this function left it.
        seed: The same seed and sizes give the same bytes on every platform.
        assets: How many machines there are, 12 to 2,000.
        restatements: In how many corpus notes each fact is told.

    Returns:
        The world that was written.

    Raises:
        KitError: A size is out of bounds, or the folder holds files that this function did not write.
    """
    out = Path(out)
    check_free(out)
    world = make_world(seed, assets)
    files = world_files(world, restatements)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        made, old = fresh / "made", fresh / "old"
        for name, text in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
        if out.exists():
            out.rename(old)
        made.rename(out)
    finally:
        if (fresh / "old").exists() and not out.exists():
            (fresh / "old").rename(out)
        shutil.rmtree(fresh, ignore_errors=True)
    return world


def world_files(world: World, restatements: int) -> dict[str, str]:
    """The text of every file of a world.

    Args:
        world: The table of facts.
        restatements: In how many corpus notes each fact is told.

    Returns:
        Texts by path within the folder, sorted.

    Raises:
        KitError: There are fewer corpus templates than restatements.
    """
    words = make_words(world.seed)
    pages = [*documents(world), *_others(words)]
    rounds = updates(world)
    later = after_updates(pages, rounds)
    papers = [page.document for page in pages]
    reports = triage_reports(world, words)
    pairs = answer_pairs(world)
    told = [(pair.prompt, pair.response, "") for pair in word_pairs(words, world.seed)]
    questions = {
        "facts_trained": fact_questions(world, "trained", pages),
        "facts_heldout": fact_questions(world, "heldout", pages),
        "updates": update_questions(world, pages, later),
        "two_hop": two_hop_questions(world, pages),
        "twins": twin_questions(world, pages),
        "triage": triage_questions(reports),
        "general": general_questions(),
    } | word_questions(words, world.seed, papers)
    files = {f"documents/{page.document.id}.md": _markdown(page.document) for page in pages}
    files |= {f"other_documents/{page.document.id}.md": _markdown(page.document) for page in _other_papers(world)}
    for number, each in enumerate(rounds, 1):
        folder = f"updates/{number}"
        files |= {f"{folder}/documents/{page.document.id}.md": _markdown(page.document) for page in each.pages}
        files[f"{folder}/facts.csv"] = _facts(world, after_updates(pages, rounds[:number]), number)
        if each.withdrawn:
            files[f"{folder}/withdrawn.txt"] = "".join(f"{name}\n" for name in each.withdrawn)
    files |= {
        "facts.csv": _facts(world, pages, 0),
        "kinds.csv": _table(("field", "pattern"), load("questions")["kinds"].items()),
        "glossary.csv": _glossary(words),
        "updates/withdrawn.jsonl": _lines([withdrawn_question(withdrawn_id())]),
        "corpus/train.jsonl": _notes(
            "note", training_notes(world, restatements) + word_notes(words, world.seed), world.seed
        ),
        "corpus/validation.jsonl": _notes(
            "validation", validation_notes(world) + unread_notes(words, world.seed), world.seed
        ),
        "instructions/answers.train.jsonl": _lines(
            examples("answers", "train", _shuffled(pairs["train"] + told, "train", world.seed))
        ),
        "instructions/answers.validation.jsonl": _lines(examples("answers", "validation", pairs["validation"])),
        "instructions/checks.jsonl": _lines(check_questions(world, pages) + word_checks(words, world.seed, papers)),
    }
    for part in ("train", "validation"):
        files[f"instructions/triage.{part}.jsonl"] = _lines(triage_examples(reports, part))
    files |= {f"questions/{name}.jsonl": _lines(asked) for name, asked in questions.items()}
    files = dict(sorted(files.items()))
    files[CARD] = card(world, restatements, files)
    files[MARK] = _mark(world, restatements, files)
    return files


def check_free(out: Path) -> None:
    """Makes sure that a folder may be replaced.

    Args:
        out: A folder that is absent, empty, or was written by `generate` and not changed since.

    Raises:
        KitError: It holds anything else; the message names the first such file.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise KitError(f"{out} is a file. Choose another --out, or move the file away.")
    found = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
    made: dict[str, str] = {}
    if MARK in found:
        try:
            mark = json.loads(found.pop(MARK).read_text(encoding="utf-8"))
            made = mark["files"] if mark["generator"] == GENERATOR else {}
        except (ValueError, KeyError, TypeError):
            made = {}
    for name, path in found.items():
        if made.get(name) != hashlib.sha256(path.read_bytes()).hexdigest():
            what = "was changed since it was made" if name in made else "was not made by this command"
            raise KitError(f"{path} {what}, and would be lost. Choose another --out, or move the folder {out} away.")


def _markdown(document: Document) -> str:
    head = {
        "id": document.id,
        "title": json.dumps(document.title, ensure_ascii=False),
        "type": document.type,
        "revision": document.revision,
        "date": document.date,
    }
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in head.items()) + f"---\n\n{document.text}"


def _others(words: Sequence[Word]) -> list[Page]:
    """The documents without facts of machines: the glossary and the rules of triage."""
    return [Page(document) for document in (*glossary_pages(words), rules_document())]


def _other_papers(world: World) -> list[Page]:
    """As many documents of another world, whose machines have other names.

    Its rules of triage would be right here as well, so the manual of its new machine stands in for them.
    """
    names = [asset.name for asset in world.fleet(ROUNDS)]
    other = make_world(world.seed + OTHER_SEED, world.size, names)
    taken = [word.term for word in make_words(world.seed)]
    glossary = [Page(document) for document in glossary_pages(make_words(other.seed, taken))]
    new = [
        page for each in updates(other) for page in each.pages if page.document.id.endswith(slug(other.newcomer.name))
    ]
    return [*documents(other), *glossary, new[0]]


def _facts(world: World, pages: Iterable[Page], after: int) -> str:
    stated = stated_in(pages)
    rows = [
        (asset.name, field, world.values(asset, after)[field], asset.split, ";".join(stated[asset.name, field]))
        for asset in world.fleet(after)
        for field in FIELDS
    ]
    return _table([each.name for each in fields(Fact)], rows)


def _glossary(words: Iterable[Word]) -> str:
    rows = [(word.term, word.kind, word.meaning, "yes" if word.named else "no") for word in words]
    return _table(("term", "kind", "meaning", "named"), rows)


def _shuffled(items: Iterable[Any], purpose: str, seed: int) -> list[Any]:
    items = list(items)
    return seeded(seed, f"order of {purpose}").sample(items, len(items))


def _notes(prefix: str, notes: list[tuple[str, str]], seed: int) -> str:
    shuffled = enumerate(_shuffled(notes, prefix, seed), 1)
    return _lines(Note(f"{prefix}-{number:05}", genre, text) for number, (genre, text) in shuffled)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()


def _lines(records: Iterable[Any]) -> str:
    """One JSON object a record, without the fields that are empty."""
    rows = ({key: value for key, value in asdict(record).items() if value not in ("", ())} for record in records)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _mark(world: World, restatements: int, files: dict[str, str]) -> str:
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    sizes = {"seed": world.seed, "assets": world.size, "restatements": restatements}
    return json.dumps({"generator": GENERATOR, **sizes, "files": sums}, indent=1) + "\n"
