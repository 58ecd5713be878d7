"""Recorded curves: a value against what was varied, one file each, too long to measure in every run.

    write_curve(folder, Curve("restatements", "restatements of each fact", "accuracy", "domain_adaptation", points))

A curve lies beside the results of its folder as NAME.curve.json; notebooks draw it and expectations judge by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..data import DataError, write_text


@dataclass(frozen=True)
class Curve:
    """One curve. Each of `points` has `x` (a number), `value`, `low`, `high`, and `n` where questions were asked.

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
    found = {}
    for path in sorted(Path(folder).glob("*.curve.json")):
        try:
            curve = Curve(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read as a curve ({error}). Delete it and record it again.") from error
        found[curve.name] = curve
    return found


def of_one_figure(curves: Iterable[Curve]) -> list[list[Curve]]:
    """Curves of several arms that share both axes, put together: they belong into one figure, an arm once in each."""
    figures: dict[tuple[str, str], list[list[Curve]]] = {}
    for curve in curves:
        alike = figures.setdefault((curve.x, curve.y), [])
        free = [figure for figure in alike if all(other.arm != curve.arm for other in figure)]
        if free:
            free[0].append(curve)
        else:
            alike.append([curve])
    return [figure for alike in figures.values() for figure in alike]
