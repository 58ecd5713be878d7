"""Read a folder of documents: Markdown, plain text, HTML, PDF, Word and CSV files in, `Document` records out.

    documents = read_documents(Path("datasets/tidewater/documents"))

Originals are only ever read.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection
from pathlib import Path

from llama_index.core import SimpleDirectoryReader

from .files import as_record, read_text
from .readers import MAX_BYTES, file_extractor
from .records import DataError, Document

WITHDRAWN = "withdrawn.txt"
ENDINGS = tuple(file_extractor())
NAMED = 5  # files that a message names at most

# It asks for a package of readers although every ending has one of ours.
logging.getLogger(SimpleDirectoryReader.__module__).addFilter(lambda record: "readers-file" not in str(record.msg))


class SkippedFilesWarning(UserWarning):
    """Some files of a folder have an ending that the kit does not read; the message names them."""


def read_documents(folder: Path, max_bytes: int = MAX_BYTES, leave_out: Collection[Path] = ()) -> list[Document]:
    """Reads every document in a folder and the folders below it, in the order of their relative paths.

    A CSV file is one document a row, any other file one document. Hidden files and the owner files of Word are left
    alone. Files with an unknown ending are skipped and named in a `SkippedFilesWarning`.

    Args:
        folder: Where the documents are.
        max_bytes: The largest text that is accepted, in bytes, for each document.
        leave_out: Files in the folder that are no documents, such as one with the questions.

    Returns:
        The documents; their ids are unique. Front matter of Markdown fills id, title, type, revision and date;
        elsewhere the id is the relative path, the title the first heading, else what the file says, else its name.

    Raises:
        DataError: The folder is missing or holds nothing readable, two documents share an id, or some of the files are
            empty, damaged, too large or not UTF-8. The message names the first such files and the remedies.
    """
    folder = Path(folder)
    others = {path.resolve() for path in leave_out}
    files, skipped = _list_files(folder)
    files = [file for file in files if file.resolve() not in others]
    if not files:
        raise DataError(
            f"{folder} holds no document that the kit can read. Put files ending in {', '.join(ENDINGS)} into it."
        )
    if skipped:
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        warnings.warn(
            f"{len(skipped)} file(s) in {folder} were skipped: {', '.join(skipped[:NAMED])}{more}. "
            f"The kit reads {', '.join(ENDINGS)}.",
            SkippedFilesWarning,
            stacklevel=2,
        )
    return _read_all(files, folder, max_bytes)


def apply_updates(documents: list[Document], folder: Path, max_bytes: int = MAX_BYTES) -> list[Document]:
    """What the document collection is after an update: later revisions replace, new ones join, withdrawn ones go.

    Args:
        documents: The collection before the update; it is not changed.
        folder: Documents with the ids of those that they replace, or with new ids, in the folder itself or in a
            folder `documents` in it; and, where documents are withdrawn, `withdrawn.txt` with one id a line.
        max_bytes: The largest text that is accepted, in bytes, for each document.

    Returns:
        The collection after the update, in the order of ids.

    Raises:
        DataError: As `read_documents`; or `withdrawn.txt` names a document that is not in the collection.
    """
    folder = Path(folder)
    inner = folder / "documents" if (folder / "documents").is_dir() else folder
    withdrawn = folder / WITHDRAWN
    files = [file for file in _list_files(inner)[0] if file != withdrawn]
    collection = {document.id: document for document in [*documents, *_read_all(files, inner, max_bytes)]}
    for number, line in enumerate(read_text(withdrawn).split("\n") if withdrawn.is_file() else (), start=1):
        if line.strip() and collection.pop(line.strip(), None) is None:
            raise DataError(f"{withdrawn}:{number}: there is no document {line.strip()!r} to withdraw. Check the id.")
    return [collection[key] for key in sorted(collection)]


def _list_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The readable files below a folder, and the names of the others."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Check the path, or make the folder and put documents into it.")
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    visible = sorted(name for name in paths if not any(part.startswith((".", "~$")) for part in name.split("/")))
    readable = [paths[name] for name in visible if paths[name].suffix.lower() in ENDINGS]
    return readable, [name for name in visible if paths[name].suffix.lower() not in ENDINGS]


def _read_all(files: list[Path], folder: Path, max_bytes: int) -> list[Document]:
    """The documents of all files; an error names the first files that cannot be read, each with its remedy."""
    documents: dict[str, Document] = {}
    faults: list[str] = []
    extractor = file_extractor(max_bytes)
    for file in files:
        try:
            found = _read(file, file.relative_to(folder).as_posix(), extractor)
        except DataError as fault:
            faults.append(str(fault))
            continue
        for document in found:
            if document.id in documents:
                faults.append(
                    f"the id {document.id!r} is used twice: by {documents[document.id].source} and by "
                    f"{document.source}. Change the `id:` in the front matter of one of them."
                )
            documents[document.id] = document
    if faults:
        raise DataError("\n".join(faults[:NAMED] + [f"and {len(faults) - NAMED} more"] * (len(faults) > NAMED)))
    return list(documents.values())


def _read(file: Path, name: str, extractor: dict) -> list[Document]:
    reader = SimpleDirectoryReader(
        input_files=[file], file_extractor=extractor, file_metadata=lambda _: {}, raise_on_error=True
    )
    try:
        found = [{"text": each.text, **each.metadata} for each in reader.load_data()]
    except Exception as error:  # SimpleDirectoryReader wraps whatever a reader or a parser raised
        cause = error.__cause__ or error
        if isinstance(cause, DataError):
            raise cause from None
        problem = cause.strerror if isinstance(cause, OSError) and cause.strerror else cause
        raise DataError(
            f"{file} cannot be read ({problem}). Open it and save or export it again, or take it out of the folder."
        ) from error
    documents = []
    for record in found:
        row = record.pop("row", "")
        own = {"id": f"{name}#{row}" if row else name, "title": file.stem, "source": str(file)}
        documents.append(as_record(Document, own | record, str(file)))
    if not all(Path(document.id).name for document in documents):
        raise DataError(f"{file}: id: it must hold a name, not {documents[0].id!r}. Change it in the front matter.")
    return documents
