"""The slides of a workshop, made from the notebooks beside this file and shown without a network.

    python -m tools.slides          # or: make slides; then open tools/slides/opening.slides.html

The notebooks are executed, so that figures and numbers are those of the results at hand. reveal.js (MIT licence) is
fetched once from a wheel of the package index, by its hash as the models are, and is put beside the slides.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from helpers.data import ROOT, KitError, write_text
from helpers.models import ModelSource, download_wheel

FOLDER = Path(__file__).parent
REVEAL = ModelSource(
    requirement="sphinx-revealjs==3.2.1",
    wheel_sha256="805bed3ca459346e0f01967d5ed1c40d6b7b917de1541e1e4566c8341fe7017b",
    members="sphinx_revealjs/_static/revealjs/",
    licence="MIT",
    note="reveal.js, which shows slides",
)
USED = ("LICENSE", "dist/reveal.js", "dist/reveal.css", "dist/theme/white.css", "dist/theme/fonts/source-sans-pro/",
        "plugin/notes/")  # fmt: skip


def page(path: Path) -> str:
    """A notebook, executed, as a page of slides that shows the outputs of its code cells but not the code.

    Raises:
        KitError: It cannot be read, or one of its cells fails.
    """
    import nbformat
    from nbconvert import SlidesExporter
    from nbconvert.preprocessors import CellExecutionError, ExecutePreprocessor

    exporter = SlidesExporter(
        raw_template=(FOLDER / "template.html.j2").read_text(encoding="utf-8"), reveal_url_prefix="reveal.js",
        reveal_theme="white", exclude_input=True, exclude_output_prompt=True, exclude_anchor_links=True,
    )  # fmt: skip
    exporter.register_preprocessor(ExecutePreprocessor(kernel_name="python3", timeout=600), enabled=True)
    try:
        notebook = nbformat.read(path, as_version=4)
        body, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": str(ROOT), "name": path.stem}})
    except (OSError, ValueError, CellExecutionError) as error:
        raise KitError(f"{path} could not be made into slides: {error}") from error
    return body


def fetch_reveal(folder: Path = FOLDER) -> Path:
    """Makes sure that the files of reveal.js are in the folder, all or none; returns where they are.

    Raises:
        KitError: They cannot be fetched.
    """
    place = folder / "reveal.js"
    if place.is_dir():
        return place
    with tempfile.TemporaryDirectory(dir=folder, prefix=".reveal-") as scratch:
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(download_wheel(REVEAL, Path(scratch))) as archive:
            for member in archive.namelist():
                name = member.removeprefix(REVEAL.members)
                if name != member and name.startswith(USED) and not name.endswith("/"):
                    (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
                    (unpacked / name).write_bytes(archive.read(member))
        unpacked.rename(place)
    return place


def main() -> int:
    """Makes one page, NAME.slides.html, from each notebook; prints where they are."""
    try:
        fetch_reveal()
        for path in sorted(FOLDER.glob("*.ipynb")):
            print(write_text(path.with_suffix(".slides.html"), page(path)))
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
