"""Readers: what is in one file, as Markdown or plain text; Word, PDF and HTML by what they mean, not how they look.

    SimpleDirectoryReader("my/documents", file_extractor=READERS, raise_on_error=True).load_data()

Originals are only ever read. Nothing inside a document is executed or rendered: a script in an HTML page is dropped,
and HTML inside Markdown or text stays the characters that it is.
"""

from __future__ import annotations

import copy
import io
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lxml.html
import yaml
from html_to_markdown import ConversionOptions, PreprocessingOptions, convert
from llama_index.core import Document as LlamaDocument
from llama_index.core.readers.base import BaseReader
from lxml import etree
from markdown_it import MarkdownIt

from .files import csv_rows, plain, read_text
from .records import DataError

MAX_BYTES = 20_000_000  # of text, for each document
LONGEST_TITLE, HEAD = 200, 100_000  # characters: of a title, and of the beginning in which it is looked for
SAID = "id|title|type|date|revision"  # fields of front matter that a document has; the others stay in its text
FRONT_MATTER = re.compile(r"(-{3,}|\+{3})\s*\n(.*?)^(?:-{3,}|\+{3}|\.{3})\s*$(.*)", re.MULTILINE | re.DOTALL)
KNOWN = re.compile(rf"^(?:(?:{SAID})[ \t]*[:=].*\n(?:[ \t]+.*\n)*|#.*\n)", re.MULTILINE)
BODY = ("text", "content", "body")  # a column of this name is a row's text; the others are listed above it
PLAIN_TEXT, ROW = PLAIN_TYPES = "plain text", "row"  # the types of documents in which a # makes no heading
INPUT = ".//input[not(contains(' hidden submit button reset image password file ', concat(' ', @type, ' ')))]"
EXPONENT = re.compile(r"(?:(?<![\w.,])\d\d?|(?<![^\W\d])(?:[^\W\d]|[kcdmnµ]m)|\))$")  # before one; else it is a note
MARKDOWN = ConversionOptions(
    strip_tags=["a", "abbr", "b", "code", "em", "i", "mark", "strong", "u"],  # their text stays, without marks
    exclude_selectors=["nav", "button", "noscript"], hidden_content="all", skip_images=True, autolinks=False,
    bullets="-", compact_tables=True, extract_metadata=False, include_blockquote_citations=False,
    expand_abbreviations=False, preprocessing=PreprocessingOptions(enabled=False),
)  # fmt: skip
WORD = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
}
UNSEEN = "//w:moveFrom | //w:r[w:rPr/w:vanish[not(@w:val='0' or @w:val='false')]]"  # moved away, and hidden text

Read = dict[str, Any]  # `text`, and where the file says so `id`, `title`, `type`, `date`, `revision`, `pages`, `note`


class FileReader(BaseReader):
    """Adapts a function from a file to what is read in it; each thing read becomes one LlamaIndex document."""

    def __init__(self, read: Callable[[Path], Iterable[Read]]):
        self.read = read

    def load_data(self, file: Path, extra_info: dict | None = None) -> list[LlamaDocument]:
        """Reads one file; a `DataError` says if it holds no text, or more than `MAX_BYTES` of it."""
        documents = []
        for record in map(plain, self.read(Path(file))):
            _check_size(file, len(record["text"].encode()))
            text = record.pop("text").replace("\0", "").strip()
            if not text:
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
            loaded = yaml.load(match[2], yaml.BaseLoader) if match[1] != "+++" else _toml(match[2])
        except (yaml.YAMLError, tomllib.TOMLDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 2}" if mark else ""
            raise DataError(f"{file}{line}: the front matter is not valid. Correct it there.") from error
        if loaded in (None, "") or isinstance(loaded, dict):  # anything else is text between two rules
            body = f"{KNOWN.sub('', match[2] * bool(loaded)).strip()}\n\n{match[3].strip()}"
            front = loaded or {}
    said = {name: front[name] for name in SAID.split("|") if front.get(name)}
    yield {"text": body, "title": "" if "title" in said else _first_heading(body[:HEAD])} | said


def _first_heading(text: str) -> str:
    """The words of the first heading of a Markdown text: in its own marks or in HTML, and not in code or a comment."""
    page = lxml.html.fromstring(f"<div>{MarkdownIt().render(text)}</div>")
    headings = (" ".join(each.text_content().split()) for each in page.iter("h1", "h2", "h3", "h4", "h5", "h6"))
    return next((words for words in headings if 0 < len(words) <= LONGEST_TITLE), "")


def _toml(text: str) -> dict[str, Any]:
    fields = tomllib.loads(text)
    return {name: value if isinstance(value, list | dict) else str(value) for name, value in fields.items()}


def _from_html(page: str) -> Read:
    """A page as Markdown: its main part where it names one, else all of it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    tree = lxml.html.document_fromstring((page.strip() or "<p>").encode("utf-8"), parser=parser)
    title = " ".join(tree.xpath("string(//title)").split())
    main = next((each for each in tree.xpath("//main | //*[@role='main']") if each.text_content().strip()), tree)
    _say(main)
    for heading in main.xpath("(.//h1)[1]"):
        words = _as_markdown(heading).removeprefix("# ")
        title = words if len(words) <= LONGEST_TITLE else title
    return {"text": _as_markdown(main), "title": title}


def _say(page: lxml.html.HtmlElement) -> None:
    """Puts into words what a page says by its looks: exponents, what a form holds, cells that reach over rows."""
    for field in page.xpath(INPUT):
        ticked = "[x] " if field.get("checked") is not None else "[ ] "
        said = ticked if field.get("type") in ("checkbox", "radio") else f" {field.get('value', '')} "
        field.tail = said + (field.tail or "")
    for option in page.xpath(".//option[@selected]"):
        option.text = f"[x] {option.text or ''}"
    for link in [link for link in page.iter("a") if link.text_content().strip("\ufe0e ") in ("↑", "↩")]:
        link.drop_tree()  # from a note back to its place
    for raised in list(page.iter("sup")):
        text, left = raised.text_content().strip(), raised.getprevious()
        before = (raised.getparent().text if left is None else left.tail or left.text_content()) or ""
        power = re.search(r"\d", text) and (re.search(r"[-+−–]", text) or EXPONENT.search(before))
        power = power or (len(text) == 1 and text.isalpha() and EXPONENT.search(before))
        note = raised.find(".//a") is not None or not (power or re.fullmatch(r"[^\W\d]{2,}|[™®©]", text))
        tail = raised.tail
        raised.clear()
        raised.tag, raised.text, raised.tail = "span", "" if note else f"^{text}" if power else text, tail
    for table in page.iter("table"):
        reaching: dict[int, list] = {}  # by column: the cell from above, and for how many rows
        for row in table.xpath("./tr | ./*/tr"):
            column, cells = 0, list(row.iterchildren("td", "th"))
            while cells or column in reaching:
                if column in reaching:
                    cell = copy.deepcopy(reaching[column][0])
                    row.insert(column, cell)
                    reaching[column][1] -= 1
                    if not reaching[column][1]:
                        del reaching[column]
                else:
                    cell = cells.pop(0)
                    rows = int(re.sub(r"\D", "", cell.attrib.pop("rowspan", "1"))[:4] or 1)
                    if rows > 1:
                        reaching[column] = [cell, rows - 1]
                column += 1


def _as_markdown(element: lxml.html.HtmlElement) -> str:
    text = convert(lxml.html.tostring(element, encoding="unicode", with_tail=False), MARKDOWN).content or ""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)).strip()


def _pdf(file: Path) -> Iterator[Read]:
    from pypdf import PdfReader

    reader = PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DataError(f"{file} is protected by a password. Save a copy without one.")
    pages = [page.extract_text().strip() for page in reader.pages]
    if not any(pages):
        raise DataError(f"{file} has {len(pages)} page(s) and no text: it is probably a scan. Run OCR on it first.")
    title, empty = reader.metadata and reader.metadata.title, [str(n) for n, page in enumerate(pages, 1) if not page]
    note = f"no text on page {', '.join(empty)} of {len(pages)}: run OCR if these are scans" if empty else ""
    text = "\n\n".join(filter(None, pages))
    yield {"text": text, "title": (title or "").strip(), "type": PLAIN_TEXT, "pages": len(pages), "note": note}


def _docx(file: Path) -> Iterator[Read]:
    import mammoth

    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist() if member.filename.endswith(".xml"))
        _check_size(file, size, 10 * MAX_BYTES)  # XML is several times its text
        parts = {name: archive.read(name) for name in archive.namelist() if not name.startswith("word/media/")}
    for name in ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml"):
        if name in parts:
            parts[name] = _shown(parts[name])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    titles = "p[style-name='Title'] => h1:fresh"
    yield _from_html(mammoth.convert_to_html(content, style_map=titles, convert_image=lambda _: []).value)


def _shown(part: bytes) -> bytes:
    """A part of a Word file as it is seen: without what was moved away or is hidden, and with formulas as text."""
    tree = etree.fromstring(part, etree.XMLParser(resolve_entities=False, huge_tree=True))
    for gone in tree.xpath(UNSEEN, namespaces=WORD):
        gone.getparent().remove(gone)
    for moved in tree.xpath("//w:moveTo", namespaces=WORD):
        moved.tag = f"{{{WORD['w']}}}ins"
    for formula in tree.xpath("//m:oMath", namespaces=WORD):
        for part_of, mark in (("den", "/"), ("sup", "^"), ("deg", "√")):
            for each in formula.xpath(f".//m:{part_of}//m:t[1]", namespaces=WORD):
                each.text = mark + (each.text or "")
        text = "".join(formula.xpath(".//m:t/text()", namespaces=WORD))
        tail = formula.tail
        formula.clear()
        formula.tag, formula.tail = f"{{{WORD['w']}}}r", tail
        etree.SubElement(formula, f"{{{WORD['w']}}}t").text = text
    return etree.tostring(tree)


def _csv(file: Path) -> Iterator[Read]:
    """One document a row: lines `column: value`, and below them the column named in `BODY`."""
    for number, (where, row) in enumerate(csv_rows(file), 1):
        cells = {column.lower(): cell for column, cell in row.items()}
        body = next((column for column in BODY if cells.get(column)), "")
        lines = [f"{column}: {cell}" for column, cell in row.items() if cell and column.lower() not in (body, "id")]
        text = "\n".join(lines) + (f"\n\n{cells[body]}" if body else "")
        title = cells.get("title") or cells.get("name") or f"{file.stem}, row {number}"
        yield {"text": text, "row": f"#{cells.get('id') or number}", "title": title, "type": ROW, "source": where}


PAGE, TABLE, MARKED = FileReader(lambda file: [_from_html(read_text(file))]), FileReader(_csv), FileReader(_markdown)
TEXT = FileReader(lambda file: [{"text": read_text(file), "type": PLAIN_TEXT}])
READERS = {  # by the ending of a file's name
    ".md": MARKED, ".markdown": MARKED, ".txt": TEXT, ".text": TEXT, ".rst": TEXT, ".html": PAGE, ".htm": PAGE,
    ".xhtml": PAGE, ".pdf": FileReader(_pdf), ".docx": FileReader(_docx), ".csv": TABLE, ".tsv": TABLE,
}  # fmt: skip
