"""The doctor: it sees what is there, names what is not, and says what to do."""

import os
import shutil

from conftest import write

from helpers.models import doctor
from helpers.models.download import FOUNDATION_MODEL, MANIFEST, MODELS, model_folder


def test_a_whole_set_up_passes_and_names_every_topic():
    checks = doctor.check()
    assert not doctor.something_missing(checks), doctor.report(checks)
    found = {row.name: row.found for row in checks}
    assert list(found) == ["packages", "machine", "memory", "dtype", "threads", "KIT_HOME", "left behind", *MODELS]
    assert "float32" in found["dtype"] and "bfloat16" in found["dtype"] and "cores" in found["machine"]
    assert all(bool(row.remedy) == (row.state != doctor.OK) for row in checks)
    assert "Everything that the kit needs is here." in doctor.report(checks)


def test_a_damaged_model_is_named(tmp_path, monkeypatch):
    whole = model_folder(FOUNDATION_MODEL)
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    copy = model_folder(FOUNDATION_MODEL)
    copy.mkdir(parents=True)
    shutil.copy(whole / MANIFEST, copy / MANIFEST)
    (copy / "config.json").write_bytes((whole / "config.json").read_bytes() + b" ")
    row = doctor.check_model(FOUNDATION_MODEL)
    assert row.state == doctor.MISSING
    assert "config.json is damaged" in row.found and "model.safetensors is missing" in row.found


def test_packages_outside_their_range_and_a_kit_that_is_not_installed_are_missing(tmp_path, monkeypatch):
    needs = "Requires-Dist: numpy<1\nRequires-Dist: tide-gauge\n"
    write(tmp_path / "tide_kit-1.dist-info" / "METADATA", f"Metadata-Version: 2.1\nName: tide-kit\nVersion: 1\n{needs}")
    monkeypatch.syspath_prepend(tmp_path)
    for kit, found in (("tide-kit", "the kit needs <1; tide-gauge is not installed"), ("no-kit", "not installed")):
        monkeypatch.setattr(doctor, "DISTRIBUTION", kit)
        row = doctor.check_packages()
        assert row.state == doctor.MISSING and "pip install -e ." in row.remedy and found in row.found


def test_threads_that_spin_and_little_memory_are_advice(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert [row.state for row in doctor.check_machine()] == [doctor.OK] * 4
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr(doctor, "MEMORY_NEEDED", 10**18)
    _, memory, _, threads = doctor.check_machine()
    assert memory.state == threads.state == doctor.ADVICE
    assert "OMP_WAIT_POLICY=PASSIVE" in threads.remedy and "close" in memory.remedy


def test_a_home_is_named_below_the_users_folder_and_a_full_disk_is_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME" if os.name == "posix" else "USERPROFILE", str(tmp_path))
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "models" / "here"))
    assert doctor.check_home().found.startswith("~/models/here, ")
    monkeypatch.setattr(doctor, "DISK_NEEDED", 10**18)
    row = doctor.check_home()
    assert row.state == doctor.ADVICE and "KIT_HOME" in row.remedy
    (tmp_path / "models").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("KIT_HOME", str(tmp_path / "models"))
    row = doctor.check_home()
    assert row.state == doctor.MISSING and "KIT_HOME" in row.remedy and str(tmp_path / "models") in row.found
