"""The index: documents in a vector store, kept up to date, and searched.

store = open_store("index")                      # or the URL of a server: "http://127.0.0.1:8000"
index, report = build_index(documents, store, embed_model, RagSettings())
passages = index.retriever(k=3).retrieve("Who supervises Brackwell?")
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline

from ..data import DataError, Document, KitError
from ..models import show_progress
from .chunking import RagSettings, to_llama_index, transformations
from .retriever import Retriever
from .store import Store, check_record, known_documents, stored_nodes

DOCUMENTS_A_BATCH = 64  # what an interruption loses at most


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


class Index:
    """An open index: store, embedder and settings that belong together. `build_index` and `open_index` make one.

    `nodes` are the chunks as they were when the index was opened, sorted by their documents' ids; `llama_index` is
    LlamaIndex's own index over the store.
    """

    def __init__(self, store: Store, embed_model: BaseEmbedding, settings: RagSettings) -> None:
        self.store, self.embed_model, self.settings = store, embed_model, settings
        self.nodes = stored_nodes(store)
        self.llama_index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)

    @property
    def document_ids(self) -> list[str]:
        """The ids of the indexed documents, sorted."""
        return sorted({str(node.ref_doc_id) for node in self.nodes})

    def retriever(self, k: int | None = None, mode: str | None = None) -> Retriever:
        """A retriever over this index, with the settings' `k` and `mode` unless others are given.

        Raises:
            KitError: `k` is larger than the index, or `mode` is none of `vector`, `bm25` and `hybrid`.
        """
        k = self.settings.k if k is None else k
        return Retriever(self.nodes, self.llama_index, self.embed_model, k, mode or self.settings.mode)


def build_index(
    documents: list[Document],
    store: Store,
    embed_model: BaseEmbedding,
    settings: RagSettings | None = None,
    progress: bool = True,
) -> tuple[Index, IndexReport]:
    """Makes the store hold exactly these documents; called again after a change, it is the update.

    New and changed documents are embedded, those that are no longer in the list are deleted, the rest is left alone.
    After an interruption, what was embedded stays and the next call continues.

    Args:
        documents: The whole collection, not only what changed.
        store: From `open_store`.
        embed_model: LlamaIndex's embedder.
        settings: Chunk sizes; `RagSettings()` by default.
        progress: Whether to show a progress bar while documents are embedded.

    Raises:
        DataError: There are no documents, two have one id, or one has no text.
        KitError: The store was made with another embedder or other chunk settings.
    """
    started = time.perf_counter()
    settings = settings or RagSettings()
    _check_documents(documents)
    check_record(store, embed_model, settings, claim=True)
    pipeline = IngestionPipeline(
        transformations=transformations(settings, embed_model),
        vector_store=store,
        docstore=known_documents(store),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        disable_cache=True,
    )
    before = {document_id: node_hash for node_hash, document_id in pipeline.docstore.get_all_document_hashes().items()}
    wanted = [to_llama_index(document) for document in documents]
    waiting = [document for document in wanted if before.get(document.id_) != document.hash]
    with show_progress("Indexing", len(waiting), "documents", progress) as bar:
        for start in range(0, len(waiting), DOCUMENTS_A_BATCH):
            pipeline.run(documents=waiting[start : start + DOCUMENTS_A_BATCH], store_doc_text=False)
            bar.update(len(waiting[start : start + DOCUMENTS_A_BATCH]))
    pipeline.docstore_strategy = DocstoreStrategy.UPSERTS_AND_DELETE  # only now: this is the whole collection
    pipeline.run(documents=wanted, store_doc_text=False)
    index = Index(store, embed_model, settings)
    report = IndexReport(
        added=sum(document.id_ not in before for document in wanted),
        changed=sum(document.id_ in before for document in waiting),
        deleted=len(set(before) - {document.id_ for document in wanted}),
        unchanged=len(wanted) - len(waiting),
        reembedded=len(waiting),
        chunks=len(index.nodes),
        wall_s=time.perf_counter() - started,
    )
    return index, report


def open_index(store: Store, embed_model: BaseEmbedding, settings: RagSettings | None = None) -> Index:
    """Opens an index that was built before, without reading any document; the settings' k and mode may differ.

    Raises:
        KitError: There is no index, or it was made with another embedder or other chunk settings.
    """
    settings = settings or RagSettings()
    if not store.client.count():
        raise KitError(f"the collection {store.client.name!r} is empty. Fill it with `build_index` first.")
    check_record(store, embed_model, settings)
    return Index(store, embed_model, settings)


def _check_documents(documents: Sequence[Document]) -> None:
    """Refuses lists that would empty the index, or put two documents under one id."""
    if not documents:
        raise DataError("there are no documents to index. To empty an index, open its store with `fresh=True`.")
    seen: dict[str, str] = {}
    for document in documents:
        source = document.source or "no file"
        if not document.text.strip():
            raise DataError(f"document {document.id!r} ({source}) has no text. Take it out of the list.")
        if document.id in seen:
            raise DataError(
                f"the document id {document.id!r} is used twice: {seen[document.id]} and {source}. Rename one of them."
            )
        seen[document.id] = source
