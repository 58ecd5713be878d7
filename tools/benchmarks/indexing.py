"""Indexing: the kit's `build_index` beside LlamaIndex's stock VectorStoreIndex.from_documents and HuggingFaceEmbedding.

    python -m tools.benchmarks.indexing --json
    python -m tools.benchmarks.indexing --quick

The same work: the same documents, cut by the same LlamaIndex parsers into the same chunks, embedded by the same model
from the same folder. The stock peer is what LlamaIndex gives without further settings: float32, ten chunks a batch, the
vectors kept in memory, while the kit also writes them to disk. `same_settings` is that peer with the kit's dtype and
batches of 32. The hit rates of vector search over both indexes must agree: by at most one question in a hundred.

The limit is the machine's matrix product; a chunk needs two operations a token and weight, attention left out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch

from helpers.data import Document, Question, open_dataset, read_documents
from helpers.models import choose_dtype, load_embedder
from helpers.rag import RagSettings, build_index, expected_nodes, open_store, to_llama_index, transformations

from .measuring import DATASET, finish, matrix_peak, options, ratio, repeats_of, take_turns, timed

SETS = ("facts_trained", "facts_heldout")
DEPTHS = (1, 5)
QUICK_DOCUMENTS = 40
WARM_UP = 4  # documents indexed before the clock runs: a process waits once for what cuts sentences, and Chroma
LARGE_BATCH = 32  # chunks a batch of the peer with the kit's dtype
APART = 0.01  # share of the questions by which hit rates may differ


def stock_embedder(folder: str, **options: Any) -> Any:
    """LlamaIndex's embedder of a folder with nothing else said, or with these options."""
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return HuggingFaceEmbedding(model_name=folder, device="cpu", **options)


def build_kit(documents: Sequence[Document], embedder: Any) -> Any:
    """The kit's index, on disk."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return build_index(list(documents), open_store(folder), embedder, RagSettings(), progress=False)[0]


def build_stock(documents: Sequence[Document], embedder: Any) -> Any:
    """LlamaIndex's index, in memory; the last of the kit's transformations is the embedder, which is given apart."""
    from llama_index.core import VectorStoreIndex

    parsers = transformations(RagSettings(), embedder)[:-1]
    return VectorStoreIndex.from_documents(
        [to_llama_index(document) for document in documents], transformations=parsers, embed_model=embedder
    )


def layer_weights(model: Any) -> list[torch.Tensor]:
    """The matrices of an embedding model's layers."""
    return [weight for name, weight in model.named_parameters() if ".layer." in name and weight.ndim == 2]


def hits(retrieve: Callable[[str], Sequence[str]], expected: Mapping[str, Sequence[str]], asked: Sequence[Question]):
    """How many questions have a right chunk among the first of each depth, from the ids of what was retrieved."""
    found = {question.id: list(retrieve(question.prompt)) for question in asked}
    return {
        f"hits_{depth}": sum(bool(set(found[q.id][:depth]) & set(expected[q.id])) for q in asked) for depth in DEPTHS
    }


def _ids(retriever: Any) -> Callable[[str], list[str]]:
    return lambda question: [hit.node.node_id for hit in retriever.retrieve(question)]


def measure(documents: Sequence[Document], asked: Sequence[Question], dtype: str | None, repeats: int) -> dict:
    """All figures for these documents and the questions that are asked of them."""
    embedder = load_embedder(device="cpu", dtype=dtype)
    stock = stock_embedder(embedder.model_name)
    chosen = {"dtype": dtype or choose_dtype("cpu")[0]}
    alike = stock_embedder(embedder.model_name, embed_batch_size=LARGE_BATCH, model_kwargs=chosen)
    sides: dict[str, Callable[[], Any]] = {
        "kit": lambda: timed(lambda: build_kit(documents, embedder)),
        "stock": lambda: timed(lambda: build_stock(documents, stock)),
        "same_settings": lambda: timed(lambda: build_stock(documents, alike)),
    }
    first = sorted(documents, key=lambda document: len(document.text))[-WARM_UP:]  # long enough to be cut
    build_kit(first, embedder)
    for one in (stock, alike):
        build_stock(first, one)
    runs = take_turns(sides, repeats)
    seconds = {name: [spent for spent, _ in made] for name, made in runs.items()}
    made = {name: built[-1][1] for name, built in runs.items()}
    expected = expected_nodes(asked, made["kit"])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kit, _ = build_index(list(documents), open_store(folder), embedder, RagSettings(), progress=False)
        retrievers = {"kit": kit.retriever(max(DEPTHS), "vector").llama_index}
        retrievers |= {n: made[n].as_retriever(similarity_top_k=max(DEPTHS)) for n in ("stock", "same_settings")}
        scored = {name: hits(_ids(retriever), expected, asked) for name, retriever in retrievers.items()}
    model = embedder._model
    dtype_name = str(next(model.parameters()).dtype).removeprefix("torch.")
    texts = [node.get_content("embed") for node in made["kit"].nodes]
    lengths = [len(model.tokenizer(text)["input_ids"]) for text in texts]
    layers = sum(weight.numel() for weight in layer_weights(model))
    peak, chunks = matrix_peak(dtype_name), len(made["kit"].nodes)
    record: dict[str, Any] = ratio(seconds["kit"], seconds["stock"])
    for name in sides:
        spent = median(seconds[name])
        record[name] = {"seconds": spent, "chunks_per_s": chunks / spent} | scored[name]
        record[name]["share_of_limit"] = 2 * layers * sum(lengths) / spent / peak
    apart = max(abs(scored["kit"][key] - scored[n][key]) for key in scored["kit"] for n in scored)
    return record | {
        "against_same_settings": ratio(seconds["kit"], seconds["same_settings"]), "chunks": chunks,
        "tokens": sum(lengths), "questions": len(asked), "agree": apart <= max(1, APART * len(asked)),
        "dtype": dtype_name, "limit": {"what": f"{dtype_name} matrix product", "flop_per_s": peak},
    }  # fmt: skip


def main() -> int:
    """Measures and prints the figures."""
    parser = options(__doc__)
    parser.add_argument("--documents", type=int, help="documents at most")
    arguments = parser.parse_args()
    dataset = open_dataset(DATASET)
    count = arguments.documents or (QUICK_DOCUMENTS if arguments.quick else None)
    documents = read_documents(dataset.documents_folder)[:count]
    there = {document.id for document in documents}
    questions = [question for name in SETS for question in dataset.questions(name) if there & set(question.documents)]
    return finish("indexing", measure(documents, questions, arguments.dtype, repeats_of(arguments)), arguments)


if __name__ == "__main__":
    sys.exit(main())
