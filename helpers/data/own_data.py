"""Your own documents, questions and labelled pairs, made into a data folder that `Study` runs.

    python -m helpers study --documents my/folder --questions my/questions.csv --pairs my/pairs.jsonl

The originals are only read, and nothing leaves this machine. What is made is in `results/own/your_data/NAME-HASH`.
"""

import hashlib
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from llama_index.core.node_parser import SentenceSplitter
from pypdf import PdfReader

from .dataset import Dataset, general_questions, sample
from .documents import read_documents
from .files import held, own_folder, write_text
from .own_questions import read_pairs, read_questions
from .profiles import Profile, get_profile
from .records import DataError, Document, Example, KitError, Note, Question
from .values import YES_OR_NO, contains, language, normalise

OWN_ARMS = ("base", "base:few_shot", "rag", "customization", "domain_adaptation")  # the default of a study
LEAST_PAIRS = 8  # fewer labelled pairs teach nothing, and are not worth a training
LEAST_PIECES = 10  # the same for pieces of text
HELD_OUT = 30  # at most so many pairs, and pieces of text, are held out to validate a training
PIECE = 100  # at most so many words has a piece of text: pieces are what is shuffled and held out
PIECE_WORD = re.compile(r"[^\s\u3040-\u9fff]+|[\u3040-\u9fff]")  # in a script without spaces, a character is a word
LABELS, LABELLED = 5, 3  # at most so many labels are choices; but for yes and no, each of so many questions
CLUSTERS = 10  # with answers in so many documents, questions about one document count as a cluster


@dataclass(frozen=True)
class OwnData:
    """What was made: the data `folder`, `out` for its results, and in sentences what a reader must know of it.

    `columns` say which column of a table held what; `reading` is the `reading_report` of the documents.
    """

    folder: Path
    out: Path
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    reading: pd.DataFrame = field(repr=False, compare=False)


def reading_report(documents: Sequence[Document]) -> pd.DataFrame:
    """A row a file that was read, the largest first: pages of a PDF or rows of a table, characters, likely language."""
    rows = [(re.sub(r"(?<=[ct]sv):\d+$", "", each.source), len(each.text), language(each.text)) for each in documents]
    files = pd.DataFrame(rows, columns=["file", "characters", "language"]).groupby("file")
    report = files["characters"].agg(["size", "sum"]).set_axis(["pages or rows", "characters"], axis=1)
    for name in (name for name in report.index if name.lower().endswith(".pdf") and Path(name).is_file()):
        report.loc[name, "pages or rows"] = len(PdfReader(name).pages)
    report["language"] = files["language"].agg(lambda each: each.mode()[0])
    return report.sort_values("characters", ascending=False, kind="stable")


def prepare_own_data(
    documents: Path | str, questions: Path | str | None, pairs: Path | str | None = None, profile: str = "workshop",
    out: Path | str | None = None, columns: Mapping[str, str] | None = None,
) -> OwnData:  # fmt: skip
    """Reads what you have and makes a data folder of it.

    No questions, or a wrong file, line or field, is a `DataError`; an `out` inside the documents is a `KitError`.

    Args:
        documents: A folder of PDF, Word, HTML, Markdown, text and CSV files.
        questions: A table of them with their answers, as `read_table` takes it; an error says what to write.
        pairs: Labelled prompt-response pairs in such a table, or None.
        profile: Says how many questions are asked, and how much text is trained on.
        out: The folder that the new data folder goes into; None takes `your_data` in the results.
        columns: Columns that the guess by name would miss, as in `read_questions`.
    """
    size, root, base = get_profile(profile), Path(documents), Path(out or own_folder() / "your_data")
    if base.resolve().is_relative_to(root.resolve()):
        raise KitError(f"{base} is inside {root}, which is only read: choose another folder for the results")
    if questions is None:
        raise DataError(
            f"no questions about {root} were given, so there is nothing to measure. Write a CSV file with the columns "
            "question, answer and document (the name of the file that holds the answer), about twenty questions that "
            "people really ask, one a line; give it as `--questions` (in the notebook `QUESTIONS`)."
        )
    given = [Path(source) for source in (questions, pairs) if source is not None]
    inside = [path for path in given if path.is_file() and path.resolve().is_relative_to(root.resolve())]
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as left_out:
        found = read_documents(root, leave_out=inside)
    asked, *mappings = read_questions(questions, found, columns or {})
    labelled, *more = read_pairs(pairs, found, columns or {}) if pairs is not None else ([],)
    notes = [str(each.message) for each in left_out]
    notes += [f"{path} is among the documents and is not read as one: it holds the answers." for path in inside]
    if unnamed := sum(not question.documents and question.set != "unanswerable" for question in asked):
        notes.append(f"{unnamed} questions have no known document: their answers are scored, their retrieval is not.")
    asked = _as_choices(asked, notes)
    learned, validation = _split_pairs(labelled, asked, notes)
    sets = {name: sample(each, size.questions_per_set) for name, each in _by_set(asked, learned).items()}
    used = [question for each in sets.values() for question in each]
    if len(used) < len(asked):
        notes.append(f"The {profile} profile asks {len(used)} of the {len(asked)} questions.")
    sets["general"] = sample(general_questions(), size.questions_per_set)
    files = _document_files(found)
    files |= {f"corpus/{part}.jsonl": _lines(texts) for part, texts in _corpus(found, used, size, notes).items()}
    files |= {f"questions/{name}.jsonl": _lines(each) for name, each in sets.items()}
    for part, each in (("train", learned), ("validation", validation)) if learned else ():
        files[f"instructions/answers.{part}.jsonl"] = _lines(each)
    folder, results = _write(base, root, files, [*mappings, *more, *notes])
    return OwnData(folder, results, tuple(mappings + more), tuple(notes), reading_report(found))


def _as_choices(questions: list[Question], notes: list[str]) -> list[Question]:
    """The questions, those with answers as choices where these are a handful of labels over the whole file."""
    label = {question.id: normalise(question.answers[0]) for question in questions if question.answers}
    spelled = {label[question.id]: question.answers[0] for question in questions if question.answers}
    few = set(spelled) <= YES_OR_NO or len(spelled) * LABELLED <= len(label)
    if not 2 <= len(spelled) <= LABELS or not few:
        return questions
    choices = tuple(spelled.values())
    notes.append(f"The answers are the labels {', '.join(choices)}: the model chooses one, it does not write.")
    known = {key: {"answers": (spelled[name],), "choices": choices} for key, name in label.items()}
    return [replace(question, **known.get(question.id, {})) for question in questions]


def _states(pair: Example, question: Question) -> bool:
    """Whether a pair's response is an accepted answer, about the same document where both name one."""
    if pair.documents and question.documents and not set(pair.documents) & set(question.documents):
        return False
    return normalise(pair.response) in map(normalise, question.answers)


def _split_pairs(
    pairs: Sequence[Example], questions: Sequence[Question], notes: list[str]
) -> tuple[list[Example], list[Example]]:
    """The pairs to learn from and those for validation, which state no asked fact if possible; none asks a question."""
    prompts = {normalise(question.prompt) for question in questions}
    kept = [pair for pair in pairs if normalise(pair.prompt) not in prompts]
    if len(kept) < len(pairs):
        notes.append(f"{len(pairs) - len(kept)} labelled pairs ask a question of the test: they are not learned from.")
    said = {(normalise(pair.prompt), normalise(pair.response)) for pair in kept}
    if several := len(said) - len({prompt for prompt, _ in said}):
        notes.append(f"{several} labelled pairs give a prompt another response than a pair before: correct that.")
    if len(kept) < LEAST_PAIRS:
        notes.append(f"{len(kept) or 'No'} labelled pairs; {LEAST_PAIRS} are the least for customization and few_shot.")
        return [], []
    free = [pair for pair in kept if not any(_states(pair, question) for question in questions)]
    held_out = sample(free or kept, _held_out(kept))
    return [pair for pair in kept if pair not in held_out], held_out


def _held_out(items: Sequence[Any]) -> int:
    return min(HELD_OUT, max(1, len(items) // 10))


def _by_set(questions: Sequence[Question], pairs: Sequence[Example]) -> dict[str, list[Question]]:
    """The questions by set: facts that a learned pair states are `facts_trained`."""
    sets: dict[str, list[Question]] = {"facts_trained": [], "facts_heldout": [], "unanswerable": []}
    clustered = len({q.documents[0] for q in questions if q.documents}) >= CLUSTERS
    for question in questions:
        name = "facts_trained" if any(_states(pair, question) for pair in pairs) else question.set
        about = question.documents[0] if clustered and question.documents else ""
        sets[name].append(replace(question, set=name, asset=about))
    return {name: each for name, each in sets.items() if each}


def _document_files(documents: Sequence[Document]) -> dict[str, str]:
    files = {}
    for number, document in enumerate(documents, 1):
        front = yaml.safe_dump({"id": document.id, "title": document.title, "type": document.type}, allow_unicode=True)
        slug = re.sub(r"\W+", "-", document.id)[-60:].strip("-")
        files[f"documents/{number:05}-{slug}.md"] = f"---\n{front}---\n\n{document.text}\n"
    return files


def _corpus(
    documents: Sequence[Document], questions: Sequence[Question], size: Profile, notes: list[str]
) -> dict[str, list[Note]]:
    """The documents' own text in pieces, for continued pretraining; pieces without an answer are held out."""
    cut = SentenceSplitter(chunk_size=PIECE, chunk_overlap=0, tokenizer=PIECE_WORD.findall, paragraph_separator="\n\n")
    pieces: dict[str, list[str]] = {}
    for document in documents:
        answers = [answer for question in questions if document.id in question.documents for answer in question.answers]
        for piece in cut.split_text(document.text):
            pieces[f"{document.title}. {' '.join(piece.split())}"] = answers
    if len(pieces) < LEAST_PIECES:
        notes.append(f"The documents give {len(pieces)} pieces of text: too few for continued pretraining.")
        return {}
    telling = {text for text, values in pieces.items() if contains(text, values)}
    order = sorted(pieces, key=lambda text: (text not in telling, hashlib.sha256(text.encode()).digest()))
    held_out = sorted((order[len(telling) :] or order)[: _held_out(order)])
    train = [text for text in order if text not in held_out]
    read = train[: size.own_words // PIECE] if size.own_words else train
    if len(read) < len(train):
        notes.append(
            f"Continued pretraining reads {len(read)} of {len(train)} pieces of text, as the {size.name} profile says."
        )
    parts = {"train": read, "validation": held_out}
    return {part: [Note(f"{part}-{n}", text) for n, text in enumerate(parts[part], 1)] for part in parts}


def _lines(records: Iterable[Any]) -> str:
    filled = ({name: value for name, value in asdict(record).items() if value} for record in records)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in filled)


def _write(base: Path, root: Path, files: Mapping[str, str], about: Sequence[Any]) -> tuple[Path, Path]:
    """Writes the folder whole or not at all; the same contents made before are kept."""
    resolved = root.resolve()
    called = resolved.parent.name if resolved.name in ("documents", "docs") else resolved.name
    with held(base / "making"), tempfile.TemporaryDirectory(prefix=".making-", dir=base) as folder:
        for left in set(base.glob(".making-*")) - {Path(folder)}:  # of a process that was killed
            shutil.rmtree(left)
        making = Path(folder) / "data"
        for name, content in files.items():
            write_text(making / name, content)
        out = base / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', called)}-{Dataset(making).hash[:8]}"
        if not (out / "data").is_dir() or Dataset(out / "data").hash != Dataset(making).hash:  # none, or damaged
            shutil.rmtree(out / "data", ignore_errors=True)
            out.mkdir(parents=True, exist_ok=True)
            making.rename(out / "data")
    listed = "\n".join(f"- {line}" for line in about)
    write_text(out / "data" / "README.md", f"# A data set made of {called}\n\n{listed}\n")
    return out / "data", out
