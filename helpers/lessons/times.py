"""How long notebooks take: the record of runs in results/reference/times.json, each with its machine and day."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data import ROOT, KitError, write_text
from ..experiment import now, versions
from ..models import describe, hardware, speed

TIMES = ROOT / "results" / "reference" / "times.json"
LIKE = 0.8  # machines whose speeds differ by less take about the same time
PRINTED = re.compile(  # a line of `expected_seconds` in what a cell has printed
    r"^(?:About \d+ (?:s|minutes)|Not measured yet) with the (\w+) profile (?:\(measured on |on this machine).*$",
    re.MULTILINE,
)


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
        path: The record: profile, then notebook, then the `seconds`, `hardware` and day (`created`) of its run.

    Raises:
        KitError: The record is there and cannot be read.
    """
    records = read_times(path).get(profile, {})
    record = next((record for name, record in records.items() if notebook in (name, name[:2])), None)
    if record is None:
        return f"Not measured yet with the {profile} profile on this machine."
    text = _recorded(record, profile)
    there, here = speed(record["hardware"]), speed(hardware())
    if not there or not here or LIKE < here / there < 1 / LIKE:
        return text
    if here < there:
        return f"{text} A matrix product takes {there / here:.1f} times as long here: expect that much more."
    return f"{text} A matrix product is {here / there:.1f} times as fast here: expect less."


def retold(text: str, notebook: str, times: dict[str, Any]) -> str:
    """A notebook's printed text, its line of `expected_seconds` brought up to date with the record.

    A line that states the recorded time already is left, with what it says of the machine that printed it.
    """

    def line(printed: re.Match[str]) -> str:
        record = times.get(printed[1], {}).get(notebook)
        recorded = _recorded(record, printed[1]) if record else printed[0]
        return printed[0] if printed[0].startswith(recorded) else recorded

    return PRINTED.sub(line, text)


def record_times(profile: str, runs: Sequence[Any], path: Path = TIMES) -> Path:
    """Keeps the seconds of a run for `expected_seconds`; notebooks that failed or did not run keep their old ones.

    Args:
        profile: The profile that they ran with.
        runs: Each with its `notebook` (a path), its `seconds`, and its `error`, empty where all went well.
        path: The record to add to.
    """
    times, about = read_times(path), {"hardware": hardware(), "created": now()}
    seconds = {run.notebook.stem: round(run.seconds, 1) for run in runs if not run.error}
    times.setdefault(profile, {}).update({name: {"seconds": taken} | about for name, taken in seconds.items()})
    return write_text(path, json.dumps(times, indent=1, sort_keys=True) + "\n")


def read_times(path: Path = TIMES) -> dict[str, Any]:
    """The record of runs; empty where there is none.

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


def in_minutes(minutes: float | None) -> str:
    """Minutes in words, rounded; None was not measured."""
    if minutes is None:
        return "not measured yet"
    if minutes < 1:
        return "under a minute"
    return "1 minute" if round(minutes) == 1 else f"{round(minutes)} minutes"


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


def _recorded(record: dict[str, Any], profile: str) -> str:
    """A recorded time and its machine, as a notebook announces them."""
    seconds, machine = record["seconds"], record["hardware"]
    length = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return f"About {length} with the {profile} profile (measured on {machine['processor']}, {machine['cores']} cores)."
