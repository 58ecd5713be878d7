"""Keeps how long notebooks took, and says on which machines they were timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.data import ROOT, KitError, write_text
from helpers.experiment import now
from helpers.models import describe, hardware, speed

if TYPE_CHECKING:
    from .notebooks import NotebookRun

TIMES = ROOT / "results" / "reference" / "times.json"


def read_times(path: Path = TIMES) -> dict[str, Any]:
    """The record of runs: profile, then notebook, then its `seconds`, `hardware` and day; empty where there is none.

    Raises:
        KitError: It is there and cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise KitError(f"{path} cannot be read as JSON ({error}); restore it with git, or delete it") from error


def record_times(profile: str, runs: Sequence[NotebookRun], path: Path = TIMES) -> Path:
    """Keeps the seconds of a run; notebooks that failed or did not run keep their old ones.

    Args:
        profile: The profile that they ran with.
        runs: What `run_notebooks` returned.
        path: The record: profile, then notebook, then the `seconds`, `hardware` and day (`created`) of its run.
    """
    times, about = read_times(path), {"hardware": hardware(), "created": now()}
    seconds = {run.notebook.stem: round(run.seconds, 1) for run in runs if not run.error}
    times.setdefault(profile, {}).update({name: {"seconds": taken} | about for name, taken in seconds.items()})
    return write_text(path, json.dumps(times, indent=1, sort_keys=True) + "\n")


def measured_on(times: dict[str, Any], profiles: Sequence[str]) -> list[str]:
    """On which machine and day the notebooks of each profile were timed, one line of a list for each such run."""
    lines = []
    for profile in profiles:
        runs: dict[str, list[str]] = {}
        for notebook, record in times.get(profile, {}).items():
            machine = record["hardware"]
            unknown = "" if speed(machine) else ", its speed not kept"
            run = f"measured on {record['created'][:10]} on {describe(machine)}{unknown}"
            runs.setdefault(run, []).append(notebook.partition("_")[0])
        for run, numbers in runs.items():
            which = "" if len(runs) == 1 else f", {' '.join(numbers)}"
            lines.append(f"- `{profile}`{which}: {run}.")
    return lines
