"""Read a folder of documents: Markdown, plain text, HTML, PDF, Word and CSV files in, `Document` records out.

    documents = read_documents(Path("datasets/tidewater/documents"))
    SimpleDirectoryReader("my/documents", file_extractor=READERS, raise_on_error=True).load_data()

Originals are only ever read. Nothing inside a document is executed or rendered: a script in an HTML page is dropped,
and HTML inside Markdown or text stays the characters that it is.
"""

import io
import logging
import os
import re
import textwrap
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import lxml.html
import yaml
from html_to_markdown import ConversionOptions, PreprocessingOptions, convert
from llama_index.core import Document as LlamaDocument
from llama_index.core import SimpleDirectoryReader
from llama_index.core.readers.base import BaseReader
from lxml import etree
from markdown_it import MarkdownIt

from .files import as_records, csv_rows, plain, read_text, update_rounds
from .records import DataError, Document

HIDDEN = re.compile(r"(^|/)(\.|~\$)")  # also the owner files of Word
NAMED = 5  # things that a message names at most
MAX_BYTES = 50_000_000  # of text, for each document
PLAIN_TYPES = PLAIN_TEXT, ROW = "plain text", "row"  # the types of documents in which a # makes no heading
LONGEST_TITLE, HEAD = 200, 100_000  # characters: of a title, and of the beginning in which a heading is looked for
FIELDS = ("id", "title", "type", "date", "revision")  # of front matter; others stay in the text
FRONT_MATTER = re.compile(r"(-{3,}|\+{3})\s*\n(.*?)^(?:-{3,}|\+{3}|\.{3})\s*$(.*)", re.MULTILINE | re.DOTALL)
FRONT_LINES = re.compile(rf"^(?:(?:{'|'.join(FIELDS)})[ \t]*[:=].*\n(?:[ \t]+.*\n)*|#.*\n)", re.MULTILINE)
BODY = ("text", "content", "body")  # a column of this name is a row's text; the others are listed above it
MARKDOWN = ConversionOptions(
    strip_tags=["a", "abbr", "b", "code", "em", "i", "mark", "strong", "u"],  # their text stays, without marks
    exclude_selectors=["nav", "button", "noscript"], hidden_content="all", skip_images=True, autolinks=False,
    bullets="-", compact_tables=True, extract_metadata=False, include_blockquote_citations=False,
    expand_abbreviations=False, preprocessing=PreprocessingOptions(enabled=False),
)  # fmt: skip
PAGE, WORD = (etree.XSLT(etree.parse(Path(__file__).with_name(name))) for name in ("page.xsl", "word.xsl"))

Read = dict[str, Any]  # `text`, and where the file says so `id`, `title`, `type`, `date`, `revision`

# It asks for a package of readers although every ending has one of ours.
logging.getLogger(SimpleDirectoryReader.__module__).addFilter(lambda record: "readers-file" not in str(record.msg))


class FileReader(BaseReader):
    """Adapts a function from a file to what is read in it; each thing read becomes one LlamaIndex document."""

    def __init__(self, read: Callable[[Path], Iterable[Read]]):
        self.read = read

    def load_data(self, file: Path, extra_info: dict | None = None) -> list[LlamaDocument]:
        """Reads one file; a `DataError` says if it holds no text, or more than `MAX_BYTES` of it."""
        documents = []
        for record in map(plain, self.read(Path(file))):
            _check_size(file, len(record["text"].encode()))
            if not (text := record.pop("text").strip()):
                raise DataError(f"{record.get('source', file)} holds no text. Add some, or take it out of the folder.")
            documents.append(LlamaDocument(text=text, metadata=(extra_info or {}) | record))
        return documents


def _check_size(file: Path, size: int, limit: int = MAX_BYTES) -> None:
    if size > limit:
        raise DataError(f"{file} holds {size:,} bytes of text; the limit is {limit:,}. Split it into several files.")


def _markdown(file: Path) -> Iterator[Read]:
    front, body = {}, read_text(file)
    if match := FRONT_MATTER.match(body):
        try:  # values as they are written
            loaded = yaml.load(match[2], yaml.BaseLoader) if match[1] != "+++" else tomllib.loads(match[2])
        except (yaml.YAMLError, tomllib.TOMLDecodeError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 2}" if mark else ""
            raise DataError(f"{file}{line}: the front matter is not valid YAML. Correct it there.") from error
        if loaded in (None, "") or isinstance(loaded, dict):  # anything else is text between two rules
            front = loaded or {}
            body = f"{FRONT_LINES.sub('', match[2]).strip()}\n\n{match[3].strip()}"
    said = {name: front[name] for name in FIELDS if front.get(name)}
    if several := [name for name, value in said.items() if isinstance(value, (list, dict))]:
        raise DataError(f"{file}: {several[0]}: the front matter gives several values. Write one.")
    page = lxml.html.fromstring(f"<div>{'' if 'title' in said else MarkdownIt().render(body[:HEAD])}</div>")
    headings = (" ".join(each.text_content().split()) for each in page.iter("h1", "h2", "h3", "h4", "h5", "h6"))
    yield {"title": next((words for words in headings if 0 < len(words) <= LONGEST_TITLE), ""), "text": body} | said


def _from_html(page: str) -> Read:
    """A page as Markdown: its main part where it names one, else all of it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    tree = lxml.html.document_fromstring((page.strip() or "<p>").encode("utf-8"), parser=parser)
    title = " ".join(tree.xpath("string(//title)").split())
    main = next((each for each in tree.xpath("//main | //*[@role='main']") if each.text_content().strip()), tree)
    try:
        main = PAGE(main).getroot()
    except etree.XSLTApplyError:
        raise ValueError("its tags are nested more than a thousand deep; close those that it leaves open") from None
    for heading in main.xpath("(.//h1)[1]"):
        if len(words := _as_markdown(heading).removeprefix("# ")) <= LONGEST_TITLE:
            title = words
    return {"text": _as_markdown(main), "title": title}


def _as_markdown(element: etree._Element) -> str:
    text = convert(etree.tostring(element, encoding="unicode", method="html", with_tail=False), MARKDOWN).content or ""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)).strip()


def _pdf(file: Path) -> Iterator[Read]:
    from pypdf import PdfReader

    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DataError(f"{file} is protected by a password. Save a copy without one.")
    pages = [page.extract_text().strip() for page in reader.pages]
    if not any(pages):
        raise DataError(f"{file} has {len(pages)} page(s) and no text: it is probably a scan. Run OCR on it first.")
    if empty := ", ".join(str(number) for number, page in enumerate(pages, 1) if not page):
        empty = textwrap.shorten(f"{empty} of {len(pages)}", 200)
        warnings.warn(f"{file}: no text on page {empty}. If it is a scan, run OCR on it.", stacklevel=2)
    title = reader.metadata and reader.metadata.title
    yield {"text": "\n\n".join(filter(None, pages)), "title": (title or "").strip(), "type": PLAIN_TEXT}


def _docx(file: Path) -> Iterator[Read]:
    import mammoth

    shown = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(shown, "w") as copy:
        size = sum(member.file_size for member in archive.infolist() if member.filename.endswith(".xml"))
        _check_size(file, size, 10 * MAX_BYTES)  # XML is several times its text
        for name in archive.namelist():
            part = archive.read(name)
            notes_or_text = re.fullmatch(r"word/(document|footnotes|endnotes)\.xml", name)
            copy.writestr(name, bytes(WORD(etree.fromstring(part))) if notes_or_text else part)
    title = "p[style-name='Title'] => h1:fresh"
    yield _from_html(mammoth.convert_to_html(shown, style_map=title, convert_image=lambda _: []).value)


def _csv(file: Path) -> Iterator[Read]:
    """One document a row: lines `column: value`, and below them the column named in `BODY`."""
    for number, (where, row) in enumerate(csv_rows(file), 1):
        cells = {column.lower(): cell for column, cell in row.items()}
        body = next((column for column in BODY if cells.get(column)), "")
        lines = [f"{column}: {cell}" for column, cell in row.items() if cell and column.lower() not in (body, "id")]
        text = "\n".join(lines) + (f"\n\n{cells[body]}" if body else "")
        title = cells.get("title") or cells.get("name") or f"{file.stem}, row {number}"
        yield {"text": text, "row": f"#{cells.get('id') or number}", "title": title, "type": ROW, "source": where}


READERS = {".md": FileReader(_markdown), ".pdf": FileReader(_pdf), ".docx": FileReader(_docx)}  # by a name's ending
READERS |= dict.fromkeys((".csv", ".tsv"), FileReader(_csv)) | {".markdown": READERS[".md"]}
READERS |= dict.fromkeys((".html", ".htm", ".xhtml"), FileReader(lambda file: [_from_html(read_text(file))]))
PLAIN = FileReader(lambda file: [{"text": read_text(file), "type": PLAIN_TEXT}])
READERS |= dict.fromkeys((".txt", ".text", ".rst"), PLAIN)
ENDINGS = ", ".join(READERS)


def read_documents(folder: Path, leave_out: Collection[Path] = ()) -> list[Document]:
    """Reads every document in a folder and the folders below it, in the order of their relative paths.

    A CSV file is one document a row, any other file one document. Hidden files and those in `leave_out` are left alone;
    a warning names files of other endings. Front matter of Markdown fills id, title, type, revision and date; elsewhere
    the id is the relative path, the title the first heading, what the file says or its name. A `DataError` says that
    there is nothing to read, or names the first files that are empty, damaged, too large, not UTF-8 or share an id.
    """
    folder, others = Path(folder), set(map(os.path.realpath, leave_out))
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Check the path, or make the folder and put documents into it.")
    paths = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    paths = {_shown(path.relative_to(folder)): path for path in paths if os.path.realpath(path) not in others}
    names = sorted(name for name in paths if not HIDDEN.search(name))
    skipped = [name for name in names if paths[name].suffix.lower() not in READERS or not paths[name].is_file()]
    if skipped == names:
        raise DataError(f"{folder} holds no document that the kit can read. Put files ending in {ENDINGS} into it.")
    if skipped:
        text = f"{len(skipped)} file(s) in {folder} were skipped: {_listed(skipped, ', ')}. The kit reads {ENDINGS}"
        warnings.warn(f"{text}; links to folders are not followed.", stacklevel=2)
    documents: dict[str, Document] = {}
    faults: list[str] = []
    for name in [name for name in names if name not in skipped]:
        try:
            for document in _read(paths[name], name, str(folder / name)):
                first = documents.setdefault(document.id, document)
                if first is not document:
                    places = f"{first.source} and by {document.source}"
                    raise DataError(f"the id {document.id!r} is used twice: by {places}. Change one of them.")
        except DataError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError(_listed(faults, "\n"))
    return list(documents.values())


def _shown(path: Path) -> str:
    """A path as text; a byte of a name that is not UTF-8 is taken for Latin-1."""
    return plain(re.sub("[\udc80-\udcff]", lambda byte: chr(ord(byte[0]) - 0xDC00), path.as_posix()))


def _read(file: Path, name: str, shown: str) -> list[Document]:
    """The documents of one file; `name` is its path in the folder, `shown` the whole path."""
    options = {"file_extractor": READERS, "file_metadata": lambda _: {}, "raise_on_error": True}
    try:
        found = SimpleDirectoryReader(input_files=[file], **options).load_data()
    except Exception as error:  # it wraps whatever a reader or a parser raised
        cause = error.__cause__ or error
        if isinstance(cause, DataError):
            raise DataError(str(cause).replace(str(file), shown)) from None
        problem = (isinstance(cause, OSError) and cause.strerror) or cause
        raise DataError(f"{shown} cannot be read ({problem}). Open it, and save or export it again.") from error
    rows = []
    for each in found:
        said = {field: value for field, value in each.metadata.items() if value}
        record = {"id": name + said.pop("row", ""), "title": Path(name).stem, "source": shown, "text": each.text} | said
        rows.append((record["source"], record))
    return as_records(Document, rows)


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
