"""Retrieval-augmented generation with LlamaIndex: index documents in a vector store, keep it fresh, find passages.

    store = open_store("index")                      # or the URL of a server: "http://127.0.0.1:8000"
    index, report = build_index(documents, store, embed_model, RagSettings())
    passages = index.retriever(k=3).retrieve("Who supervises Brackwell?")

The store is the only record of what is indexed: each chunk carries its document's id and hash, so there is no second
file that could disagree with it, and an interrupted call goes on from what the store holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.bm25 import BM25Retriever
from tqdm.auto import tqdm

from .chunking import MODES, RagSettings, to_llama_index, transformations
from .records import DataError, Document, KitError, Passage
from .store import Store, check_record, embedder_name, known_documents, open_store, stored_nodes

__all__ = ["Index", "IndexReport", "RagSettings", "Retriever", "build_index", "open_index", "open_store"]

DOCUMENTS_A_BATCH = 32
FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = (0.25, 0.75)  # of the vectors and of BM25, whose exact words find invented names better
FILTERS = ("document_id", "title", "type", "revision", "date")


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
    documents: list[Document],
    store: Store,
    embed_model: BaseEmbedding,
    settings: RagSettings | None = None,
    progress: bool = True,
    part: bool = False,
) -> tuple[Index, IndexReport]:
    """Makes the store hold exactly these documents; called again after a change, it is the update.

    New and changed documents are embedded, those that are no longer in the list are deleted, the rest is left alone.
    After an interruption, what was embedded stays and the next call goes on.

    Args:
        documents: the whole collection, not only what changed; with `part`, a part of it.
        store: from `open_store`.
        embed_model: LlamaIndex's embedder.
        settings: chunk sizes; `RagSettings()` unless told otherwise.
        progress: show a progress bar while documents are embedded.
        part: leave all other documents alone, so that several processes can index a part each.

    Returns:
        The index and what was done.

    Raises:
        DataError: no documents, two with one id, or one without text.
        KitError: the store was made with another embedder or other chunk settings.
    """
    started = time.perf_counter()
    settings = settings or RagSettings()
    _check_documents(documents)
    check_record(store, embed_model, settings, claim=True)
    pipeline = IngestionPipeline(
        transformations=transformations(settings, embed_model),
        vector_store=store,
        docstore=known_documents(store, [document.id for document in documents] if part else None),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        disable_cache=True,
    )
    before = {document_id: node_hash for node_hash, document_id in pipeline.docstore.get_all_document_hashes().items()}
    wanted = [to_llama_index(document) for document in documents]
    waiting = [document for document in wanted if before.get(document.id_) != document.hash]
    embedded: set[str | None] = set()
    with tqdm(total=len(waiting), desc="Indexing", unit="document", disable=not (progress and waiting)) as bar:
        for start in range(0, len(waiting), DOCUMENTS_A_BATCH):
            batch = waiting[start : start + DOCUMENTS_A_BATCH]
            nodes = pipeline.run(documents=batch, store_doc_text=False)
            embedded.update(node.ref_doc_id for node in nodes)
            bar.update(len(batch))
    if not part:
        pipeline.docstore_strategy = DocstoreStrategy.UPSERTS_AND_DELETE  # safe now: this is the whole collection
        pipeline.run(documents=wanted, store_doc_text=False)
    index = Index(store, embed_model, settings)
    report = IndexReport(
        added=sum(document.id_ not in before for document in wanted),
        changed=sum(document.id_ in before for document in waiting),
        deleted=len(set(before) - {document.id_ for document in wanted}),
        unchanged=len(wanted) - len(waiting),
        reembedded=len(embedded),
        chunks=len(index.nodes),
        wall_s=time.perf_counter() - started,
    )
    return index, report


def open_index(store: Store, embed_model: BaseEmbedding, settings: RagSettings | None = None) -> Index:
    """Opens an index that was built before, without reading any document.

    Args:
        store: from `open_store`.
        embed_model: the embedder that it was built with.
        settings: the chunk settings that it was built with; k and mode may differ.

    Raises:
        KitError: there is no index, or it was made with another embedder or other chunk settings.
    """
    settings = settings or RagSettings()
    if not store.client.count():
        raise KitError(f"the collection {store.client.name!r} is empty. Fill it with `build_index` first.")
    check_record(store, embed_model, settings, claim=False)
    return Index(store, embed_model, settings)


class Index:
    """An open index: the store, the embedder and the settings that belong together.

    `nodes` are the chunks as they were when the index was opened, in the order of their documents' ids.
    """

    def __init__(self, store: Store, embed_model: BaseEmbedding, settings: RagSettings) -> None:
        self.store = store
        self.embed_model = embed_model
        self.settings = settings
        self.embedder = embedder_name(embed_model)
        self.nodes = stored_nodes(store)

    @cached_property
    def llama_index(self) -> VectorStoreIndex:
        """LlamaIndex's own index over the store."""
        return VectorStoreIndex.from_vector_store(self.store, embed_model=self.embed_model)

    @property
    def document_ids(self) -> list[str]:
        """The ids of the indexed documents, sorted."""
        return sorted({str(node.ref_doc_id) for node in self.nodes})

    def retriever(
        self, k: int | None = None, mode: str | None = None, filters: dict[str, Any] | None = None
    ) -> Retriever:
        """A retriever over this index.

        Args:
            k: passages a question; the settings' `k` unless told otherwise.
            mode: `vector`, `bm25` or `hybrid`; the settings' `mode` unless told otherwise.
            filters: metadata that a passage must have, such as `{"type": "manual"}` or
                `{"document_id": ["manual-1", "manual-2"]}` (any of these); the keys are document_id,
                title, type, revision and date.

        Raises:
            KitError: `k` is larger than the index, `mode` is unknown, or no chunk passes the filters.
        """
        return Retriever(self, self.settings.k if k is None else k, mode or self.settings.mode, filters or {})


class Retriever:
    """Finds the passages for a question; `llama_index` is the LlamaIndex retriever that does it.

    Scores are LlamaIndex's: exp(cosine - 1) for vectors, BM25's own, for hybrid a weighted sum
    of both, each scaled to 0..1.
    """

    def __init__(self, index: Index, k: int, mode: str, filters: dict[str, Any]) -> None:
        if k < 1:
            raise KitError(f"`k` must be at least 1. Got {k}")
        if k > len(index.nodes):
            raise KitError(f"`k` must be at most {len(index.nodes)}, the number of chunks in the index. Got {k}")
        if mode not in MODES:
            raise KitError(f"`mode` must be one of {', '.join(MODES)}. Got {mode!r}")
        self.index, self.k, self.mode, self.filters = index, k, mode, dict(filters)
        _check_filters(index.nodes, self.filters)

    @cached_property
    def llama_index(self) -> BaseRetriever:
        """LlamaIndex's retriever, for its query engine; it finds the same passages."""
        if self.mode == "vector":
            return self._vector(self.k)
        if self.mode == "bm25":
            return self._bm25(self.k)
        depth = min(max(self.k, FUSION_DEPTH), len(self.index.nodes))
        return QueryFusionRetriever(
            [self._vector(depth), self._bm25(depth)],
            llm=MockLLM(),  # never called: one query, not rewritten
            num_queries=1,
            mode="relative_score",
            retriever_weights=list(FUSION_WEIGHTS),
            similarity_top_k=self.k,
            use_async=False,
        )

    def retrieve(self, question: str) -> list[Passage]:
        """The passages for one question, best first; fewer than `k` where BM25 or a filter leaves fewer."""
        return self.retrieve_all([question])[0]

    def retrieve_all(self, questions: Sequence[str]) -> list[list[Passage]]:
        """The passages for each question, in the order of the questions, which are embedded in batches.

        Raises:
            DataError: a question is empty.
        """
        return [[_to_passage(hit) for hit in hits] for hits in self.hits(questions)]

    def hits(self, questions: Sequence[str]) -> list[list[NodeWithScore]]:
        """The same as `retrieve_all`, as LlamaIndex's nodes with scores."""
        for number, question in enumerate(questions, start=1):
            if not question.strip():
                raise DataError(f"question {number} of {len(questions)} is empty. Write one, or take it out.")
        embeddings: Sequence[list[float] | None] = [None] * len(questions)
        if self.mode != "bm25":
            embeddings = embed_questions(self.index.embed_model, questions)
        bundles = [
            QueryBundle(question, embedding=vector) for question, vector in zip(questions, embeddings, strict=True)
        ]
        return [self.llama_index.retrieve(bundle) for bundle in bundles]

    def _vector(self, k: int) -> BaseRetriever:
        return self.index.llama_index.as_retriever(similarity_top_k=k, filters=_to_llama_filters(self.filters))

    def _bm25(self, k: int) -> BaseRetriever:
        return WordRetriever(nodes=self.index.nodes, similarity_top_k=k, filters=_to_llama_filters(self.filters))


class WordRetriever(BM25Retriever):
    """LlamaIndex's BM25 retriever without the hits of score zero: they share no word with the question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [hit for hit in super()._retrieve(query_bundle) if hit.score]


def embed_questions(embed_model: BaseEmbedding, questions: Sequence[str]) -> list[list[float]]:
    """One vector a question: in batches where the embedder is a Hugging Face model, else one after the other."""
    if hasattr(embed_model, "_embed") and questions:
        return embed_model._embed(list(questions), prompt_name="query")
    return [embed_model.get_query_embedding(question) for question in questions]


def _check_documents(documents: Sequence[Document]) -> None:
    """Refuses lists that would empty the index, or put two documents under one id."""
    if not documents:
        raise DataError("there are no documents to index. To empty an index, open its store with `fresh=True`.")
    seen: dict[str, Document] = {}
    for document in documents:
        if not document.text.strip():
            raise DataError(
                f"document {document.id!r} ({document.source or 'no file'}) has no text. Take it out of the list."
            )
        if document.id in seen:
            sources = f"{seen[document.id].source or 'no file'} and {document.source or 'no file'}"
            raise DataError(f"the document id {document.id!r} is used twice: {sources}. Rename one of them.")
        seen[document.id] = document


def _check_filters(nodes: Sequence[BaseNode], filters: dict[str, Any]) -> None:
    """Refuses filters that no chunk passes, naming what there is instead."""
    for key, wanted in filters.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        present = {node.metadata[key] for node in nodes if key in node.metadata}
        if not present:
            raise KitError(f"the filter {key!r} is not a field of the documents. Fields: {', '.join(FILTERS)}")
        if not present.intersection(values):
            some = ", ".join(repr(value) for value in sorted(present, key=str)[:8])
            raise KitError(f"no chunk has {key}={wanted!r}. The index has {some}{' ...' if len(present) > 8 else ''}")
    if filters and not any(_passes(node, filters) for node in nodes):
        raise KitError(f"no chunk passes all of the filters {filters!r}. Take one of them away.")


def _passes(node: BaseNode, filters: dict[str, Any]) -> bool:
    return all(node.metadata[key] in (value if isinstance(value, list) else [value]) for key, value in filters.items())


def _to_llama_filters(filters: dict[str, Any]) -> MetadataFilters | None:
    return (
        MetadataFilters(
            filters=[
                MetadataFilter(
                    key=key, value=value, operator=FilterOperator.IN if isinstance(value, list) else FilterOperator.EQ
                )
                for key, value in sorted(filters.items())
            ]
        )
        if filters
        else None
    )


def _to_passage(hit: NodeWithScore) -> Passage:
    """A hit as the kit's record; the text is what LlamaIndex's query engine shows to the model, heading included."""
    node = hit.node
    return Passage(
        document_id=str(node.ref_doc_id),
        node_id=node.node_id,
        text=node.get_content(metadata_mode=MetadataMode.LLM),
        score=float(hit.score or 0.0),
        title=str(node.metadata.get("title", "")),
    )
