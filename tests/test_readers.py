"""The readers: every kind of file becomes text, and every kind of bad file an error that says where and what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from llama_index.core import SimpleDirectoryReader

from helpers.data.documents import READERS, apply_updates, read_documents
from helpers.data.own_data import reading_report
from helpers.data.records import DataError, Document

MANUAL = """---
id: manual-brackwell
title: "Brackwell: manual"
type: manual
revision: 2
date: 2024-05-06
---
# Brackwell

The trip alarm shows as K-27.
"""
PAGE = """<!doctype html><html><head><title>Notice board</title><style>p {color: red}</style></head><body>
<!-- never shown --><h1>Slack <em>water</em> rota</h1><p>Rotor   checks take
<b>45</b> days.<br>Then rest at 10<sup>6</sup> &lt; x.</p>
<script>document.title = "taken over"</script><table><tr><th>Crew</th><th>Shed</th></tr>
<tr><td>four</td><td></td></tr></table><pre>a  b
c</pre><p hidden>Folded text.</p></body></html>"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def write_pdf(path: Path, *pages: str) -> None:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    for page in pages:
        pdf.add_page()
        pdf.multi_cell(0, 8, page)
    pdf.output(str(path))


def read_one(folder: Path, name: str, content: str | bytes) -> Document:
    write(folder, name, content)
    (document,) = read_documents(folder)
    return document


def test_front_matter_fills_the_record_as_it_is_written(tmp_path):
    document = read_one(tmp_path, "a.md", MANUAL)
    assert document == Document(
        "manual-brackwell", "Brackwell: manual", "# Brackwell\n\nThe trip alarm shows as K-27.", "manual", 2,
        "2024-05-06", str(tmp_path / "a.md"),
    )  # fmt: skip
    document = read_one(tmp_path, "a.md", "---\nid: 0017\ntitle: 12:30\n---\nNoon.")
    assert (document.id, document.title, document.text, document.revision) == ("0017", "12:30", "Noon.", 1)
    for text in (
        "---\n\nIntro.\n\n---\n\n# Head\n\nBody", "---\nOne rule.", "{\nA brace.",
        "# Note\n\n<script>alert('x')</script> and <b>bold</b> and {{ braces }}",
    ):  # fmt: skip
        assert read_one(tmp_path, "a.md", text).text == text, "of other Markdown nothing is lost or rendered"


def test_without_front_matter_the_path_is_the_id_and_the_heading_the_title(tmp_path):
    write(tmp_path, "notes/b.md", "Before.\n\n## First heading ##\nText.\n")
    write(tmp_path, "a.txt", "\ufeffJust text.\r\nSecond line.")
    for name in (".hidden.txt", ".git/c.txt", "~$report.docx"):
        write(tmp_path, name, "not read")
    first, second = read_documents(tmp_path)
    assert (first.id, first.title, first.text) == ("a.txt", "a", "Just text.\nSecond line.")
    assert (second.id, second.title, second.revision) == ("notes/b.md", "First heading", 1)


def test_html_becomes_markdown_without_scripts_styles_and_comments(tmp_path):
    document = read_one(tmp_path, "page.HTML", PAGE)
    assert document.title == "Slack water rota"
    assert document.text.startswith("# Slack water rota\n\nRotor checks take 45 days.\nThen rest at 10^6 < x.\n")
    assert "| Crew | Shed |\n" in document.text and "| four |" in document.text and "a  b\nc" in document.text
    assert "Folded text." in document.text, "what a click would show is text too"
    for word in ("taken over", "color", "never shown", "doctype", "Notice board"):
        assert word not in document.text


@pytest.mark.parametrize("main", ["<main>{}</main>", "<div role='main'>{}</div>"])
def test_of_a_page_with_a_frame_its_main_part_is_read(tmp_path, main):
    body = "<h1>Flood<wbr>gate <button>Copy path</button></h1><nav>On this page</nav><p>It opens at <b>dusk</b>.</p>"
    page = (
        "<html><head><title>Frame</title></head><body><nav>Home | Contact</nav><h1>The site's name</h1>"
        f"{main.format(body)}<footer>All rights reserved</footer></body></html>"
    )
    write(tmp_path, "a.html", page)
    write(tmp_path, "b.html", page.replace(body, "<span> </span>"))  # an empty main part: a page made by scripts
    framed, empty = read_documents(tmp_path)
    assert (framed.title, framed.text) == ("Floodgate", "# Floodgate\n\nIt opens at dusk.")
    assert "The site's name" in empty.text and "All rights reserved" in empty.text and "Home" not in empty.text


def test_a_large_and_a_deep_page_are_read_whole(tmp_path):
    rows = "".join(f"<p>row <b>{n}</b></p>" for n in range(20_000))
    write(tmp_path, "large.html", f"<html><body>{rows}</body></html>")
    write(tmp_path, "deep.html", "<div>" * 1000 + "bottom" + "</div>" * 1000)
    deep, large = read_documents(tmp_path)
    assert deep.text == "bottom" and large.text.count("row") == 20_000


def test_pdf_and_word(tmp_path):
    import docx

    write_pdf(tmp_path / "a.pdf", "The spare part is P-4418.", "Call channel 31.")
    word = docx.Document()
    word.add_heading("Corrin Sound", 1)
    word.add_paragraph("It was commissioned in 2009.")
    table = word.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ("Machine", "Capacity", "Dorsand", "640 kW"), strict=True):
        cell.text = text
    word.save(str(tmp_path / "b.docx"))
    pdf, word = read_documents(tmp_path)
    assert pdf.text == "The spare part is P-4418.\n\nCall channel 31." and pdf.title == "a"
    assert reading_report([pdf, word])["pages or rows"].to_dict() == {pdf.source: 2, word.source: 1}
    assert word.text.startswith("# Corrin Sound\n\nIt was commissioned in 2009.") and word.title == "Corrin Sound"
    assert "| Machine | Capacity |\n" in word.text and "| Dorsand | 640 kW |" in word.text


def test_a_row_of_a_table_is_a_document_and_no_column_is_lost(tmp_path):
    long = "The tide turns. " * 15_000
    write(tmp_path, "t.csv", f"id,title,text,body\nr1,Tides,A teaser.,{long}\n,Winds,,A gale.\n")
    tides, winds = read_documents(tmp_path)
    assert (tides.id, tides.title, tides.type, tides.source) == ("t.csv#r1", "Tides", "row", f"{tmp_path / 't.csv'}:2")
    assert tides.text.endswith("\n\nA teaser.") and long.strip() in tides.text
    assert winds.id == "t.csv#2" and winds.text.endswith("\n\nA gale.")


def test_faults_of_several_files_come_together(tmp_path, monkeypatch):
    write(tmp_path, "a.md", MANUAL)
    write(tmp_path, "deep/b.md", MANUAL)
    write(tmp_path, "empty.md", "")
    write(tmp_path, "large.txt", b"word " * 11_000_000)
    write_pdf(tmp_path / "scan.pdf", "", "")
    closed = write(tmp_path, "closed.md", MANUAL)
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    with pytest.raises(DataError) as caught:
        read_documents(tmp_path)
    assert [line.partition(". ")[0] for line in str(caught.value).split("\n")] == [
        f"{closed} cannot be read: Permission denied",
        f"the id 'manual-brackwell' is used twice: by {tmp_path / 'a.md'} and by {tmp_path / 'deep' / 'b.md'}",
        f"{tmp_path / 'empty.md'} holds no text",
        f"{tmp_path / 'large.txt'} holds 55,000,000 bytes of text; the limit is 50,000,000",
        f"{tmp_path / 'scan.pdf'} has 2 page(s) and no text: it is probably a scan",
    ]


def test_folders_and_endings(tmp_path):
    assert set(READERS) > {".md", ".txt", ".html", ".htm", ".pdf", ".docx", ".csv"}
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read_documents(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no document.*\.md, \.pdf"):
        read_documents(tmp_path)
    for name in ("c.md", "a.txt", "b/z.md", "b.md"):
        write(tmp_path, name, f"text of {name}")
    reader = SimpleDirectoryReader(tmp_path, file_extractor=READERS, raise_on_error=True)
    assert "text of a.txt" in [document.text for document in reader.load_data()], "they serve LlamaIndex itself"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [document.id for document in read_documents(tmp_path)] == ["a.txt", "b.md", "b/z.md", "c.md"]
    write(tmp_path, "sheet.xlsx", b"1")
    with pytest.warns(UserWarning, match=r"1 file\(s\) in .* were skipped: sheet\.xlsx"):
        assert len(read_documents(tmp_path)) == 4


def test_updates_replace_add_and_withdraw(tmp_path):
    for name in ("one", "two", "three"):
        write(tmp_path, f"documents/{name}.md", f"---\nid: {name}\n---\nold {name}")
    write(tmp_path, "updates/documents/two.md", "---\nid: two\nrevision: 2\n---\nnew two")
    write(tmp_path, "updates/documents/four.md", "new four")
    write(tmp_path, "updates/withdrawn.txt", "three\n\n")
    before = read_documents(tmp_path / "documents")
    after = apply_updates(before, tmp_path / "updates")
    assert {d.id: d.text for d in after} == {"one": "old one", "two": "new two", "four.md": "new four"}
    assert [d.text for d in before] == ["old one", "old three", "old two"]
    write(tmp_path, "updates/withdrawn.txt", "three\nfive\n")
    with pytest.raises(DataError, match=r"withdrawn\.txt:2: there is no document 'five' to withdraw"):
        apply_updates(before, tmp_path / "updates")
