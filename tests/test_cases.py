"""Small inputs from practice and others of their kinds, each with what a user must get: cases/cases.yaml."""

from __future__ import annotations

import os
import random
import re
import shutil
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import TOPICS, run_python, write
from llama_index.core import MockEmbedding
from test_rag import assets, words_embedding

from helpers.data import open_dataset, prepare_own_data, reading_report, table
from helpers.data.documents import PLAIN_TYPES, read_documents
from helpers.data.own_questions import read_pairs, read_questions
from helpers.data.records import DataError, Document, KitError
from helpers.rag import build_index, open_store, score_retrieval
from helpers.rag.chunking import HEADING_TOKENS, RagSettings, to_llama_index, token_counter, transformations

FOLDER = Path(__file__).with_name("cases")
LABELS = ("yes", "no", "maybe")
CASES = table(FOLDER / "cases.yaml")


def cases(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES[kind], ids=[case["name"] for case in CASES[kind]])


def laid(case: dict[str, Any], folder: Path) -> Path:
    """A folder with the files of a case."""
    ignored = shutil.ignore_patterns(*case.get("without", ()))
    shutil.copytree(FOLDER / case["at"], folder, ignore=ignored, dirs_exist_ok=True) if "at" in case else None
    for name, text in case.get("files", {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@cases("reading")
def test_files_are_read_for_what_they_mean(case, tmp_path):
    folder = laid(case, tmp_path)
    if "error" in case:
        with pytest.raises(DataError, match=case["error"]):
            read_documents(folder)
        return
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as said:
        documents = {document.id: document for document in read_documents(folder)}
    assert re.search(case.get("said", "^$"), "\n".join(str(each.message) for each in said))
    for name, wanted in case["documents"].items():
        document = documents.pop(name)
        assert {key: getattr(document, key) for key in wanted.keys() & {"title", "text"}}.items() <= wanted.items()
        assert [text for text in wanted.get("has", ()) if text not in document.text] == []
        assert [text for text in wanted.get("lacks", ()) if text in document.text] == []
        assert {document.text.count(text) for text in wanted.get("once", ())} <= {1}
        assert document.text and unicodedata.is_normalized("NFC", document.id + document.text)
    assert "at" in case or not documents, "and nothing else"


@cases("tables")
def test_questions_and_pairs_are_read_for_what_they_mean(case, tmp_path):
    folder = laid(case, tmp_path)
    documents = read_documents(folder) if list(folder.glob("*.md")) else []
    read = read_pairs if case.get("pairs") else read_questions
    if "error" in case:
        with pytest.raises(DataError, match=case["error"]):
            read(folder / case["file"], documents, {})
        return
    rows, columns = read(folder / case["file"], documents, {})
    found = [row.response if case.get("pairs") else list(row.answers) for row in rows]
    assert found[: len(case["answers"])] == case["answers"] and re.search(case.get("columns", ""), str(columns))
    assert [row.prompt for row in rows][: len(case.get("prompts", ()))] == case.get("prompts", [])


@cases("finding")
@pytest.mark.parametrize("mode", ["bm25", "hybrid"])
def test_the_right_document_comes_first(case, mode, tmp_path):
    folder = laid(case, tmp_path / "mine")
    asked = folder / case["questions"]
    documents = read_documents(folder / case["folder"], leave_out=[asked])
    index, _ = build_index(documents, open_store(tmp_path / "index"), MockEmbedding(embed_dim=4), progress=False)
    retriever = index.retriever(k=1, mode=mode)
    for question in read_questions(asked, documents, {})[0]:
        (passage,) = retriever.retrieve(question.prompt)
        named = passage.document_id in question.documents
        assert named or (not question.documents and question.answers[0] in passage.text), question.prompt


def cut(documents: list[Document], embedder: Any, settings: RagSettings | None = None) -> list[Any]:
    nodes: list[Any] = list(map(to_llama_index, documents))
    for step in transformations(settings or RagSettings(), embedder)[:-1]:
        nodes = step(nodes)
    return nodes


@cases("chunks")
def test_a_row_of_a_long_table_stays_whole_and_has_its_columns_names(case, tmp_path):
    texts = [node.get_content() for node in cut(read_documents(laid(case, tmp_path)), words_embedding())]
    rows = [line for text in texts for line in text.split("\n") if line.startswith(case["row"])]
    assert len(rows) == len(set(rows)) == case["rows"] and len(texts) > 2
    assert all(case["with"] in text for text in texts if f"\n{case['row']}" in text)


def test_nothing_of_a_random_document_is_in_no_chunk_and_no_chunk_is_too_long():
    rng, embedder = random.Random("chunks"), words_embedding()
    count = token_counter(embedder)
    words = "quay Mühle, 阀门每十八个月检查一次。 # | a|b --- K-302. ท่า - [ ] **bold** &amp; <b> \\#".split() + [
        "x" * 400,
        "🦆" * 30,
    ]
    starts = ["# ", "## ", "### ", "", "", "| ", "```\n", "    ", "~~~\n# ", "====\n", "|---|---|\n", "\n"]
    for number in range(100):
        lines = [rng.choice(starts) + " ".join(rng.choices(words, k=rng.choice((1, 3, 9, 60)))) for _ in range(12)]
        text = rng.choice(("\n", "\n\n")).join(f"{line} n{number}w{n}" for n, line in enumerate(lines)).strip()
        document = Document("d", rng.choice(("T", "A title " * 30)), text, rng.choice((*PLAIN_TYPES, "document")))
        nodes = cut([document], embedder, RagSettings(chunk_size=64, chunk_overlap=rng.choice((0, 16))))
        assert max(len(count(node.get_content())) for node in nodes) <= 64, number
        assert max(len(count(node.metadata.get("heading", ""))) for node in nodes) <= HEADING_TOKENS, number
        texts = ["".join(node.get_content().split()) for node in nodes]
        held = "".join([*texts, *("".join(node.metadata.get("heading", "").split()) for node in nodes)])
        lost = Counter("".join(text.split())) - Counter(held)
        marks = "" if document.type in PLAIN_TYPES else "#"  # those of headings are no text
        assert set(lost) <= set(marks) and [n for n in range(12) if f"n{number}w{n}" not in held] == [], (number, lost)


def test_labels_are_choices_and_their_retrieval_is_scored_by_document(folder, tmp_path):
    labels = zip(TOPICS * 2, ["Yes", "no", "maybe", "yes", "No", "Maybe"] * 2, strict=True)
    rows = "".join(f"Is the {topic} of shed {n} dry?,{label},{topic}\n" for n, (topic, label) in enumerate(labels))
    asked = write(tmp_path / "q.csv", f"question,answer,document\n{rows}Who paid?,{{'text': []}},\n")
    pairs = write(tmp_path / "pairs.csv", "prompt,response\n" + "Sort it.,pump\nSort it.,valve\nSort it.,lamp\n" * 3)
    own = prepare_own_data(folder, asked, pairs, out=tmp_path / "out")
    questions, (other,) = map(open_dataset(own.folder).questions, ("facts_heldout", "unanswerable"))
    assert {(tuple(map(str.lower, q.choices)), q.answers[0] in q.choices) for q in questions} == {(LABELS, True)}
    assert not other.choices and any("are the labels yes, No, Maybe" in note for note in own.notes)
    assert any("2 labelled pairs give a prompt another response" in note for note in own.notes)
    embed_model, documents = MockEmbedding(embed_dim=4), read_documents(folder)
    index, _ = build_index(documents, open_store(tmp_path / "index"), embed_model, progress=False)
    scores = score_retrieval(index.retriever(mode="bm25"), questions)
    assert scores["document_hit_rate_1"] == 1 and "hit_rate_1" not in scores
    assert own.reading.equals(reading_report(documents)) and set(own.reading["language"]) == {"English"}
    assert list(own.reading["characters"]) == sorted((len(each.text) for each in documents), reverse=True)


def test_odd_names_and_links_are_read_or_named(tmp_path, folder, questions):
    write(folder / "plain.md", "The tide turns.")
    (folder / "plain.md").rename(os.fsdecode(os.fsencode(folder) + b"/Gr\xf6\xdfe.md"))
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "broken.md").symlink_to(tmp_path / "nowhere.md")
    (folder / "again.md").symlink_to(folder / "heron.md")
    own = prepare_own_data(folder, questions, out=tmp_path / "out")
    assert any("2 file(s)" in note and "broken.md, linked" in note for note in own.notes)
    assert {"Größe.md", "again.md"} <= {document.id for document in read_documents(own.folder / "documents")}
    (folder / "again.md").unlink()
    write(folder / "bad.md", "").rename(os.fsdecode(os.fsencode(folder) + b"/l\xe9er.md"))
    with pytest.raises(DataError, match="/léer.md holds no text"):
        read_documents(folder)


def test_an_index_that_another_process_changed_gives_no_empty_passage(tmp_path):
    index, _ = build_index(assets(40), open_store(tmp_path), words_embedding(), progress=False)
    there = f"chromadb.PersistentClient({str(tmp_path)!r}).get_collection('documents')"
    assert run_python("-c", f"import chromadb; c = {there}; c.delete(c.get()['ids'][:-5])").returncode == 0
    with pytest.raises(KitError, match="changed by another process"):
        index.retriever(k=9, mode="hybrid").retrieve("On which channel is Asset30?")


def test_large_pages_and_long_headings_are_read_whole(tmp_path):
    shutil.copytree(FOLDER / "long-headings", tmp_path / "long")
    write(tmp_path / "many" / "tags.html", "<p>row <b>x</b>" * 100_000 + "the end")
    (page,), (tags,) = read_documents(tmp_path / "long"), read_documents(tmp_path / "many")
    assert tags.text.count("row") == 100_000 and tags.text.endswith("the end") and len(page.title) < 100
    held = " ".join(node.get_content("all") for node in cut([page], words_embedding())).split()
    assert set(Counter(page.text.split()) - Counter(held)) <= {"#", "##"}
