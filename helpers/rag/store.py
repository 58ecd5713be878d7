"""The vector store: Chroma, embedded in a folder or on a server, and what it remembers about the index in it.

The store is the only record of what is indexed. Each chunk carries its document's id and hash, so there is no second
file that could disagree with it, and an interrupted call continues from what the store holds.
"""

import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.chroma import ChromaVectorStore

from ..data import KitError, folder_hash, write_text
from .chunking import CHUNKS_DEPEND_ON, RagSettings

CHUNKS_A_CALL = 2_000  # Chroma writes 5,461 chunks at once, and SQLite reads the texts of 32,766

# Settings of HNSW (Malkov & Yashunin 2018, arXiv:1603.09320). Among 100,000 chunks that are near copies of each other,
# Chroma's default of 16 neighbours found 58 to 64 % of the 5 nearest at search widths of 200 to 800; 100 neighbours
# find 99 % in about the same time, with a third more memory.
HNSW = {"space": "cosine", "max_neighbors": 100, "ef_construction": 200, "ef_search": 400}


class Store(ChromaVectorStore):
    """LlamaIndex's Chroma store, with a record of how its index was made, and writing in parts that Chroma accepts."""

    @property
    def record(self) -> dict[str, Any]:
        """What the collection says about how it was made: texts and numbers by name."""
        return dict(self.client.metadata or {})

    def remember(self, **entries: Any) -> None:
        """Writes entries into the record, beside what is there."""
        self.client.modify(metadata=self.record | entries)

    def add(self, nodes: list[BaseNode], **add_kwargs: Any) -> list[str]:
        """Adds embedded chunks and returns their ids."""
        return [node_id for part in _parts(nodes) for node_id in super(Store, self).add(part, **add_kwargs)]


def open_store(where: str | Path, collection: str = "documents", fresh: bool = False) -> Store:
    """Opens a Chroma collection, in a folder that is made if it is missing, or on a server with a URL; no telemetry.

    Its name has 3 to 512 letters, digits, dots, dashes and underscores. With `fresh` it is emptied first. A `KitError`
    says that the server does not answer, that the folder cannot be used, or that the name is not allowed.
    """
    url = urlsplit(str(where))
    remedy = "Give a folder that the vector store made, or a new one, where you may write, or http://127.0.0.1:8000."
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    try:
        if url.scheme in ("http", "https"):
            port = url.port or (443 if url.scheme == "https" else 80)
            remedy = f"Start the server: `chroma run --host {url.hostname} --port {port} --path FOLDER`."
            client = chromadb.HttpClient(str(url.hostname), port, ssl=url.scheme == "https", settings=settings)
        elif "://" in str(where):
            raise ValueError("A server is reached by http or https.")
        else:
            client = chromadb.PersistentClient(str(where), settings=settings)
        if fresh and collection in [existing.name for existing in client.list_collections()]:
            client.delete_collection(collection)
        found = client.get_or_create_collection(collection, configuration={"hnsw": dict(HNSW)}, embedding_function=None)
    except Exception as error:  # Chroma raises its own errors, its client's and plain ones
        raise KitError(f"cannot open the collection {collection!r} in {where}: {error} {remedy}") from error
    return Store(chroma_collection=found)


@contextmanager
def sealed(folder: Path, elsewhere: bool = False) -> Iterator[None]:
    """Before the block, throws away a store whose files are not as the last such block left them: it is made anew.

    A damaged vector file would end the process when Chroma reads it. Chroma's database changes whenever it is opened,
    so the hash, beside the folder, is written anew at each end. A store `elsewhere`, on a server, is not looked at.
    """
    seal = folder.with_suffix(".sha256")
    if not elsewhere and seal.is_file() and seal.read_text(encoding="utf-8") != folder_hash(folder):
        print(f"the index in {folder} is damaged: it is made anew", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
    seal.unlink(missing_ok=True)
    yield
    if not elsewhere:
        write_text(seal, folder_hash(folder))


def check_record(store: Store, embed_model: BaseEmbedding, settings: RagSettings) -> None:
    """Makes sure that the store's chunks were made with this embedder and these chunk settings, or raises KitError.

    They are written down if the store holds nothing yet. An embedder is known by its model's name, without its folder.
    """
    name = embed_model.model_name.replace("\\", "/").rstrip("/").split("/")[-1]
    wanted = {"embedder": type(embed_model).__name__ if name == "unknown" else name}
    wanted |= {key: getattr(settings, key) for key in CHUNKS_DEPEND_ON}
    if not store.client.count():
        store.remember(**wanted)
    if differing := [key for key in wanted if store.record.get(key) != wanted[key]]:
        listed = [", ".join(f"{key} {of.get(key)!r}" for key in differing) for of in (store.record, wanted)]
        made = f"the index in collection {store.client.name!r} was made with {listed[0]}; this call has {listed[1]}."
        anew = "build it anew: `open_store(where, collection=..., fresh=True)`"
        raise KitError(f"{made} Use the same, or another `collection`, or {anew}.")


def stored_nodes(store: Store) -> list[BaseNode]:
    """The chunks in the store, without their vectors, sorted by document id and node id."""
    nodes = [node for part in _parts(store.client.get(include=[])["ids"]) for node in store.get_nodes(part)]
    return sorted(nodes, key=lambda node: (str(node.ref_doc_id), node.node_id))


def _parts(rows: list[Any]) -> list[list[Any]]:
    return [rows[start : start + CHUNKS_A_CALL] for start in range(0, len(rows), CHUNKS_A_CALL)]


def known_documents(store: Store) -> SimpleDocumentStore:
    """LlamaIndex's document store, rebuilt from the chunks: the id and hash of each document that is there as a whole.

    What is left of a document whose writing was interrupted is deleted, so that it counts as new.
    """
    chunks: dict[str, list[BaseNode]] = defaultdict(list)
    for node in stored_nodes(store):
        chunks[str(node.ref_doc_id)].append(node)
    docstore = SimpleDocumentStore()
    for document_id, nodes in chunks.items():
        hashes = {node.source_node.hash for node in nodes if node.source_node}
        if len(hashes) == 1 and len(nodes) == nodes[0].metadata["chunks"]:
            docstore.add_documents([LlamaDocument(id_=document_id, text="")])
            docstore.set_document_hash(document_id, str(hashes.pop()))
        else:
            store.delete(document_id)
    return docstore
