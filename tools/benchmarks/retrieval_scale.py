"""Vector search as the index grows: build time, memory, query times and recall against exact search.

    python tools/benchmarks/retrieval_scale.py --json                    # 1,000, 10,000 and 100,000 chunks
    python tools/benchmarks/retrieval_scale.py --quick                   # 1,000 and 10,000
    python tools/benchmarks/retrieval_scale.py --sweep --sizes 100000    # and recall for other neighbours and widths

The vectors are made, not embedded, since embedding 100,000 chunks would take long: every chunk of Tidewater's documents
and corpus is embedded, and all further ones are copies of these with Gaussian noise of length `NOISE` added, at unit
length again (a cosine of about 0.9 to the original). The queries are embedded questions, without noise. Each chunk
carries the text of its original.

Chroma runs embedded and as a server on 127.0.0.1, with the settings of helpers/rag/store.py. Building and searching are
processes of their own; the memory is what an embedded search adds to its process, or what the server's processes hold.
The peer is exact search, one numpy product with all vectors; `ratio` is its median time over that of the embedded
index at the largest size. `agree`: recall at 5 is at least `RECALL` at every size. The limit is the bandwidth of the
memory, which exact search reads all vectors through.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DATASET, finish, in_own_process, memory_bandwidth, options, ratio, repeats_of, timed

from helpers.data import KitError
from helpers.models import folder_bytes, load_embedder

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
NOISE = 0.5
SEED = 7
K = 5
RECALL = 0.98
PLACES = ("embedded", "server")
WIDTHS, NEIGHBOURS = (200, 400, 800), (16, 32, 64, 100)  # what a sweep tries
SETS = ("facts_trained", "facts_heldout")
START_S = 60
BATCH = 2_000


def real_vectors(embedder: Any, most: int | None = None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts of chunks, their vectors (chunks, width) and those of questions (questions, width), at unit length.

    `most` bounds the number of texts, and that of questions.
    """
    from helpers.data import open_dataset, read_documents
    from helpers.rag import RagSettings, embed_questions, to_llama_index, transformations

    dataset = open_dataset(DATASET)
    nodes: Any = [to_llama_index(document) for document in read_documents(dataset.documents_folder)]
    for step in transformations(RagSettings(), embedder)[:-1]:
        nodes = step(nodes)
    texts = [node.get_content("embed") for node in nodes] + dataset.corpus("train") + dataset.corpus("validation")
    texts = list(dict.fromkeys(texts))[:most]  # equal texts would be equally near, and recall a matter of luck
    asked = [question.prompt for name in SETS for question in dataset.questions(name)][:most]
    return texts, np.array(embedder.get_text_embedding_batch(texts)), np.array(embed_questions(embedder, asked))


def grown(vectors: np.ndarray, size: int, seed: int = SEED) -> np.ndarray:
    """So many unit vectors, float32: the real ones, then noisy copies of them in turn."""
    generator = np.random.default_rng(seed)
    real = vectors[np.arange(size) % len(vectors)]
    noise = generator.normal(size=real.shape) * NOISE / np.sqrt(real.shape[1])
    noise[: len(vectors)] = 0
    made = real + noise
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def build(job: dict[str, Any]) -> dict[str, Any]:
    """Fills a store, embedded or on a server, and says how long that took."""
    from llama_index.core.schema import TextNode

    from helpers.rag import HNSW, open_store

    HNSW["max_neighbors"] = job.get("neighbours", HNSW["max_neighbors"])
    vectors, texts = np.load(job["vectors"]), json.loads(Path(job["texts"]).read_text(encoding="utf-8"))
    store = open_store(job["where"], fresh=True)
    seconds = []
    for start in range(0, len(vectors), BATCH):
        nodes = [
            TextNode(id_=str(i), text=texts[i % len(texts)], embedding=vectors[i].tolist())
            for i in range(start, min(start + BATCH, len(vectors)))
        ]
        seconds.append(timed(lambda nodes=nodes: store.add(nodes))[0])
    return {"build_s": sum(seconds)}


def query(job: dict[str, Any]) -> dict[str, Any]:
    """Searches a store that is filled, in turn with exact search, and compares what they find."""
    import psutil

    from helpers.rag import open_store

    process = psutil.Process()
    vectors, asked = np.load(job["vectors"]), np.load(job["queries"])
    before = process.memory_info().rss
    store = open_store(job["where"])
    _search(store, asked[0])
    found, exact, query_s, exact_s = [], [], [], []
    for vector in [*asked] * job["repeats"]:
        spent, ids = timed(lambda vector=vector: _search(store, vector))
        found.append(ids)
        query_s.append(spent)
        spent, ids = timed(lambda vector=vector: exact_search(vectors, vector))
        exact.append(ids)
        exact_s.append(spent)
    memory = process.memory_info().rss - before
    made: dict[str, Any] = {"memory_bytes": memory, "recall_5": recall(found, exact), "settings": _settings(store)}
    made |= _times("query", query_s) | _times("exact", exact_s)
    medians = [np.median(np.reshape(seconds, (job["repeats"], -1)), axis=1).tolist() for seconds in (query_s, exact_s)]
    made["against_exact"] = ratio(*medians)
    return made


def exact_search(vectors: np.ndarray, vector: np.ndarray) -> list[str]:
    """The ids of the `K` nearest vectors by one product with all of them."""
    likeness = vectors @ vector.astype(np.float32)
    best = np.argpartition(-likeness, K)[:K] if len(likeness) > K else np.arange(len(likeness))
    return [str(i) for i in best]


def recall(found: list[list[str]], exact: list[list[str]]) -> float:
    """The mean share of the exact neighbours that were found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def _search(store: Any, vector: np.ndarray) -> list[str]:
    from llama_index.core.vector_stores import VectorStoreQuery

    return store.query(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=K)).ids


def widen(job: dict[str, Any]) -> dict[str, Any]:
    """Gives a filled store another search width (`ef_search`), which the next process to open it searches with."""
    from helpers.rag import open_store

    open_store(job["where"]).client.modify(configuration={"hnsw": {"ef_search": job["width"]}})
    return {}


def _settings(store: Any) -> dict[str, Any]:
    return {name: value for name, value in store.client.configuration_json["hnsw"].items() if value is not None}


def _times(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}_p50_s": float(np.percentile(seconds, 50)), f"{name}_p95_s": float(np.percentile(seconds, 95))}


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Any]]:
    """A Chroma server on 127.0.0.1 for the length of the block: its URL and its process.

    Raises:
        KitError: It does not answer.
    """
    import psutil

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)]
    with (folder.parent / f"{folder.name}.txt").open("w") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
        try:
            _wait(port, run)
            yield f"http://127.0.0.1:{port}", psutil.Process(run.pid)
        finally:
            run.terminate()
            run.wait()


def _wait(port: int, run: subprocess.Popen) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and run.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise KitError(f"the Chroma server did not answer on 127.0.0.1:{port} within {START_S} s")


def measure(sizes: list[int], repeats: int, sweep: bool, embedder: Any, most: int | None = None) -> dict[str, Any]:
    """All figures at all sizes, embedded and against the server; `most` bounds what is embedded."""
    texts, vectors, asked = real_vectors(embedder, most)
    record: dict[str, Any] = {"made_from": len(texts), "noise": NOISE, "queries": len(asked)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        np.save(folder / "queries.npy", asked)
        common = {"repeats": repeats, "vectors": str(folder / "vectors.npy"), "texts": str(folder / "texts.json")}
        common |= {"queries": str(folder / "queries.npy")}
        for size in sorted(sizes):
            print(f"{size} chunks ...", flush=True)
            np.save(folder / "vectors.npy", grown(vectors, size))
            where = folder / f"embedded-{size}"
            here = common | {"where": str(where)}
            record[f"embedded_{size}"] = _steps(here, "build", "query") | {"disk_bytes": folder_bytes(where)}
            if sweep:
                record[f"embedded_{size}"]["sweep"] = {
                    f"{neighbours} neighbours": _swept(
                        common | {"where": str(folder / f"swept-{neighbours}")}, neighbours
                    )
                    for neighbours in NEIGHBOURS
                }
            with server(folder / f"server-{size}") as (url, process):
                record[f"server_{size}"] = _steps(common | {"where": url}, "build", "query")
                family = [process, *process.children(recursive=True)]
                record[f"server_{size}"]["memory_bytes"] = sum(each.memory_info().rss for each in family)
    small, large = (record[f"embedded_{size}"] for size in (min(sizes), max(sizes)))
    bandwidth = memory_bandwidth()
    least = max(sizes) * vectors.shape[1] * 4 / bandwidth
    record["limit"] = {"what": "bytes of all vectors over bytes read a second", "bytes_per_s": bandwidth, "s": least}
    record["p95_growth"] = large["query_p95_s"] / small["query_p95_s"]
    record["exact_share_of_limit"] = least / large["exact_p50_s"]
    agree = all(record[f"{place}_{size}"]["recall_5"] >= RECALL for place in PLACES for size in sizes)
    return large["against_exact"] | {"agree": agree} | record


def _swept(job: dict[str, Any], neighbours: int) -> dict[str, Any]:
    """An index with so many neighbours, searched with each width."""
    made = _steps(job | {"neighbours": neighbours}, "build") | {"disk_bytes": folder_bytes(Path(job["where"]))}
    return made | {f"width {width}": _steps(job | {"width": width}, "widen", "query") for width in WIDTHS}


def _steps(job: dict[str, Any], *names: str) -> dict[str, Any]:
    """Runs steps one after the other, each in a process of its own, and puts their figures together."""
    return {
        key: value
        for name in names
        for key, value in in_own_process(__file__, "--job", json.dumps(job | {"step": name})).items()
    }


def main() -> int:
    """Measures and prints the figures; with `--job` it is one step in a process of its own."""
    parser = options(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of chunks")
    parser.add_argument("--sweep", action="store_true", help="measure other search widths on each embedded index too")
    parser.add_argument("--job", help="one step, as JSON; the script gives it to itself")
    arguments = parser.parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        print(json.dumps({"build": build, "query": query, "widen": widen}[job["step"]](job)))
        return 0
    sizes = arguments.sizes or list(QUICK_SIZES if arguments.quick else SIZES)
    record = measure(sizes, repeats_of(arguments), arguments.sweep, load_embedder(dtype=arguments.dtype))
    return finish("retrieval_scale", record, arguments)


if __name__ == "__main__":
    sys.exit(main())
