"""Wheels made anew from installed packages, so that a pack holds what was tested and nothing has to be downloaded.

Pip records each file that it installs, with its hash (RECORD). A wheel is those files again, those outside
site-packages in the wheel's `.data` folder. See the binary distribution format: https://packaging.python.org/specifications/
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import IO

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.data import KitError

MADE_BY_PIP = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}  # pip writes these anew where it installs


def needed(name: str) -> list[metadata.Distribution]:
    """A distribution and everything that it needs on this machine, sorted by name; extras only where one is asked for.

    Raises:
        KitError: One of them is not installed.
    """
    found: dict[tuple[str, frozenset[str]], metadata.Distribution] = {}
    waiting = [(canonicalize_name(name), frozenset[str]())]
    while waiting:
        wanted = waiting.pop()
        if wanted in found:
            continue
        found[wanted] = _installed(wanted[0])
        for item in map(Requirement, found[wanted].requires or []):
            if item.marker is None or any(item.marker.evaluate({"extra": extra}) for extra in wanted[1] | {""}):
                waiting.append((canonicalize_name(item.name), frozenset(item.extras)))
    return [distribution for _, distribution in sorted({key[0]: found[key] for key in found}.items())]


def _installed(name: str) -> metadata.Distribution:
    """The distribution as pip installed it, not the notes that a build left in the folder that we are in."""
    known = list(metadata.distributions(name=name))
    if not known:
        remedy = f'run `{sys.executable} -m pip install -c constraints.txt -e ".[test]"` in the kit\'s folder'
        raise KitError(f"{name} is not installed: {remedy}")
    return next((each for each in known if each.read_text("WHEEL")), known[0])


def file_name(distribution: metadata.Distribution) -> str:
    """The wheel's name, which says for which Pythons and systems it is.

    Raises:
        KitError: The package was not installed from a wheel.
    """
    wheel = distribution.read_text("WHEEL")
    if not wheel:
        raise KitError(f"{distribution.name} was not installed by pip: make the environment anew with `make setup`")
    tags = [tag.split("-") for tag in re.findall(r"^Tag: (\S+)", wheel, re.MULTILINE)]
    parts = [".".join(dict.fromkeys(column)) for column in zip(*tags, strict=True)]
    return "-".join([re.sub(r"[-_.]+", "_", distribution.name), distribution.version, *parts]) + ".whl"


def write_wheel(distribution: metadata.Distribution, out: IO[bytes], compression: int) -> None:
    """Writes an installed package as a wheel; of one installed in place (`pip install -e`), its metadata alone.

    Args:
        distribution: The package.
        out: A binary file; it need not be seekable.
        compression: 0 (none) to 9.

    Raises:
        KitError: A file is missing, or is not the one that was installed.
    """
    in_place = '"editable": true' in (distribution.read_text("direct_url.json") or "")
    info = f"{Path(str(distribution.locate_file('x'))).parent}"
    record = []
    with zipfile.ZipFile(
        out, "w", zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED, True, compression
    ) as wheel:
        folder = ""
        for file in sorted(distribution.files or [], key=str):
            member = _member(file, distribution, Path(info))
            if member is None or (in_place and ".dist-info/" not in member):
                continue
            content = _content(file, distribution)
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", member):  # not that of a package inside this one
                folder = member.removesuffix("METADATA")
            if ".data/scripts/" in member:
                content = re.sub(rb"\A#![^\n]*python[^\n]*", b"#!python", content)
            entry = zipfile.ZipInfo(member)
            entry.compress_type, entry.external_attr = wheel.compression, _mode(file) << 16
            wheel.writestr(entry, content, compresslevel=compression)
            record.append(f"{_quoted(member)},sha256={_hash(content)},{len(content)}")
        wheel.writestr(f"{folder}RECORD", "\n".join([*record, f"{folder}RECORD,,", ""]))


def _member(file: metadata.PackagePath, distribution: metadata.Distribution, packages: Path) -> str | None:
    """Where a file lies in the wheel; None for what pip makes anew when it installs."""
    if file.suffix == ".pyc" or (".dist-info" in file.parts[0] and file.name in MADE_BY_PIP):
        return None
    if file.parts[0] != "..":
        return file.as_posix()
    place = (packages / file).resolve().relative_to(Path(sys.prefix).resolve())
    data = f"{re.sub(r'[-_.]+', '_', distribution.name)}-{distribution.version}.data"
    if place.parts[0] not in ("bin", "Scripts"):
        return f"{data}/data/{place.as_posix()}"
    made = {entry.name for entry in distribution.entry_points if entry.group in ("console_scripts", "gui_scripts")}
    return None if place.stem in made or place.name in made else f"{data}/scripts/{place.name}"


def _content(file: metadata.PackagePath, distribution: metadata.Distribution) -> bytes:
    try:
        content = Path(str(file.locate())).read_bytes()
    except OSError as error:
        raise KitError(
            f"{distribution.name}: {file} cannot be read ({error.strerror}); {_again(distribution)}"
        ) from error
    if file.hash is not None and file.hash.mode == "sha256" and file.hash.value != _hash(content):
        raise KitError(f"{distribution.name}: {file} is not the file that was installed; {_again(distribution)}")
    return content


def _again(distribution: metadata.Distribution) -> str:
    pin = f"{distribution.name}=={distribution.version}"
    return f"install it anew: `{sys.executable} -m pip install --force-reinstall --no-deps {pin}`"


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _mode(file: metadata.PackagePath) -> int:
    return Path(str(file.locate())).stat().st_mode & 0o177777


def _quoted(member: str) -> str:
    return f'"{member}"' if "," in member else member
