"""The course as static pages: notebooks with their outputs, contents, glossary and report; they open from a folder.

    python -m tools.site            # or: make site; then open site/index.html

Nothing is executed, and a page fetches nothing from the web. Diagrams are drawn by mermaid (MIT licence), which npm
fetches once, by its hash; where there is no npm, a page has their descriptions in words.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.analysis import has_results
from helpers.data import ROOT, KitError, write_text
from helpers.plots import write_report

from ..lessons import Lesson, in_minutes, lessons

FOLDER = Path(__file__).parent
STYLE = "xcode"  # of the code's colours
MERMAID, MERMAID_HASH = "mermaid@11.16.0", "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
MATH = re.compile(r"(`+)(?:.*?)\1|(?<![\\$])\$\$?(?=\S)([^$]+?)(?<=\S)\$\$?(?!\d)", re.DOTALL)
LINK = re.compile(r'<a href="([^"#]+)(#[^"]*)?"([^>]*)>(.*?)</a>', re.DOTALL)
DIAGRAM = re.compile(r'<div class="jp-Mermaid"><pre class="mermaid">(.*?)</pre></div>', re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page of the site: its file, and what a link to it shows."""

    page: str
    label: str


def make_site(out: Path, root: Path = ROOT) -> Path:
    """Writes all pages into a folder; returns the one with the contents.

    Raises:
        KitError: A notebook cannot be read, or a page cannot be written.
    """
    from nbconvert.filters import markdown2html

    out.mkdir(parents=True, exist_ok=True)
    found, mermaid = lessons(root), fetch_mermaid()
    pages = [Page(f"{lesson.path.stem}.html", lesson.label) for lesson in found]
    known = {lesson.path.name: page.page for lesson, page in zip(found, pages, strict=True)}
    known |= {"glossary.md": "glossary.html", "results.md": "report.html"}
    for place, lesson in enumerate(found):
        beside = {"before": pages[place - 1] if place else None, "after": (pages[place + 1 :] or [None])[0]}
        _write(out / pages[place].page, lesson.label, linked(notebook_html(lesson.path), known), mermaid, **beside)
    glossary = markdown2html((root / "docs" / "glossary.md").read_text(encoding="utf-8"))
    _write(out / "glossary.html", "Glossary", linked(glossary, known))
    _report(root / "results" / "reference", out / "report.html")
    if mermaid:
        shutil.copy(mermaid, out / "mermaid.min.js")
    return _write(out / "index.html", "RAG or fine-tuning?", contents(found, pages), mermaid, after=pages[0])


def notebook_html(path: Path) -> str:
    """The cells of a notebook with their outputs, as HTML without scripts."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = drawn_math(cell.source)
    exporter = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    made = re.sub(r"<script\b.*?</script>", "", exporter.from_notebook_node(notebook)[0], flags=re.DOTALL)
    scrolls = '<div class="output_wrapper" tabindex="0" role="region" aria-label="Output">'  # by the keyboard too
    return made.replace('<div class="output_wrapper">', scrolls)


def drawn_math(source: str) -> str:
    """Markdown in which formulas are pictures with their LaTeX as text; code is left alone."""
    from matplotlib.mathtext import math_to_image

    def draw(found: re.Match[str]) -> str:
        if not found[2]:
            return found[0]
        drawing = io.BytesIO()
        depth = math_to_image(f"${found[2]}$", drawing, format="svg", dpi=72)
        data, look = base64.b64encode(drawing.getvalue()).decode(), f"vertical-align: -{depth:.0f}pt"
        alt = html.escape(found[2], quote=True)
        return f'<img class="math" alt="{alt}" style="{look}" src="data:image/svg+xml;base64,{data}">'

    return MATH.sub(draw, source)


def linked(page: str, known: dict[str, str]) -> str:
    """A page whose links to notebooks lead to their pages; of links to files that are not there only the text stays."""

    def follow(found: re.Match[str]) -> str:
        target, part, rest, text = found.groups()
        if re.match(r"https?:|mailto:", target):
            return found[0]
        name = target.rpartition("/")[2]
        return f'<a href="{known[name]}{part or ""}"{rest}>{text}</a>' if name in known else text

    def describe(found: re.Match[str]) -> str:
        told = [html.escape(words) for words in re.findall(r"^\s*acc(?:Title|Descr): (.+)$", found[1], re.MULTILINE)]
        return f"<figure>{found[0]}<figcaption>{': '.join(told)}</figcaption></figure>"

    return DIAGRAM.sub(describe, LINK.sub(follow, page))


def contents(found: list[Lesson], pages: list[Page]) -> str:
    """The list of all pages, with the minutes that it takes to read each notebook."""
    items = [
        f'<li><a href="{page.page}">{html.escape(page.label)}</a> ({in_minutes(lesson.reading)} to read)</li>'
        for lesson, page in zip(found, pages, strict=True)
    ]
    more = '<li><a href="report.html">The report</a>, with an explorer of every answer</li>'
    more += '<li><a href="glossary.html">Glossary</a></li>'
    about = "The course as pages to read. To run it, open the notebooks in JupyterLab: <code>make lab</code>."
    return f"<h1>RAG or fine-tuning?</h1><p>{about}</p><ul>{''.join(items)}{more}</ul>"


def fetch_mermaid(folder: Path = FOLDER) -> Path | None:
    """The script that draws diagrams, fetched once by npm; None, and a line that says so, where it cannot be had."""
    place = folder / "mermaid.min.js"
    if place.is_file():
        return place
    with tempfile.TemporaryDirectory() as scratch:
        command = [shutil.which("npm") or "npm", "pack", "--silent", MERMAID]
        try:
            subprocess.run(command, cwd=scratch, check=True, capture_output=True)
            with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
                script = archive.extractfile("package/dist/mermaid.min.js").read()
        except (OSError, subprocess.CalledProcessError, StopIteration) as error:
            print(f"diagrams are shown as text: npm could not fetch {MERMAID} ({error})", file=sys.stderr)
            return None
    if hashlib.sha256(script).hexdigest() != MERMAID_HASH:
        raise KitError(f"npm fetched a {MERMAID} with another hash than {MERMAID_HASH}: do not use it")
    place.write_bytes(script)
    return place


def _report(results: Path, out: Path) -> None:
    if has_results(results):
        write_report(results, out)
    else:
        _write(out, "Report", "<h1>Report</h1><p>No results have been recorded yet.</p>")


def _write(out: Path, title: str, body: str, mermaid: Path | None = None, **beside: Page | None) -> Path:
    from pygments.formatters import HtmlFormatter

    template = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    fields = {"before": None, "after": None} | beside
    page = template.get_template("page.html.j2").render(
        title=title, body=Markup(body), pygments=Markup(HtmlFormatter(style=STYLE).get_style_defs(".highlight")),
        mermaid=mermaid and "mermaid" in body, **fields,
    )  # fmt: skip
    return write_text(out, page)


def main(out: Annotated[Path, typer.Option(help="The folder of the pages.")] = ROOT / "site") -> None:
    """Makes the course as static pages."""
    try:
        print(f"open {make_site(out)}")
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
