"""Score retrieval on its own, before any model answers: hit rate, MRR and nDCG by LlamaIndex's RetrieverEvaluator.

A question names the documents that hold its answer. What must be found is narrower: the chunks of these documents in
which an accepted answer stands. A question whose answer stands in no chunk counts as a miss, and is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from llama_index.core.evaluation import RetrieverEvaluator
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle

from ..data import DataError, Question
from .index import Index
from .retriever import Retriever

PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014", "''\"\"----")  # typeset quotes and dashes


def score_retrieval(
    retriever: Retriever, questions: Sequence[Question], index: Index, at: Sequence[int] = (1, 5)
) -> dict[str, Any]:
    """Scores a retriever on questions that name the documents of their answers.

    Questions without documents (those of the set `unanswerable`, say) have nothing to find and are left out; their
    number is returned. Every question is retrieved once, to the largest depth.

    Args:
        retriever: its mode and filters are used; its `k` gives way to the depths in `at`.
        questions: with `documents` and `answers`.
        index: the index that is searched; an answer is looked up in its chunks.
        at: the depths of the hit rate, in passages. MRR and nDCG use the largest.

    Returns:
        `hit_rate_<depth>` for each depth, `mrr` and `ndcg` (means in 0..1; definitions: Manning, Raghavan and Schuetze,
        Introduction to Information Retrieval, chapter 8); `n`, the number of questions scored; `without_documents`;
        `answer_in_no_chunk`, the ids of questions that no retriever could have answered; and `per_question`, for each
        question id `rank` (of the first right passage, or None) and `expected` (the number of right chunks).

    Raises:
        DataError: no question names a document.
    """
    scored = [question for question in questions if question.documents]
    if not scored:
        raise DataError(
            f"none of the {len(questions)} questions names the documents that hold its answer. "
            "Fill `documents` in the question set, or score another set."
        )
    depths = sorted({min(depth, len(index.nodes)) for depth in at})
    found = index.retriever(depths[-1], retriever.mode, retriever.filters).hits([each.prompt for each in scored])
    expected = expected_nodes(scored, index)
    sums: dict[str, float] = {f"hit_rate_{depth}": 0.0 for depth in at} | {"mrr": 0.0, "ndcg": 0.0}
    per_question: dict[str, dict[str, Any]] = {}
    for question, hits in zip(scored, found, strict=True):
        right = expected[question.id]
        ids = [hit.node.node_id for hit in hits]
        rank = next((place for place, node_id in enumerate(ids, start=1) if node_id in right), None)
        per_question[question.id] = {"rank": rank, "expected": len(right)}
        if right and hits:
            for name, value in _evaluate(question.prompt, hits, right, at).items():
                sums[name] += value
    return {name: total / len(scored) for name, total in sums.items()} | {
        "n": len(scored),
        "without_documents": len(questions) - len(scored),
        "answer_in_no_chunk": [question.id for question in scored if not expected[question.id]],
        "per_question": per_question,
    }


def expected_nodes(questions: Sequence[Question], index: Index) -> dict[str, list[str]]:
    """The chunks that hold each question's answer.

    The canonical answer is looked for first; only where it stands in no chunk of the question's documents do the other
    accepted answers count, since short variants ("31" for "channel 31") also turn up by accident.

    Returns:
        For each question id the node ids of the right chunks; empty where no chunk holds the answer.
    """
    by_document: dict[str, list[BaseNode]] = {}
    for node in index.nodes:
        by_document.setdefault(str(node.ref_doc_id), []).append(node)
    expected: dict[str, list[str]] = {}
    for question in questions:
        nodes = [node for document_id in question.documents for node in by_document.get(document_id, [])]
        expected[question.id] = _holding(nodes, question.answers[:1]) or _holding(nodes, question.answers[1:])
    return expected


class _Recorded(BaseRetriever):
    """Gives the evaluator what was retrieved already, so that questions can be embedded in batches."""

    def __init__(self, hits: list[NodeWithScore]) -> None:
        super().__init__()
        self._hits = hits

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._hits


def _evaluate(prompt: str, hits: list[NodeWithScore], right: list[str], at: Sequence[int]) -> dict[str, float]:
    """LlamaIndex's metrics for one question: the hit rate at each depth, the others at the largest."""
    values: dict[str, float] = {}
    for depth in sorted(at):
        evaluator = RetrieverEvaluator.from_metric_names(["hit_rate", "mrr", "ndcg"], retriever=_Recorded(hits[:depth]))
        metrics = evaluator.evaluate(query=prompt, expected_ids=right).metric_vals_dict
        values |= {f"hit_rate_{depth}": metrics["hit_rate"], "mrr": metrics["mrr"]}
        # LlamaIndex divides by the gain of all right chunks, also where they are more than the depth has places for
        values["ndcg"] = metrics["ndcg"] * _best_gain(len(right)) / _best_gain(min(len(right), depth))
    return values


def _best_gain(right: int) -> float:
    """The discounted gain of a ranking that begins with so many right chunks."""
    return sum(1 / math.log2(place + 1) for place in range(1, right + 1))


def _holding(nodes: Sequence[BaseNode], answers: Sequence[str]) -> list[str]:
    """The ids of the nodes in whose text an answer stands as whole words, whatever its case, spacing and quotes."""
    words = [answer.translate(PLAIN).split() for answer in answers]
    patterns = [r"(?<!\w)" + r"\s+".join(map(re.escape, each)) + r"(?!\w)" for each in words]
    matcher = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None
    texts = {node.node_id: node.get_content(metadata_mode=MetadataMode.LLM).translate(PLAIN) for node in nodes}
    return [node_id for node_id, text in texts.items() if matcher and matcher.search(text)]
