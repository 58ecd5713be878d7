"""One document file in, its text and what it says of itself out: a reader for each ending.

Nothing inside a document is executed or rendered: a script in an HTML page is dropped, and HTML inside Markdown or text
stays the characters that it is.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from .records import DataError

BLOCKS = (
    "address article aside blockquote caption dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header "
    "hr li main ol p pre section table tr ul"
).split()  # fmt: skip


def check_size(file: Path, size: int, max_bytes: int) -> None:
    """Refuses a file with more bytes of text than the limit.

    Raises:
        DataError: It has.
    """
    if size > max_bytes:
        raise DataError(
            f"{file} holds {size:,} bytes of text; the limit is {max_bytes:,}. "
            "Split it into several files, or pass a larger `max_bytes`."
        )


def read_utf8(file: Path, max_bytes: int) -> str:
    """A text file, its line ends made one kind.

    Raises:
        DataError: It is too large, not UTF-8, or no text.
    """
    check_size(file, file.stat().st_size, max_bytes)
    data = file.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8: byte {error.start} (0x{data[error.start]:02x}) cannot be read. "
            "Save the file again with the encoding UTF-8."
        ) from error
    if "\0" in text:
        offset = data.index(0)
        raise DataError(f"{file} is not a text file: byte {offset} is zero. Export it as text, or take it out.")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _read_plain(file: Path, max_bytes: int) -> dict[str, Any]:
    return {"text": read_utf8(file, max_bytes)}


def _read_markdown(file: Path, max_bytes: int) -> dict[str, Any]:
    import frontmatter
    import yaml

    text = read_utf8(file, max_bytes)
    handler = frontmatter.YAMLHandler()
    front, body = {}, text.strip()
    try:
        told, rest = _split(handler, text)
        loaded = handler.load(told)
        if loaded is None or isinstance(loaded, dict):  # anything else is text between two rules
            front, body = loaded or {}, rest.strip()
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 2}" if mark else ""  # the marker line above the front matter, and lines count from 1
        raise DataError(
            f"{file}{line}: the front matter is not valid YAML ({getattr(error, 'problem', error)})."
        ) from error
    heading = re.search(r"^#{1,6}\s+(.+?)\s*#*\s*$", body, re.MULTILINE)
    record: dict[str, Any] = {"text": body, **({"title": heading.group(1)} if heading else {})}
    for name in ("id", "title", "type", "date", "revision"):
        value = front.get(name)
        if value is None:
            continue
        if isinstance(value, list | dict | bool) or (name == "revision" and not isinstance(value, int)):
            wanted = "a whole number" if name == "revision" else "a single word or sentence"
            raise DataError(f"{file}: the front matter's `{name}` must be {wanted}. Got {value!r}.")
        record[name] = value if name == "revision" else value.isoformat() if isinstance(value, date) else str(value)
    if not Path(record.get("id", "a")).name:
        raise DataError(f"{file}: the front matter's `id` must hold a name. Got {record['id']!r}.")
    return record


def _split(handler: Any, text: str) -> tuple[str, str]:
    """Front matter and the rest; the first is empty where a text does not begin with two rules."""
    try:
        return handler.split(text) if handler.detect(text) else ("", text)
    except ValueError:  # one rule alone
        return "", text


def _read_html(file: Path, max_bytes: int) -> dict[str, Any]:
    from bs4 import BeautifulSoup
    from bs4.element import PreformattedString

    soup = BeautifulSoup(read_utf8(file, max_bytes), "html.parser")
    for tag in soup.find_all(["script", "style", "template", "noscript", "nav", "button", "wbr"]):
        tag.decompose()
    soup.smooth()  # a word around a <wbr> is one word again
    named = soup.find("title")
    main = soup.find("main") or soup.find(attrs={"role": "main"})
    if main and main.get_text(strip=True):  # by its definition what the page is about; the rest frames every page
        soup = main
    first = soup.find("h1") or named
    title = " ".join(first.get_text(" ").split()) if first else ""
    for tag in soup.find_all("title"):
        tag.decompose()
    for string in list(soup.find_all(string=True)):
        if isinstance(string, PreformattedString):  # comments and declarations
            string.extract()
        elif not string.find_parent("pre"):
            string.replace_with(re.sub(r"\s+", " ", string))
    for tag in soup.find_all("br"):
        tag.replace_with("\n")
    for tag in soup.find_all(BLOCKS):
        level = int(tag.name[1]) if re.fullmatch("h[1-6]", tag.name) else 0
        gap = "\n\n" if level or tag.name == "p" else "\n"
        tag.insert_before(gap)
        tag.insert(0, "#" * level + " " if level else "")
        tag.insert_after(gap)
    for cell in soup.find_all(["td", "th"]):
        cell.insert_after(" ")
    lines = [line.strip() for line in soup.get_text().split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return {"text": text, **({"title": title} if title else {})}


def _read_pdf(file: Path, max_bytes: int) -> dict[str, Any]:
    from pypdf import PdfReader

    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(f"{file} is protected by a password. Save a copy without one.")
        pages = [page.extract_text() for page in reader.pages]
        title = (reader.metadata.title or "").strip() if reader.metadata else ""
    except DataError:
        raise
    except Exception as error:  # a damaged PDF raises whatever the parser met first
        raise DataError(
            f"{file} is not a PDF that can be read ({error}). Open it and save or export it again."
        ) from error
    text = "\n\n".join(page.strip() for page in pages if page.strip())
    if not text:
        raise DataError(
            f"{file} has {len(pages)} page(s) and no text: it is probably a scan. "
            "Run text recognition (OCR) on it first, or take it out of the folder."
        )
    return {"text": text, **({"title": title} if title else {})}


def _read_docx(file: Path, max_bytes: int) -> dict[str, Any]:
    import docx2txt

    try:
        with zipfile.ZipFile(file) as archive:
            check_size(
                file,
                sum(member.file_size for member in archive.infolist() if member.filename.endswith(".xml")),
                max_bytes,
            )
        text = docx2txt.process(str(file))
    except DataError:
        raise
    except Exception as error:  # a damaged archive, or XML that is not a Word document
        raise DataError(
            f"{file} is not a Word document that can be read ({error}). Open it and save it again."
        ) from error
    return {"text": re.sub(r"\n{3,}", "\n\n", text).strip()}


READERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    ".md": _read_markdown,
    ".txt": _read_plain,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
    ".docx": _read_docx,
}
