"""Score retrieval on its own, before any model answers: hit rate, MRR and nDCG, by LlamaIndex's metric classes.

A question names the documents that contain its answer. What must be found is narrower: the chunks of these documents
that contain an accepted answer. A question whose answer is in no chunk counts as a miss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from llama_index.core.evaluation.retrieval.metrics import MRR, NDCG, HitRate
from llama_index.core.schema import MetadataMode

from ..data import DataError, Question, contains
from .retriever import Index, Retriever


def score_retrieval(
    retriever: Retriever, questions: Sequence[Question], index: Index, at: Sequence[int] = (1, 5)
) -> dict[str, Any]:
    """Scores a retriever on questions that name the documents of their answers; the others are left out.

    The retriever's mode is used; its `k` gives way to the depths of the hit rate in `at`, in passages, of which MRR and
    nDCG use the largest. Answers are looked up in the chunks of `index`.

    Returns:
        `hit_rate_<depth>` for each depth, `mrr` and `ndcg` (means in 0..1; definitions: Manning, Raghavan and Schuetze,
        Introduction to Information Retrieval, chapter 8); `n`, the number of questions scored; and `per_question`, by
        id: the `rank` of the first right passage, or None.

    Raises:
        DataError: No question names a document.
    """
    scored = [question for question in questions if question.documents]
    if not scored:
        raise DataError(
            f"none of the {len(questions)} questions names the documents that contain its answer. "
            "Fill `documents` in the question set, or score another set."
        )
    expected, depth = expected_nodes(scored, index), max(at)
    searching = index.retriever(min(depth, len(index.nodes)), retriever.mode)
    sums: Counter[str] = Counter({f"hit_rate_{each}": 0.0 for each in at} | {"mrr": 0.0, "ndcg": 0.0})
    per_question: dict[str, dict[str, Any]] = {}
    for question, passages in zip(scored, searching.retrieve_all([each.prompt for each in scored]), strict=True):
        right, found = expected[question.id], [passage.node_id for passage in passages]
        rank = next((rank for rank, node_id in enumerate(found, start=1) if node_id in right), None)
        per_question[question.id] = {"rank": rank}
        if not right or not found:  # LlamaIndex's classes refuse both
            continue
        for each in at:
            sums[f"hit_rate_{each}"] += HitRate().compute(expected_ids=right, retrieved_ids=found[:each]).score
        sums["mrr"] += MRR().compute(expected_ids=right, retrieved_ids=found).score
        # The best ranking has no more right chunks than places: those that were found count first
        reachable = sorted(right, key=lambda node_id: node_id not in found)[:depth]
        sums["ndcg"] += NDCG().compute(expected_ids=reachable, retrieved_ids=found).score
    means = {name: total / len(scored) for name, total in sums.items()}
    return means | {"n": len(scored), "per_question": per_question}


def expected_nodes(questions: Sequence[Question], index: Index) -> dict[str, list[str]]:
    """The ids of the chunks that contain each question's answer, by question id, as whole words in SQuAD's normal form.

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
