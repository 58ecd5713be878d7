"""A workshop in a box: one file that sets the kit up on other machines of the same platform, without a network.

    python -m helpers pack --out kit.zip       # unpack it there, then `python3 install.py` inside

It holds the packages of this environment as wheels, the models, the notebooks, data, reference results and helpers.
`helpers/installer.py` becomes its `install.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from helpers.data import ROOT, KitError
from helpers.models import DISTRIBUTION, MODELS, model_folder, verify

from . import installer, wheels

TOP = "rag-or-fine-tuning"
PARTS = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "constraints.txt",
         "environment.yml", "helpers", "notebooks", "datasets", "results/reference", "docs", "slides",
         "benchmarks")  # fmt: skip
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}
BLOCK = 1 << 20


@dataclass
class Packed:
    """What a pack holds: bytes in the file by kind, how many files of each kind, and what it takes once installed."""

    path: Path
    bytes: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    installed_bytes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        inside = ", ".join(f"{self.files[kind]} {kind} ({size / 1e6:,.0f} MB)" for kind, size in self.bytes.items())
        return (
            f"{self.path}: {self.path.stat().st_size / 1e6:,.0f} MB, made in {self.seconds:.0f} s\n"
            f"inside: {inside}\n"
            f"for {installer.platform()}; takes {self.installed_bytes / 1e9:.1f} GB of disk once installed\n"
            f"there: unpack it, then `python3 install.py` in the folder {TOP} (on Windows: `py install.py`)"
        )


def pack(out: str | Path, root: Path = ROOT, compression: int = 1, progress: bool = True) -> Packed:
    """Writes a pack, whole or not at all.

    Args:
        out: The file to write, ending in .zip.
        root: The kit's folder.
        compression: Of wheels, 0 (none, quickest) to 9.
        progress: Whether to say what is being packed.

    Raises:
        KitError: A model or package is missing or damaged, `out` is no .zip, or the disk is full.
    """
    out = Path(out)
    if out.suffix != ".zip":
        raise KitError(f"a pack is a .zip file. Got {str(out)!r}")
    if any(out.resolve().is_relative_to((Path(root) / part).resolve()) for part in PARTS):
        raise KitError(f"{out} lies in a folder that is packed itself: give --out in another one")
    problems = [problem for name in MODELS for problem in verify(name)]
    if problems:
        raise KitError("\n".join(problems))
    packed, started = Packed(out), time.perf_counter()
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(beside, "w") as archive:
            _fill(archive, packed, root, compression, progress)
        beside.replace(out)
    except OSError as error:
        told = error.strerror or error
        raise KitError(f"could not write {out}: {told}. Free some space, or give --out on another disk") from error
    finally:
        beside.unlink(missing_ok=True)
    packed.seconds = time.perf_counter() - started
    return packed


def _fill(archive: zipfile.ZipFile, packed: Packed, root: Path, compression: int, progress: bool) -> None:
    """Writes every file, then the list of them with their hashes, then what installs them."""
    hashes: dict[str, str] = {}
    for distribution in wheels.needed(DISTRIBUTION):
        name = f"wheels/{wheels.file_name(distribution)}"
        if progress:
            print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)
        with archive.open(f"{TOP}/{name}", "w", force_zip64=True) as file:
            hashed = _Hashed(file)
            wheels.write_wheel(distribution, hashed, compression)
        hashes[name] = hashed.sha256.hexdigest()
        _count(packed, "wheels", hashed.size, sum(each.size or 0 for each in distribution.files or []))
    if progress:
        print("\r\033[K", end="", file=sys.stderr)
    for kind, name, path in _files(root):
        with path.open("rb") as source, archive.open(f"{TOP}/{name}", "w", force_zip64=True) as file:
            hashed = _Hashed(file)
            while block := source.read(BLOCK):
                hashed.write(block)
        hashes[name] = hashed.sha256.hexdigest()
        _count(packed, kind, hashed.size, hashed.size)
    listed = {"platform": installer.platform(), "installed_bytes": packed.installed_bytes, "files": hashes}
    archive.writestr(f"{TOP}/{installer.LIST}", json.dumps(listed, indent=1, sort_keys=True) + "\n")
    archive.write(installer.__file__, f"{TOP}/install.py")


def _files(root: Path) -> Iterator[tuple[str, str, Path]]:
    """The kind, the name in the pack and the place of each file that is no wheel."""
    for name in MODELS:
        folder = model_folder(name)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            yield "model files", f"models/{name}/{path.relative_to(folder).as_posix()}", path
    for part in PARTS:
        place = root / part
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not LEFT_OUT & set(path.parts):
                yield "files of the kit", path.relative_to(root).as_posix(), path


def _count(packed: Packed, kind: str, size: int, installed: int) -> None:
    packed.bytes[kind] = packed.bytes.get(kind, 0) + size
    packed.files[kind] = packed.files.get(kind, 0) + 1
    packed.installed_bytes += installed


class _Hashed:
    """A file that is written once, from the beginning to the end, and hashed on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, block: bytes) -> int:
        """Writes, counts and hashes a block."""
        self.size += len(block)
        self.sha256.update(block)
        return self.file.write(block)

    def flush(self) -> None:
        """Nothing: the pack is flushed as a whole."""
