"""One JSON file a run, written whole or not at all, and read back with a clear word where it cannot be."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ..data import ROOT, DataError, Result, write_text

SCHEMA = 1
PACKAGES = ("torch", "transformers", "peft", "llama-index-core", "chromadb", "sentence-transformers")


def versions() -> dict[str, str]:
    """The versions of the packages that numbers depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


def git_revision() -> str:
    """The kit's commit, with `+` when its files differ from it; empty outside a checkout and without git."""
    root = ROOT
    try:
        run = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_name(arm: str, question_set: str, seed: int, experiment: str) -> str:
    """A result's file name; `:` cannot stand in file names everywhere."""
    return f"{arm.replace(':', '~')}.{question_set}.seed{seed}.{experiment[:8]}.json"


def write_result(folder: Path, result: Result) -> Path:
    """Writes a result into a folder and returns the file's path."""
    name = file_name(result.arm, result.question_set, result.seed, result.experiment)
    return write_text(Path(folder) / name, json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n")


def read_result(path: Path) -> Result:
    """Reads one result.

    Raises:
        DataError: The file is no result, is damaged, or is of another schema.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a result ({error}). Delete it and run the study again.") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise DataError(f"{path} is not a result of this kit. Move it out of the folder.")
    if record["schema"] != SCHEMA:
        raise DataError(f"{path} has schema {record['schema']}; this kit reads {SCHEMA}. Run the study again.")
    try:
        return Result.from_dict(record)
    except ValueError as error:
        raise DataError(f"{path} lacks a part of a result ({error}). Delete it and run the study again.") from error


def read_results(folder: Path) -> list[Result]:
    """Every result of a folder, sorted by file name.

    Raises:
        DataError: The folder is missing or holds none, or one of them cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not there. `python -m helpers study --out {folder}` makes it.")
    found = [read_result(path) for path in _files(folder)]
    if not found:
        raise DataError(f"{folder} holds no results. `python -m helpers study --out {folder}` makes some.")
    return found


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.glob("*.seed*.json") if not path.name.startswith("."))
