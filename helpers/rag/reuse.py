"""The index of a data set, built by one process while others that want it wait, and reused afterwards."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from llama_index.core.base.embeddings.base import BaseEmbedding

from ..data import Dataset, Effort, apply_updates, held, read_documents
from ..models import folder_bytes, measure
from .chunking import RagSettings
from .index import Index, IndexReport, build_index
from .store import open_store

MADE, UNFINISHED = "made", "unfinished"  # entries of the record: report and effort; effort before an interruption


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
    the update alone. The store remembers them, so that a later call returns them again.

    Args:
        folder: Where indices are kept; each data set and way of cutting it gets a folder in there.
        dataset: Whose documents are indexed.
        embedder: LlamaIndex's embedder.
        settings: How documents are cut.
        updated: Whether `updates/` is applied.
        progress: Whether to show progress.
        vector_store: The URL of a Chroma server, where each index is a collection, of a size that is not measured.
    """
    cut = f"{settings.chunk_size}x{settings.chunk_overlap}"
    cut += "" if settings.heading == RagSettings.heading else f"-{settings.heading}"
    place = folder / f"{dataset.hash[:8]}-{cut}-{'updated' if updated else 'documents'}"
    documents = read_documents(dataset.documents_folder)
    with held(place):
        store = open_store(vector_store, place.name) if vector_store else open_store(place / "store")
        if updated:
            if MADE not in store.record:  # what that takes is not part of the update
                build_index(documents, store, embedder, settings, progress)
            documents = apply_updates(documents, dataset.folder / "updates")
        earlier = Effort(**json.loads(store.record.get(UNFINISHED, "{}")))
        try:
            with measure() as effort:
                index, report = build_index(documents, store, embedder, settings, progress)
        except BaseException:  # Ctrl-C too: the next call continues, and what this one took counts
            if not updated:  # an update is made again as a whole
                with suppress(Exception):
                    store.remember(**{UNFINISHED: json.dumps(asdict(earlier + effort))})
            raise
        if made := store.record.get(MADE):
            recorded = json.loads(made)
            return index, IndexReport(**recorded["report"]), Effort(**recorded["effort"])
        effort = earlier + effort
        effort.documents = report.reembedded if updated else len(documents)
        effort.artefact_bytes = folder_bytes(place)
        report = replace(report, wall_s=earlier.wall_s + report.wall_s)
        store.remember(**{MADE: json.dumps({"report": asdict(report), "effort": asdict(effort)})})
        return index, report, effort
