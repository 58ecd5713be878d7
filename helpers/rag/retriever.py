"""The retriever: LlamaIndex's search by meaning, by words, or by both, with the kit's checks and records around it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.retrievers.bm25 import BM25Retriever

from ..data import DataError, KitError, Passage
from .chunking import MODES

FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = [0.25, 0.75]  # of vectors and of BM25, which finds invented names better


class WordRetriever(BM25Retriever):
    """LlamaIndex's BM25 retriever without the hits of score zero: they share no word with the question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [hit for hit in super()._retrieve(query_bundle) if hit.score]


class Retriever:
    """Finds the passages for a question; `llama_index` is the LlamaIndex retriever that does it.

    Scores are LlamaIndex's: exp(cosine - 1) for vectors, BM25's own, and for hybrid a weighted sum of both, each scaled
    to 0..1.
    """

    def __init__(
        self, nodes: list[BaseNode], vector_index: VectorStoreIndex, embed_model: BaseEmbedding, k: int, mode: str
    ) -> None:
        """Checks `k` and `mode`, or raises KitError; `Index.retriever` is the usual way to make one."""
        if not 1 <= k <= len(nodes):
            raise KitError(f"`k` must be between 1 and {len(nodes)}, the number of chunks in the index. Got {k}")
        if mode not in MODES:
            raise KitError(f"`mode` must be one of {', '.join(MODES)}. Got {mode!r}")
        self.k, self.mode = k, mode
        self._nodes, self._vector_index, self._embed_model = nodes, vector_index, embed_model

    @cached_property
    def llama_index(self) -> BaseRetriever:
        """LlamaIndex's retriever, for its query engine; it finds the same passages."""
        depth = min(max(self.k, FUSION_DEPTH), len(self._nodes)) if self.mode == "hybrid" else self.k
        if self.mode != "vector":
            by_words = WordRetriever(nodes=self._nodes, similarity_top_k=depth)
        if self.mode == "bm25":
            return by_words
        by_meaning = self._vector_index.as_retriever(similarity_top_k=depth)
        if self.mode == "vector":
            return by_meaning
        return QueryFusionRetriever(
            [by_meaning, by_words],
            llm=MockLLM(),  # never called: one query, not rewritten
            num_queries=1,
            mode="relative_score",
            retriever_weights=FUSION_WEIGHTS,
            similarity_top_k=self.k,
            use_async=False,
        )

    def retrieve(self, question: str) -> list[Passage]:
        """The passages for one question, best first; fewer than `k` where BM25 finds fewer."""
        return self.retrieve_all([question])[0]

    def retrieve_all(self, questions: Sequence[str]) -> list[list[Passage]]:
        """The passages for each question, in their order; they are embedded in batches. An empty one is a DataError."""
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


def embed_questions(embed_model: BaseEmbedding, questions: Sequence[str]) -> list[list[float]]:
    """One vector a question: in batches if the embedder is a Hugging Face model, else one after the other."""
    if hasattr(embed_model, "_embed") and questions:
        return embed_model._embed(list(questions), prompt_name="query")
    return [embed_model.get_query_embedding(question) for question in questions]


def _to_passage(hit: NodeWithScore) -> Passage:
    """A hit as the kit's record; the text is what LlamaIndex's query engine shows to the model, heading included."""
    return Passage(
        document_id=str(hit.node.ref_doc_id),
        node_id=hit.node.node_id,
        text=hit.node.get_content(metadata_mode=MetadataMode.LLM),
        score=float(hit.score or 0.0),
        title=str(hit.node.metadata.get("title", "")),
    )
