"""Checks the machine: is everything there that the kit needs, and which command provides what is not?

    python -m helpers doctor        # a table; exit code 1 when something is missing

Nothing is fetched and nothing needs a network. Advice (a small disk, little free memory) is shown but is no failure.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .download import MODELS, model_folder, verify
from .effort import folder_bytes
from .machine import choose_device, choose_dtype, hardware, kit_home, missing_thread_settings

if TYPE_CHECKING:
    from rich.console import Group

DISTRIBUTION = "rag-or-fine-tuning"
OK, ADVICE, MISSING = "ok", "advice", "missing"
GIB = 2**30
MEMORY_NEEDED = 4 * GIB  # what the largest process may take at its peak
DISK_FOR_MODELS, DISK_FOR_RUNS = 2 * GIB, 1 * GIB


@dataclass(frozen=True)
class Check:
    """One row of the table: `state` is ok, advice or missing; `remedy` says what to do, else it is empty."""

    name: str
    found: str
    state: str = OK
    remedy: str = ""


def check() -> list[Check]:
    """All checks, in the order in which a newcomer would solve their problems; takes a few seconds."""
    rows = [check_python(), *check_packages()]
    if not something_missing(rows):
        rows += [*check_machine(), check_threads()]
    rows += [check_home(), check_disk()]
    if not something_missing(rows):
        rows += [check_model(name) for name in MODELS]
    return rows


def something_missing(checks: Iterable[Check]) -> bool:
    """Whether the command must end with exit code 1."""
    return any(row.state == MISSING for row in checks)


def report(checks: Iterable[Check]) -> Group:
    """The table, and below it one line for each problem; print it with rich, or show it in a notebook."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    checks = list(checks)
    colours = {OK: "green", ADVICE: "yellow", MISSING: "red"}
    table = Table("what", "found", "state", title="The kit's view of this machine")
    for row in checks:
        table.add_row(Text(row.name), Text(row.found), Text(row.state, style=colours[row.state]))
    remedies = [Text(f"{row.name}: {row.remedy}") for row in checks if row.remedy]
    verdict = "Something is missing." if something_missing(checks) else "Everything that the kit needs is here."
    return Group(table, *remedies, Text(verdict))


def check_python() -> Check:
    """This interpreter against the project's `requires-python`."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    except metadata.PackageNotFoundError:
        remedy = f"run `{sys.executable} -m pip install -e .` in the kit's folder"
        return Check("Python", f"{version}, but the kit is not installed in it", MISSING, remedy)
    if version not in SpecifierSet(wanted):
        remedy = "make a new environment with such a Python (make clean, then make setup PYTHON=...)"
        return Check("Python", f"{version}; the kit needs {wanted}", MISSING, remedy)
    return Check("Python", f"{version} in the environment {Path(sys.prefix).name}")


def check_packages(requirements: Iterable[str] | None = None) -> list[Check]:
    """Installed versions against the project's ranges, in one row, or one row for each package that does not fit.

    Args:
        requirements: Requirement strings; None takes the kit's own from its installed metadata.
    """
    if requirements is None:
        try:
            requirements = metadata.requires(DISTRIBUTION) or []
        except metadata.PackageNotFoundError:
            return []  # `check_python` has said so
    wanted = [Requirement(text) for text in requirements]
    wanted = [item for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    bad = []
    for item in wanted:
        try:
            version = metadata.version(item.name)
            found = "" if item.specifier.contains(version, prereleases=True) else version
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found:
            remedy = f'run `{sys.executable} -m pip install "{item.name}{item.specifier}"`'
            bad.append(Check(item.name, f"{found}; the kit needs {item.specifier}", MISSING, remedy))
    return bad or [Check("packages", f"{len(wanted)} of {len(wanted)} within their ranges")]


def check_machine() -> list[Check]:
    """Cores, memory, accelerator and dtype; little memory is advice, since a smaller profile may still fit."""
    import psutil

    found, memory = hardware(), psutil.virtual_memory()
    short = memory.available < MEMORY_NEEDED
    remedy = f"close other programs: the largest step may need {MEMORY_NEEDED / GIB:.0f} GiB" if short else ""
    room = f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f} GiB"
    device = choose_device()
    dtype, speeds = choose_dtype(device)
    measured = ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in speeds.items())
    return [
        Check("cores", f"{found['cores']} ({found['processor']})"),
        Check("memory", room, ADVICE if short else OK, remedy),
        Check("accelerator", found["accelerator"] or "none: the kit computes on the CPU, which is enough"),
        Check("dtype", f"{dtype} on {device} (measured: {measured})"),
    ]


def check_threads() -> Check:
    """Whether torch's threads leave the cores to others while they wait."""
    missing = missing_thread_settings()
    if not missing:
        return Check("threads", "wait passively")
    settings = " ".join(f"{name}={value}" for name, value in missing.items())
    remedy = f"start Python with {settings} in its environment, as `make lab` does; it must be set before torch loads"
    return Check("threads", "spin while they wait, which slows down a shared machine", ADVICE, remedy)


def check_home() -> Check:
    """The folder of the models: named, and writable where it exists or could be made."""
    home = kit_home()
    place = _nearest_folder(home)
    if not os.access(place, os.W_OK | os.X_OK) or (home.exists() and not home.is_dir()):
        remedy = "set the environment variable KIT_HOME to a folder that you may write to"
        return Check("KIT_HOME", f"{home} cannot be written to", MISSING, remedy)
    below = home.relative_to(Path.home()) if home.is_relative_to(Path.home()) else None
    return Check("KIT_HOME", f"~/{below.as_posix()}" if below else str(home))


def check_disk() -> Check:
    """Free disk space where the models lie: more is wanted while they are still to be fetched."""
    fetched = all(model_folder(name).is_dir() for name in MODELS)
    wanted = DISK_FOR_RUNS if fetched else DISK_FOR_MODELS
    free = shutil.disk_usage(_nearest_folder(kit_home())).free
    remedy = f"free {wanted / GIB:.0f} GiB there, or set KIT_HOME to a folder on another disk" if free < wanted else ""
    return Check("disk", f"{free / GIB:.1f} GiB free at KIT_HOME", ADVICE if remedy else OK, remedy)


def check_model(name: str) -> Check:
    """One default model: there, and every file's hash as it was when the model was fetched."""
    problems = verify(name)
    if problems:
        remedy = f"run `{sys.executable} -m helpers fetch`"
        return Check(name, "; ".join(problems), MISSING, remedy)
    return Check(name, f"verified, {folder_bytes(model_folder(name)) / 1e6:.0f} MB")


def _nearest_folder(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
