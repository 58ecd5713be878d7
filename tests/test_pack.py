"""A pack is built from this environment and set up from in another one, with the network blocked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import disk_with_room_for

from helpers.data.records import KitError
from helpers.models.doctor import DISTRIBUTION
from helpers.models.download import FOUNDATION_MODEL, MANIFEST, MODELS, fetch, file_sha256, model_folder
from tools import installer, wheels
from tools.pack import TOP, pack

PROBE = """
import json, helpers, importlib.metadata
print(json.dumps([helpers.__file__, {each.name: each.version for each in importlib.metadata.distributions()}]))
"""
BLOCKED = Path(__file__).parent / "blocked_network"


# The whole way, once: pack, unpack, install, use. Wheels are not compressed here, which changes their size alone.


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of a pack of this very kit, unpacked."""
    place = tmp_path_factory.mktemp("pack")
    made = pack(place / "kit.zip", compression=0, progress=False)
    print(made)
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(place)
    made.path.unlink()
    yield place / TOP
    shutil.rmtree(place)


def run_there(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in an unpacked pack as a user without network, models, caches or settings of pip."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "KIT_", "XDG_", "HF_"))}
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    fresh = {"HOME": str(home), "KIT_HOME": str(home / "kit"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=kept | fresh | {"PYTHONPATH": str(BLOCKED)}
    )


@pytest.mark.skipif(os.name != "posix", reason="the pack of this machine is tried where the tests run: on POSIX")
def test_a_pack_is_installed_and_used_without_a_network(unpacked):
    done = run_there(unpacked, sys.executable, "install.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done. Begin with" in done.stdout
    python = str(unpacked / ".venv" / "bin" / "python")
    where, versions = json.loads(run_there(unpacked, python, "-c", PROBE).stdout)
    assert Path(where).is_relative_to(unpacked)
    assert {each.name: each.version for each in wheels.needed(DISTRIBUTION)}.items() <= versions.items()
    for name in MODELS:
        there = unpacked.parent / "home" / "kit" / "models" / name
        assert (there / MANIFEST).read_bytes() == (model_folder(name) / MANIFEST).read_bytes()
    used = run_there(unpacked, python, "-m", "helpers", "run", "00", "--profile", "quick", "--out", "executed")
    assert used.returncode == 0 and "all went well" in used.stdout, used.stdout + used.stderr
    (unpacked / "asked.jsonl").write_text('{"id": "one", "prompt": "Who supervises Dorsand?"}\n', encoding="utf-8")
    asked = run_there(unpacked, python, "-m", "helpers", "ask", "--questions", "asked.jsonl", "--json")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["text"] and answer["documents"], "both models work"
    planned = run_there(unpacked, "make", "-n", "lab").stdout
    assert "pip install" not in planned and "jupyterlab" in planned, "make would set up again"


def test_a_pack_holds_what_a_workshop_needs(unpacked):
    listed = json.loads((unpacked / installer.LIST).read_text(encoding="utf-8"))
    files = listed["files"]
    kit = {"README.md", "docs/workshop.md", "notebooks/06_compare.ipynb", "helpers/lessons/01.yaml"}
    data = {"results/reference/times.json", "datasets/tidewater/world.json"}
    assert kit | data | {f"models/{name}/model.safetensors" for name in MODELS} <= files.keys()
    assert not [name for name in files if "__pycache__" in name or name.startswith(("results/own", "tests"))]
    assert sum(name.startswith("wheels/") for name in files) == len(wheels.needed(DISTRIBUTION))
    assert installer.problems(unpacked) == []


# What is refused.


@pytest.fixture
def small(tmp_path):
    """The list of a pack with two files, as it was packed."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_bytes(b"tide")
    (tmp_path / "README.md").write_bytes(b"gauge")
    write_list(tmp_path, files={name: file_sha256(tmp_path / name) for name in ("wheels/a.whl", "README.md")})
    return tmp_path


def write_list(folder: Path, **changed) -> None:
    path = folder / installer.LIST
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    listed = {"platform": installer.platform(), "installed_bytes": 1} | before | changed
    path.write_text(json.dumps(listed), encoding="utf-8")


def test_a_whole_pack_has_no_problems(small):
    assert installer.problems(small) == []


def test_damaged_and_missing_files_are_named(small):
    (small / "wheels" / "a.whl").write_bytes(b"tidf")
    (small / "README.md").unlink()
    assert [told.partition(":")[0] for told in installer.problems(small)] == [
        "wheels/a.whl is damaged", "README.md is missing",
    ]  # fmt: skip
    (small / installer.LIST).write_text("{", encoding="utf-8")
    assert "pack.json is missing or damaged" in installer.problems(small)[0]


def test_another_platform_is_refused_by_name(small):
    write_list(small, platform="plan9-vax with Python 3.11")
    assert f"is for plan9-vax with Python 3.11, but this is {installer.platform()}" in installer.problems(small)[0]


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(small):
    write_list(small, installed_bytes=10**18)
    assert "1000000000.0 GB of disk are needed" in installer.problems(small)[0]
    shutil.copy(installer.__file__, small / "install.py")
    done = subprocess.run([sys.executable, "install.py"], cwd=small, capture_output=True, text=True)
    assert done.returncode == 1 and "GB are free" in done.stderr and not (small / ".venv").exists()


def test_a_full_disk_leaves_no_half_of_a_pack(tmp_path):
    (tmp_path / "kit.zip").write_bytes(b"an earlier pack")
    with disk_with_room_for(500_000), pytest.raises(KitError, match=r"could not write .*kit\.zip.*another disk"):
        pack(tmp_path / "kit.zip", compression=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["kit.zip"]
    assert (tmp_path / "kit.zip").read_bytes() == b"an earlier pack"


def test_a_pack_is_not_written_where_it_would_pack_itself():
    with pytest.raises(KitError, match="lies in a folder that is packed itself"):
        pack(Path(wheels.__file__).parent / "kit.zip", progress=False)


def test_a_pack_without_models_or_of_another_kind_is_refused(tmp_path, monkeypatch):
    with pytest.raises(KitError, match="a .zip file. Got"):
        pack(tmp_path / "kit.tar")
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "empty"))
    with pytest.raises(KitError, match="run `python -m helpers fetch`"):
        pack(tmp_path / "kit.zip")
    assert list(tmp_path.iterdir()) == []


# Wheels and models one at a time.


def repacked(name: str, folder: Path) -> Path:
    distribution = metadata.distribution(name)
    path = folder / wheels.file_name(distribution)
    with path.open("wb") as file:
        wheels.write_wheel(distribution, file, 1)
    return path


@pytest.mark.parametrize("name", ["jupyterlab-pygments", "pyyaml", "traitlets"])
def test_a_wheel_made_anew_installs_the_same_files(name, tmp_path):
    path = repacked(name, tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--quiet",
               "--ignore-installed", "--prefix", str(tmp_path / "prefix"), str(path)]  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0
    distribution = metadata.distribution(name)
    prefix, checked = Path(sys.prefix).resolve(), 0
    for file in distribution.files:
        original = Path(str(file.locate())).resolve()
        if file.suffix == ".pyc" or file.name in wheels.MADE_BY_PIP or original.parent.name == "bin":
            continue
        assert (tmp_path / "prefix" / original.relative_to(prefix)).read_bytes() == original.read_bytes(), file
        checked += 1
    assert checked > 3


def make_distribution(folder: Path, content: str = "x = 1\n") -> metadata.Distribution:
    """An installed package of one module, with the record that pip would have written."""
    info = folder / "tide-1.0.dist-info"
    info.mkdir()
    (folder / "tide.py").write_text(content, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tide\nVersion: 1.0\n", encoding="utf-8")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n", encoding="utf-8")
    record = ["tide.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0", "tide-1.0.dist-info/METADATA,,"]
    (info / "RECORD").write_text("\n".join([*record, "tide-1.0.dist-info/WHEEL,,", ""]), encoding="utf-8")
    return metadata.PathDistribution(info)


def test_a_file_that_was_changed_or_lost_since_is_not_packed(tmp_path):
    distribution = make_distribution(tmp_path)
    assert wheels.file_name(distribution) == "tide-1.0-py2.py3-none-any.whl"
    with (tmp_path / "out").open("wb") as file, pytest.raises(KitError, match="tide.py is not the file that was"):
        wheels.write_wheel(distribution, file, 0)
    (tmp_path / "tide.py").unlink()
    with (tmp_path / "out").open("wb") as file, pytest.raises(KitError, match="tide.py cannot be read"):
        wheels.write_wheel(distribution, file, 0)


def test_what_is_not_installed_is_named():
    with pytest.raises(KitError, match="no-such-tide-gauge is not installed: run `"):
        wheels.needed("no-such-tide-gauge")


def test_a_model_is_taken_from_a_folder_whole_or_not_at_all(tmp_path, monkeypatch):
    name = "all-MiniLM-L6-v2"
    shutil.copytree(model_folder(name), tmp_path / "models" / name)
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    with pytest.raises(KitError, match=rf"{FOUNDATION_MODEL} could not be taken from .*: .* is not there"):
        fetch(FOUNDATION_MODEL, source=tmp_path / "models")
    weights = tmp_path / "models" / name / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(KitError, match="is damaged"):
        fetch(name, source=tmp_path / "models")
    assert not (tmp_path / "home" / "models" / name).exists()
    weights.write_bytes(whole)
    assert (fetch(name, source=tmp_path / "models") / "model.safetensors").read_bytes() == whole
