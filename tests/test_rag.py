"""The index: chunks, updates, reopening, interruption, all three modes, filters, and the server."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, run_python
from llama_index.core import PromptTemplate
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.llms.huggingface import HuggingFaceLLM

from helpers.data.dataset import open_dataset
from helpers.data.documents import read_documents
from helpers.data.records import DataError, Document, KitError
from helpers.experiment.assistant import Assistant
from helpers.models import prompts
from helpers.rag.chunking import HEADING_TOKENS, RagSettings, token_counter, transformations
from helpers.rag.chunking import to_llama_index as llama_document
from helpers.rag.index import build_index, dataset_index
from helpers.rag.retriever import Index
from helpers.rag.store import open_store

NAMES = ("Brackwell", "Brackholm", "Corrindale", "Dunmere", "Eastness", "Fallowgate", "Garrick", "Holmsey", "Inverlow")


class WordsEmbedding(BaseEmbedding):
    """A tiny real embedder: hashed bags of words. It counts what it embeds and can be told to stop like Ctrl-C."""

    seen: list[str] = []
    stop_after: int | None = None

    def _get_text_embedding(self, text: str) -> list[float]:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen.append(text)
        vector = [0.01] * 64
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % 64] += 1.0
        return vector

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def words_embedding(name: str = "words", **fields: Any) -> WordsEmbedding:
    return WordsEmbedding(model_name=name, seen=[], **fields)


def manual(name: str, channel: int, note: str = "") -> Document:
    text = (
        f"# {name} manual\n\n## Site and rating\n{name} stands in the sound and makes {channel * 5} kW. {note}\n\n"
        f"## Radio\nCall the crew of {name} on channel {channel}.\n"
    )
    return Document(f"manual-{name.lower()}", f"{name} manual", text, type="manual", source=f"{name}.md")


def assets(count: int) -> list[Document]:
    return [manual(f"Asset{number}", number + 1) for number in range(count)]


@pytest.fixture
def documents() -> list[Document]:
    policy = Document(
        "policy-1", "Lifting policy", "Nobody lifts a rotor alone. Ropes are checked first.", type="policy"
    )
    return [*(manual(name, 30 + number) for number, name in enumerate(NAMES)), policy]


@pytest.fixture
def index(documents: list[Document], tmp_path: Path) -> Index:
    return build_index(documents, open_store(tmp_path / "index"), words_embedding(), progress=False)[0]


def test_settings_name_argument_rule_and_value(embedder: BaseEmbedding, documents, tmp_path: Path) -> None:
    with pytest.raises(KitError, match="`chunk_size` must be at least 50.* Got 49"):
        RagSettings(chunk_size=49)
    with pytest.raises(KitError, match="`chunk_overlap` must be between 0 and 32.* Got 33"):
        RagSettings(chunk_size=64, chunk_overlap=33)
    with pytest.raises(KitError, match="`chunk_size` must be at most 222 here, because the embedder reads 256 tokens"):
        build_index(documents, open_store(tmp_path / "index"), embedder, RagSettings(chunk_size=256))


def test_no_chunk_is_longer_than_the_embedder_reads_and_no_text_is_lost(embedder: BaseEmbedding) -> None:
    settings = RagSettings(chunk_size=64, chunk_overlap=16)
    sentences = " ".join(f"Rotor {n} of the northern row was greased before the spring tide." for n in range(60))
    blob = "QUJD" * 5_000
    text = f"# Log\n{sentences}\n## Blob\n{blob} and the end.\n### Empty\n## Last\nFin."
    document = Document("d", "A title " * 40, text)
    nodes = [llama_document(document)]
    for step in transformations(settings, embedder)[:-1]:
        nodes = step(nodes)
    count = token_counter(embedder)
    assert all(len(count(node.get_content())) <= 64 for node in nodes)
    assert all(len(count(node.metadata.get("heading", ""))) <= HEADING_TOKENS for node in nodes)
    joined = "".join("".join(node.get_content().split()) for node in nodes)
    assert all("".join(sentence.split()) in joined for sentence in sentences.split(". ")[:-1])
    assert len({node.node_id for node in nodes}) == len(nodes) == nodes[0].metadata["chunks"]


def test_headings_without_text_join_the_next_section_and_no_heading_is_lost(tmp_path: Path) -> None:
    long = "This part says enough to be found for what it is."
    texts = {
        "before": f"site::pumps\n\n# Pumps\n\n{long}",  # as HTML pages have it: where one is, above the heading
        "glossary": "# Words\n\n## sallow\n\nthe battery\n\n## skarrow\n\nwho stops machines",
        "sibling": f"# Pumps\n\n## Call: Orla\n\n## Use\n\n{long}",
        "headings": "# Pumps\n\n## See",
        "deep": f"# Pumps\n\n## Care\n\n### Seals\n\n{long}",
    }
    documents = [Document(name, "Pumps", text) for name, text in texts.items()]
    index, _ = build_index(documents, open_store(tmp_path), words_embedding(), progress=False)
    found = {(node.ref_doc_id, node.metadata["heading"]): node.get_content() for node in index.nodes}
    assert found == {
        ("before", "Pumps"): f"site::pumps\n\n{long}",
        ("glossary", "Pumps > Words > sallow"): "the battery",
        ("glossary", "Pumps > Words > skarrow"): "who stops machines",
        ("sibling", "Pumps > Use"): f"Call: Orla\n\n{long}",
        ("headings", "Pumps > See"): "See",
        ("deep", "Pumps > Care > Seals"): long,
    }
    shown = {passage.text for passage in index.retriever(k=len(index.nodes)).retrieve("pumps")}
    assert {f"Pumps > Care > Seals\n{long}", "Pumps > Words > sallow\nthe battery"} <= shown


def test_node_ids_do_not_depend_on_revision_run_or_neighbours(
    index: Index, documents, tmp_path: Path, monkeypatch
) -> None:
    later = [replace(document, revision=9, date="2030-01-01") for document in reversed(documents)]
    other, _ = build_index(later, open_store(tmp_path / "other"), words_embedding(), progress=False)
    assert [node.node_id for node in other.nodes] == [node.node_id for node in index.nodes]
    monkeypatch.setattr("helpers.rag.store.CHUNKS_A_CALL", 7)  # an index may hold more than SQLite reads at once
    parts, _ = build_index(later, open_store(tmp_path / "parts"), words_embedding(), progress=False)
    assert [node.get_content() for node in parts.nodes] == [node.get_content() for node in index.nodes]


def test_an_update_embeds_what_changed_and_nothing_else(tmp_path: Path) -> None:
    many = assets(500)
    embed_model = words_embedding()
    _, first = build_index(many, open_store(tmp_path), embed_model, progress=False)
    assert (first.added, first.reembedded, first.unchanged, first.chunks) == (500, 500, 0, 1000)
    assert len(embed_model.seen) == 1000

    embed_model.seen.clear()
    _, second = build_index(many, open_store(tmp_path), embed_model, progress=False)
    assert (second.added, second.changed, second.deleted, second.unchanged, second.reembedded) == (0, 0, 0, 500, 0)
    assert embed_model.seen == []

    many[250] = manual("Asset250", 251, "Painted red.")
    index, third = build_index(many, open_store(tmp_path), embed_model, progress=False)
    assert (third.added, third.changed, third.deleted, third.unchanged, third.reembedded) == (0, 1, 0, 499, 1)
    assert len(embed_model.seen) == 2 and all("Asset250" in text for text in embed_model.seen)
    assert third.chunks == 1000 and sum("Painted red" in node.get_content() for node in index.nodes) == 1


def test_withdrawn_and_new_documents(index: Index, documents: list[Document]) -> None:
    question = "channel of Brackwell"
    assert "manual-brackwell" in {p.document_id for p in index.retriever().retrieve(question)}
    collection = [document for document in documents if document.id != "manual-brackwell"] + [manual("Newhaven", 77)]
    after, report = build_index(collection, index.store, index.embed_model, progress=False)
    assert (report.added, report.deleted, report.unchanged) == (1, 1, 9)
    for mode in ("vector", "bm25", "hybrid"):
        found = after.retriever(k=len(after.nodes), mode=mode).retrieve(question)
        assert "manual-brackwell" not in {passage.document_id for passage in found}
    assert after.retriever(k=1, mode="bm25").retrieve("crew of Newhaven")[0].document_id == "manual-newhaven"


def test_documents_and_sections_with_the_same_words_are_told_apart(tmp_path: Path) -> None:
    twin = Document("a", "Twin", "## One\nThe same words.\n" * 2)
    store, embed_model = open_store(tmp_path), words_embedding()
    _, first = build_index([twin, replace(twin, id="b")], store, embed_model, progress=False)
    index, report = build_index([replace(twin, id="b")], store, embed_model, progress=False)
    assert (first.chunks, report.deleted, report.unchanged, report.reembedded) == (4, 1, 1, 0)
    assert {node.ref_doc_id for node in index.nodes} == {"b"} and len(index.nodes) == 2


def test_bad_lists_of_documents(tmp_path: Path) -> None:
    store, one = open_store(tmp_path), manual("Brackwell", 31)
    for bad, said in (
        ([], "no documents to index.*fresh=True"),
        ([one, one], "'manual-brackwell' is used twice: Brackwell.md and Brackwell.md"),
        ([replace(one, text=" \n")], r"'manual-brackwell' \(Brackwell.md\) has no text"),
    ):
        with pytest.raises(DataError, match=said):
            build_index(bad, store, words_embedding())


def test_another_embedder_or_other_chunks_are_refused_by_name(index: Index, documents, tmp_path: Path) -> None:
    with pytest.raises(KitError, match="made with embedder 'words'; this call has embedder 'other'.*fresh=True"):
        build_index(documents, index.store, words_embedding("models/other"), progress=False)
    with pytest.raises(KitError, match="made with chunk_size 128; this call has chunk_size 64"):
        build_index(documents, index.store, index.embed_model, RagSettings(chunk_size=64))
    elsewhere, settings = words_embedding("D:\\somewhere\\else\\words"), RagSettings(k=5, mode="bm25")
    again, report = build_index(documents, open_store(tmp_path / "index"), elsewhere, settings, progress=False)
    assert again.settings.k == 5 and report.unchanged == len(documents) and not elsewhere.seen
    store = open_store(tmp_path / "index", fresh=True)
    fresh, report = build_index(documents, store, words_embedding("other"), progress=False)
    assert report.added == len(documents) and fresh.store.record["embedder"] == "other"


def test_an_interrupted_update_neither_loses_nor_deletes_others(index: Index, documents: list[Document]) -> None:
    changed = [replace(document, text=document.text + "\nNew ending.") for document in documents]
    with pytest.raises(KeyboardInterrupt):
        build_index(changed, index.store, words_embedding(stop_after=3), progress=False)
    after, _ = build_index(changed, index.store, words_embedding(), progress=False)
    assert {node.ref_doc_id for node in after.nodes} == {node.ref_doc_id for node in index.nodes}
    assert len(after.nodes) == len({node.node_id for node in after.nodes}) == len(index.nodes)
    assert sum("New ending." in node.get_content() for node in after.nodes) == len(documents)


def test_a_half_written_document_counts_as_new(index: Index, documents: list[Document]) -> None:
    lost = next(node for node in index.nodes if node.ref_doc_id == "manual-dunmere")
    index.store.delete_nodes([lost.node_id])
    after, report = build_index(documents, index.store, index.embed_model, progress=False)
    assert (report.added, report.unchanged, report.reembedded) == (1, 9, 1)
    assert [node.node_id for node in after.nodes] == [node.node_id for node in index.nodes]


@pytest.mark.parametrize("mode", ["vector", "bm25", "hybrid"])
def test_batched_retrieval_equals_single_and_llama_index(index: Index, mode: str) -> None:
    retriever = index.retriever(k=4, mode=mode)
    questions = ["Which channel has Garrick?", "Who lifts a rotor alone?", "Where does Holmsey stand?"]
    together = retriever.retrieve_all(questions)
    assert together == [retriever.retrieve(question) for question in questions]
    for question, passages in zip(questions, together, strict=True):
        hits = retriever.llama_index.retrieve(question)
        assert [hit.node.node_id for hit in hits] == [passage.node_id for passage in passages]
        scores = [passage.score for passage in passages]
        assert scores == sorted(scores, reverse=True) and len(passages) <= 4


def test_bm25_drops_hits_that_share_no_word(index: Index) -> None:
    found = index.retriever(k=10, mode="bm25").retrieve("ropes")
    assert [passage.document_id for passage in found] == ["policy-1"]
    assert index.retriever(k=10, mode="bm25").retrieve("xylophone zither") == []
    assert len(index.retriever(k=10, mode="hybrid").retrieve("xylophone zither")) == 10


def test_impossible_requests_say_what_is_possible(index: Index) -> None:
    for k, mode, said in (
        (20, None, "`k` must be at most 19, the number of chunks in the index. Got 20"),
        (0, None, "`k` must be at least 1. Got 0"),
        (1, "magic", "`mode` must be one of vector, bm25, hybrid. Got 'magic'"),
    ):
        with pytest.raises(KitError, match=re.escape(said)):
            index.retriever(k, mode)
    with pytest.raises(DataError, match="question 2 of 2 is empty"):
        index.retriever().retrieve_all(["Which channel?", " "])


def test_a_server_gives_the_same_answers_as_the_embedded_store(
    embedder: BaseEmbedding, documents: list[Document], tmp_path: Path, server: str
) -> None:
    index, _ = build_index(documents, open_store(tmp_path / "index"), embedder, progress=False)
    served, report = build_index(documents, open_store(server), embedder, progress=False)
    assert report.added == len(documents)
    for mode in ("vector", "bm25", "hybrid"):
        for question in ("Which channel has Dunmere?", "Who lifts a rotor alone?"):
            ours = index.retriever(mode=mode).retrieve(question)
            theirs = served.retriever(mode=mode).retrieve(question)
            assert [(p.document_id, p.text) for p in theirs] == [(p.document_id, p.text) for p in ours]
            assert [p.score for p in theirs] == pytest.approx([p.score for p in ours], abs=1e-6)
    _, again = build_index(documents, open_store(server), embedder, progress=False)
    assert (again.unchanged, again.reembedded) == (len(documents), 0)
    after, fewer = build_index(documents[1:], open_store(server), embedder, progress=False)
    assert fewer.deleted == 1 and "manual-brackwell" not in {node.ref_doc_id for node in after.nodes}


def test_a_server_that_is_not_there_and_a_file_for_a_folder(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(KitError, match=f"127.0.0.1:{port}.*`chroma run --host 127.0.0.1 --port {port} --path FOLDER`"):
        open_store(f"http://127.0.0.1:{port}")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(KitError, match="cannot open the collection 'documents' in .*file.*Give a folder"):
        open_store(tmp_path / "file")
    with pytest.raises(KitError, match="cannot open the collection 'x!'"):
        open_store(tmp_path / "index", "x!")


def test_what_an_interrupted_index_took_counts(small_world: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("helpers.rag.index.DOCUMENTS_A_BATCH", 8)  # so that one batch is there when it stops
    dataset = open_dataset(small_world)
    count = len(read_documents(dataset.documents_folder))
    embed_model = words_embedding(stop_after=60)
    wanted = (tmp_path, dataset, embed_model, RagSettings(), False, False)
    with pytest.raises(KeyboardInterrupt):
        dataset_index(*wanted)
    store = open_store(next(tmp_path.glob("*/store")))
    spent = json.loads(store.record["unfinished"])
    assert spent["wall_s"] > 0
    store.remember(unfinished=json.dumps(spent | {"wall_s": 1000.0}))
    embed_model.stop_after = None
    index, report, effort = dataset_index(*wanted)
    assert 0 < report.reembedded < count == effort.documents == len({node.ref_doc_id for node in index.nodes})
    assert report.wall_s > 1000 and effort.wall_s > 1000 and effort.artefact_bytes > 0
    embed_model.seen.clear()
    assert dataset_index(*wanted)[1:] == (report, effort) and not embed_model.seen, "a later call returns them again"


def test_an_update_that_was_not_recorded_is_made_and_measured_again(small_world: Path, tmp_path: Path, monkeypatch):
    wanted = (tmp_path, open_dataset(small_world), words_embedding(), RagSettings(), True, False)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("helpers.rag.index.folder_bytes", lambda _: 1 / 0)
        dataset_index(*wanted)
    index, report, effort = dataset_index(*wanted)
    assert report.changed > 0 and report.deleted > 0 and effort.documents == report.reembedded
    assert len(index.nodes) == report.chunks and dataset_index(*wanted)[1:] == (report, effort)


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_rag import *
class Killed(WordsEmbedding):
    def _get_text_embedding(self, text):
        if len(self.seen) == 130:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._get_text_embedding(text)
build_index(assets(100), open_store({store!r}), Killed(model_name="words", seen=[]), progress=False)
"""


def test_after_kill_9_the_next_call_continues(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    names = {"root": str(ROOT), "tests": str(ROOT / "tests"), "store": str(tmp_path / "store")}
    script.write_text(KILLED.format(**names), encoding="utf-8")
    assert run_python(script).returncode == -9
    embed_model = words_embedding()
    index, report = build_index(assets(100), open_store(tmp_path / "store"), embed_model, progress=False)
    assert (report.unchanged, report.added, report.chunks, len(embed_model.seen)) == (64, 36, 200, 72)
    whole, _ = build_index(assets(100), open_store(tmp_path / "whole"), words_embedding(), progress=False)
    assert [node.node_id for node in index.nodes] == [node.node_id for node in whole.nodes]


def test_hugging_face_llm_answers_twenty_prompts_as_the_assistant_does(fm, documents, embedder, tmp_path: Path) -> None:
    index, _ = build_index(documents, open_store(tmp_path), embedder, progress=False)
    asked = [f"{ask} {name}?" for name in NAMES for ask in ("On which channel is", "How many kW makes")]
    asked += ["Who lifts a rotor alone?", "What is checked first?"]
    assistant = Assistant(fm, retriever=index.retriever())
    batched = assistant.ask_all(asked, max_new_tokens=12)
    llm = HuggingFaceLLM(
        model=fm.model, tokenizer=fm.tokenizer, model_name=fm.name, context_window=fm.context_length, max_new_tokens=12,
        completion_to_prompt=fm.chat, generate_kwargs={"do_sample": False},
    )  # fmt: skip
    template = PromptTemplate(prompts.EXPANDED.format(passages="{context_str}", question="{query_str}"))
    engine = RetrieverQueryEngine.from_args(assistant.retriever.llama_index, llm=llm, text_qa_template=template)
    replies = [engine.query(question) for question in asked]
    assert [str(reply).strip() for reply in replies] == [answer.text for answer in batched] and len(set(asked)) == 20
    for reply, answer in zip(replies, batched, strict=True):
        assert [node.node_id for node in reply.source_nodes] == [passage.node_id for passage in answer.passages]
