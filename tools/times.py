"""Keeps how long notebooks took, and brings up to date what pages and printed outputs say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.data import write_text
from helpers.experiment import now
from helpers.lessons import TIMES, read_times, recorded_time
from helpers.models import describe, hardware, speed

if TYPE_CHECKING:
    from .notebooks import NotebookRun

PRINTED = re.compile(  # a line of `expected_seconds` in what a cell has printed
    r"^(?:About \d+ (?:s|minutes)|Not measured yet) with the (\w+) profile (?:\(measured on |on this machine).*$",
    re.MULTILINE,
)


def record_times(profile: str, runs: Sequence[NotebookRun], path: Path = TIMES) -> Path:
    """Keeps the seconds of a run for `expected_seconds`; notebooks that failed or did not run keep their old ones.

    Args:
        profile: The profile that they ran with.
        runs: What `run_notebooks` returned.
        path: The record: profile, then notebook, then the `seconds`, `hardware` and day (`created`) of its run.
    """
    times, about = read_times(path), {"hardware": hardware(), "created": now()}
    seconds = {run.notebook.stem: round(run.seconds, 1) for run in runs if not run.error}
    times.setdefault(profile, {}).update({name: {"seconds": taken} | about for name, taken in seconds.items()})
    return write_text(path, json.dumps(times, indent=1, sort_keys=True) + "\n")


def with_recorded_times(text: str, notebook: str, times: dict[str, Any]) -> str:
    """A notebook's printed text, its line of `expected_seconds` brought up to date with the record.

    A line that states the recorded time already is left, with what it says of the machine that printed it.
    """

    def line(printed: re.Match[str]) -> str:
        record = times.get(printed[1], {}).get(notebook)
        recorded = recorded_time(record, printed[1]) if record else printed[0]
        return printed[0] if printed[0].startswith(recorded) else recorded

    return PRINTED.sub(line, text)


def measured_on(times: dict[str, Any], profiles: Sequence[str]) -> list[str]:
    """On which machine and day the notebooks of each profile were timed, one line of a list for each such run."""
    lines = []
    for profile in profiles:
        runs: dict[str, list[str]] = {}
        for notebook, record in times.get(profile, {}).items():
            machine = record["hardware"]
            unknown = "" if speed(machine) else ", its speed not kept"
            run = f"measured on {record['created'][:10]} on {describe(machine)}{unknown}"
            runs.setdefault(run, []).append(notebook[:2])
        for run, numbers in runs.items():
            which = "" if len(runs) == 1 else f", {' '.join(numbers)}"
            lines.append(f"- `{profile}`{which}: {run}.")
    return lines
