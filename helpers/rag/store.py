"""The vector store: Chroma, embedded in a folder or on a server, and what it remembers about the index in it."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from ..data import KitError
from .chunking import RagSettings


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Inside the block a module that is not loaded yet counts as not installed."""
    hidden = module not in sys.modules
    if hidden:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[module]


# Chroma loads jsonschema, and that a grammar of international addresses which takes two seconds to build, where Jupyter
# has installed it. Nothing here checks such an address.
with _without("rfc3987_syntax"):
    import chromadb
    from llama_index.vector_stores.chroma import ChromaVectorStore

CHUNKS_A_TURN, IDS_A_READ = 2_000, 500
MADE = "made"  # the entry of a collection's record that says what making it took


class Store(ChromaVectorStore):
    """LlamaIndex's Chroma store, writing in parts that Chroma accepts however long a document is."""

    _database: Any = PrivateAttr(default=None)

    @property
    def record(self) -> dict[str, Any]:
        """What the collection says now about how it was made; another process may have written it a moment ago."""
        name = self.client.name
        return dict(self._database.get_collection(name, embedding_function=None).metadata or {})

    def remember(self, name: str, text: str) -> None:
        """Writes an entry into the collection's record, beside what is there."""
        self.client.modify(metadata=self.record | {name: text})

    def add(self, nodes: list[BaseNode], **add_kwargs: Any) -> list[str]:
        """Adds embedded chunks and returns their ids."""
        parts = [nodes[start : start + CHUNKS_A_TURN] for start in range(0, len(nodes), CHUNKS_A_TURN)]
        return [node_id for part in parts for node_id in super(Store, self).add(part, **add_kwargs)]


# Of HNSW (Malkov & Yashunin 2018, arXiv:1603.09320). Among 100,000 chunks that are near copies of each other, Chroma's
# 16 neighbours found 58 to 64 % of the 5 nearest at widths 200 to 800, and 100 find 99 %, in about the same time a
# search and with a third more memory: `benchmarks/retrieval_scale.py --sweep` tries them.
HNSW = {"space": "cosine", "max_neighbors": 100, "ef_construction": 200, "ef_search": 400}


def open_store(where: str | Path, collection: str = "documents", fresh: bool = False) -> Store:
    """Opens a Chroma collection: embedded in this process (a folder) or on a server (a URL). Telemetry is off.

    Args:
        where: a folder, which is made where it is missing, or a URL such as `http://127.0.0.1:8000`.
        collection: its name, 3 to 512 letters, digits, dots, dashes and underscores.
        fresh: delete what the collection holds first.

    Returns:
        LlamaIndex's vector store for the collection.

    Raises:
        KitError: the server does not answer, the folder cannot be used, or the name is not allowed.
    """
    url = urlsplit(str(where))
    on_server = url.scheme in ("http", "https")
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise KitError(f"{where} is no address of a server: {error}. Give it as http://127.0.0.1:8000") from error
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    try:
        if on_server:
            client = chromadb.HttpClient(str(url.hostname), port, ssl=url.scheme == "https", settings=settings)
        else:
            client = chromadb.PersistentClient(str(where), settings=settings)
        if fresh and collection in [existing.name for existing in client.list_collections()]:
            client.delete_collection(collection)
        found = client.get_or_create_collection(collection, configuration={"hnsw": dict(HNSW)}, embedding_function=None)
    except Exception as error:  # Chroma raises its own errors, its client's and plain ones
        start = f"Start the server: `chroma run --host {url.hostname} --port {url.port or 8000} --path FOLDER`."
        look = "Is it a folder that the vector store made, or a new one, and may you write there?"
        raise KitError(
            f"cannot open the collection {collection!r} in {where}: {error} {start if on_server else look}"
        ) from error
    store = Store(chroma_collection=found)
    store._database = client
    return store


def embedder_name(embed_model: BaseEmbedding) -> str:
    """The name that an index remembers: the model's, without the folder that it lies in on this machine."""
    name = embed_model.model_name
    return type(embed_model).__name__ if name == "unknown" else name.replace("\\", "/").rstrip("/").split("/")[-1]


def check_record(store: Store, embed_model: BaseEmbedding, settings: RagSettings, claim: bool) -> None:
    """Makes sure that the store's chunks were made with this embedder and these chunk settings.

    Args:
        claim: write them down where the store holds nothing yet.

    Raises:
        KitError: the store was made with others; the message names both.
    """
    collection = store.client
    record = {
        "embedder": embedder_name(embed_model),
        "chunk_size": settings.chunk_size,
        "chunk_overlap": settings.chunk_overlap,
        "heading": settings.heading,
    }
    said = store.record
    made_with = {key: said.get(key) for key in record}
    if made_with == record:
        return
    if claim and not collection.count():
        collection.modify(metadata=record)
        return
    differing = [key for key in record if made_with[key] != record[key]]
    then = ", ".join(f"{key} {made_with[key]!r}" for key in differing)
    now = ", ".join(f"{key} {record[key]!r}" for key in differing)
    raise KitError(
        f"the index in collection {collection.name!r} was made with {then}, and you ask for {now}. "
        "Ask for the same, or take another collection (`open_store(where, collection=...)`), "
        "or build the index anew (`open_store(where, fresh=True)`)."
    )


def stored_nodes(store: Store, among: Sequence[str] | None = None) -> list[BaseNode]:
    """The chunks in the store, without their vectors, in the order of document ids and node ids.

    Args:
        store: from `open_store`.
        among: ids of the documents whose chunks are wanted; None takes all.
    """
    wanted: list[Any] = [None]
    if among is not None:
        parts = [list(among[start : start + IDS_A_READ]) for start in range(0, len(among), IDS_A_READ)]
        wanted = [{"document_id": {"$in": part}} for part in parts]
    ids = [node_id for where in wanted for node_id in store.client.get(where=where, include=[])["ids"]]
    nodes = []
    for start in range(0, len(ids), CHUNKS_A_TURN):  # SQLite refuses the texts of more than 32,766 chunks at once
        found = store.client.get(ids=ids[start : start + CHUNKS_A_TURN], include=["metadatas", "documents"])
        pairs = zip(found["metadatas"] or [], found["documents"] or [], strict=True)
        nodes += [metadata_dict_to_node(dict(metadata), text=text) for metadata, text in pairs]
    return sorted(nodes, key=lambda node: (str(node.ref_doc_id), node.node_id))


def known_documents(store: Store, among: Sequence[str] | None = None) -> SimpleDocumentStore:
    """LlamaIndex's document store, rebuilt from the chunks: the id and hash of each document that is wholly there.

    What is left of a document whose writing was interrupted is deleted, so that it counts as new. With `among`, only
    documents of these ids are looked at: others may be on their way, written by another process.
    """
    chunks: dict[str, list[BaseNode]] = defaultdict(list)
    for node in stored_nodes(store, among):
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
