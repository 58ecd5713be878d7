"""Read a folder of documents: Markdown, plain text, HTML, PDF, Word and CSV files in, `Document` records out.

    documents = read_documents(Path("datasets/tidewater/documents"))

Originals are only ever read.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection
from pathlib import Path

from llama_index.core import SimpleDirectoryReader

from .files import as_records, read_text, update_rounds
from .readers import READERS
from .records import DataError, Document

HIDDEN = re.compile(r"(^|/)(\.|~\$)")  # also the owner files of Word
ENDINGS = ", ".join(READERS)
NAMED = 5  # things that a message names at most

# It asks for a package of readers although every ending has one of ours.
logging.getLogger(SimpleDirectoryReader.__module__).addFilter(lambda record: "readers-file" not in str(record.msg))


def read_documents(folder: Path, leave_out: Collection[Path] = ()) -> list[Document]:
    """Reads every document in a folder and the folders below it, in the order of their relative paths.

    A CSV file is one document a row, any other file one document. Hidden files and those in `leave_out` are left alone;
    a warning names files with an ending that the kit does not read. Front matter of Markdown fills id, title, type,
    revision and date; elsewhere the id is the relative path, the title the first heading, what the file says or its
    name. A `DataError` says that there is nothing to read, or names the first files that are empty, damaged, too large,
    not UTF-8 or share an id.
    """
    folder, others = Path(folder), {path.resolve() for path in leave_out}
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Check the path, or make the folder and put documents into it.")
    paths = [path for path in folder.rglob("*") if path.is_file() and path.resolve() not in others]
    names = [name for name in sorted(path.relative_to(folder).as_posix() for path in paths) if not HIDDEN.search(name)]
    skipped = [name for name in names if Path(name).suffix.lower() not in READERS]
    if skipped == names:
        raise DataError(f"{folder} holds no document that the kit can read. Put files ending in {ENDINGS} into it.")
    if skipped:
        text = f"{len(skipped)} file(s) in {folder} were skipped: {_listed(skipped, ', ')}. The kit reads {ENDINGS}."
        warnings.warn(text, stacklevel=2)
    documents: dict[str, Document] = {}
    faults: list[str] = []
    for name in [name for name in names if name not in skipped]:
        try:
            for document in _read(folder / name, name):
                first = documents.setdefault(document.id, document)
                if first is not document:
                    places = f"{first.source} and by {document.source}"
                    raise DataError(f"the id {document.id!r} is used twice: by {places}. Change one of them.")
        except DataError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError(_listed(faults, "\n"))
    return list(documents.values())


def _read(file: Path, name: str) -> list[Document]:
    """The documents of one file; `name` is its path in the folder."""
    options = {"file_extractor": READERS, "file_metadata": lambda _: {}, "raise_on_error": True}
    try:
        found = SimpleDirectoryReader(input_files=[file], **options).load_data()
    except Exception as error:  # it wraps whatever a reader or a parser raised
        cause = error.__cause__ or error
        if isinstance(cause, DataError):
            raise cause from None
        problem = (isinstance(cause, OSError) and cause.strerror) or cause
        raise DataError(f"{file} cannot be read ({problem}). Open it, and save or export it again.") from error
    rows = []
    for each in found:
        said = {field: value for field, value in each.metadata.items() if value}
        record = {"id": name + said.pop("row", ""), "title": file.stem, "source": str(file), "text": each.text} | said
        rows.append((record["source"], record))
    return as_records(Document, rows)


def _listed(items: list[str], separator: str) -> str:
    return separator.join(items[:NAMED] + [f"and {len(items) - NAMED} more"] * (len(items) > NAMED))


def apply_updates(documents: list[Document], folder: Path) -> list[Document]:
    """The documents after an update, in the order of ids: revisions replace, new ones join, withdrawn ones go.

    The folder has documents with old or new ids in `documents/`, and in `withdrawn.txt` one id a line; or it has such a
    folder for each of several rounds, named 1, 2 and so on. A `DataError` is as in `read_documents`, or names the line
    with an id that the collection lacks.
    """
    for place in [Path(folder) / str(number) for number in update_rounds(folder)] or [Path(folder)]:
        withdrawn, revised = place / "withdrawn.txt", read_documents(place / "documents")
        collection = {document.id: document for document in [*documents, *revised]}
        for number, line in enumerate(read_text(withdrawn).split("\n") if withdrawn.is_file() else (), start=1):
            if (name := line.strip()) and collection.pop(name, None) is None:
                raise DataError(f"{withdrawn}:{number}: there is no document {name!r} to withdraw. Check the id.")
        documents = [collection[key] for key in sorted(collection)]
    return documents
