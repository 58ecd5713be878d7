"""The retriever: from a question to the passages of an index, by meaning, by words, or by both.

It is LlamaIndex's search, with the kit's checks and records around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.bm25 import BM25Retriever

from ..data import DataError, KitError, Passage
from .chunking import FIELDS, MODES

FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = (0.25, 0.75)  # of vectors and of BM25, which finds invented names better
SHOWN = 8  # values that an error names


class Retriever:
    """Finds the passages for a question; `llama_index` is the LlamaIndex retriever that does it.

    Scores are LlamaIndex's: exp(cosine - 1) for vectors, BM25's own, and for hybrid a weighted sum of both, each scaled
    to 0..1.
    """

    def __init__(
        self,
        nodes: Sequence[BaseNode],
        vector_index: VectorStoreIndex,
        embed_model: BaseEmbedding,
        k: int,
        mode: str,
        filters: dict[str, Any],
    ) -> None:
        """Checks the request; `Index.retriever` is the usual way to make one.

        Raises:
            KitError: `k` is larger than the index, `mode` is unknown, or no chunk passes the filters.
        """
        if not 1 <= k <= len(nodes):
            raise KitError(f"`k` must be between 1 and {len(nodes)}, the number of chunks in the index. Got {k}")
        if mode not in MODES:
            raise KitError(f"`mode` must be one of {', '.join(MODES)}. Got {mode!r}")
        _check_filters(nodes, filters)
        self.k, self.mode, self.filters = k, mode, dict(filters)
        self._nodes, self._vector_index, self._embed_model = nodes, vector_index, embed_model

    @cached_property
    def llama_index(self) -> BaseRetriever:
        """LlamaIndex's retriever, for its query engine; it finds the same passages."""
        if self.mode == "vector":
            return self._vector(self.k)
        if self.mode == "bm25":
            return self._bm25(self.k)
        depth = min(max(self.k, FUSION_DEPTH), len(self._nodes))
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
            DataError: A question is empty.
        """
        return [[_to_passage(hit) for hit in hits] for hits in self.hits(questions)]

    def hits(self, questions: Sequence[str]) -> list[list[NodeWithScore]]:
        """The same as `retrieve_all`, as LlamaIndex's nodes with scores."""
        for number, question in enumerate(questions, start=1):
            if not question.strip():
                raise DataError(f"question {number} of {len(questions)} is empty. Write one, or take it out.")
        vectors: Sequence[list[float] | None] = [None] * len(questions)
        if self.mode != "bm25":
            vectors = embed_questions(self._embed_model, questions)
        queries = [QueryBundle(question, embedding=vector) for question, vector in zip(questions, vectors, strict=True)]
        return [self.llama_index.retrieve(query) for query in queries]

    def _vector(self, k: int) -> BaseRetriever:
        return self._vector_index.as_retriever(similarity_top_k=k, filters=_to_llama_index(self.filters))

    def _bm25(self, k: int) -> BaseRetriever:
        return WordRetriever(nodes=list(self._nodes), similarity_top_k=k, filters=_to_llama_index(self.filters))


class WordRetriever(BM25Retriever):
    """LlamaIndex's BM25 retriever without the hits of score zero: they share no word with the question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [hit for hit in super()._retrieve(query_bundle) if hit.score]


def embed_questions(embed_model: BaseEmbedding, questions: Sequence[str]) -> list[list[float]]:
    """One vector a question: in batches if the embedder is a Hugging Face model, else one after the other."""
    if hasattr(embed_model, "_embed") and questions:
        return embed_model._embed(list(questions), prompt_name="query")
    return [embed_model.get_query_embedding(question) for question in questions]


def _check_filters(nodes: Sequence[BaseNode], filters: dict[str, Any]) -> None:
    """Refuses filters that no chunk passes, naming what the index has instead."""
    if unknown := [key for key in filters if key not in FIELDS]:
        raise KitError(f"the filter {unknown[0]!r} is not a field of the documents. Fields: {', '.join(FIELDS)}")
    if any(all(node.metadata[key] in _values(wanted) for key, wanted in filters.items()) for node in nodes):
        return
    present = {key: sorted({node.metadata[key] for node in nodes}) for key in filters}
    there = (
        f"{key}: {', '.join(map(repr, found[:SHOWN]))}{' ...' * (len(found) > SHOWN)}" for key, found in present.items()
    )
    raise KitError(f"no chunk passes the filters {filters!r}. The index has {'; '.join(there)}")


def _values(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _to_llama_index(filters: dict[str, Any]) -> MetadataFilters | None:
    conditions = [
        MetadataFilter(key=key, value=_values(wanted), operator=FilterOperator.IN)
        for key, wanted in sorted(filters.items())
    ]
    return MetadataFilters(filters=conditions) if conditions else None


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
