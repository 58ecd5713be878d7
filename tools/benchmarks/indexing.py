"""Indexing: the kit's `build_index` beside LlamaIndex's stock VectorStoreIndex.from_documents and HuggingFaceEmbedding.

    python benchmarks/indexing.py --json
    python benchmarks/indexing.py --quick

The same work: the same documents, cut by the same LlamaIndex parsers into the same chunks, embedded by the same model
from the same folder. The stock peer is what LlamaIndex gives without further settings: float32, ten chunks a batch, the
vectors kept in memory, while the kit also writes them to disk. `same_settings` is that peer with the kit's dtype and
batches of 32. The hit rates of vector search over both indexes must agree: by at most one question in a hundred.

The limit is the machine's matrix product; a chunk needs two operations a token and weight, attention left out. `floor`
is what the kit's side cannot do without, each part timed by itself as floor.py does: the `products` of the embedder's
layers; its `attention`, of texts of one length together and of each length in its fastest way; `between`, its norms and
activations; and `rest`, the kit's index of the same documents with an embedder that knows every vector. `at_most` is
how many times as fast as the stock peer the kit would be if it took nothing else. Parts that are timed alone find their
numbers in the cache; so `by_hand` embeds the same chunks by layers that are written out for this kind of processor
(by_hand.py), and its `at_most` is what the kit could be with them, whose other work is `rest`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from by_hand import ByHand, can_be_laid_out
from floor import products, shortest
from measuring import DATASET, finish, matrix_peak, options, ratio, repeats_of, take_turns, timed
from transformers import PreTrainedModel

from helpers import data
from helpers.data.documents import read_documents
from helpers.data.records import Document, Question
from helpers.fast.embedding import ROWS, VarlenEmbedding
from helpers.models import foundation_model as models
from helpers.models.machine import choose_dtype
from helpers.rag import open_store
from helpers.rag.chunking import RagSettings, to_llama_index, transformations
from helpers.rag.index import build_index
from helpers.rag.retrieval_metrics import expected_nodes

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


class Knowing(VarlenEmbedding):
    """The kit's embedder, if no vector had to be computed: it gives unit vectors that lie anywhere."""

    def _embed(self, inputs: list[Any], prompt_name: str | None = None) -> list[list[float]]:
        width = self._model.get_embedding_dimension()
        return torch.nn.functional.normalize(torch.randn(len(inputs), width), dim=-1).tolist()


def floor(documents: Sequence[Document], embedder: Any, lengths: Sequence[int]) -> dict[str, float]:
    """The least seconds of the kit's index of these documents, by part; `lengths` are the chunks', in tokens."""
    weights, ordered = layer_weights(embedder._model), sorted(lengths)
    dtype = weights[0].dtype
    config = next(module.config for module in embedder._model.modules() if isinstance(module, PreTrainedModel))
    batches = [ordered[start : start + ROWS] for start in range(0, len(ordered), ROWS)]
    with torch.inference_mode():
        shapes = ((sum(batch), weight.shape[1], weight.shape[0], False) for batch in batches for weight in weights)
        parts = {"products": products(shapes, dtype)}
        each = [attention(config, rows, n, dtype) for batch in batches for n, rows in Counter(batch).items()]
        parts["attention"] = config.num_hidden_layers * sum(each)
        parts["between"] = config.num_hidden_layers * sum(between(config, sum(batch), dtype) for batch in batches)
    knowing = Knowing(model_name=embedder.model_name, device="cpu")
    return parts | {"rest": shortest(lambda: build_kit(documents, knowing))}


def layer_weights(model: Any) -> list[torch.Tensor]:
    """The matrices of an embedding model's layers."""
    return [weight for name, weight in model.named_parameters() if ".layer." in name and weight.ndim == 2]


def attention(config: Any, rows: int, tokens: int, dtype: torch.dtype) -> float:
    """The seconds of one layer's attention over rows of so many tokens: fused or as products, the faster one."""
    heads = config.num_attention_heads
    query, key, value = torch.randn(3, rows * heads, tokens, config.hidden_size // heads).to(dtype)
    fused = torch.nn.functional.scaled_dot_product_attention
    return min(
        shortest(lambda: fused(query[:, None], key[:, None], value[:, None])),
        shortest(lambda: torch.bmm(torch.bmm(query, key.transpose(1, 2)).softmax(-1), value)),
    )


def between(config: Any, tokens: int, dtype: torch.dtype) -> float:
    """The seconds of one layer's two norms and its activation, for so many tokens."""
    states, inner = (torch.randn(tokens, n).to(dtype) for n in (config.hidden_size, config.intermediate_size))
    weight, bias = torch.ones(2, config.hidden_size, dtype=dtype)
    norm = shortest(lambda: torch.nn.functional.layer_norm(states, weight.shape, weight, bias))
    return 2 * norm + shortest(lambda: torch.nn.functional.gelu(inner))


def by_hand(encoder: Any, texts: Sequence[str], rest: float, stock: float) -> dict[str, float] | None:
    """How long embedding takes by hand, and how near its vectors are; None for other layers, or without oneDNN."""
    if not can_be_laid_out(encoder):
        return None
    embedder = ByHand(encoder)
    embedding = shortest(lambda: embedder.embed(texts), times=3)
    wanted = encoder.encode(list(texts), convert_to_tensor=True, show_progress_bar=False).float()
    cosine = float(torch.cosine_similarity(embedder.embed(texts), wanted).min())
    return {"embedding_s": embedding, "lowest_cosine": cosine, "at_most": stock / (embedding + rest)}


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
    embedder = models.load_embedder(device="cpu", dtype=dtype)
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
    least = floor(documents, embedder, lengths)
    layers = sum(weight.numel() for weight in layer_weights(model))
    peak, chunks = matrix_peak(dtype_name), len(made["kit"].nodes)
    record: dict[str, Any] = ratio(seconds["kit"], seconds["stock"])
    for name in sides:
        spent = median(seconds[name])
        record[name] = {"seconds": spent, "chunks_per_s": chunks / spent} | scored[name]
        record[name]["share_of_limit"] = 2 * layers * sum(lengths) / spent / peak
    apart = max(abs(scored["kit"][key] - scored[n][key]) for key in scored["kit"] for n in scored)
    stock_s = record["stock"]["seconds"]
    return record | {
        "floor_s": sum(least.values()), "floor": least, "at_most": stock_s / sum(least.values()),
        "by_hand": by_hand(model, texts, least["rest"], stock_s),
        "against_same_settings": ratio(seconds["kit"], seconds["same_settings"]), "chunks": chunks,
        "tokens": sum(lengths), "questions": len(asked), "agree": apart <= max(1, APART * len(asked)),
        "dtype": dtype_name, "limit": {"what": f"{dtype_name} matrix product", "flop_per_s": peak},
    }  # fmt: skip


def main() -> int:
    """Measures and prints the figures."""
    parser = options(__doc__)
    parser.add_argument("--documents", type=int, help="documents at most")
    arguments = parser.parse_args()
    dataset = data.open_dataset(DATASET)
    count = arguments.documents or (QUICK_DOCUMENTS if arguments.quick else None)
    documents = read_documents(dataset.documents_folder)[:count]
    there = {document.id for document in documents}
    questions = [question for name in SETS for question in dataset.questions(name) if there & set(question.documents)]
    return finish("indexing", measure(documents, questions, arguments.dtype, repeats_of(arguments)), arguments)


if __name__ == "__main__":
    sys.exit(main())
