"""Score retrieval on its own, before any model answers: hit rate and MRR by document and by chunk, nDCG by chunk.

A question names the documents that contain its answer. By chunk, what must be found is narrower: the chunks of these
documents that contain an accepted answer. Where an answer is in the document, but in no chunk as a whole, it is a miss.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from llama_index.core.evaluation.retrieval.metrics import NDCG
from llama_index.core.schema import MetadataMode

from ..data import CHOICE_SETS, TEXT_SETS, DataError, Question, contains
from .retriever import Index, Retriever


def score_retrieval(
    retriever: Retriever, questions: Sequence[Question], at: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Scores a retriever on questions that name the documents of their answers; the others are left out.

    The retriever's mode is used; its `k` gives way to the depths of the hit rate in `at`, in passages, of which MRR and
    nDCG use the largest. Where no question names a document, a `DataError`.

    Returns:
        By document: `document_hit_rate_<depth>` for each depth and `document_mrr`. By chunk, over the questions whose
        answer can be read in their documents (a label or a summary cannot): `hit_rate_<depth>`, `mrr` and `ndcg`; none
        where there are no such questions. All are means in 0..1 (definitions: Manning, Raghavan and Schuetze,
        Introduction to Information Retrieval, chapter 8).
    """
    scored = [question for question in questions if question.documents]
    if not scored:
        named = f"none of the {len(questions)} questions names the documents that contain its answer"
        raise DataError(f"{named}. Fill `documents` in the question set, or score another set.")
    index, depth = retriever.index, max(at)
    expected = expected_nodes(scored, index)
    searching = index.retriever(min(depth, len(index.nodes)), retriever.mode)
    document_ranks, ranks, gains = [], [], []  # of the first right document and chunk, and nDCG
    for question, passages in zip(scored, searching.retrieve_all([each.prompt for each in scored]), strict=True):
        right, found = expected[question.id], [passage.node_id for passage in passages]
        document_ranks.append(_rank(passage.document_id in question.documents for passage in passages))
        if (not question.choices or question.set in CHOICE_SETS + TEXT_SETS) and _readable(question, index):
            ranks.append(_rank(node_id in right for node_id in found))
            # The best ranking has no more right chunks than places: those that were found count first
            reachable = sorted(right, key=lambda node_id: node_id not in found)[:depth]
            both = reachable and found  # LlamaIndex's class refuses empty lists
            gains.append(NDCG().compute(expected_ids=reachable, retrieved_ids=found).score if both else 0.0)
    means = _means("document_", document_ranks, at)
    return means | _means("", ranks, at) | {"ndcg": fmean(gains)} if gains else means


def _rank(right: Iterable[bool]) -> float:
    return next((rank for rank, one in enumerate(right, start=1) if one), math.inf)


def _means(of: str, ranks: Sequence[float], at: Sequence[int]) -> dict[str, float]:
    rates = {f"{of}hit_rate_{each}": fmean(rank <= each for rank in ranks) for each in at}
    return rates | {f"{of}mrr": fmean(1 / rank for rank in ranks)}


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
