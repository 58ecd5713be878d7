"""Checks the machine: is everything there that the kit needs, and which command provides what is not?

    python -m helpers doctor        # exit code 1 when something is missing

Nothing is fetched and nothing needs a network. Advice (a small disk, little free memory) is shown but is no failure.
"""

import os
import shutil
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..data import own_folder
from .download import MODELS, model_folder, verify
from .machine import choose_device, choose_dtype, describe, folder_bytes, hardware, kit_home

DISTRIBUTION = "rag-or-fine-tuning"
INSTALL = f"run `{sys.executable} -m pip install -e .` in the kit's folder"
OK, ADVICE, MISSING = "ok", "advice", "missing"
GIB = 2**30
MEMORY_NEEDED, DISK_NEEDED = 4 * GIB, 2 * GIB  # what the largest process may take; models and a learner's runs


@dataclass(frozen=True)
class Check:
    """One row of the table: `state` is ok, advice or missing; `remedy` says what to do, else it is empty."""

    name: str
    found: str
    state: str = OK
    remedy: str = ""


def check() -> list[Check]:
    """All checks, in the order in which a newcomer would solve their problems; takes a few seconds."""
    rows = [check_packages()]
    rows += [] if something_missing(rows) else check_machine()
    rows += [check_home(), check_leftovers()]
    return rows + ([] if something_missing(rows) else [check_model(name) for name in MODELS])


def something_missing(checks: Iterable[Check]) -> bool:
    """Whether the command must end with exit code 1."""
    return any(row.state == MISSING for row in checks)


def report(checks: list[Check]) -> str:
    """A line for each check, then one for each problem, which says what to do."""
    verdict = "Something is missing." if something_missing(checks) else "Everything that the kit needs is here."
    lines = [f"{row.state:8} {row.name:22} {row.found}" for row in checks]
    return "\n".join([*lines, *(f"{row.name}: {row.remedy}" for row in checks if row.remedy), verdict])


def check_packages() -> Check:
    """Installed versions against the ranges in the kit's own metadata."""
    python = f"Python {sys.version.split()[0]}"
    installed = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    if DISTRIBUTION not in installed:
        return Check("packages", f"the kit is not installed in this {python}", MISSING, INSTALL)
    wanted = map(Requirement, metadata.requires(DISTRIBUTION) or [])
    wanted = [item for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    wrong = []
    for item in wanted:
        version = installed.get(canonicalize_name(item.name), "")
        if not version or not item.specifier.contains(version, prereleases=True):
            wrong.append(f"{item.name} {version or 'is not installed'}, the kit needs {item.specifier}")
    if wrong:
        return Check("packages", "; ".join(wrong), MISSING, INSTALL)
    return Check("packages", f"{python}, {len(wanted)} packages within their ranges")


def check_machine() -> list[Check]:
    """What the machine is, its free memory (a smaller profile may still fit), the dtype, and how threads wait."""
    import psutil

    free, device = psutil.virtual_memory().available, choose_device()
    dtype, speeds = choose_dtype(device)
    measured = ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in speeds.items())
    crowded = f"close other programs: the largest step may need {MEMORY_NEEDED / GIB:.0f} GiB"
    passive = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
    spinning = "set OMP_WAIT_POLICY=PASSIVE before Python starts, as `make lab` does: else a shared machine slows down"
    return [
        Check("machine", describe(hardware())),
        _advise("memory", f"{free / GIB:.1f} GiB free", free < MEMORY_NEEDED, crowded),
        Check("dtype", f"{dtype} on {device} (measured: {measured})"),
        _advise("threads", "wait passively" if passive else "spin while they wait", not passive, spinning),
    ]


def check_home() -> Check:
    """The folder of the models: writable where it exists or could be made, and with some room on its disk."""
    home = kit_home()
    place = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    if not os.access(place, os.W_OK | os.X_OK) or (home.exists() and not home.is_dir()):
        remedy = "set the environment variable KIT_HOME to a folder that you may write to"
        return Check("KIT_HOME", f"{home} cannot be written to", MISSING, remedy)
    free = shutil.disk_usage(place).free
    shown = f"~/{home.relative_to(Path.home()).as_posix()}" if home.is_relative_to(Path.home()) else str(home)
    small = f"free {DISK_NEEDED / GIB:.0f} GiB there, or set KIT_HOME to a folder on another disk"
    return _advise("KIT_HOME", f"{shown}, {free / GIB:.1f} GiB free", free < DISK_NEEDED, small)


def check_leftovers() -> Check:
    """What processes that were killed have left behind; the next one of their kind removes it."""
    own = own_folder()
    found = [*(kit_home() / "models").glob(".*-*/"), *own.rglob(".making-*/"), *own.rglob(".*.part")]
    size = sum(folder_bytes(each) if each.is_dir() else each.stat().st_size for each in found)
    places = ", ".join(str(each) for each in found[:5])
    remedy = f"while no command of the kit is running, delete {places}"
    return _advise("left behind", f"{len(found)} files and folders, {size / 1e6:.0f} MB", bool(found), remedy)


def check_model(name: str) -> Check:
    """One default model: there, every file's hash as when it was fetched, and readable by the machine's other users."""
    if problems := verify(name):
        return Check(name, "; ".join(problems), MISSING, f"run `{sys.executable} -m helpers fetch`")
    folder = model_folder(name)
    closed = any(not path.stat().st_mode & stat.S_IROTH for path in folder.rglob("*"))
    remedy = f"if others use this machine, let them read it: `chmod -R a+rX {folder}`"
    return _advise(name, f"verified, {folder_bytes(folder) / 1e6:.0f} MB", closed and os.name != "nt", remedy)


def _advise(name: str, found: str, needed: bool, remedy: str) -> Check:
    return Check(name, found, ADVICE, remedy) if needed else Check(name, found)
