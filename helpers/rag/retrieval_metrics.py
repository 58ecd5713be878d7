"""Score retrieval on its own, before any model answers: hit rate, MRR and nDCG, by LlamaIndex's metric classes.

A question names the documents that contain its answer. What must be found is narrower: the chunks of these documents
that contain an accepted answer. A question whose answer is in no chunk counts as a miss, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from llama_index.core.evaluation.retrieval.metrics import MRR, NDCG, HitRate
from llama_index.core.schema import BaseNode, MetadataMode

from ..data import DataError, Question, contains
from .index import Index
from .retriever import Retriever


def score_retrieval(
    retriever: Retriever, questions: Sequence[Question], index: Index, at: Sequence[int] = (1, 5)
) -> dict[str, Any]:
    """Scores a retriever on questions that name the documents of their answers; the others are left out.

    Args:
        retriever: Its mode is used; its `k` gives way to the depths in `at`.
        questions: With `documents` and `answers`.
        index: The index that is searched; an answer is looked up in its chunks.
        at: The depths of the hit rate, in passages. MRR and nDCG use the largest.

    Returns:
        `hit_rate_<depth>` for each depth, `mrr` and `ndcg` (means in 0..1; definitions: Manning, Raghavan and Schuetze,
        Introduction to Information Retrieval, chapter 8); `n`, the number of questions scored; `without_documents`, the
        number left out; `answer_in_no_chunk`, the ids of questions that no retriever could have answered; and
        `per_question`, by id: `rank` of the first right passage, or None, and `expected`, the number of right chunks.

    Raises:
        DataError: No question names a document.
    """
    scored = [question for question in questions if question.documents]
    if not scored:
        raise DataError(
            f"none of the {len(questions)} questions names the documents that contain its answer. "
            "Fill `documents` in the question set, or score another set."
        )
    depth = min(max(at), len(index.nodes))
    found = index.retriever(depth, retriever.mode).hits([each.prompt for each in scored])
    expected = expected_nodes(scored, index)
    sums: dict[str, float] = defaultdict(float)
    per_question: dict[str, dict[str, Any]] = {}
    for question, hits in zip(scored, found, strict=True):
        right, retrieved = expected[question.id], [hit.node.node_id for hit in hits]
        rank = next((rank for rank, node_id in enumerate(retrieved, start=1) if node_id in right), None)
        per_question[question.id] = {"rank": rank, "expected": len(right)}
        for name, value in _metrics(right, retrieved, at).items():
            sums[name] += value
    return {name: total / len(scored) for name, total in sums.items()} | {
        "n": len(scored),
        "without_documents": len(questions) - len(scored),
        "answer_in_no_chunk": [question.id for question in scored if not expected[question.id]],
        "per_question": per_question,
    }


def expected_nodes(questions: Sequence[Question], index: Index) -> dict[str, list[str]]:
    """The ids of the chunks that contain each question's answer, by question id, as whole words in SQuAD's normal form.

    The canonical answer is looked for first; only if it is in no chunk of the question's documents do the other
    accepted answers count, since short variants ("31" for "channel 31") also turn up by accident.
    """
    by_document: dict[str, list[BaseNode]] = defaultdict(list)
    for node in index.nodes:
        by_document[str(node.ref_doc_id)].append(node)
    expected: dict[str, list[str]] = {}
    for question in questions:
        texts = {
            node.node_id: node.get_content(metadata_mode=MetadataMode.LLM)
            for document_id in question.documents
            for node in by_document[document_id]
        }
        canonical, others = (
            [node_id for node_id, text in texts.items() if contains(text, answers)]
            for answers in (question.answers[:1], question.answers[1:])
        )
        expected[question.id] = canonical or others
    return expected


def _metrics(right: list[str], retrieved: list[str], at: Sequence[int]) -> dict[str, float]:
    """LlamaIndex's metrics for one question: the hit rate at each depth, the others at the largest."""
    names = [*(f"hit_rate_{depth}" for depth in at), "mrr", "ndcg"]
    if not right or not retrieved:  # the classes refuse both
        return dict.fromkeys(names, 0.0)
    depth = max(at)
    hit_rates = [HitRate().compute(expected_ids=right, retrieved_ids=retrieved[:each]).score for each in at]
    mrr = MRR().compute(expected_ids=right, retrieved_ids=retrieved[:depth]).score
    # The best ranking has no more right chunks than places: those that were found count first
    reachable = sorted(right, key=lambda node_id: node_id not in retrieved)[:depth]
    ndcg = NDCG().compute(expected_ids=reachable, retrieved_ids=retrieved[:depth]).score
    return dict(zip(names, [*hit_rates, mrr, ndcg], strict=True))
