"""An index on a server: moved there from a folder bit for bit, and written and read by four processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, run_python
from test_rag import manual, words_embedding

from helpers.data.records import Document, KitError
from helpers.rag.chunking import RagSettings
from helpers.rag.index import Index, build_index, open_index
from helpers.rag.store import open_store
from tools import moving
from tools.moving import MoveReport, move_index

QUESTIONS = ("Which channel has Machine7?", "Where does Machine21 stand?", "How many kW makes Machine3?")
WRITERS, OWN, COMMON, BATCH = 4, 12, 8, 4


def documents(first: int, count: int) -> list[Document]:
    return [manual(f"Machine{number}", number) for number in range(first, first + count)]


def content(store: Any) -> dict[str, tuple]:
    """Everything that a store holds, by the ids of its chunks; vectors, which Chroma rounds anew, agree nearly."""
    found = store.client.get(include=["embeddings", "documents", "metadatas"])
    rows = zip(found["embeddings"], found["documents"], found["metadatas"], strict=True)
    return {key: (Near(v), *rest) for key, (v, *rest) in zip(found["ids"], rows, strict=True)}


class Near:
    """A vector that equals another one when no number in it differs by more than rounding."""

    def __init__(self, vector: Any):
        self.vector = np.asarray(vector)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Near) and np.allclose(self.vector, other.vector, rtol=0, atol=1e-5)


def clear(found: list[Any]) -> set[str]:
    """The texts of the passages that lie above the last one, with which others may tie."""
    return {passage.text for passage in found if passage.score > found[-1].score + 1e-6}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return build_index(documents(0, 30), open_store(tmp_path / "index"), words_embedding(), progress=False)[0]


# ---- moving


def test_a_moved_index_has_the_same_chunks_vectors_and_hits(index: Index, tmp_path: Path, server: str) -> None:
    before = files(tmp_path / "index")
    assert move_index(tmp_path / "index", server, progress=False) == MoveReport(len(index.nodes), 0, len(index.nodes))
    assert files(tmp_path / "index") == before, "the original is only read"
    served = open_index(open_store(server), words_embedding())
    assert content(served.store) == content(index.store) and served.store.record == index.store.record
    for mode in ("vector", "bm25", "hybrid"):
        compared: set[str] = set()
        for question in QUESTIONS:
            ours, theirs = (each.retriever(k=4, mode=mode).retrieve(question) for each in (index, served))
            assert clear(theirs) == clear(ours)
            assert [p.score for p in theirs] == pytest.approx([p.score for p in ours], abs=1e-6)
            compared |= clear(ours)
        assert compared, f"every {mode} hit tied with the last one, or this proves nothing"
    _, report = build_index(documents(0, 30), open_store(server), words_embedding(), progress=False)
    assert (report.unchanged, report.reembedded) == (30, 0), "the next update embeds nothing that was moved"


def test_an_interrupted_move_goes_on_and_is_no_index_before(
    index: Index, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PAGE", 10)
    copy, pages = moving._copy, []

    def stop_at_third(page: dict, theirs: Any) -> int:
        pages.append(page)
        if len(pages) == 3:
            raise KeyboardInterrupt
        return copy(page, theirs)

    monkeypatch.setattr(moving, "_copy", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        move_index(tmp_path / "index", server, progress=False)
    with pytest.raises(KitError, match="was made with embedder None"):
        open_index(open_store(server), words_embedding())
    monkeypatch.setattr(moving, "_copy", copy)
    run = run_python("-m", "helpers", "move-index", tmp_path / "index", server)
    total = len(index.nodes)
    assert run.stdout == f"{total} chunks in {server}: {total - 20} copied, 20 were there already\n", run.stderr
    assert content(open_store(server)) == content(index.store)
    assert move_index(tmp_path / "index", server, progress=False) == MoveReport(0, total, total)


def test_a_move_mends_what_differs_and_refuses_another_index(index: Index, tmp_path: Path, server: str) -> None:
    move_index(tmp_path / "index", server, progress=False)
    served = open_store(server)
    broken = index.nodes[5].node_id
    kept = served.client.get(ids=[broken], include=["embeddings"])["embeddings"]
    served.client.update(ids=[broken], documents=["something else"], embeddings=kept)
    bent = served.client.get(ids=[index.nodes[7].node_id], include=["embeddings"])
    served.client.update(ids=bent["ids"], embeddings=bent["embeddings"] + np.eye(64)[3] * 1e-3)
    assert move_index(tmp_path / "index", server, progress=False).copied == 2
    assert content(open_store(server)) == content(index.store)
    other = build_index(documents(40, 2), open_store(tmp_path / "other"), words_embedding(), progress=False)[0]
    with pytest.raises(KitError, match="holds chunks that are not in this index"):
        move_index(tmp_path / "other", server, progress=False)
    longer = RagSettings(chunk_size=64)
    build_index(documents(0, 2), open_store(tmp_path / "longer"), words_embedding(), longer, progress=False)
    with pytest.raises(KitError, match="holds another index, made with .*128.*64"):
        move_index(tmp_path / "longer", server, progress=False)
    assert content(open_store(server)) == content(index.store) and other.nodes


def test_there_must_be_an_index_to_move(tmp_path: Path, server: str) -> None:
    with pytest.raises(KitError, match="holds no embedded index"):
        move_index(tmp_path / "nowhere", server, progress=False)
    open_store(tmp_path / "empty")
    with pytest.raises(KitError, match="holds no whole index. Build it first"):
        move_index(tmp_path / "empty", server, progress=False)
    assert not (tmp_path / "nowhere").exists()


# ---- four processes

WRITER = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_moving import write_and_read
write_and_read({url!r}, int(sys.argv[1]))
"""


def write_and_read(url: str, number: int) -> None:
    """Indexes the documents that all writers share and some of its own, and asks after each part, as a reader would."""
    embedder, store = words_embedding(), open_store(url)
    own = documents(100 * (number + 1), OWN)
    parts = [own[:BATCH], documents(0, COMMON), own[BATCH:]]
    found = []
    for part in parts:
        index, _ = build_index(part, store, embedder, progress=False, part=True)
        names = {document.id for document in part}
        assert names <= set(index.document_ids), "what was just written can be read"
        retriever = index.retriever(k=1, mode="bm25")
        found += [retriever.retrieve(f"channel crew {each.title}")[0].document_id == each.id for each in part]
        hits = index.retriever(k=5, mode="vector").retrieve("Which channel?")
        assert len({hit.node_id for hit in hits}) == 5
    print(json.dumps(found))


def test_four_processes_write_and_read_one_collection(tmp_path: Path, server: str) -> None:
    script = tmp_path / "writer.py"
    script.write_text(WRITER.format(root=str(ROOT), tests=str(ROOT / "tests"), url=server), encoding="utf-8")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([sys.executable, script, str(n)], **pipes) for n in range(WRITERS)]
    told = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, told
    assert all(json.loads(out) == [True] * (OWN + COMMON) for out, _ in told)

    everything = documents(0, COMMON) + [d for n in range(WRITERS) for d in documents(100 * (n + 1), OWN)]
    alone, _ = build_index(everything, open_store(tmp_path / "alone"), words_embedding(), progress=False)
    assert content(open_store(server)) == content(alone.store), "nothing is lost, and nothing is there twice"
    served, report = build_index(everything, open_store(server), words_embedding(), progress=False)
    assert (report.unchanged, report.deleted, report.reembedded) == (len(everything), 0, 0)
    assert [node.node_id for node in served.nodes] == [node.node_id for node in alone.nodes]


def test_a_part_leaves_other_documents_alone_and_mends_only_its_own(index: Index) -> None:
    changed = [manual("Machine1", 77), *documents(50, 1)]
    lost = next(node for node in index.nodes if node.ref_doc_id == "manual-machine2")
    index.store.delete_nodes([lost.node_id])
    after, report = build_index(changed, index.store, words_embedding(), progress=False, part=True)
    assert (report.added, report.changed, report.deleted, report.reembedded) == (1, 1, 0, 2)
    assert len(after.document_ids) == 31
    assert sum(node.ref_doc_id == "manual-machine2" for node in after.nodes) == 1, "another process may be writing it"
    _, whole = build_index(documents(0, 30), index.store, words_embedding(), progress=False)
    assert (whole.deleted, whole.reembedded) == (1, 2)
