"""A pack of a tiny kit is made and installed with the network blocked: names, hashes, and nothing half-made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import disk_with_room_for, write

from helpers.data import KitError
from helpers.models import FOUNDATION_MODEL, fetch, model_folder
from tools import pack

PARTS = pack.PARTS  # the real ones, before a test has its own
BLOCKED = Path(__file__).parent / "blocked_network"
BACKEND = """
import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "tiny_kit-1.0.dist-info"
    files = {"tiny_kit.pth": str(pathlib.Path.cwd())}
    files[f"{info}/METADATA"] = "Metadata-Version: 2.1\\nName: tiny-kit\\nVersion: 1.0\\nRequires-Dist: tide-gauge\\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / "tiny_kit-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "tiny_kit-1.0-py3-none-any.whl"
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny-kit"
version = "1.0"
dependencies = ["tide-gauge>=1,<2"]
"""
NOTE = "import pathlib, sys\npathlib.Path('{}.txt').write_text(' '.join(sys.argv[1:]))\n"


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a kit with one dependency, whose wheel (it brings `ipykernel`) is all that pip can reach."""
    root = tmp_path / "kit"
    write(root / "pyproject.toml", PROJECT)
    write(root / "backend.py", BACKEND)
    write(root / "constraints.txt", "tide-gauge==1.1\n")
    write(root / "helpers" / "__main__.py", NOTE.format("fetched"))
    write(root / "helpers" / "__pycache__" / "old.pyc", "left out")
    write(tmp_path / "model" / "model.safetensors", "weights")
    for version in ("1.0", "1.1", "1.2"):
        info = f"tide_gauge-{version}.dist-info"
        files = {
            "tide.py": f"HEIGHT = {version}\n",
            "ipykernel/__main__.py": NOTE.format("kernel"),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tide-gauge\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        (tmp_path / "index").mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / "index" / f"tide_gauge-{version}-py3-none-any.whl", "w") as wheel:
            for name, text in (files | {f"{info}/RECORD": record}).items():
                wheel.writestr(name, text)
    monkeypatch.setattr(pack, "PARTS", ("pyproject.toml", "backend.py", "constraints.txt", "helpers"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PYTHONPATH", str(BLOCKED))
    return root


def made(kit: Path) -> Path:
    out = kit.parent / "pack"
    pack.make(out, {"tiny": kit.parent / "model"}, kit)
    return out


def install_there(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs install.py as a user without network and without settings of pip."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run([sys.executable, "install.py"], cwd=folder, capture_output=True, text=True, env=environment)


def test_a_pack_is_made_and_installed_without_a_network(kit: Path) -> None:
    folder = made(kit)
    listed = json.loads((folder / pack.LIST).read_text(encoding="utf-8"))
    assert set(listed["files"]) == {
        "pyproject.toml", "backend.py", "constraints.txt", "helpers/__main__.py", "models/tiny/model.safetensors",
        "wheels/tide_gauge-1.1-py3-none-any.whl", "install.py",
    }  # fmt: skip
    assert listed["platform"] == pack.platform()
    assert listed["files"]["helpers/__main__.py"] == pack.sha256(kit / "helpers" / "__main__.py")
    (kit.parent / "index" / "tide_gauge-1.1-py3-none-any.whl").unlink()
    run = install_there(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    python = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    height = subprocess.run([python, "-c", "import tide; print(tide.HEIGHT)"], capture_output=True, text=True)
    assert height.stdout == "1.1\n", "the tested version"
    assert (folder / "fetched.txt").read_text(encoding="utf-8") == "fetch --source models"
    assert "--sys-prefix --name rag-or-fine-tuning" in (folder / "kernel.txt").read_text(encoding="utf-8")
    assert (folder / ".venv" / ".packages").exists(), "make would set up again"
    assert install_there(folder).returncode == 0, "it may be repeated"


def test_what_was_lost_damaged_or_added_is_named_before_anything_is_installed(kit: Path) -> None:
    folder = made(kit)
    assert pack.problems(folder) == []
    wheel = folder / "wheels" / "tide_gauge-1.1-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"x")
    (folder / "models" / "tiny" / "model.safetensors").unlink()
    write(folder / "wheels" / "stranger-1.0-py3-none-any.whl", "")
    assert sorted(problem.partition(":")[0] for problem in pack.problems(folder)) == [
        "models/tiny/model.safetensors is missing",
        "wheels/stranger-1.0-py3-none-any.whl is not in the list",
        "wheels/tide_gauge-1.1-py3-none-any.whl is damaged",
    ]
    run = install_there(folder)
    assert run.returncode == 1 and "is damaged" in run.stderr and not (folder / ".venv").exists()
    write(folder / pack.LIST, json.dumps({"platform": "plan9-vax with Python 3.11", "files": {}}))
    assert pack.problems(folder)[0].startswith(
        f"this pack is for plan9-vax with Python 3.11, but this is {pack.platform()}"
    )
    write(folder / pack.LIST, "{")
    assert "is missing or damaged" in pack.problems(folder)[0]


def test_a_failure_leaves_the_earlier_pack_and_nothing_half_made(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(kit)
    before = pack.names(folder)
    with disk_with_room_for(2), pytest.raises(SystemExit, match="could not write .*another disk"):
        made(kit)
    monkeypatch.setenv("PIP_FIND_LINKS", str(kit))
    with pytest.raises(SystemExit, match="pip could not download"):
        made(kit)
    monkeypatch.setattr(pack, "sha256", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setenv("PIP_FIND_LINKS", str(kit.parent / "index"))
    with pytest.raises(KeyboardInterrupt):
        made(kit)
    assert pack.names(folder) == before and not list(kit.parent.glob(".pack*"))


def test_a_pack_replaces_nothing_else_does_not_pack_itself_and_has_its_parts(kit: Path) -> None:
    assert all((pack.HERE.parent / part).exists() for part in PARTS) and "results/ready" in PARTS, (
        "notebook 00 reads it"
    )
    with pytest.raises(SystemExit, match="is in a folder that is packed itself"):
        pack.make(kit / "helpers" / "pack", {}, kit)
    with pytest.raises(SystemExit, match="exists and is no pack"):
        pack.make(kit.parent / "model", {}, kit)


def test_a_model_is_taken_from_a_folder_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "all-MiniLM-L6-v2"
    shutil.copytree(model_folder(name), tmp_path / "models" / name)
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    with pytest.raises(KitError, match=r"could not be taken from .*: .* is not in "):
        fetch(FOUNDATION_MODEL, source=tmp_path / "models")
    weights = tmp_path / "models" / name / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(KitError, match="is damaged"):
        fetch(name, source=tmp_path / "models")
    assert not (tmp_path / "home" / "models" / name).exists()
    weights.write_bytes(whole)
    assert (fetch(name, source=tmp_path / "models") / "model.safetensors").read_bytes() == whole
