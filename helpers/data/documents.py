"""Read a folder of documents: Markdown, plain text, HTML, PDF, Word and CSV files in, `Document` records out.

documents = read_documents(Path("datasets/tidewater/documents"))
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from llama_index.core import SimpleDirectoryReader

from .files import as_records, plain, read_text, update_rounds
from .readers import READERS
from .records import DataError, Document

HIDDEN = re.compile(r"(^|/)(\.|~\$)")  # also the owner files of Word
NAMED = 5  # things that a message names at most
ENDINGS = ", ".join(READERS)

# It asks for a package of readers although every ending has one of ours.
logging.getLogger(SimpleDirectoryReader.__module__).addFilter(lambda record: "readers-file" not in str(record.msg))


@dataclass(frozen=True)
class FileRead:
    """What came of one file of a folder: its documents, its pages where it has some, and what a reader must know."""

    name: str
    documents: tuple[Document, ...] = ()
    pages: int | None = None
    note: str = ""


def read_documents(folder: Path, leave_out: Collection[Path] = ()) -> list[Document]:
    """Reads every document in a folder and the folders below it, in the order of their relative paths.

    A CSV file is one document a row, any other file one document. Hidden files and those in `leave_out` are left alone;
    a warning names files of other endings, links that lead nowhere and what in a file holds no text. Front matter of
    Markdown fills id, title, type, revision and date; elsewhere the id is the relative path, the title the first
    heading, what the file says or its name. A `DataError` says that there is nothing to read, or names the first files
    that are empty, damaged, too large, not UTF-8 or share an id.
    """
    files = read_files(folder, leave_out)
    if skipped := [file.name for file in files if not file.documents]:
        text = f"{len(skipped)} file(s) in {folder} were skipped: {_listed(skipped, ', ')}. The kit reads {ENDINGS}."
        warnings.warn(text, stacklevel=2)
    if notes := [f"{file.name}: {file.note}" for file in files if file.documents and file.note]:
        warnings.warn(_listed(notes, "; "), stacklevel=2)
    return [document for file in files for document in file.documents]


def read_files(folder: Path, leave_out: Collection[Path] = ()) -> list[FileRead]:
    """Reads a folder as `read_documents` does, and says what came of each file; one that is not read has a note.

    A link to a folder is followed unless it leads to a folder that is read anyway.
    """
    folder, others = Path(folder), {path.resolve() for path in leave_out}
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Check the path, or make the folder and put documents into it.")
    paths = {_shown(path, folder): path for path in _walk(folder, set()) if path.resolve() not in others}
    files: list[FileRead] = []
    owners: dict[str, Document] = {}
    faults: list[str] = []
    for name in sorted(name for name in paths if not HIDDEN.search(name)):
        if not paths[name].is_file():
            files.append(FileRead(name, note="a link that leads nowhere, or no file"))
        elif paths[name].suffix.lower() not in READERS:
            files.append(FileRead(name, note=f"the kit does not read {paths[name].suffix or 'a name without ending'}"))
        else:
            try:
                files.append(_read(paths[name], name, folder))
                for document in files[-1].documents:
                    if (first := owners.setdefault(document.id, document)) is not document:
                        places = f"{first.source} and by {document.source}"
                        raise DataError(f"the id {document.id!r} is used twice: by {places}. Change one of them.")
            except DataError as fault:
                faults.append(plain(str(fault)))
    if faults:
        raise DataError(_listed(faults, "\n"))
    if not owners:
        raise DataError(f"{folder} holds no document that the kit can read. Put files ending in {ENDINGS} into it.")
    return files


def _walk(folder: Path, seen: set[Path]) -> list[Path]:
    """The files in a folder and those below it, each folder once although links may lead to it again."""
    seen.add(folder.resolve())
    inside = sorted(folder.iterdir(), key=lambda path: path.is_symlink())
    below = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    found = [path for path in inside if not path.is_dir()]
    return found + [each for path in below if path.resolve() not in seen for each in _walk(path, seen)]


def _shown(path: Path, folder: Path) -> str:
    """A path in its folder as text, although its name may be in an older encoding than UTF-8."""
    name = os.fsencode(path.relative_to(folder).as_posix())
    try:
        return plain(name.decode("utf-8"))
    except UnicodeDecodeError:
        return plain(name.decode("latin-1"))


def _read(file: Path, name: str, folder: Path) -> FileRead:
    """What one file holds; `name` is its path in the folder."""
    options = {"file_extractor": READERS, "file_metadata": lambda _: {}, "raise_on_error": True}
    shown = str(folder / name)
    try:
        found = SimpleDirectoryReader(input_files=[file], **options).load_data()
    except Exception as error:  # it wraps whatever a reader or a parser raised
        cause = error.__cause__ or error
        if isinstance(cause, DataError):
            raise DataError(str(cause).replace(str(file), shown)) from None
        problem = (isinstance(cause, OSError) and cause.strerror) or cause
        raise DataError(f"{shown} cannot be read ({problem}). Open it, and save or export it again.") from error
    rows, pages, note = [], None, ""
    for each in found:
        said = {field: value for field, value in each.metadata.items() if value}
        pages, note = said.pop("pages", None), said.pop("note", "")
        record = {"id": name + said.pop("row", ""), "title": Path(name).stem, "source": shown, "text": each.text} | said
        rows.append((record["source"], record))
    return FileRead(name, tuple(as_records(Document, rows)), pages, note)


def _listed(items: list[str], separator: str) -> str:
    return separator.join(items[:NAMED] + [f"and {len(items) - NAMED} more"] * (len(items) > NAMED))


def apply_updates(documents: list[Document], folder: Path) -> list[Document]:
    """The documents after an update, in the order of ids: revisions replace, new ones join, withdrawn ones go.

    The folder has documents with old or new ids in `documents/` and one id a line in `withdrawn.txt`, or such folders
    named 1, 2 and so on for several rounds. A `DataError` is as in `read_documents`, or names the line of an unknown
    id.
    """
    for place in [Path(folder) / str(number) for number in update_rounds(folder)] or [Path(folder)]:
        withdrawn, revised = place / "withdrawn.txt", read_documents(place / "documents")
        collection = {document.id: document for document in [*documents, *revised]}
        for number, line in enumerate(read_text(withdrawn).split("\n") if withdrawn.is_file() else (), start=1):
            if (name := line.strip()) and collection.pop(name, None) is None:
                raise DataError(f"{withdrawn}:{number}: there is no document {name!r} to withdraw. Check the id.")
        documents = [collection[key] for key in sorted(collection)]
    return documents
