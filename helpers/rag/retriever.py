"""The retriever module of RAG: from a question to the passages of an index, by meaning, by words, or by both.

It is LlamaIndex's search, with the kit's checks and records around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.bm25 import BM25Retriever

from ..data import DataError, KitError, Passage
from .chunking import MODES

if TYPE_CHECKING:
    from .index import Index

FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = (0.25, 0.75)  # of the vectors and of BM25, whose exact words find invented names better
FILTERS = ("document_id", "title", "type", "revision", "date")


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
