"""The readers: every kind of file becomes text, and every kind of bad file an error that says where and what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from helpers.data.documents import SkippedFilesWarning, apply_updates, read_document, read_documents
from helpers.data.formats import READERS
from helpers.data.records import DataError

MANUAL = """---
id: manual-brackwell
title: Brackwell manual
type: manual
revision: 2
date: 2024-05-06
---
# Brackwell

The trip alarm shows as K-27.
"""
PAGE = """<!doctype html><html><head><title>Notice board</title><style>p {color: red}</style></head><body>
<!-- never shown --><h1>Slack <em>water</em> rota</h1><p>Rotor   checks take
<b>45</b> days.<br>Then rest.</p>
<script>document.title = "taken over"</script><table><tr><td>Crew</td><td>four</td></tr></table>
<pre>a  b
c</pre></body></html>"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def write_pdf(path: Path, *pages: str) -> Path:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    for page in pages:
        pdf.add_page()
        if page:
            pdf.multi_cell(0, 8, page)
    pdf.output(str(path))
    return path


def test_front_matter_fills_the_record(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "a.md", MANUAL))
    assert (document.id, document.title, document.type) == ("manual-brackwell", "Brackwell manual", "manual")
    assert (document.revision, document.date) == (2, "2024-05-06")
    assert document.text.startswith("# Brackwell") and "id:" not in document.text
    assert document.source == str(tmp_path / "a.md")


def test_without_front_matter_the_path_is_the_id_and_the_heading_the_title(tmp_path: Path) -> None:
    write(tmp_path, "notes/b.md", "Before.\n\n## First heading ##\nText.\n")
    write(tmp_path, "a.txt", "\ufeffJust text.\r\nSecond line.")
    write(tmp_path, ".hidden.txt", "not read")
    write(tmp_path, ".git/c.txt", "not read")
    first, second = read_documents(tmp_path)
    assert (first.id, first.title, first.text) == ("a.txt", "a", "Just text.\nSecond line.")
    assert (second.id, second.title, second.revision) == ("notes/b.md", "First heading", 1)


def test_text_between_two_rules_is_no_front_matter(tmp_path: Path) -> None:
    for number, text in enumerate(("---\n\nIntro.\n\n---\n\n# Head\n\nBody", "---\nOne rule.", "{\nA brace.")):
        file = tmp_path / f"{number}.md"
        file.write_text(text, encoding="utf-8")
        assert read_document(file).text == text, "nothing is lost"


def test_html_becomes_text_without_scripts_styles_and_comments(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "page.HTML", PAGE))
    assert document.title == "Slack water rota"
    assert document.text.startswith("# Slack water rota")
    assert "Rotor checks take 45 days.\nThen rest." in document.text
    assert "Crew four" in document.text and "a  b\nc" in document.text
    for word in ("taken over", "color", "never shown", "<", "doctype"):
        assert word not in document.text


@pytest.mark.parametrize("main", ["<main>{}</main>", "<div role='main'>{}</div>"])
def test_of_a_page_with_a_frame_its_main_part_is_read(tmp_path: Path, main: str) -> None:
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


def test_html_and_script_inside_markdown_stay_the_characters_that_they_are(tmp_path: Path) -> None:
    body = "# Note\n\n<script>alert('x')</script> and <b>bold</b> and {{ braces }}\n"
    assert read_document(write(tmp_path, "a.md", body)).text == body.strip()


def test_pdf_and_docx(tmp_path: Path) -> None:
    import docx

    write_pdf(tmp_path / "a.pdf", "The spare part is P-4418.", "Call channel 31.")
    word = docx.Document()
    word.add_paragraph("Corrin Sound was commissioned in 2009.")
    word.add_table(rows=1, cols=1).cell(0, 0).text = "640 kW"
    word.save(str(tmp_path / "b.docx"))
    pdf, docx_document = read_documents(tmp_path)
    assert "P-4418" in pdf.text and "channel 31" in pdf.text and pdf.title == "a"
    assert "Corrin Sound was commissioned in 2009." in docx_document.text and "640 kW" in docx_document.text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.md", b"", r"a\.md is empty \(0 bytes\)"),
        ("a.txt", "caf\u00e9 noir".encode("latin-1"), r"a\.txt is not UTF-8: byte 3 \(0xe9\).*Save the file again"),
        ("a.txt", b"ab\0cd", r"a\.txt is not a text file: byte 2 is zero"),
        ("a.md", b"---\nid: x\ntitle: [open\n---\ntext", r"a\.md:\d: the front matter is not valid YAML"),
        ("a.md", b"---\nrevision: two\n---\ntext", r"a\.md: the front matter's `revision` must be a whole number"),
        ("a.md", b"---\nid: [1, 2]\n---\ntext", r"a\.md: the front matter's `id` must be a single word"),
        ("a.md", b"---\ndate: 2024-13-45\n---\ntext", r"a\.md: the front matter is not valid YAML \(month must be"),
        ("a.md", b"---\nid: x\n---\n\n", r"a\.md holds no text"),
        ("a.html", b"<script>1</script>", r"a\.html holds no text"),
        ("a.pdf", b"%PDF-1.7 broken", r"a\.pdf is not a PDF that can be read.*save or export it again"),
        ("a.docx", b"PK broken", r"a\.docx is not a Word document that can be read"),
        ("a.csv", b"x,y", r"a\.csv: the ending '\.csv' is not one that the kit reads: \.md, \.txt"),
    ],
)
def test_bad_files_are_named_with_a_remedy(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=said):
        read_document(path)
    assert path.read_bytes() == content


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.txt does not exist"):
        read_document(tmp_path / "none.txt")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read_documents(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no document.*\.md, \.txt, \.html, \.htm, \.pdf, \.docx"):
        read_documents(tmp_path)


def test_a_scanned_pdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 2 page\(s\) and no text: it is probably a scan.*OCR"):
        read_document(write_pdf(tmp_path / "scan.pdf", "", ""))


def test_a_text_above_the_limit_is_refused_and_the_limit_is_an_argument(tmp_path: Path) -> None:
    path = write(tmp_path, "big.txt", b"word " * 10_000_000)
    with pytest.raises(DataError, match=r"big\.txt holds 50,000,000 bytes of text; the limit is 20,000,000"):
        read_documents(tmp_path)
    path.write_bytes(b"word " * 10)
    with pytest.raises(DataError, match="the limit is 20"):
        read_document(path, max_bytes=20)
    assert len(read_document(path, max_bytes=50).text) >= 49


def test_a_duplicate_id_names_both_files(tmp_path: Path) -> None:
    write(tmp_path, "a.md", MANUAL)
    write(tmp_path, "deep/b.md", MANUAL)
    with pytest.raises(DataError, match=r"'manual-brackwell' is used twice: by .*a\.md and by .*b\.md"):
        read_documents(tmp_path)


def test_a_file_that_may_not_be_read_is_told_of_with_the_others(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, "empty.md", "")
    closed = write(tmp_path, "closed.md", MANUAL)
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    with pytest.raises(DataError, match=r"closed\.md cannot be read: Permission denied.*\n.*empty\.md is empty"):
        read_documents(tmp_path)


@pytest.mark.parametrize("id", ["''", ".", "/"])
def test_an_id_must_hold_a_name(tmp_path: Path, id: str) -> None:
    with pytest.raises(DataError, match=r"a\.md: the front matter's `id` must hold a name"):
        read_document(write(tmp_path, "a.md", f"---\nid: {id}\n---\nText."))


def test_unknown_endings_are_skipped_and_named(tmp_path: Path) -> None:
    write(tmp_path, "a.md", MANUAL)
    write(tmp_path, "sheet.xlsx", b"1")
    with pytest.warns(SkippedFilesWarning, match=r"1 file\(s\) in .* were skipped: sheet\.xlsx"):
        assert len(read_documents(tmp_path)) == 1
    (tmp_path / "sheet.xlsx").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_documents(tmp_path)


def test_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    for name in ("c.md", "a.txt", "b/z.md", "b.md"):
        write(tmp_path, name, f"text of {name}")
    assert [document.id for document in read_documents(tmp_path)] == ["a.txt", "b.md", "b/z.md", "c.md"]
    assert {".md", ".txt", ".html", ".htm", ".pdf", ".docx"} == set(READERS)


@pytest.mark.parametrize("inner", ["updates", "updates/documents"])
def test_updates_replace_add_and_withdraw(tmp_path: Path, inner: str) -> None:
    for name in ("one", "two", "three"):
        write(tmp_path, f"documents/{name}.md", f"---\nid: {name}\n---\nold {name}")
    write(tmp_path, f"{inner}/two.md", "---\nid: two\nrevision: 2\n---\nnew two")
    write(tmp_path, f"{inner}/four.md", "new four")
    write(tmp_path, "updates/withdrawn.txt", "three\n\n")
    before = read_documents(tmp_path / "documents")
    after = apply_updates(before, tmp_path / "updates")
    assert {d.id: d.text for d in after} == {"one": "old one", "two": "new two", "four.md": "new four"}
    assert [d.text for d in before] == ["old one", "old three", "old two"]
    write(tmp_path, "updates/withdrawn.txt", "three\nfive\n")
    with pytest.raises(DataError, match=r"withdrawn\.txt:2: there is no document 'five' to withdraw"):
        apply_updates(before, tmp_path / "updates")
