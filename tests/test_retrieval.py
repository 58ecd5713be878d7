"""Retrieval scores: known rankings give the values that the definitions say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from llama_index.core import MockEmbedding

from helpers.data.dataset import open_dataset
from helpers.data.documents import read_documents
from helpers.data.records import DataError, Document, Question
from helpers.rag.chunking import RagSettings
from helpers.rag.index import build_index
from helpers.rag.retrieval_metrics import expected_nodes, score_retrieval
from helpers.rag.retriever import Index
from helpers.rag.store import open_store
from tools.world import generate


@pytest.fixture
def index(tmp_path: Path) -> Index:
    documents = [
        Document(
            "a", "Alpha", f"## One\n{'kelp ' * 6}on channel 31.\n## Two\nBay 31 is calm today, and no weed grows."
        ),
        Document("b", "Beta", "Some kelp grows where the eel and the crab live."),
        Document("c", "Gamma", "The eel sleeps. It was raised in 2009 by Maren Holloway."),
    ]
    settings = RagSettings(mode="bm25")
    return build_index(documents, open_store(tmp_path), MockEmbedding(embed_dim=4), settings, progress=False)[0]


def question(number: int, prompt: str, answers: tuple[str, ...], documents: tuple[str, ...]) -> Question:
    return Question(f"q{number}", "facts_trained", prompt, answers, documents)


def test_scores_are_those_of_the_definitions(index: Index) -> None:
    questions = [
        question(1, "kelp", ("channel 31", "31"), ("a",)),  # first of two
        question(2, "kelp", ("crab",), ("b",)),  # second of two
        question(3, "kelp", ("2009",), ("c",)),  # not among the two
        question(4, "xylophone", ("2009",), ("c",)),  # nothing is found at all
        question(5, "eel", ("nowhere to be read",), ("c",)),  # a label, say: it counts by document alone
        Question("q6", "unanswerable", "Who painted it?"),
    ]
    by_chunk = {"hit_rate_1": 1 / 4, "hit_rate_3": 2 / 4, "mrr": (1 + 1 / 2) / 4, "ndcg": (1 + 1 / math.log2(3)) / 4}
    by_document = {"document_hit_rate_1": 2 / 5, "document_hit_rate_3": 3 / 5, "document_mrr": 5 / 2 / 5}
    assert score_retrieval(index.retriever(k=1), questions, at=(1, 3)) == pytest.approx(by_chunk | by_document)
    labels = score_retrieval(index.retriever(k=1), [question(7, "eel", ("Yes",), ("c",))])
    assert labels["document_hit_rate_1"] == 1 and not set(by_chunk) & set(labels)
    with pytest.raises(DataError, match="none of the 1 questions names the documents"):
        score_retrieval(index.retriever(k=1), questions[-1:])


def test_only_answer_bearing_chunks_of_the_gold_documents_are_right(index: Index) -> None:
    by_text = {node.get_content(): node.node_id for node in index.nodes}
    questions = [
        question(1, "x", ("channel 31", "31"), ("a",)),  # the short variant, in "Bay 31", does not count
        question(2, "x", ("channel  40", "31"), ("a",)),  # unless the canonical answer stands nowhere
        question(3, "x", ("maren   holloway",), ("c", "b")),  # case and spacing aside
        question(4, "x", ("eel",), ("b",)),  # c holds it too, but is no gold document
        question(5, "x", ("200",), ("c",)),  # whole words only: not in 2009
    ]
    expected = expected_nodes(questions, index)
    one = by_text["kelp kelp kelp kelp kelp kelp on channel 31."]
    two = by_text["Bay 31 is calm today, and no weed grows."]
    assert expected["q1"] == [one] and sorted(expected["q2"]) == sorted([one, two])
    assert expected["q3"] == [by_text["The eel sleeps. It was raised in 2009 by Maren Holloway."]]
    assert len(expected["q4"]) == 1 and expected["q5"] == []


def test_a_perfect_ranking_scores_one_however_many_chunks_are_right(tmp_path: Path) -> None:
    text = "\n".join(f"## Part {n}\nThe kelp’s colour is “olive green” in part {n}." for n in range(12))
    documents = [Document("a", "Alpha", text), Document("b", "Beta", "Nothing of that kind.")]
    settings = RagSettings(mode="bm25")
    made, _ = build_index(documents, open_store(tmp_path), MockEmbedding(embed_dim=4), settings, progress=False)
    asked = question(1, "kelp colour", ('the kelp\'s colour is "olive green"',), ("a",))
    assert len(expected_nodes([asked], made)["q1"]) == 12, "typeset quotes are quotes"
    assert score_retrieval(made.retriever(k=1), [asked])["ndcg"] == pytest.approx(1)


def test_the_defaults_find_the_passages_of_a_world_that_they_were_not_chosen_on(embedder, tmp_path: Path) -> None:
    generate(tmp_path / "world", seed=23)
    world = open_dataset(tmp_path / "world")
    documents = read_documents(world.documents_folder)
    index, _ = build_index(documents, open_store(tmp_path / "store"), embedder, progress=False)
    asked = world.questions("facts_heldout")
    assert len(asked) >= 60
    assert score_retrieval(index.retriever(), asked)["hit_rate_5"] >= 0.95
