"""A data folder: questions, labelled pairs, corpus, facts and general text, read and checked when asked for."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import create_model

from .files import MAKE, ROOT, as_records, csv_rows, folder_hash, read_records, read_text, update_rounds
from .records import QUESTION_SETS, DataError, Example, Fact, Note, Question, Text

GENERAL = ROOT / "datasets" / "general"
ABOUT = ("README.md", "world.json")  # files that describe the data and are not part of them
Asked = TypeVar("Asked", Question, Example)
_Kind = create_model("_Kind", field=(Text, ...), pattern=(re.Pattern, ...))  # a row of kinds.csv
_Prompt = create_model("_Prompt", id=(Text, ...), prompt=(Text, ...))  # a line of a file of prompts


@dataclass(frozen=True)
class Dataset:
    """A folder as `python -m tools.world` makes it; what is in it is read when it is asked for."""

    folder: Path

    @property
    def documents_folder(self) -> Path:
        """The enterprise data source."""
        return self.folder / "documents"

    @property
    def question_sets(self) -> list[str]:
        """The question sets that there are, in the kit's order."""
        return [name for name in QUESTION_SETS if (self.folder / "questions" / f"{name}.jsonl").is_file()]

    def questions(self, name: str) -> list[Question]:
        """One question set, such as `facts_heldout`; `withdrawn` asks what only the withdrawn document answers."""
        path = self.folder / ("updates" if name == "withdrawn" else "questions") / f"{name}.jsonl"
        if not path.is_file():
            known = ", ".join(self.question_sets) or "none"
            raise DataError(f"{path}: there is no question set {name!r}. Sets of this folder: {known}.")
        return read_records(path, Question)

    def checks(self) -> list[Question]:
        """Validation questions, on facts and words of no question set: they say when a training stops; may be none."""
        path = self.folder / "instructions" / "checks.jsonl"
        return read_records(path, Question) if path.is_file() else []

    def examples(self, task: str, part: str = "train") -> list[Example]:
        """Prompt-response pairs of one task: part `train` or `validation`."""
        return read_records(self.folder / "instructions" / f"{task}.{part}.jsonl", Example)

    def notes(self, part: str = "train") -> list[Note]:
        """Unlabelled texts with their genres: part `train` or `validation`."""
        return read_records(self.folder / "corpus" / f"{part}.jsonl", Note)

    def corpus(self, part: str = "train") -> list[str]:
        """The texts of the notes."""
        return [note.text for note in self.notes(part)]

    @cached_property
    def kinds(self) -> dict[str, str]:
        """By field, the regular expression of an answer of the right kind; empty where the folder has no kinds.csv."""
        path = self.folder / "kinds.csv"
        kinds = as_records(_Kind, csv_rows(path)) if path.is_file() else []
        return {kind.field: kind.pattern.pattern for kind in kinds}

    def facts(self, after: int = 0) -> list[Fact]:
        """The table of facts: as `documents_folder` has them, or after so many rounds of updates."""
        return as_records(Fact, csv_rows(self.folder / (f"updates/{after}/facts.csv" if after else "facts.csv")))

    @cached_property
    def values_by_asset(self) -> dict[str, tuple[str, ...]]:
        """For each asset its values, before and after the updates; empty where the folder has no table of facts."""
        values: dict[str, set[str]] = {}
        rounds = [0, *update_rounds(self.folder / "updates")] if (self.folder / "facts.csv").exists() else []
        for fact in (fact for number in rounds for fact in self.facts(number)):
            values.setdefault(fact.asset, set()).add(fact.value)
        return {asset: tuple(sorted(own)) for asset, own in sorted(values.items())}

    def general_text(self, part: str) -> list[str]:
        """Paragraphs of general text: `evaluation` measures retention, `replay` is mixed into training."""
        paragraphs = [" ".join(block.split()) for block in read_text(GENERAL / f"{part}.txt").split("\n\n")]
        return [text for text in paragraphs if text]

    @cached_property
    def hash(self) -> str:
        """SHA-256 in hexadecimal over the sorted paths and bytes of all files but hidden ones and those in `ABOUT`."""
        if not any(path.is_file() for path in self.folder.rglob("*")):
            raise DataError(f"{self.folder}: there are no files. Check the path, or {MAKE.format(folder=self.folder)}.")
        return folder_hash(self.folder, ABOUT)


def open_dataset(folder: Path | str) -> Dataset:
    """Opens a data folder; a `DataError` says if it, or `documents/` in it, is missing."""
    folder = Path(folder)
    for needed in (folder, folder / "documents"):
        if not needed.is_dir():
            raise DataError(f"{needed}: there is no such folder. Check the path, or {MAKE.format(folder=folder)}.")
    return Dataset(folder)


def read_prompts(path: Path | str) -> list[Question]:
    """Questions without known answers, from `id` and `prompt` of each line of a JSONL file, as a set named `asked`."""
    return [Question(line.id, "asked", line.prompt) for line in read_records(path, _Prompt)]


def general_questions() -> list[Question]:
    """The common-knowledge questions of the kit's own `datasets/general/`: a question set with choices."""
    return read_records(GENERAL / "questions.jsonl", Question)


def sample(records: Sequence[Asked], size: int | None) -> list[Asked]:
    """A fixed sample of questions or pairs in their order, in which every smaller one is contained; None keeps all."""
    ranked = sorted(range(len(records)), key=lambda i: hashlib.sha256(records[i].id.encode()).digest())
    return [records[i] for i in sorted(ranked[:size])]
