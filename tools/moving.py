"""Moves an index from a folder to a Chroma server (or between any two places), chunks and vectors as they are.

    python -m helpers move-index results/own/index/1a2b3c4d-128x16-documents/store http://127.0.0.1:8000

Nothing is embedded anew and the source is only read. Page after page is copied, read back and compared; a move that was
interrupted goes on when the same command is given again; until it is finished the copy cannot be opened as an index.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from helpers.data import KitError
from helpers.rag import MADE, Store, open_store

ROUNDING = 1e-6
PAGE = 1_000  # chunks that are read, written and compared at a time
DATABASE = "chroma.sqlite3"
PARTS = ["embeddings", "documents", "metadatas"]


@dataclass(frozen=True)
class MoveReport:
    """What a move did: chunks that were copied in this call, those that were there already, and all in the index."""

    copied: int
    present: int
    chunks: int


def move_index(
    source: str | Path,
    target: str | Path,
    collection: str = "documents",
    progress: bool = True,
    named: str | None = None,
) -> MoveReport:
    """Copies a collection of a vector store to another place, and compares every chunk with its copy.

    Args:
        source: The folder of an embedded store, or the URL of a server.
        target: The URL of a server, or a folder.
        collection: Its name.
        progress: Whether to show progress.
        named: Its name in the target; None keeps it. A study looks on a server for the name of its index's folder.

    Raises:
        KitError: There is no such index, the target holds another one, or a copy differs from its original.
    """
    with _reading(source) as place:
        if isinstance(place, Path) and not (place / DATABASE).is_file():
            raise KitError(
                f"{source} holds no embedded index (no {DATABASE}). The study's lie in results/own/index/*/store."
            )
        ours = open_store(place, collection)
        total, record = ours.client.count(), ours.record
        if not total or not record:
            raise KitError(f"the collection {collection!r} in {source} holds no whole index. Build it first.")
        theirs = open_store(target, named or collection)
        _check_target(ours, theirs, target)
        copied = 0
        with tqdm(total=total, desc="Moving", unit="chunk", disable=not progress) as bar:
            for page in _pages(ours, PARTS):
                copied += _copy(page, theirs)
                bar.update(len(page["ids"]))
        if theirs.client.count() != total:
            raise KitError(
                f"{target} holds {theirs.client.count()} chunks and {source} {total}: something wrote to the index "
                "meanwhile. Stop that, and give the same command again."
            )
        theirs.client.modify(metadata=record)  # last: it says that the copy is whole
    return MoveReport(copied, total - copied, total)


@contextmanager
def _reading(source: str | Path) -> Iterator[str | Path]:
    """The source, or a copy of its folder: Chroma writes into a folder even when it is only asked."""
    if str(source).startswith(("http://", "https://")) or not (Path(source) / DATABASE).is_file():
        yield source if "://" in str(source) else Path(source)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            copy = Path(shutil.copytree(source, Path(folder) / "store"))
        except OSError as error:
            raise KitError(f"could not copy {source} to a temporary folder: {error}. Is the disk full?") from error
        yield copy


def _check_target(ours: Store, theirs: Store, target: str | Path) -> None:
    """Refuses to write over another index; what is left of an interrupted move of the same one is welcome."""
    said, says = ({k: v for k, v in store.record.items() if k != MADE} for store in (theirs, ours))
    if said and said != says:
        raise KitError(
            f"the collection {theirs.client.name!r} in {target} holds another index, made with {said} where this one "
            f"says {says}. Delete it there, or move to another server."
        )
    known = {each for page in _pages(ours, []) for each in page["ids"]}
    if any(each not in known for page in _pages(theirs, []) for each in page["ids"]):
        raise KitError(
            f"the collection {theirs.client.name!r} in {target} holds chunks that are not in this index. "
            "Delete it there, or move to another server."
        )


def _pages(store: Store, parts: list[str]) -> Iterator[dict[str, Any]]:
    """All chunks of a store, `PAGE` at a time."""
    for start in range(0, store.client.count(), PAGE):
        yield store.client.get(limit=PAGE, offset=start, include=parts)


def _copy(page: dict[str, Any], theirs: Store) -> int:
    """Writes the chunks of a page that are not there yet, or differ; returns how many these were.

    Raises:
        KitError: A chunk differs from what was written.
    """
    missing = _differing(page, theirs)
    if not missing:
        return 0
    rows = [page["ids"].index(each) for each in missing]
    theirs.client.upsert(
        ids=missing,
        embeddings=np.asarray(page["embeddings"])[rows],
        documents=[page["documents"][row] for row in rows],
        metadatas=[page["metadatas"][row] for row in rows],
    )
    wrong = _differing(page, theirs)
    if wrong:
        raise KitError(f"{len(wrong)} chunks differ from their originals after writing, the first is {wrong[0]}")
    return len(missing)


def _differing(page: dict[str, Any], theirs: Store) -> list[str]:
    """The ids of a page whose chunks are not there, or not the same in text, metadata or vector.

    Vectors may differ by `ROUNDING` of a length of one: Chroma gives them back with their last float32 bits rounded.
    """
    found = theirs.client.get(ids=page["ids"], include=PARTS)
    rows = {each: row for row, each in enumerate(found["ids"])}
    return [
        each
        for row, each in enumerate(page["ids"])
        if each not in rows
        or not _near(page["embeddings"][row], found["embeddings"][rows[each]])
        or any(page[part][row] != found[part][rows[each]] for part in ("documents", "metadatas"))
    ]


def _near(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(np.abs(one - other).max() <= ROUNDING * max(1.0, np.linalg.norm(one)))
