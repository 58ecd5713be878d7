"""A workshop in a folder: everything that sets the kit up on other machines of the same platform, without a network.

    python -m tools.pack --out dist/pack      # with a network: packages, models, notebooks, data, and their hashes
    python3 install.py                        # there, in the folder: needs Python and nothing else

`install.py` is a copy of this file: beside a list of files it installs, so this module imports nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "constraints.txt",
         "environment.yml", "helpers", "tools", "notebooks", "datasets", "results/reference", "results/ready",
         "docs")  # fmt: skip
LEFT_OUT = ("__pycache__", ".ipynb_checkpoints", "*.egg-info")
LIST, WHEELS, MODELS = "pack.json", "wheels", "models"


def platform() -> str:
    """System, processor and Python, which must be the same on both machines."""
    return "{} with Python {}.{}".format(sysconfig.get_platform(), *sys.version_info[:2])


def make(out: Path, models: Mapping[str, Path], root: Path = HERE.parent) -> None:
    """Makes the folder `out` from the kit in `root`, whole or not at all; an earlier pack there is replaced.

    Raises:
        SystemExit: `out` holds something else or is packed itself, pip cannot download, or the disk is full.
    """
    out = Path(out).resolve()
    if any(out.is_relative_to((root / part).resolve()) for part in PARTS):
        sys.exit(f"{out} is in a folder that is packed itself: give --out in another one")
    if out.exists() and not (out / LIST).is_file():
        sys.exit(f"{out} exists and is no pack: give --out as a new folder")
    beside, earlier = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.earlier")
    for folder in (beside, earlier):  # what a killed call left
        shutil.rmtree(folder, ignore_errors=True)
    try:
        packed = {part: root / part for part in PARTS} | {f"{MODELS}/{name}": models[name] for name in models}
        for name, source in (packed | {"install.py": Path(__file__)}).items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, beside / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
            else:
                shutil.copy(source, beside / name)
        _download(root, beside / WHEELS)
        files = {name: sha256(beside / name) for name in names(beside)}
        (beside / LIST).write_text(json.dumps({"platform": platform(), "files": files}, indent=1), encoding="utf-8")
        if out.exists():
            out.rename(earlier)
        beside.rename(out)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        sys.exit(f"could not write {out}: {error}. Free some space, or give --out on another disk")
    except subprocess.CalledProcessError as error:
        sys.exit(f"pip could not download the packages (status {error.returncode}); its reason is above")
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _download(root: Path, wheels: Path) -> None:
    """Everything that pyproject.toml lists, and what builds it, as wheels in the tested versions."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
    options = ["--only-binary", ":all:", "--constraint", str(root / "constraints.txt"), "--dest", str(wheels)]
    wheels.mkdir()
    _step("downloading packages", [sys.executable, "-m", "pip", "download", "--quiet", *options, *wanted])


def names(folder: Path, part: str = ".") -> list[str]:
    """The names of all files in a part of a folder, as they are listed."""
    return [path.relative_to(folder).as_posix() for path in sorted((folder / part).rglob("*")) if path.is_file()]


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def problems(folder: Path) -> list[str]:
    """What speaks against installing the pack in this folder: one sentence each; empty when nothing does."""
    try:
        pack = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"{folder / LIST} is missing or damaged: copy the pack again"]
    if pack["platform"] != platform():
        return [f"this pack is for {pack['platform']}, but this is {platform()}: make one on a machine like this one"]
    files = pack["files"]
    wrong = {name: found for name, expected in files.items() if (found := sha256(folder / name)) != expected}
    lost = [f"{name} is {'damaged' if found else 'missing'}: copy the pack again" for name, found in wrong.items()]
    return lost + [f"{name} is not in the list: delete it" for name in names(folder, WHEELS) if name not in files]


def install(folder: Path) -> None:
    """Makes `.venv` in the folder of a pack, with the packages, the notebook kernel and the models; may be repeated."""
    if found := problems(folder):
        sys.exit("\n".join(found))
    venv = folder / ".venv"
    python = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    options = ["--no-index", "--find-links", WHEELS, "--constraint", "constraints.txt", "--quiet"]
    kernel = "--sys-prefix --name rag-or-fine-tuning --env OMP_WAIT_POLICY PASSIVE --display-name".split()
    try:
        _step("making .venv", [sys.executable, "-m", "venv", "--clear", str(venv)], folder)
        _step("installing packages", [python, "-m", "pip", "install", *options, "--editable", "."], folder)
        _step("adding the kernel", [python, "-m", "ipykernel", "install", *kernel, "RAG or fine-tuning?"], folder)
        _step("placing and checking the models", [python, "-m", "helpers", "fetch", "--source", MODELS], folder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"This step failed, its reason is above: {' '.join(error.cmd)}\nFix it and run install.py again.")
    for stamp in (".python", ".packages"):  # make then knows that these steps are done
        (venv / stamp).touch()
    print(f"Done. Start with: {Path(python).with_name('jupyter-lab')} notebooks   (or, where there is make: make lab)")


def _step(what: str, command: list[str], folder: Path | None = None) -> None:
    """Says what is being done and does it; when installing, in `folder` and without this machine's settings of pip."""
    print(f"{what} ...", flush=True)
    own = {name: value for name, value in os.environ.items() if not folder or not name.startswith("PIP_")}
    subprocess.run(command, cwd=folder, env=own | ({"PIP_CONFIG_FILE": os.devnull} if folder else {}), check=True)


def main() -> None:
    """Installs where a pack is, makes one elsewhere."""
    if (HERE / LIST).exists():
        return install(HERE)
    from helpers import models

    parser = argparse.ArgumentParser(prog="python -m tools.pack", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    out = parser.parse_args().out
    if lacking := [problem for name in models.MODELS for problem in models.verify(name)]:
        sys.exit("\n".join(lacking))
    make(out, {name: models.model_folder(name) for name in models.MODELS})
    print(f"{out}: for {platform()}. There: `python3 install.py` in that folder")


if __name__ == "__main__":
    main()
