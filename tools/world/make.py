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

from helpers.data import Document, Fact, KitError

from .card import card
from .corpus import RESTATEMENTS, training_notes, validation_notes
from .tasks import answer_examples, question_sets, withdrawn_question
from .templates import load
from .texts import Page, after_updates, documents, stated_in, updates
from .triage import rules_text, triage_examples, triage_questions, triage_reports
from .world import FIELDS, Asset, World, make_world

MARK = "world.json"
CARD = "README.md"
GENERATOR = "helpers.tidewater"  # as in every folder made so far, so that it is recognised


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
    pages = documents(world)
    updated, withdrawn = updates(world)
    later = after_updates(pages, updated, withdrawn)
    reports = triage_reports(world)
    answers = answer_examples(world)
    files = {f"documents/{page.document.id}.md": _markdown(page.document) for page in pages}
    files |= {f"updates/documents/{page.document.id}.md": _markdown(page.document) for page in updated}
    files |= {
        "facts.csv": _facts(world, world.assets, pages, updated=False),
        "updates/facts.csv": _facts(world, (*world.assets, world.newcomer), later, updated=True),
        "updates/withdrawn.txt": f"{withdrawn}\n",
        "updates/withdrawn.jsonl": _lines([withdrawn_question(withdrawn)]),
        "glossary.csv": _table(("term", "kind", "meaning"), [list(entry.values()) for entry in load("glossary")]),
        "corpus/train.jsonl": _lines(training_notes(world, restatements)),
        "corpus/validation.jsonl": _lines(validation_notes(world)),
        "instructions/triage_rules.md": rules_text(),
        "questions/triage.jsonl": _lines(triage_questions(reports)),
    }
    for part in ("train", "validation"):
        files[f"instructions/answers.{part}.jsonl"] = _lines(answers[part])
        files[f"instructions/triage.{part}.jsonl"] = _lines(triage_examples(reports, part))
    for name, questions in question_sets(world, pages, later).items():
        files[f"questions/{name}.jsonl"] = _lines(questions)
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


def _facts(world: World, assets: Sequence[Asset], pages: Iterable[Page], updated: bool) -> str:
    stated = stated_in(pages)
    rows = []
    for asset in assets:
        values = world.values(asset, updated)
        rows += [
            (asset.name, field, values[field], asset.split, ";".join(stated[asset.name, field])) for field in FIELDS
        ]
    return _table([each.name for each in fields(Fact)], rows)


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
    sizes = {"seed": world.seed, "assets": len(world.assets), "restatements": restatements}
    return json.dumps({"generator": GENERATOR, **sizes, "files": sums}, indent=1) + "\n"
