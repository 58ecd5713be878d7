"""The doctor: it sees what is there, names what is not, and gives a line that mends it."""

import io
import os
import shutil

import pytest
from rich.console import Console

from helpers.models import doctor
from helpers.models.download import FOUNDATION_MODEL, MANIFEST, MODELS, model_folder
from helpers.models.machine import kit_home


def shown(checks) -> str:
    page = io.StringIO()
    Console(file=page, width=200).print(doctor.report(checks))
    return page.getvalue()


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """A KIT_HOME in which nothing has been fetched."""
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_whole_set_up_passes_and_names_every_topic():
    checks = doctor.check()
    assert not doctor.something_missing(checks), shown(checks)
    names = [row.name for row in checks]
    topics = ["Python", "packages", "cores", "memory", "accelerator", "dtype", "threads", "KIT_HOME", "disk", *MODELS]
    assert names == topics
    dtype = checks[names.index("dtype")].found
    assert "float32" in dtype and "bfloat16" in dtype and "GFLOP/s" in dtype
    assert all(row.remedy for row in checks if row.state != doctor.OK)
    assert "Everything that the kit needs is here." in shown(checks)


def test_models_that_were_never_fetched_are_missing(empty_home):
    checks = doctor.check()
    missing = {row.name: row for row in checks if row.state == doctor.MISSING}
    assert set(missing) == set(MODELS)
    assert all("-m helpers fetch" in row.remedy for row in missing.values())
    assert doctor.something_missing(checks)
    assert "Something is missing." in shown(checks)
    assert all(row.remedy in shown(checks) for row in missing.values())


def test_a_damaged_model_is_named(empty_home, monkeypatch):
    monkeypatch.delenv("KIT_HOME")
    whole = model_folder(FOUNDATION_MODEL)
    monkeypatch.setenv("KIT_HOME", str(empty_home))
    copy = model_folder(FOUNDATION_MODEL)
    copy.mkdir(parents=True)
    for name in (MANIFEST, "config.json"):
        shutil.copy(whole / name, copy / name)
    (copy / "config.json").write_bytes((whole / "config.json").read_bytes() + b" ")
    row = doctor.check_model(FOUNDATION_MODEL)
    assert row.state == doctor.MISSING
    assert "config.json is damaged" in row.found and "model.safetensors is missing" in row.found


def test_packages_outside_their_range_are_named_one_by_one():
    rows = doctor.check_packages(["numpy<1", "no-such-package-of-the-kit>=2", "packaging>=20", "gone; extra == 'x'"])
    assert [(row.name, row.state) for row in rows] == [
        ("numpy", doctor.MISSING),
        ("no-such-package-of-the-kit", doctor.MISSING),
    ]
    assert "the kit needs <1" in rows[0].found and 'pip install "numpy<1"' in rows[0].remedy
    assert rows[1].found.startswith("not installed")


def test_threads_that_spin_are_advice_that_names_the_setting(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert doctor.check_threads().state == doctor.OK
    monkeypatch.delenv("OMP_WAIT_POLICY")
    row = doctor.check_threads()
    assert row.state == doctor.ADVICE and "OMP_WAIT_POLICY=PASSIVE" in row.remedy


def test_a_home_that_cannot_be_a_folder_is_missing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "file"))
    row = doctor.check_home()
    assert row.state == doctor.MISSING and "KIT_HOME" in row.remedy and str(kit_home()) in row.found


def test_home_below_a_users_folder_is_shown_without_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME" if os.name == "posix" else "USERPROFILE", str(tmp_path))
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "models" / "here"))
    assert doctor.check_home().found == "~/models/here"


def test_a_full_disk_is_advice(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_FOR_RUNS", 10**18)
    monkeypatch.setattr(doctor, "DISK_FOR_MODELS", 10**18)
    row = doctor.check_disk()
    assert row.state == doctor.ADVICE and "KIT_HOME" in row.remedy
