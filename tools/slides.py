"""The slides of a workshop, made from the notebooks in slides/ and shown without a network.

    python -m helpers slides        # or: make slides; then open slides/opening.slides.html

The notebooks are executed, so that figures and numbers are those of the results at hand. reveal.js (MIT licence) is
fetched once from a wheel of the package index, by its hash as the models are, and lies beside the slides.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from helpers.data import ROOT, KitError, write_text
from helpers.models import ModelSource, download

REVEAL = ModelSource(
    requirement="sphinx-revealjs==3.2.1",
    wheel_sha256="805bed3ca459346e0f01967d5ed1c40d6b7b917de1541e1e4566c8341fe7017b",
    members="sphinx_revealjs/_static/revealjs/",
    file_sha256="",  # the wheel's hash covers each of its files
    licence="MIT",
    note="reveal.js, which shows slides",
)
USED = ("LICENSE", "dist/reveal.js", "dist/reveal.css", "dist/theme/white.css", "dist/theme/fonts/source-sans-pro/",
        "plugin/notes/")  # fmt: skip


def make(folder: Path = ROOT / "slides", progress: bool = True) -> list[Path]:
    """Makes one page of slides from each notebook of the folder, and puts reveal.js beside them.

    Returns:
        The pages, each named as its notebook with the ending .slides.html.

    Raises:
        KitError: reveal.js cannot be fetched, or a notebook cannot be read or fails.
    """
    fetch_reveal(folder, progress)
    return [write_text(path.with_suffix(".slides.html"), page(path)) for path in sorted(folder.glob("*.ipynb"))]


def fetch_reveal(folder: Path, progress: bool = True) -> Path:
    """Makes sure that the files of reveal.js are in the folder, all or none."""
    place = folder / "reveal.js"
    if place.is_dir():
        return place
    with tempfile.TemporaryDirectory(dir=folder, prefix=".reveal-") as scratch:
        made = Path(scratch) / "made"
        with zipfile.ZipFile(download(REVEAL, Path(scratch), progress)) as archive:
            for member in archive.namelist():
                name = member.removeprefix(REVEAL.members)
                if name != member and name.startswith(USED) and not name.endswith("/"):
                    (made / name).parent.mkdir(parents=True, exist_ok=True)
                    (made / name).write_bytes(archive.read(member))
        made.rename(place)
    return place


def page(path: Path) -> str:
    """A notebook, executed, as a page of slides; what stands in its code cells is not shown, only what they show.

    Raises:
        KitError: It cannot be read, or one of its cells fails.
    """
    import papermill
    from nbconvert import SlidesExporter

    try:
        executed = papermill.execute_notebook(
            str(path), None, cwd=str(path.parent), kernel_name="python3", language="python",
            progress_bar=sys.stderr.isatty(),
        )  # fmt: skip
    except Exception as error:
        raise KitError(f"{path} could not be made into slides: {error}") from error
    exporter = SlidesExporter(
        raw_template=(path.parent / "template.html.j2").read_text(encoding="utf-8"), reveal_url_prefix="reveal.js",
        reveal_theme="white", exclude_input=True, exclude_output_prompt=True, exclude_anchor_links=True,
    )  # fmt: skip
    body, _ = exporter.from_notebook_node(executed)
    return body
