"""An index that is open, and its retrievers: LlamaIndex's search by meaning, by words, or by both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import bm25s
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from llama_index.retrievers.bm25 import BM25Retriever

from ..data import DataError, KitError, Passage
from .chunking import RagSettings
from .store import Store, stored_nodes

FUSION_DEPTH = 200  # how many hits of each search are fused
FUSION_WEIGHTS = [0.25, 0.75]  # of vectors and of BM25, which finds invented names better

SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts without spaces
WORD = re.compile(rf"[{SPACELESS}]|[^\W{SPACELESS}]+")
STOP = {*STOPWORDS_EN, *map(str.capitalize, STOPWORDS_EN)} - {"A"}
NO_WORD = re.compile(r"(?:^|[.!?:\n]\s*|[\"'“(]\s?)A(?= [^\W\dA-Z])|(?<=\w)['’]\w\b")  # A at a sentence's begin, and 's
CODE = re.compile(r"\b([^\W\d])-(?=\w)")  # K-302 is one word
KEY = r"(?:[A-Z][\w-]*|[\w-]*\d[\w-]*)(?: (?:[A-Z][\w-]*|[\w-]*\d[\w-]*))*"  # a name or a number, as it is written
DESCRIPTION = re.compile(  # the last "the THING ..." of a question, up to its key and the verb that belongs to it
    rf"(?P<before>.*?)\b{KEY}['’]s [a-z]+"  # Ida Reed's machine
    r"|(?P<start>.*)\b[Tt]he (?:[a-z-]+ ){1,2}(?:"
    rf"(?:that|which|who|whom) {KEY} [a-z]+"  # the machine that Ida Reed supervises
    rf"|(?:[a-z]+ )?(?:which|whom|whose) (?:[a-z]+ )*{KEY} (?:is|was|are|were) [a-z]+"  # for which part P-1 is kept
    rf"|(?:that|which|who|whose|under|at|in|by|with|from|on|near|of|[a-z]+ed|[a-z]+ing)\b[^?.,]* {KEY}"
    rf"|(?:under|at|in|by|with|from|on|near|of) {KEY})"
)
NAME = re.compile(r"\b[A-Z][\w-]+")
PASSAGES = 10  # of the first search, of which the best one that holds the key of the question is read


class Index:
    """An open index: store, embedder and settings that belong together; `build_index` makes one.

    `nodes` are the chunks at its opening, sorted by their documents' ids; `llama_index` is LlamaIndex's own index.
    """

    def __init__(self, store: Store, embed_model: BaseEmbedding, settings: RagSettings) -> None:
        self.store, self.embed_model, self.settings = store, embed_model, settings
        self.nodes = stored_nodes(store)
        self.llama_index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)

    def retriever(self, k: int | None = None, mode: str | None = None) -> Retriever:
        """A retriever over this index, with the settings' `k` and `mode` unless others are given.

        A `KitError` says that `k` is less than 1 or larger than the index, or that `mode` is none of `MODES`.
        """
        chosen = replace(self.settings, k=self.settings.k if k is None else k, mode=mode or self.settings.mode)
        if chosen.k > len(self.nodes):
            raise KitError(f"`k` must be at most {len(self.nodes)}, the number of chunks in the index. Got {chosen.k}")
        return Retriever(self, chosen.k, chosen.mode)


def words_of(text: str) -> list[str]:
    """The stems of a text's words, by which BM25 finds it: of one character too, and of stop words in capitals."""
    words = [word for word in WORD.findall(CODE.sub(r"\1", NO_WORD.sub("", text))) if word not in STOP]
    return Stemmer.Stemmer("english").stemWords([word.lower() for word in words])


class WordRetriever(BM25Retriever):
    """LlamaIndex's BM25 retriever with words of one character, and without the hits that share no word."""

    def __init__(self, nodes: Sequence[BaseNode], similarity_top_k: int) -> None:
        bm25 = bm25s.BM25(corpus=[node_to_metadata_dict(node) | {"node_id": node.node_id} for node in nodes])
        bm25.index([words_of(node.get_content(MetadataMode.EMBED)) for node in nodes], show_progress=False)
        super().__init__(existing_bm25=bm25, similarity_top_k=similarity_top_k)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = [words_of(query_bundle.query_str)]
        rows, scores = self.bm25.retrieve(asked, k=self.similarity_top_k, show_progress=False)
        hits = zip(rows[0], scores[0], strict=True)
        return [NodeWithScore(node=metadata_dict_to_node(row), score=float(score)) for row, score in hits if score]


class Retriever:
    """Finds the passages for a question; `Index.retriever` makes one.

    Scores are LlamaIndex's: exp(cosine - 1) for vectors, BM25's own, for hybrid a weighted sum of both scaled to 0..1.
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
        embedded = self.mode != "bm25"
        vectors = embed_questions(self.index.embed_model, questions) if embedded else [None] * len(questions)
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
    if not text.strip() or hit.node.ref_doc_id is None:
        raise KitError("the index was changed by another process since it was opened. Open it again, or make it anew.")
    return Passage(str(hit.node.ref_doc_id), hit.node.node_id, text, float(hit.score or 0.0), title)


class TwoStep:
    """Puts what the first passages name into questions, which are retrieved and asked in these words.

    "How often is the machine under Ida Reed inspected?" shares no name with the page that says so. A page that speaks
    of Ida Reed names her machine, Brackwell, and "How often is Brackwell inspected?" finds the other one. Only the
    question, passages and titles of the index are read; such multi-hop retrieval is that of Trivedi et al. 2023,
    arXiv:2212.10509, without a model that reasons in between.
    """

    def __init__(self, index: Index) -> None:
        texts = [node.get_content(metadata_mode=MetadataMode.LLM) for node in index.nodes]
        common = {word for text in texts for word in re.findall(r"\b[a-z][\w'’-]*", text)}
        titles = " ".join(str(node.metadata.get("title", "")) for node in index.nodes)
        self.names = {name for name in NAME.findall(titles) if name.lower() not in common}  # never in small letters
        self.retriever = index.retriever(min(PASSAGES, len(index.nodes)))

    def rewrite(self, questions: Sequence[str]) -> list[str]:
        """The questions, each with the name of what it describes; as it is where it describes nothing by a key."""
        found = self.retriever.retrieve_all(questions)
        return [self._rewritten(*each) for each in zip(questions, found, strict=True)]

    def _rewritten(self, question: str, passages: Sequence[Passage]) -> str:
        described = DESCRIPTION.match(question)
        keys = [key for key in re.findall(KEY, question) if not question.startswith(key)]
        if not described or not keys or self.names & set(NAME.findall(question)):
            return question
        name = next(filter(None, (self._nearest(passage.text, keys[-1]) for passage in passages)), None)
        before = described["before"] or described["start"] or ""
        return question if name is None else f"{before}{name}{question[described.end() :]}"

    def _nearest(self, text: str, key: str) -> str | None:
        """The name that is nearest to the key: in its sentence or line, else in the text; None where the key is not."""
        lines = [line for line in re.split(r"(?<=[.!?])\s+|\n+", text) if key in line]
        for part in [*lines, *[text] * bool(lines)]:
            if named := [match for match in NAME.finditer(part) if match[0] in self.names]:
                return min(named, key=lambda match: abs(match.start() - part.index(key)))[0]
        return None
