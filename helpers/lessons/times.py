"""How long notebooks take: the record of runs in results/reference/times.json, each with its machine and day."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..data import ROOT, KitError, write_text
from ..experiment import now
from ..models import describe, hardware, speed

TIMES = ROOT / "results" / "reference" / "times.json"
LIKE = 0.8  # machines whose speeds differ by less take about the same time
PRINTED = re.compile(  # a line of `expected_seconds` in what a cell has printed
    r"^(?:About \d+ (?:s|minutes)|Not measured yet) with the (\w+) profile (?:\(measured on |on this machine).*$",
    re.MULTILINE,
)


class Run(Protocol):
    """One executed notebook, as `tools.notebooks` gives it."""

    notebook: Path
    seconds: float
    error: str


def expected_seconds(notebook: str, profile: str, path: Path = TIMES) -> str:
    """How long a notebook takes, in words, from a recorded run; or that nobody has measured it.

    Args:
        notebook: its name without ending, or its number ("02").
        profile: the profile it will run with.
        path: the record, as `record_times` writes it.

    Raises:
        KitError: the record is there and cannot be read.
    """
    records = read_times(path).get(profile, {})
    record = next((record for name, record in records.items() if notebook in (name, name[:2])), None)
    if record is None:
        return f"Not measured yet with the {profile} profile on this machine."
    told = _told(record, profile)
    there, here = speed(record["hardware"]), speed(hardware())
    if not there or not here or LIKE < here / there < 1 / LIKE:
        return told
    if here < there:
        return f"{told} A matrix product takes {there / here:.1f} times as long here: expect that much more."
    return f"{told} A matrix product is {here / there:.1f} times as fast here: expect less."


def retold(text: str, notebook: str, times: dict[str, Any]) -> str:
    """A notebook's printed text with its line of `expected_seconds` as the record tells it now.

    A line that tells the recorded time already is left, with what it says of the machine that printed it.
    """

    def line(found: re.Match[str]) -> str:
        record = times.get(found[1], {}).get(notebook)
        told = _told(record, found[1]) if record else found[0]
        return found[0] if found[0].startswith(told) else told

    return PRINTED.sub(line, text)


def record_times(profile: str, runs: Sequence[Run], path: Path = TIMES) -> Path:
    """Keeps the seconds of a run for `expected_seconds`; notebooks that failed or did not run keep their old ones.

    Args:
        profile: the profile that they ran with.
        runs: what `run_notebooks` returned.
        path: a JSON file: profile, then notebook, then the `seconds`, `hardware` and day (`created`) of its run.
    """
    times, about = read_times(path), {"hardware": hardware(), "created": now()}
    times.setdefault(profile, {}).update(
        {run.notebook.stem: {"seconds": round(run.seconds, 1)} | about for run in runs if not run.error}
    )
    return write_text(path, json.dumps(times, indent=1, sort_keys=True) + "\n")


def read_times(path: Path = TIMES) -> dict[str, Any]:
    """The record of `record_times`; empty where there is none.

    Raises:
        KitError: It is there and cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise KitError(f"{path} cannot be read as JSON ({error}); restore it with git, or delete it") from error


def running_minutes(notebook: str, profile: str, times: dict[str, Any]) -> float | None:
    """Minutes that a notebook's recorded run took; None where nobody has measured it."""
    record = times.get(profile, {}).get(notebook)
    return record["seconds"] / 60 if record else None


def measured_on(times: dict[str, Any], profiles: Sequence[str]) -> list[str]:
    """On which machine and day each profile's notebooks were timed, as the lines of a list: one for each such run."""
    lines = []
    for profile in profiles:
        runs: dict[str, list[str]] = {}
        for notebook, record in times.get(profile, {}).items():
            machine = record["hardware"]
            told = describe(machine) if speed(machine) else f"{describe(machine)}, its speed not kept"
            run = f"measured on {record['created'][:10]} on {told}"
            runs.setdefault(run, []).append(notebook[:2])
        for run, numbers in runs.items():
            which = f"`{profile}`" if len(runs) == 1 else f"`{profile}`, {' '.join(numbers)}"
            lines.append(f"- {which}: {run}.")
    return lines


def in_minutes(minutes: float | None) -> str:
    """Minutes in words, rounded; None was not measured."""
    if minutes is None:
        return "not measured yet"
    if minutes < 1:
        return "under a minute"
    return "1 minute" if round(minutes) == 1 else f"{round(minutes)} minutes"


def _told(record: dict[str, Any], profile: str) -> str:
    """A recorded time and its machine, as a notebook announces them."""
    seconds, machine = record["seconds"], record["hardware"]
    told = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"About {told} with the {profile} profile (measured on {machine['processor']}, {machine['cores']} cores)."


def header(notebook: str, profile: str) -> str:
    """What a notebook prints first: versions, machine, and how long it takes; see `times.expected_seconds`."""
    from helpers.experiment import versions

    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python}, {packages}\n{describe(hardware())}\n{expected_seconds(notebook, profile)}"
