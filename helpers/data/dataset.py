"""Reads and checks every data file of an experiment; each error names the file, the line and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .facts import Fact, load_facts
from .files import MAKE, ROOT, read_rows, read_text, text_of, texts_of
from .records import QUESTION_SETS, DataError, Example, Question

PARTS = ("train", "validation")
GENERAL_PARTS = ("evaluation", "replay")
# Files that tell of the data and are not part of them.
ABOUT = ("README.md", "world.json")


@dataclass(frozen=True)
class Dataset:
    """A folder as `helpers.tidewater` makes it; a part is read when it is asked for."""

    folder: Path

    @property
    def documents_folder(self) -> Path:
        """The enterprise data source."""
        return self.folder / "documents"

    @property
    def updates_folder(self) -> Path:
        """Revised and new documents, which replace or join those of `documents_folder`."""
        return self.folder / "updates" / "documents"

    @property
    def withdrawn(self) -> list[str]:
        """Ids of the documents that the updates take away."""
        return read_text(self.folder / "updates" / "withdrawn.txt").split()

    @property
    def question_sets(self) -> list[str]:
        """The question sets that there are, in the kit's order."""
        return [name for name in QUESTION_SETS if (self.folder / "questions" / f"{name}.jsonl").is_file()]

    def questions(self, name: str) -> list[Question]:
        """One question set, such as `facts_heldout`; `withdrawn` asks what only the withdrawn document answers."""
        path = self.folder / "questions" / f"{name}.jsonl"
        if name == "withdrawn":
            path = self.folder / "updates" / "withdrawn.jsonl"
        elif not path.is_file():
            known = ", ".join(sorted(file.stem for file in path.parent.glob("*.jsonl"))) or "none"
            raise DataError(f"{path}: there is no question set {name!r}. Sets of this folder: {known}.")
        return load_questions(path)

    def examples(self, task: str, part: str = "train") -> list[Example]:
        """Prompt-response pairs of one task: part `train` or `validation`."""
        _known(part, PARTS, "part")
        return load_examples(self.folder / "instructions" / f"{task}.{part}.jsonl")

    def corpus(self, part: str = "train") -> list[str]:
        """Unlabelled texts: part `train` or `validation`."""
        _known(part, PARTS, "part")
        return load_corpus(self.folder / "corpus" / f"{part}.jsonl")

    def facts(self, updated: bool = False) -> list[Fact]:
        """The table of facts: as `documents_folder` has them, or after the updates."""
        return load_facts(self.folder / "updates" / "facts.csv" if updated else self.folder / "facts.csv")

    @cached_property
    def values(self) -> dict[str, tuple[str, ...]]:
        """For each field every value that it takes for any asset, before or after the updates, sorted."""
        facts = self.facts() + self.facts(updated=True)
        return {
            name: tuple(sorted({fact.value for fact in facts if fact.field == name}))
            for name in dict.fromkeys(fact.field for fact in facts)
        }

    @cached_property
    def values_by_asset(self) -> dict[str, tuple[str, ...]]:
        """For each asset its values, before and after the updates; empty where the folder has no table of facts."""
        tables = [
            name for name in (False, True) if (self.folder / ("updates/facts.csv" if name else "facts.csv")).exists()
        ]
        owned: dict[str, set[str]] = {}
        for fact in [fact for updated in tables for fact in self.facts(updated)]:
            owned.setdefault(fact.asset, set()).add(fact.value)
        return {asset: tuple(sorted(values)) for asset, values in sorted(owned.items())}

    def general_text(self, part: str) -> list[str]:
        """Paragraphs of general text: see `general_text`."""
        return general_text(part, beside=self.folder)

    @cached_property
    def hash(self) -> str:
        """What the data are, as a SHA-256: see `data_hash`."""
        return data_hash(self.folder)


def open_dataset(folder: Path | str) -> Dataset:
    """Opens a data folder.

    Args:
        folder: A folder with at least `documents/` in it.

    Returns:
        The dataset; its files are read when they are asked for.

    Raises:
        DataError: The folder or its `documents/` is missing.
    """
    folder = Path(folder)
    for needed in (folder, folder / "documents"):
        if not needed.is_dir():
            raise DataError(f"{needed}: there is no such folder. Check the path, or {MAKE.format(folder=folder)}.")
    return Dataset(folder)


def load_questions(path: Path | str) -> list[Question]:
    """Reads a question set: one JSON object a line, with the keys of `records.Question`.

    Args:
        path: A `.jsonl` file; `id`, `set`, `prompt` and `answers` are needed, `answers` not in the set `unanswerable`.

    Returns:
        The questions in the order of the file.

    Raises:
        DataError: The file or a line of it is not as it must be.
    """
    questions = []
    for where, row in read_rows(Path(path)):
        known = Question.__dataclass_fields__
        unknown = sorted(set(row) - set(known))
        if unknown:
            raise DataError(f"{where}: unknown field {unknown[0]!r}. Known fields: {', '.join(known)}.")
        texts = {key: text_of(row, key, where) for key in ("id", "set", "prompt")}
        texts |= {key: text_of(row, key, where) for key in ("asset", "field", "part") if key in row}
        may_be_empty = texts["set"] == "unanswerable"
        if "answers" not in row and not may_be_empty:
            raise DataError(f"{where}: the field 'answers' is missing. Add a list with at least one accepted answer.")
        lists = {key: texts_of(row, key, where) for key in ("answers", "documents", "choices") if key in row}
        _check_answers(lists.get("answers", ()), lists.get("choices", ()), may_be_empty, where)
        questions.append(Question(**texts, **lists))
    return questions


def load_prompts(path: Path | str) -> list[Question]:
    """Reads questions that anyone wrote, of which no answer is known: `id` and `prompt`, other fields do not matter.

    Args:
        path: A `.jsonl` file.

    Returns:
        The questions in the order of the file, in a set named `asked`.

    Raises:
        DataError: The file or a line of it is not as it must be.
    """
    return [
        Question(text_of(row, "id", where), "asked", text_of(row, "prompt", where))
        for where, row in read_rows(Path(path))
    ]


def load_examples(path: Path | str) -> list[Example]:
    """Reads prompt-response pairs: `id`, `task`, `prompt`, `response`, and `asset` where one is named.

    Args:
        path: A `.jsonl` file.

    Returns:
        The examples in the order of the file.

    Raises:
        DataError: The file or a line of it is not as it must be.
    """
    needed = ("id", "task", "prompt", "response")
    return [
        Example(*(text_of(row, key, where) for key in needed), text_of(row, "asset", where) if "asset" in row else "")
        for where, row in read_rows(Path(path))
    ]


def load_corpus(path: Path | str) -> list[str]:
    """Reads unlabelled texts: the field `text` of each line.

    Args:
        path: A `.jsonl` file; each line has an `id` and a `text`.

    Returns:
        The texts in the order of the file.

    Raises:
        DataError: The file or a line of it is not as it must be.
    """
    return [text_of(row, "text", where) for where, row in read_rows(Path(path))]


def general_text(part: str, beside: Path | str | None = None) -> list[str]:
    """Paragraphs of general text: `evaluation` measures retention, `replay` is mixed into training.

    Args:
        part: `evaluation` or `replay`.
        beside: A data folder whose sibling `general/` is taken if there is one; otherwise the kit's own is.

    Returns:
        The paragraphs, which blank lines separate in the file.

    Raises:
        DataError: The part is unknown, or the file is missing or empty.
    """
    _known(part, GENERAL_PARTS, "part of the general text")
    path = general_folder(beside) / f"{part}.txt"
    remedy = "Put paragraphs into it, with a blank line between two of them; those of the kit are in datasets/general"
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. {remedy}.")
    paragraphs = [" ".join(block.split()) for block in read_text(path).replace("\r\n", "\n").split("\n\n")]
    paragraphs = [text for text in paragraphs if text]
    if not paragraphs:
        raise DataError(f"{path}: the file is empty. {remedy}.")
    return paragraphs


def general_folder(beside: Path | str | None = None) -> Path:
    """The folder `general/` beside a data folder, or the kit's own where there is none."""
    sibling = Path(beside).resolve().parent / "general" if beside else None
    return sibling if sibling and sibling.is_dir() else ROOT / "datasets" / "general"


def data_hash(folder: Path | str) -> str:
    """What is in a folder, so that results of other data are never taken for these.

    Args:
        folder: Any folder; hidden files, `README.md` and `world.json` do not count.

    Returns:
        SHA-256 in hexadecimal over the sorted paths and the bytes of all files.

    Raises:
        DataError: The folder is missing or holds no file.
    """
    folder = Path(folder)
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    paths = {
        name: path
        for name, path in paths.items()
        if name not in ABOUT and not any(part.startswith(".") for part in name.split("/"))
    }
    if not paths:
        raise DataError(f"{folder}: there are no files to read here. Check the path, or {MAKE.format(folder=folder)}.")
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{name}\n{hashlib.sha256(paths[name].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _check_answers(answers: Sequence[str], choices: Sequence[str], may_be_empty: bool, where: str) -> None:
    if not answers and not may_be_empty:
        raise DataError(f"{where}: 'answers' is empty. Give one answer at least; only the set 'unanswerable' has none.")
    if choices and len(set(choices)) < max(2, len(choices)):
        raise DataError(f"{where}: 'choices' needs two or more different texts. Mend the list.")
    if choices and (not answers or answers[0] not in choices):
        right = repr(answers[0]) if answers else "an answer"
        raise DataError(f"{where}: the choices do not contain {right}. Put the first answer among them word for word.")


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name not in names:
        raise DataError(f"There is no {what} {name!r}. Choose one of: {', '.join(names)}.")


def sample(questions: Sequence[Question], size: int | None) -> list[Question]:
    """A fixed sample in the order of the file: the same for every arm, seed and machine; a smaller one is its part.

    Args:
        questions: A whole question set.
        size: How many to keep; None keeps all.
    """
    if size is None or size >= len(questions):
        return list(questions)
    ranked = sorted(range(len(questions)), key=lambda i: hashlib.sha256(questions[i].id.encode()).digest())
    return [questions[i] for i in sorted(ranked[:size])]


def general_questions() -> list[Question]:
    """The common-knowledge questions of the kit's own `datasets/general/`, as a question set.

    Returns:
        Questions with choices, the right one first among the answers.

    Raises:
        DataError: The file is missing or a line is not as it must be.
    """
    questions = []
    for where, row in read_rows(general_folder() / "questions.jsonl"):
        answer, choices = text_of(row, "answer", where), texts_of(row, "choices", where)
        if answer not in choices:
            raise DataError(f"{where}: the choices do not contain {answer!r}. Put it among them word for word.")
        questions.append(
            Question(text_of(row, "id", where), "general", text_of(row, "prompt", where), (answer,), choices=choices)
        )
    return questions
