"""Small inputs from practice, each with what a user must get, and others of their kinds: cases/cases.yaml lists them."""

from __future__ import annotations

import random
import re
import shutil
import unicodedata
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from llama_index.core import MockEmbedding
from test_rag import words_embedding

from helpers.data.documents import PLAIN_TYPES, read_documents
from helpers.data.own_data import prepare_own_data, reading_report
from helpers.data.own_questions import read_pairs, read_questions
from helpers.data.records import DataError, Document, KitError, Question
from helpers.rag.chunking import HEADING_TOKENS, RagSettings, to_llama_index, token_counter, transformations
from helpers.rag.index import build_index
from helpers.rag.retrieval_metrics import score_retrieval
from helpers.rag.store import open_store

FOLDER = Path(__file__).with_name("cases")
CASES = yaml.safe_load((FOLDER / "cases.yaml").read_text(encoding="utf-8"))


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
    documents = [Document(path.name, path.stem, "text") for path in folder.glob("*.md")]
    documents = read_documents(folder) if documents else []
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
    words = "quay Mühle, 阀门每十八个月检查一次。 # | a|b --- K-302. ท่า - [ ] **bold** &amp; <b> \\#".split() + ["x" * 400, "🦆" * 30]
    starts = ["# ", "## ", "### ", "", "", "| ", "```\n", "    ", "~~~\n# ", "====\n", "|---|---|\n", "\n"]
    for number in range(100):
        lines = [rng.choice(starts) + " ".join(rng.choices(words, k=rng.choice((1, 3, 9, 60)))) for _ in range(12)]
        text = rng.choice(("\n", "\n\n")).join(f"{line} n{number}w{n}" for n, line in enumerate(lines)).strip()
        document = Document("d", rng.choice(("T", "A title " * 30)), text, rng.choice((*PLAIN_TYPES, "document")))
        nodes = cut([document], embedder, RagSettings(chunk_size=64, chunk_overlap=rng.choice((0, 16))))
        assert max(len(count(node.get_content())) for node in nodes) <= 64, number
        assert max(len(count(node.metadata.get("heading", ""))) for node in nodes) <= HEADING_TOKENS, number
        texts, headings = (["".join(n.get_content().split()) for n in nodes], [n.metadata.get("heading", "") for n in nodes])
        held = "".join([*texts, *("".join(heading.split()) for heading in headings)])
        lost = Counter("".join(text.split())) - Counter(held)
        marks = "" if document.type in PLAIN_TYPES else "#"  # those of headings are no text
        assert set(lost) <= set(marks) and [n for n in range(12) if f"n{number}w{n}" not in held] == [], (number, lost)
