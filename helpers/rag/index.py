"""The index: documents in a vector store, kept up to date, and searched.

store = open_store("index")                      # or the URL of a server: "http://127.0.0.1:8000"
index, report = build_index(documents, store, embed_model, RagSettings())
passages = index.retriever(k=3).retrieve("Who supervises Brackwell?")
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline

from ..data import DataError, Dataset, Document, Effort, apply_updates, held, read_documents
from ..models import folder_bytes, measure, show_progress
from .chunking import CHUNKS_DEPEND_ON, RagSettings, to_llama_index, transformations
from .retriever import Index
from .store import Store, check_record, known_documents, open_store, sealed

DOCUMENTS_A_BATCH = 64  # what an interruption loses at most
MADE, UNFINISHED = "made", "unfinished"  # entries of the record: report and effort; effort before an interruption


@dataclass(frozen=True)
class IndexReport:
    """What a call of `build_index` did: counts of documents, chunks now in the index, and seconds.

    `reembedded` counts the documents that went through the embedder in this call, new ones included.
    """

    added: int
    changed: int
    deleted: int
    unchanged: int
    reembedded: int
    chunks: int
    wall_s: float


def build_index(
    documents: list[Document], store: Store, embed_model: BaseEmbedding, settings: RagSettings | None = None,
    progress: bool = True,
) -> tuple[Index, IndexReport]:  # fmt: skip
    """Makes the store hold exactly these documents; called again after a change, it is the update.

    `documents` are the whole collection: new and changed ones are embedded, those that are no longer in the list are
    deleted, the rest stays. After an interruption, what was embedded stays and the next call continues. A `DataError`
    names a lack of documents, an id used twice or an empty text; a `KitError` another embedder or other chunk settings.
    """
    started = time.perf_counter()
    settings = settings or RagSettings()
    _check_documents(documents)
    check_record(store, embed_model, settings)
    pipeline = IngestionPipeline(
        transformations=transformations(settings, embed_model), vector_store=store, docstore=known_documents(store),
        docstore_strategy=DocstoreStrategy.UPSERTS, disable_cache=True,
    )  # fmt: skip
    before = {document_id: node_hash for node_hash, document_id in pipeline.docstore.get_all_document_hashes().items()}
    wanted = [to_llama_index(document) for document in documents]
    waiting = [document for document in wanted if before.get(document.id_) != document.hash]
    with show_progress("Indexing", len(waiting), "documents", progress) as bar:
        for start in range(0, len(waiting), DOCUMENTS_A_BATCH):
            batch = waiting[start : start + DOCUMENTS_A_BATCH]
            pipeline.run(documents=batch, store_doc_text=False)
            bar.update(len(batch))
    pipeline.docstore_strategy = DocstoreStrategy.UPSERTS_AND_DELETE  # only now: this is the whole collection
    pipeline.run(documents=wanted, store_doc_text=False)
    index = Index(store, embed_model, settings)
    return index, IndexReport(
        added=sum(document.id_ not in before for document in wanted),
        changed=sum(document.id_ in before for document in waiting),
        deleted=len(set(before) - {document.id_ for document in wanted}),
        unchanged=len(wanted) - len(waiting), reembedded=len(waiting), chunks=len(index.nodes),
        wall_s=time.perf_counter() - started,
    )  # fmt: skip


def _check_documents(documents: Sequence[Document]) -> None:
    if not documents:
        raise DataError("there are no documents to index. To empty an index, open its store with `fresh=True`.")
    seen: dict[str, str] = {}
    for document in documents:
        source = document.source or "no file"
        if not document.text.strip():
            raise DataError(f"document {document.id!r} ({source}) has no text. Take it out of the list.")
        if first := seen.get(document.id):
            raise DataError(f"the document id {document.id!r} is used twice: {first} and {source}. Rename one of them.")
        seen[document.id] = source


def dataset_index(
    folder: Path, dataset: Dataset, embedder: BaseEmbedding, settings: RagSettings, updated: bool, progress: bool,
    vector_store: str | None = None, source: str = "documents",
) -> tuple[Index, IndexReport, Effort]:  # fmt: skip
    """The index over a data set's documents, or a second one over them after `updates/`, with report and effort.

    One process builds it while others that want it wait. The updated index is built over the old documents and then
    brought up to date; its report and effort are those of the update alone. The store remembers them for later calls.
    In `folder` each data set and way of cutting it gets a folder, or on the Chroma server with the URL `vector_store` a
    collection, whose size on disk is not known here. `source` is "documents", "documents+notes" or "other_documents".
    """
    cut = "x".join(str(getattr(settings, name)) for name in CHUNKS_DEPEND_ON)
    place = folder / f"{dataset.hash[:8]}-{cut}-{source.replace('+', '-')}{'-updated' * updated}"
    documents = read_documents(dataset.folder / source.removesuffix("+notes"))
    if source.endswith("+notes"):
        documents += [Document(f"note-{n:04}", "", text, "note") for n, text in enumerate(dataset.corpus(), start=1)]
    with held(place), sealed(place / "store", bool(vector_store)):
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
            with suppress(Exception):
                if not updated:  # an update is made again as a whole
                    store.remember(**{UNFINISHED: json.dumps(asdict(earlier + effort))})
            raise
        if MADE in store.record:
            made = json.loads(store.record[MADE])
            return index, IndexReport(**made["report"]), Effort(**made["effort"])
        effort = earlier + effort
        effort.documents = report.reembedded if updated else len(documents)
        effort.artefact_bytes = folder_bytes(place)
        report = replace(report, wall_s=earlier.wall_s + report.wall_s)
        store.remember(**{MADE: json.dumps({"report": asdict(report), "effort": asdict(effort)})})
        return index, report, effort
