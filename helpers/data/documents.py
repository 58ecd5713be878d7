"""Read a folder of documents: Markdown, plain text, HTML, PDF, Word and CSV files in, `Document` records out.

    documents = read_documents(Path("datasets/tidewater/documents"))

Originals are only ever read. Nothing inside a document is executed or rendered: a script in an HTML page is
dropped, and HTML inside Markdown or text stays the characters that it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

from .formats import READERS, check_size, read_utf8
from .records import DataError, Document
from .tables import table_documents

MAX_BYTES = 20_000_000
WITHDRAWN = "withdrawn.txt"
TABLE = ".csv"
ENDINGS = (*READERS, TABLE)


class SkippedFilesWarning(UserWarning):
    """Some files of a folder have an ending that the kit does not read; the message names them."""


def read_documents(folder: Path, max_bytes: int = MAX_BYTES, leave_out: Collection[Path] = ()) -> list[Document]:
    """Reads every document in a folder and the folders below it, in the order of their relative paths.

    A CSV file is one document a row, any other file one document. Hidden files are left alone. Files with an unknown
    ending are skipped and named in a `SkippedFilesWarning`.

    Args:
        folder: where the documents lie.
        max_bytes: the largest text that is accepted, in bytes, for each document.
        leave_out: files in the folder that are no documents, such as one with the questions.

    Returns:
        The documents; their ids are unique.

    Raises:
        DataError: the folder is missing or holds nothing readable, two documents share an id, or one of the
            files is empty, damaged, too large or not UTF-8. The message names the first such files and the remedies.
    """
    folder = Path(folder)
    files, skipped = _list_files(folder)
    others = {path.resolve() for path in leave_out}
    files = [file for file in files if file.resolve() not in others]
    if not files:
        raise DataError(
            f"{folder} holds no document that the kit can read. Put files ending in {', '.join(ENDINGS)} into it."
        )
    if skipped:
        named = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
        warnings.warn(
            f"{len(skipped)} file(s) in {folder} were skipped: {named}. The kit reads {', '.join(ENDINGS)}.",
            SkippedFilesWarning,
            stacklevel=2,
        )
    return _unique(_read_all(files, folder, max_bytes))


def _read_all(files: list[Path], folder: Path, max_bytes: int) -> list[Document]:
    """The documents of all files; the faults of several files are told together."""
    documents: list[Document] = []
    faults: list[str] = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            if file.suffix.lower() == TABLE:
                check_size(file, file.stat().st_size, max_bytes)
                documents += table_documents(file, name)
            else:
                documents.append(read_document(file, name, max_bytes))
        except DataError as fault:
            faults.append(str(fault))
        except OSError as fault:
            faults.append(f"{file} cannot be read: {fault.strerror or fault}. Mend that, or take it out of the folder.")
    if faults:
        raise DataError("\n".join(faults[:5] + [f"and {len(faults) - 5} more files"] * (len(faults) > 5)))
    return documents


def read_document(file: Path, default_id: str | None = None, max_bytes: int = MAX_BYTES) -> Document:
    """Reads one file.

    Args:
        file: a file with one of the known endings.
        default_id: the document's id where no front matter gives one; the file's name unless told otherwise.
        max_bytes: the largest text that is accepted, in bytes.

    Returns:
        The document. Front matter of Markdown fills id, title, type, revision and date; elsewhere the title is
        the first heading, else the title that the file declares, else the file's name.

    Raises:
        DataError: the file is missing, empty, damaged, too large, not UTF-8, or of an unknown kind.
    """
    file = Path(file)
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{file}: the ending {file.suffix!r} is not one that the kit reads: {', '.join(READERS)}")
    if not file.is_file():
        raise DataError(f"{file} does not exist, or is not a file. Check the path.")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty (0 bytes). Fill it, or take it out of the folder.")
    record = {"id": default_id or file.name, "title": file.stem, "source": str(file)} | reader(file, max_bytes)
    check_size(file, len(record["text"].encode("utf-8")), max_bytes)
    if not record["text"].strip():
        raise DataError(f"{file} holds no text besides its front matter. Add text, or take the file out of the folder.")
    return Document(**record)


def apply_updates(documents: list[Document], folder: Path, max_bytes: int = MAX_BYTES) -> list[Document]:
    """What the document collection is after an update: later revisions replace, new ones join, withdrawn ones go.

    Args:
        documents: the collection before the update; it is not changed.
        folder: documents with the ids of those that they replace, or with new ids, in the folder itself or in a
            folder `documents` in it; and, where documents are withdrawn, `withdrawn.txt` with one id a line.
        max_bytes: the largest text that is accepted, in bytes, for each document.

    Returns:
        The collection after the update, in the order of ids.

    Raises:
        DataError: as `read_documents`; or `withdrawn.txt` names a document that is not in the collection.
    """
    folder = Path(folder)
    inner = folder / "documents" if (folder / "documents").is_dir() else folder
    files = [file for file in _list_files(inner)[0] if file != folder / WITHDRAWN]
    revised = _unique(_read_all(files, inner, max_bytes))
    collection = {document.id: document for document in [*documents, *revised]}
    withdrawn = folder / WITHDRAWN
    if withdrawn.is_file() and withdrawn.stat().st_size:
        for number, line in enumerate(read_utf8(withdrawn, max_bytes).split("\n"), start=1):
            if line.strip() and collection.pop(line.strip(), None) is None:
                raise DataError(
                    f"{withdrawn}:{number}: there is no document {line.strip()!r} to withdraw. Check the id."
                )
    return [collection[key] for key in sorted(collection)]


def _list_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The readable files below a folder, and the names of the others."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Check the path, or make the folder and put documents into it.")
    paths = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    visible = sorted(pair for pair in paths if not any(part.startswith(".") for part in pair[0].split("/")))
    readable = [path for _, path in visible if path.suffix.lower() in ENDINGS]
    return readable, [name for name, path in visible if path.suffix.lower() not in ENDINGS]


def _unique(documents: list[Document]) -> list[Document]:
    seen: dict[str, Document] = {}
    for document in documents:
        if document.id in seen:
            raise DataError(
                f"the id {document.id!r} is used twice: by {seen[document.id].source} and by {document.source}. "
                "Change the `id:` in the front matter of one of them."
            )
        seen[document.id] = document
    return documents
