"""Score retrieval on its own, before any model answers: hit rate and MRR by document and by chunk, nDCG by chunk.

A question names the documents that contain its answer. By chunk, what must be found is narrower: the chunks of these
documents that contain an accepted answer. Where an answer is in the document, but in no chunk as a whole, it is a miss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from llama_index.core.evaluation.retrieval.metrics import NDCG
from llama_index.core.schema import MetadataMode

from ..data import DataError, Question, contains
from .retriever import Index, Retriever


def score_retrieval(
    retriever: Retriever, questions: Sequence[Question], index: Index, at: Sequence[int] = (1, 5)
) -> dict[str, Any]:
    """Scores a retriever on questions that name the documents of their answers; the others are left out.

    The retriever's mode is used; its `k` gives way to the depths of the hit rate in `at`, in passages, of which MRR and
    nDCG use the largest.

    Returns:
        By document: `document_hit_rate_<depth>` for each depth and `document_mrr`, over the `n` questions scored. By
        chunk, over the `spans` questions whose answer can be read in their documents (a label or a summary cannot):
        `hit_rate_<depth>`, `mrr` and `ndcg`; none where there are no such questions. All are means in 0..1
        (definitions: Manning, Raghavan and Schuetze, Introduction to Information Retrieval, chapter 8).
        `per_question`, by id: the `rank` of the first right passage and the `document_rank`, or None.

    Raises:
        DataError: No question names a document.
    """
    scored = [question for question in questions if question.documents]
    if not scored:
        named = f"none of the {len(questions)} questions names the documents that contain its answer"
        raise DataError(f"{named}. Fill `documents` in the question set, or score another set.")
    expected, depth = expected_nodes(scored, index), max(at)
    searching = index.retriever(min(depth, len(index.nodes)), retriever.mode)
    ranks: dict[str, dict[str, int | None]] = {}
    gains: dict[str, float] = {}  # of the questions whose answer can be read in their documents
    for question, passages in zip(scored, searching.retrieve_all([each.prompt for each in scored]), strict=True):
        right, found = expected[question.id], [passage.node_id for passage in passages]
        named = [passage.document_id in question.documents for passage in passages]
        ranks[question.id] = {"rank": _rank(each in right for each in found), "document_rank": _rank(named)}
        if _readable(question, index):
            # The best ranking has no more right chunks than places: those that were found count first
            reachable = sorted(right, key=lambda node_id: node_id not in found)[:depth]
            both = reachable and found  # LlamaIndex's class refuses empty lists
            gains[question.id] = NDCG().compute(expected_ids=reachable, retrieved_ids=found).score if both else 0.0
    means = _means("document_", [each["document_rank"] for each in ranks.values()], at)
    if gains:
        means |= _means("", [ranks[name]["rank"] for name in gains], at) | {"ndcg": fmean(gains.values())}
    return means | {"n": len(scored), "spans": len(gains), "per_question": ranks}


def _rank(right: Iterable[bool]) -> int | None:
    return next((rank for rank, one in enumerate(right, start=1) if one), None)


def _means(of: str, ranks: Sequence[int | None], at: Sequence[int]) -> dict[str, float]:
    rates = {f"{of}hit_rate_{each}": fmean(rank is not None and rank <= each for rank in ranks) for each in at}
    return rates | {f"{of}mrr": fmean(1 / rank if rank else 0.0 for rank in ranks)}


def _readable(question: Question, index: Index) -> bool:
    """Whether the answer can be read in one of the question's documents, across the ends of chunks."""
    nodes = [node for node in index.nodes if node.ref_doc_id in question.documents]
    nodes.sort(key=lambda node: getattr(node, "start_char_idx", None) or 0)
    texts = (" ".join(node.get_content() for node in nodes if node.ref_doc_id == name) for name in question.documents)
    return any(contains(text, question.answers) for text in texts)


def expected_nodes(questions: Sequence[Question], index: Index) -> dict[str, list[str]]:
    """The ids of the chunks that contain each question's answer, by question id, as `data.contains` finds it.

    The canonical answer is looked for first; only if it is in no chunk of the question's documents do the other
    accepted answers count, since short variants ("31" for "channel 31") also turn up by accident.
    """
    expected: dict[str, list[str]] = {}
    for question in questions:
        nodes = [node for node in index.nodes if node.ref_doc_id in question.documents]
        texts = {node.node_id: node.get_content(metadata_mode=MetadataMode.LLM) for node in nodes}
        canonical, others = (
            [node_id for node_id, text in texts.items() if contains(text, answers)]
            for answers in (question.answers[:1], question.answers[1:])
        )
        expected[question.id] = canonical or others
    return expected
