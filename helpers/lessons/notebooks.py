"""What a notebook prints first: versions, the machine, and how long it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..data import ROOT, KitError
from ..experiment import versions
from ..models import describe, hardware, speed

TIMES = ROOT / "results" / "reference" / "times.json"
LIKE = 0.8  # machines whose speeds differ by less take about the same time


def header(notebook: str, profile: str) -> str:
    """What a notebook prints first: versions, machine, and how long it takes; see `expected_seconds`."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python}, {packages}\n{describe(hardware())}\n{expected_seconds(notebook, profile)}"


def expected_seconds(notebook: str, profile: str, path: Path = TIMES) -> str:
    """How long a notebook takes, in words, from a recorded run; or that nobody has measured it.

    Args:
        notebook: Its name without ending, or its number ("02").
        profile: The profile it will run with.
        path: The record; see `read_times`.

    Raises:
        KitError: The record is there and cannot be read.
    """
    by_number = {name[:2]: record for name, record in read_times(path).get(profile, {}).items()}
    if (record := by_number.get(notebook[:2])) is None:
        return f"Not measured yet with the {profile} profile on this machine."
    text, there, here = recorded_time(record, profile), speed(record["hardware"]), speed(hardware())
    faster = here / there if here and there else 1.0
    if faster <= LIKE:
        return f"{text} A matrix product takes {1 / faster:.1f} times as long here: expect that much more."
    return text if faster < 1 / LIKE else f"{text} A matrix product is {faster:.1f} times as fast here: expect less."


def recorded_time(record: dict[str, Any], profile: str) -> str:
    """A recorded time and its machine, as a notebook announces them."""
    seconds, machine = record["seconds"], record["hardware"]
    length = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"About {length} with the {profile} profile (measured on {machine['processor']}, {machine['cores']} cores)."


def read_times(path: Path = TIMES) -> dict[str, Any]:
    """The record of runs: profile, then notebook, then its `seconds`, `hardware` and day; empty where there is none.

    Raises:
        KitError: It is there and cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise KitError(f"{path} cannot be read as JSON ({error}); restore it with git, or delete it") from error
