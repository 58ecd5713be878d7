"""One JSON file a run, and recorded curves beside them: written whole or not at all, read back or named with a remedy.

A result lies as ARM.QUESTION_SET.seedN.EXPERIMENT.json; a curve, too long to measure in every run, as NAME.curve.json.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..data import ROOT, DataError, Result, explain, write_text
from ..models import hardware

SCHEMA = 1
PACKAGES = ("torch", "transformers", "peft", "llama-index-core", "chromadb", "sentence-transformers")
RESULT = TypeAdapter(Result)


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


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def made_with() -> dict[str, Any]:
    """The fields of a result that say with what, where and when it was made."""
    return {"versions": versions(), "hardware": hardware(), "git_revision": git_revision(), "created": now()}


def file_name(arm: str, question_set: str, seed: int, experiment: str) -> str:
    """A result's file name; `:` cannot stand in file names everywhere."""
    return f"{arm.replace(':', '~')}.{question_set}.seed{seed}.{experiment[:8]}.json"


def write_result(folder: Path, result: Result) -> Path:
    """Writes a result into a folder and returns the file's path."""
    name = file_name(result.arm, result.question_set, result.seed, result.experiment)
    return write_text(Path(folder) / name, RESULT.dump_json(result, indent=1).decode("utf-8") + "\n")


def read_result(path: Path) -> Result:
    """Reads one result.

    Raises:
        DataError: The file is no result, is damaged, or is of another schema.
    """
    remedy = "Delete it, or move it out of the folder, and run the study again."
    try:
        result = RESULT.validate_json(Path(path).read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} cannot be read as a result: {explain(error)} {remedy}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read as a result ({error}). {remedy}") from error
    if result.schema != SCHEMA:
        raise DataError(f"{path} has schema {result.schema}; this kit reads {SCHEMA}. {remedy}")
    return result


def read_results(folder: Path) -> list[Result]:
    """Every result of a folder, sorted by file name.

    Raises:
        DataError: The folder is missing or holds none, or one of them cannot be read.
    """
    folder = Path(folder)
    found = [read_result(path) for path in sorted(folder.glob("[!.]*.seed*.json"))]
    if not found:
        lacks = "holds no results" if folder.is_dir() else "is not there"
        raise DataError(f"{folder} {lacks}. `python -m helpers study --out {folder}` makes some.")
    return found


def finished(path: Path, config: dict[str, Any]) -> Result | None:
    """The result in a file, where it is complete and was made with this config; otherwise None.

    Raises:
        DataError: The file is there and cannot be read.
    """
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
    points: list[dict[str, float]]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.points:
            raise DataError(f"the curve {self.name!r} has no points: measure at least one")
        for number, point in enumerate(self.points, start=1):
            for key in ("x", "value", "low", "high"):
                if not isinstance(point.get(key), int | float) or not math.isfinite(point[key]):
                    raise DataError(f"point {number} of the curve {self.name!r}: `{key}` is no number")


def write_curve(folder: Path, curve: Curve) -> Path:
    """Writes a curve into a folder of results, points in the order of `x`; returns its path."""
    record = asdict(curve) | {"points": sorted(curve.points, key=lambda point: point["x"])}
    return write_text(Path(folder) / f"{curve.name}.curve.json", json.dumps(record, indent=1) + "\n")


def read_curves(folder: Path) -> dict[str, Curve]:
    """The curves of a folder by name; none where nothing was recorded.

    Raises:
        DataError: A file cannot be read as a curve.
    """
    curves = {}
    for path in sorted(Path(folder).glob("*.curve.json")):
        try:
            curve = Curve(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read as a curve ({error}). Delete it and record it again.") from error
        curves[curve.name] = curve
    return curves


def of_one_figure(curves: Iterable[Curve]) -> list[list[Curve]]:
    """Curves of several arms that share both axes, put together: they belong in one figure, an arm once in each."""
    figures: dict[tuple[str, str], list[list[Curve]]] = {}
    for curve in curves:
        alike = figures.setdefault((curve.x, curve.y), [])
        free = [figure for figure in alike if all(other.arm != curve.arm for other in figure)]
        if free:
            free[0].append(curve)
        else:
            alike.append([curve])
    return [figure for alike in figures.values() for figure in alike]
