"""Recorded curves, too long to measure in every run: they lie beside results, as NAME.curve.json."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data import DataError
from .results import read_record, write_record

POINT = ("x", "value", "low", "high")  # of a curve


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


def of_one_figure(curves: Collection[Curve]) -> list[list[Curve]]:
    """Curves of several arms that share both axes, put together: they belong in one figure."""
    axes = dict.fromkeys((curve.x, curve.y) for curve in curves)
    return [[curve for curve in curves if (curve.x, curve.y) == titles] for titles in axes]
