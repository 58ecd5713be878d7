"""Installs a pack without a network: this file is `install.py` in a pack, and needs Python and nothing else.

    python3 install.py        # on Windows: py install.py

It checks each file by its hash, makes .venv beside itself, installs the wheels, and puts the models where the kit looks
for them (the environment variable KIT_HOME moves that place). It may be run again at any time, and begins afresh then.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

LIST = "pack.json"
KERNEL = ["--name", "rag-or-fine-tuning", "--display-name", "RAG or fine-tuning?"]


def platform() -> str:
    """System, processor and Python, which must be the same on both machines."""
    return "{} with Python {}.{}".format(sysconfig.get_platform(), *sys.version_info[:2])


def problems(folder: Path) -> list[str]:
    """What speaks against installing the pack in this folder: one sentence for each; empty when nothing does."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"{folder / LIST} is missing or damaged: unpack the pack anew"]
    if listed["platform"] != platform():
        return [f"this pack is for {listed['platform']}, but this is {platform()}: run install.py with another Python, "
                "or make a pack on a machine like this one"]  # fmt: skip
    before = sum(path.stat().st_size for path in (folder / ".venv").rglob("*") if path.is_file())  # is made anew
    free = shutil.disk_usage(str(folder)).free + before
    if free < listed["installed_bytes"]:
        need = listed["installed_bytes"] / 1e9
        return [f"{need:.1f} GB of disk are needed, {free / 1e9:.1f} GB are free: unpack the pack on another disk"]
    return [f"{name} is {what}: unpack the pack anew" for name, sha256 in listed["files"].items()
            if (what := _trouble(folder / name, sha256))]  # fmt: skip


def install(folder: Path) -> None:
    """Makes the environment of an unpacked pack; raises CalledProcessError where a step fails."""
    venv = folder / ".venv"
    _step("making .venv", [sys.executable, "-m", "venv", "--clear", str(venv)], folder)
    python = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    packed = json.loads((folder / LIST).read_text(encoding="utf-8"))["files"]  # an earlier pack's may lie there too
    wheels = sorted(name for name in packed if name.startswith("wheels/"))
    (folder / "wheels" / "all.txt").write_text("".join(f"./{name}\n" for name in wheels), encoding="utf-8")
    offline = ["--no-index", "--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]
    listed = ["--requirement", str(Path("wheels", "all.txt"))]
    _step(f"installing {len(wheels)} packages", [python, "-m", "pip", "install", *offline, *listed], folder)
    found = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.strip()  # fmt: skip
    (Path(found) / "rag-or-fine-tuning.pth").write_text(f"{folder}\n", encoding="locale")  # as Python reads it
    _step("adding the notebook kernel", [python, "-m", "ipykernel", "install", "--sys-prefix", *KERNEL], folder)
    _step("placing and checking the models", [python, "-m", "helpers", "fetch", "--source", "models"], folder)
    for stamp in (".python", ".packages"):  # make then knows that these steps are done
        (venv / stamp).touch()
    lab = Path(".venv", "Scripts" if os.name == "nt" else "bin", "jupyter-lab")
    print(f"Done. Begin with: {lab} {Path('notebooks', '00_start_here.ipynb')}   (or, where there is make: make lab)")


def main() -> None:
    """Looks for problems first, then installs; exit status 1 with a sentence where that cannot be."""
    folder = Path(__file__).resolve().parent
    found = problems(folder)
    if found:
        sys.exit("\n".join(found))
    try:
        install(folder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"A step failed, its reason stands above: {' '.join(error.cmd)}\nMend it and run install.py again.")


def _trouble(path: Path, sha256: str) -> str:
    """What is wrong with a file, in a word; empty where it is as it was packed."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return "missing"
    return "" if digest.hexdigest() == sha256 else "damaged"


def _step(what: str, command: list[str], folder: Path) -> None:
    """Says what is being done and does it; settings of pip on this machine are set aside."""
    print(f"{what} ...", flush=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    kept["PIP_CONFIG_FILE"] = os.devnull
    subprocess.run(command, cwd=str(folder), env=kept, check=True)


if __name__ == "__main__":
    main()
