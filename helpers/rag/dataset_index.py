"""The index of a data set in a folder: made by one process, while others that want it wait, and reused afterwards."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import Dataset, Effort, apply_updates, held, read_documents, write_text
from ..models import folder_bytes, measure
from .chunking import RagSettings
from .index import Index, IndexReport, build_index, holds
from .store import MADE, Store, open_store

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding


def dataset_index(
    folder: Path,
    dataset: Dataset,
    embedder: BaseEmbedding,
    settings: RagSettings,
    updated: bool,
    progress: bool,
    vector_store: str | None = None,
) -> tuple[Index, IndexReport, Effort]:
    """The index over the documents, or a second one over the documents after `updates/`, with report and effort.

    The updated index is built over the old documents and then brought up to date; its report and effort are those of
    the update alone. They are kept beside the index, and a later call gives them again.

    Args:
        folder: Where indices lie; each data set and way of cutting it gets a folder in there.
        dataset: Whose documents are indexed.
        embedder: LlamaIndex's embedder.
        settings: How documents are cut.
        updated: Whether `updates/` is applied.
        progress: Whether to show progress.
        vector_store: The URL of a Chroma server, where each index is a collection; its size is then not measured. None
            keeps indices in folders.
    """
    cut = f"{settings.chunk_size}x{settings.chunk_overlap}"
    cut += "" if settings.heading == RagSettings.heading else f"-{settings.heading}"
    place = folder / f"{dataset.hash[:8]}-{cut}-{'updated' if updated else 'documents'}"
    with held(place):
        store = open_store(vector_store, place.name) if vector_store else open_store(place / "store")
        return _make(place, store, dataset, embedder, settings, updated, progress)


def _make(
    place: Path,
    store: Store,
    dataset: Dataset,
    embedder: BaseEmbedding,
    settings: RagSettings,
    updated: bool,
    progress: bool,
) -> tuple[Index, IndexReport, Effort]:
    before = read_documents(dataset.documents_folder)
    documents = apply_updates(before, dataset.folder / "updates") if updated else before
    record = place / "made.json"
    ahead = bool(store.record.get(MADE)) and holds(store, documents)  # on a server another study may be
    if updated and not record.exists() and not ahead:
        build_index(before, store, embedder, settings, progress)
    unfinished = place / "unfinished.json"
    earlier = Effort(**json.loads(unfinished.read_text(encoding="utf-8"))) if unfinished.exists() else Effort()
    try:
        with measure() as effort:
            index, report = build_index(documents, store, embedder, settings, progress)
    except BaseException:  # Ctrl-C too: the next call goes on, and what this one took is part of what the index took
        if not updated:  # an update is made again as a whole
            write_text(unfinished, json.dumps(asdict(earlier + effort), indent=1))
        raise
    noted = record.read_text(encoding="utf-8") if record.exists() else store.record.get(MADE)
    if report.reembedded == 0 and noted:
        made = json.loads(noted)
        return index, IndexReport(**made["report"]), Effort(**made["effort"])
    report = replace(report, wall_s=earlier.wall_s + report.wall_s)
    effort = earlier + effort
    effort.documents = report.reembedded if record.exists() or updated else len(documents)
    effort.artefact_bytes = folder_bytes(place)
    told = json.dumps({"report": asdict(report), "effort": asdict(effort)}, indent=1)
    write_text(record, told)
    store.remember(MADE, told)  # for other studies that use the same index
    unfinished.unlink(missing_ok=True)
    return index, report, effort
