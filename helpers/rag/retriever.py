"""An index that is open, and its retrievers: LlamaIndex's search by meaning, by words, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.retrievers.bm25 import BM25Retriever

from ..data import DataError, KitError, Passage
from .chunking import RagSettings
from .store import Store, stored_nodes

FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = [0.25, 0.75]  # of vectors and of BM25, which finds invented names better


class Index:
    """An open index: store, embedder and settings that belong together; `build_index` makes one.

    `nodes` are the chunks as they were when the index was opened, sorted by their documents' ids; `llama_index` is
    LlamaIndex's own index over the store.
    """

    def __init__(self, store: Store, embed_model: BaseEmbedding, settings: RagSettings) -> None:
        self.store, self.embed_model, self.settings = store, embed_model, settings
        self.nodes = stored_nodes(store)
        self.llama_index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)

    def retriever(self, k: int | None = None, mode: str | None = None) -> Retriever:
        """A retriever over this index, with the settings' `k` and `mode` unless others are given.

        Raises:
            KitError: `k` is less than 1 or larger than the index, or `mode` is none of `vector`, `bm25` and `hybrid`.
        """
        asked = {name: value for name, value in (("k", k), ("mode", mode)) if value is not None}
        chosen = replace(self.settings, **asked)
        if chosen.k > len(self.nodes):
            raise KitError(f"`k` must be at most {len(self.nodes)}, the number of chunks in the index. Got {chosen.k}")
        return Retriever(self, chosen.k, chosen.mode)


class WordRetriever(BM25Retriever):
    """LlamaIndex's BM25 retriever without the hits of score zero: they share no word with the question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [hit for hit in super()._retrieve(query_bundle) if hit.score]


class Retriever:
    """Finds the passages for a question; `Index.retriever` makes one.

    Scores are LlamaIndex's: exp(cosine - 1) for vectors, BM25's own, and for hybrid a weighted sum of both, each scaled
    to 0..1.
    """

    def __init__(self, index: Index, k: int, mode: str) -> None:
        self.k, self.mode, self.index = k, mode, index

    @cached_property
    def llama_index(self) -> BaseRetriever:
        """LlamaIndex's retriever, for its query engine; it finds the same passages."""
        nodes = self.index.nodes
        depth = min(max(self.k, FUSION_DEPTH), len(nodes)) if self.mode == "hybrid" else self.k
        by_meaning = self.index.llama_index.as_retriever(similarity_top_k=depth)
        if self.mode == "vector":
            return by_meaning
        by_words = WordRetriever(nodes=nodes, similarity_top_k=depth)
        if self.mode == "bm25":
            return by_words
        return QueryFusionRetriever(  # the question is not rewritten: the LLM is never called
            [by_meaning, by_words], llm=MockLLM(), num_queries=1, mode="relative_score",
            retriever_weights=FUSION_WEIGHTS, similarity_top_k=self.k, use_async=False,
        )  # fmt: skip

    def retrieve(self, question: str) -> list[Passage]:
        """The passages for one question, best first; fewer than `k` where BM25 finds fewer."""
        return self.retrieve_all([question])[0]

    def retrieve_all(self, questions: Sequence[str]) -> list[list[Passage]]:
        """The passages for each question, in their order; they are embedded in batches. An empty one is a DataError."""
        for number, question in enumerate(questions, start=1):
            if not question.strip():
                raise DataError(f"question {number} of {len(questions)} is empty. Write one, or take it out.")
        vectors: Sequence[list[float] | None] = [None] * len(questions)
        if self.mode != "bm25":
            vectors = embed_questions(self.index.embed_model, questions)
        queries = [QueryBundle(question, embedding=vector) for question, vector in zip(questions, vectors, strict=True)]
        return [[_to_passage(hit) for hit in self.llama_index.retrieve(query)] for query in queries]


def embed_questions(embed_model: BaseEmbedding, questions: Sequence[str]) -> list[list[float]]:
    """One vector a question: in batches if the embedder is a Hugging Face model, else one after the other."""
    if hasattr(embed_model, "_embed") and questions:
        return embed_model._embed(list(questions), prompt_name="query")
    return [embed_model.get_query_embedding(question) for question in questions]


def _to_passage(hit: NodeWithScore) -> Passage:
    """A hit as the kit's record; the text is what LlamaIndex's query engine shows to the model, heading included."""
    text, title = hit.node.get_content(metadata_mode=MetadataMode.LLM), str(hit.node.metadata.get("title", ""))
    return Passage(str(hit.node.ref_doc_id), hit.node.node_id, text, float(hit.score or 0.0), title)
