"""The recorded latency curves: time to the first token against the prompt's length, and of a search against the index.

    python -m tools.benchmarks.latency_curves --out results/reference

Writes latency_context.curve.json and latency_index.curve.json, and prints one JSON document with both.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode

from helpers.data import DataError, open_dataset
from helpers.experiment import Curve, now, versions, write_curve
from helpers.models import FoundationModel, generate, hardware, load_embedder, load_model
from helpers.rag import open_store

DATASET = Path(__file__).resolve().parent.parent.parent / "datasets" / "tidewater"
CONTEXT_LENGTHS = (128, 256, 512, 1024, 2048)
INDEX_SIZES = (100, 1_000, 10_000, 100_000)


def against_context(
    fm: FoundationModel, lengths: Sequence[int] = CONTEXT_LENGTHS, repeats: int = 5
) -> list[dict[str, float]]:
    """Seconds to the first token against the length of the prompt, the lengths taking turns.

    Args:
        fm: The model.
        lengths: Prompt lengths in tokens; those that do not fit into the model's context are left out.
        repeats: How often each length is timed, after one warm-up.

    Returns:
        For each length: `x` (tokens), `value` (median), `low`, `high` (fastest and slowest) in seconds.

    Raises:
        DataError: No length fits.
    """
    fitting = [length for length in lengths if length + 1 <= fm.context_length]
    if not fitting:
        raise DataError(f"the model's context of {fm.context_length} tokens is shorter than every length asked for")
    prompts = {length: _prompt_of(fm, length) for length in fitting}
    seconds: dict[int, list[float]] = {length: [] for length in fitting}
    for turn in range(repeats + 1):
        for length, prompt in prompts.items():
            taken = generate(fm, [prompt], 1, 1)[0]
            if turn:
                seconds[length].append(taken.first_token_s)
    return [_point(fm.count_tokens(prompts[length]), values) for length, values in seconds.items()]


def against_index_size(
    embed_model: BaseEmbedding,
    questions: Sequence[str],
    sizes: Sequence[int] = INDEX_SIZES,
    k: int = 1,
    seed: int = 7,
) -> list[dict[str, float]]:
    """Seconds to embed a question and find its passages by vector search, against the number of chunks.

    The chunks carry random unit vectors of the embedder's size, since embedding a hundred thousand texts would measure
    something else; for the time of a search it matters little where the vectors point.

    Args:
        embed_model: LlamaIndex's embedder.
        questions: Asked one at a time, after one warm-up.
        sizes: Numbers of chunks, growing.
        k: Passages a question.
        seed: Seeds the vectors.

    Returns:
        For each size: `x` (chunks), `value` (median), `low`, `high` (fastest and slowest) in seconds.
    """
    width = len(embed_model.get_query_embedding(questions[0]))
    generator, held, points = np.random.default_rng(seed), 0, []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = open_store(folder)
        for size in sorted(sizes):
            vectors = generator.normal(size=(size - held, width))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            store.add([TextNode(text="chunk", embedding=vector.tolist()) for vector in vectors])
            held = size
            retriever = VectorStoreIndex.from_vector_store(store, embed_model=embed_model).as_retriever(
                similarity_top_k=k
            )
            seconds = []
            for question in [questions[0], *questions]:
                begun = time.perf_counter()
                retriever.retrieve(question)
                seconds.append(time.perf_counter() - begun)
            points.append(_point(size, seconds[1:]))
        del store, retriever
        gc.collect()
    return points


def _prompt_of(fm: FoundationModel, length: int) -> str:
    """A text of about `length` tokens."""
    ids = fm.tokenizer("The tide rises and falls twice a day. " * length, add_special_tokens=False)["input_ids"]
    return fm.tokenizer.decode(ids[:length])


def _point(x: int, seconds: Sequence[float]) -> dict[str, float]:
    return {"x": x, "value": float(np.median(seconds)), "low": min(seconds), "high": max(seconds), "n": len(seconds)}


def main() -> None:
    """Measures both curves and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=INDEX_SIZES, help="numbers of chunks in the index")
    parser.add_argument("--lengths", type=int, nargs="+", default=CONTEXT_LENGTHS, help="prompt lengths in tokens")
    arguments = parser.parse_args()
    about = {"hardware": hardware(), "created": now(), "versions": versions()}
    questions = open_dataset(DATASET).questions("facts_heldout")[: 4 * arguments.repeats]
    contexts = against_context(load_model(), arguments.lengths, arguments.repeats)
    sizes = against_index_size(load_embedder(), [question.prompt for question in questions], arguments.sizes)
    curves = (
        Curve("latency_context", "prompt length (tokens)", "time to the first token (s)", "base", contexts, about),
        Curve("latency_index", "chunks in the index", "time to embed and search (s)", "rag", sizes, about),
    )
    for curve in curves:
        write_curve(arguments.out, curve)
    print(json.dumps({curve.name: asdict(curve) for curve in curves}))


if __name__ == "__main__":
    main()
