"""What several test modules share: the two default models, two tiny random models, and a small world.

Everything here is real: no model, index or data set is replaced by a mock. The small things are small so that a test
takes moments, and they are made once for the whole session; no test may change them.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # threads that spin while they wait take the cores from the tests beside
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("Llama", "Qwen2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the notebooks first: `make test` gives whole files to two processes, and this one takes longest by far."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


def _leave_to_stay() -> None:
    """Takes what is loaded now, modules above all, out of later searches for garbage: each took half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fm():
    """The default foundation model in float32, where batched and single answers are equal."""
    from helpers.models.foundation_model import load_model

    made = load_model(device="cpu", dtype="float32")
    _leave_to_stay()
    return made


@pytest.fixture(scope="session")
def embedder():
    """The default embedding model in float32; a text that several tests embed is embedded once."""
    from llama_index.core.storage.kvstore import SimpleKVStore

    from helpers.models.foundation_model import load_embedder

    made = load_embedder(device="cpu", dtype="float32")
    made.embeddings_cache = SimpleKVStore()
    return made


def make_tiny(architecture: str, folder: Path, seed: int = 0, **settings: Any) -> Path:
    """Saves a two-layer model with random weights, and the default FM's tokenizer, as a folder of safetensors.

    Settings replace those of its config.
    """
    import torch
    import transformers

    from helpers.models.download import FOUNDATION_MODEL, model_folder

    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder(FOUNDATION_MODEL))
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    config = getattr(transformers, f"{architecture}Config")(**sizes | settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    for weight in model.parameters():  # as models are shipped: 16-bit weights then lose nothing
        weight.data = weight.data.bfloat16().float()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny_folder(request, tmp_path_factory) -> Path:
    """The folder of a tiny random model; tests that take it run once for each architecture."""
    return make_tiny(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """The tiny random model of `tiny_folder` in memory, in float32."""
    from helpers.models.foundation_model import load_model

    made = load_model(tiny_folder, device="cpu", dtype="float32")
    _leave_to_stay()
    return made


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """A tiny random model in float32, for tests that need one architecture alone."""
    from helpers.models.foundation_model import load_model

    return load_model(make_tiny("Llama", tmp_path_factory.mktemp("llama")), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def small_world(tmp_path_factory) -> Path:
    """The data folder of a world of twelve assets."""
    from tools.world import generate

    folder = tmp_path_factory.mktemp("world") / "small"
    generate(folder, seed=3, assets=12)
    return folder


@pytest.fixture(scope="session")
def running_server(tmp_path_factory) -> Iterator[str]:
    """The URL of a Chroma server on this machine alone, started as a user would start it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chroma = Path(sys.executable).with_name("chroma.exe" if sys.platform == "win32" else "chroma")
    served = tmp_path_factory.mktemp("server") / "served"
    command = [chroma, "run", "--host", "127.0.0.1", "--port", str(port), "--path", served]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        assert process.poll() is None, "the server ended by itself"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def server(running_server: str) -> str:
    """The URL of a Chroma server that holds nothing."""
    import chromadb

    host, port = running_server.removeprefix("http://").split(":")
    client = chromadb.HttpClient(host, int(port), settings=chromadb.config.Settings(anonymized_telemetry=False))
    for collection in client.list_collections():
        client.delete_collection(collection.name)
    return running_server


def run_python(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS` in the kit's folder; `environment` comes on top of this process's own."""
    command = [sys.executable, *(str(argument) for argument in arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", env=os.environ | environment
    )


@contextmanager
def interrupted_at(model, call: int) -> Iterator[None]:
    """Inside the block, pass number `call` through the model's layers is interrupted as by Ctrl-C."""
    calls = itertools.count(1)

    def stop(*_):
        if next(calls) == call:
            raise KeyboardInterrupt

    handle = model.model.get_decoder().register_forward_pre_hook(stop)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes inside the block, as on a full disk."""
    import resource
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# ---- documents, questions and pairs of one's own

TOPICS = ("heron", "anchor", "ladder", "beacon", "rudder", "winch")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page(topic: str, number: int) -> str:
    """A short document with a fact of its own, and text enough for some pieces."""
    body = f"The {topic} was painted in {1900 + number} by the crew of the harbour. " + "It is cleaned in spring. " * 22
    shed = f"Each {topic} is kept in shed {number + 40}, dry and dark."
    return f"# The {topic}\n\n## History\n\n{body}\n\n## Storage\n\n{shed}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six documents of your own, in Markdown, text and HTML."""
    documents = tmp_path / "mine"
    for number, topic in enumerate(TOPICS):
        ending = ("md", "txt", "html")[number % 3]
        text = page(topic, number)
        write(documents / f"{topic}.{ending}", f"<h1>The {topic}</h1><p>{text}</p>" if ending == "html" else text)
    return documents


@pytest.fixture
def questions(tmp_path) -> Path:
    rows = [f"When was the {topic} painted?,{1900 + n},{topic}" for n, topic in enumerate(TOPICS)]
    return write(tmp_path / "questions.csv", "Question,Gold Answer,Doc\n" + "\n".join(rows) + "\n")


@pytest.fixture
def pairs(tmp_path) -> Path:
    told = [(f"In which shed is the {topic}?", f"{n + 40}", topic) for n, topic in enumerate(TOPICS)]
    told += [(f"State the shed of the {topic}.", f"{n + 40}", topic) for n, topic in enumerate(TOPICS)]
    rows = [json.dumps({"instruction": a, "output": b, "source": c}) for a, b, c in told]
    return write(tmp_path / "pairs.jsonl", "\n".join(rows))
