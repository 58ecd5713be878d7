"""The reading report: what came of each file of a folder before a study of it starts, so that no loss is silent.

reading_report("my/documents")
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import bm25s.stopwords
import pandas as pd

from .documents import FileRead, read_files

LANGUAGES = (
    "German",
    "Dutch",
    "French",
    "Spanish",
    "Portuguese",
    "Italian",
    "Russian",
    "Swedish",
    "Norwegian",
    "Turkish",
)
COMMON = {name: frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{name.upper()}")) for name in LANGUAGES}
COMMON["English"] = frozenset(
    (*bm25s.stopwords.STOPWORDS_EN, "from", "has", "have", "its", "when", "which", "who", "you")
)
SCRIPTS = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
SAMPLE = 20_000  # characters by which a language is guessed
LEAST = 0.08  # the share of common words in a text from which its language is guessed
EXTREMES = 3  # files that are named as the largest and as the emptiest


def language(text: str) -> str:
    """The language that a text seems to be in, by its script and its most common words, or "" where that is unclear."""
    sample = text[:SAMPLE]
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in sample if letter.isalpha())
    script = "HIRAGANA" if scripts["HIRAGANA"] else max(scripts, key=scripts.__getitem__, default="")
    if script not in ("LATIN", "CYRILLIC"):
        return SCRIPTS.get(script, script.capitalize())
    words = re.findall(r"[^\W\d]+", sample.lower())
    shares = {name: sum(word in common for word in words) / len(words) for name, common in COMMON.items()}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= LEAST else ""


def reading_report(files: Path | str | Sequence[FileRead], leave_out: Collection[Path] = ()) -> pd.DataFrame:
    """A row a file of a folder: documents and pages in it, characters, the language guessed, what was not read and why.

    `files` is the folder, or what `read_files` gave for it; errors and `leave_out` are as in `read_documents`.
    """
    found = read_files(Path(files), leave_out) if isinstance(files, str | Path) else files
    rows = []
    for file in found:
        text = "\n".join(document.text for document in file.documents)
        rows.append((len(file.documents), file.pages, len(text), language(text), file.note))
    columns = ["documents", "pages", "characters", "language", "note"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index([file.name for file in found], name="file"))
    return table.astype({"pages": "Int64"})


def summary(report: pd.DataFrame) -> list[str]:
    """A reading report in a few lines: totals, languages, the largest and the emptiest files, and every note."""
    read = report[report["documents"] > 0].sort_values("characters", ascending=False, kind="stable")
    pages = f", {read['pages'].sum()} pages" if read["pages"].notna().any() else ""
    totals = f"{read['documents'].sum()} documents{pages}, {read['characters'].sum():,} characters"
    spoken = ", ".join(f"{name or 'unclear'} {count}" for name, count in read["language"].value_counts().items())
    sized = [f"{name} ({count:,})" for name, count in read["characters"].items()]
    return [
        f"read {len(read)} of {len(report)} files: {totals}", f"languages guessed, by files: {spoken}",
        f"largest: {', '.join(sized[:EXTREMES])}; emptiest: {', '.join(sized[::-1][:EXTREMES])}",
        *(f"{name}: {note}" for name, note in report["note"].items() if note),
    ]  # fmt: skip
