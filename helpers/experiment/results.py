"""One JSON file a run, and recorded curves beside them: written whole or not at all, read back or named with a remedy.

A result lies as ARM.QUESTION_SET.seedN.EXPERIMENT.json; a curve, too long to measure in every run, as NAME.curve.json.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ..data import ROOT, DataError, Result, explain, write_text

SCHEMA = 1
REMEDY = "Delete it, or move it out of the folder, and run the study again."
PACKAGES = ("torch", "transformers", "peft", "llama-index-core", "chromadb", "sentence-transformers")
CLAIMS = ROOT / "helpers" / "analysis" / "rules" / "claims.yaml"
POINT = ("x", "value", "low", "high")  # of a curve
adapter = cache(TypeAdapter)


def versions() -> dict[str, str]:
    """The versions of the packages that numbers depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


def git_revision() -> str:
    """The kit's commit, with `+` when its files differ from it; empty outside a checkout and without git."""
    try:
        run = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip()


@cache
def claims_hash() -> str:
    """SHA-256 over what the kit claims, prose left out; results carry it, so that no claim moves after the runs."""
    claims = [
        {name: value for name, value in claim.items() if name not in ("text", "source")}
        for claim in yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    ]
    return hashlib.sha256(json.dumps(claims, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_name(arm: str, question_set: str, seed: int, experiment: str) -> str:
    """A result's file name; `:` cannot stand in file names everywhere."""
    return f"{arm.replace(':', '~')}.{question_set}.seed{seed}.{experiment[:8]}.json"


def write_result(folder: Path, result: Result) -> Path:
    """Writes a result into a folder and returns the file's path."""
    name = file_name(result.arm, result.question_set, result.seed, result.experiment)
    return write_record(Path(folder) / name, result)


def write_record(path: Path, record: Any) -> Path:
    """Writes a dataclass as one JSON file, whole or not at all, and returns the file's path."""
    return write_text(path, adapter(type(record)).dump_json(record, indent=1).decode("utf-8") + "\n")


def read_record(path: Path, kind: Any, what: str, remedy: str = "Delete it and measure again.") -> Any:
    """Reads a dataclass that `write_record` wrote; a `DataError` says why a file cannot be read as one."""
    try:
        return adapter(kind).validate_json(Path(path).read_bytes())
    except (OSError, ValidationError) as error:
        why = explain(error) if isinstance(error, ValidationError) else f"{error}."
        raise DataError(f"{path} cannot be read as {what}: {why} {remedy}") from error


def read_result(path: Path) -> Result:
    """Reads one result; a `DataError` names a file that is none, is damaged, or is of another schema."""
    result = read_record(path, Result, "a result", REMEDY)
    if result.schema != SCHEMA:
        raise DataError(f"{path} has schema {result.schema}; this kit reads {SCHEMA}. {REMEDY}")
    return result


def read_results(folder: Path) -> list[Result]:
    """Every result of a folder, sorted by file name; a `DataError` where it holds none, or one that is damaged."""
    found = [read_result(path) for path in sorted(Path(folder).glob("[!.]*.seed*.json"))]
    if not found:
        lacks = "holds no results" if Path(folder).is_dir() else "is not there"
        raise DataError(f"{folder} {lacks}. `python -m helpers study --out {folder}` makes some.")
    return found


def finished(path: Path, config: dict[str, Any]) -> Result | None:
    """The result in a file, where it is complete and was made with this config; None otherwise."""
    result = read_result(path) if path.exists() else None
    return result if result and result.status == "complete" and result.config == config else None


@dataclass(frozen=True)
class Curve:
    """A value against what was varied. Each of `points` has `x`, `value`, `low` and `high`, and `n` for questions.

    `x` and `y` are the titles of the axes with their units, `arm` is what was measured, and `about` holds what else a
    reader must know: profile, machine, date.
    """

    name: str
    x: str
    y: str
    arm: str
    points: list[dict[str, int | float]]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = [p for p in self.points if not all(math.isfinite(p.get(key, math.nan)) for key in POINT)]
        if bad or not self.points:
            raise DataError(f"a curve needs points with numbers for {', '.join(POINT)}. {self.name!r} has {bad[:1]}")


def write_curve(folder: Path, curve: Curve) -> Path:
    """Writes a curve into a folder of results, points in the order of `x`; returns its path."""
    ordered = replace(curve, points=sorted(curve.points, key=lambda point: point["x"]))
    return write_record(Path(folder) / f"{curve.name}.curve.json", ordered)


def read_curves(folder: Path) -> dict[str, Curve]:
    """The curves of a folder by name, none where nothing was recorded; a `DataError` names a damaged one."""
    curves = [read_record(path, Curve, "a curve") for path in sorted(Path(folder).glob("*.curve.json"))]
    return {curve.name: curve for curve in curves}


def of_one_figure(curves: Iterable[Curve]) -> list[list[Curve]]:
    """Curves of several arms that share both axes, put together: they belong in one figure."""
    figures: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        figures.setdefault((curve.x, curve.y), []).append(curve)
    return list(figures.values())
