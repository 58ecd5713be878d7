"""The ways in: the Makefile's stamps, environment.yml, and one list of packages that all of them agree on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from conftest import run_python
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

from tools import house

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MINORS = [f"3.{minor}" for minor in range(8, 20)]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="this machine has no make")


def pins() -> dict[str, str]:
    """The constraints file as name -> version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def listed(extra: str | None = None) -> list[Requirement]:
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return [Requirement(text) for text in texts]


# pyproject.toml is the one list of packages.


@pytest.mark.parametrize("item", listed() + listed("test") + listed("bench"), ids=lambda item: item.name)
def test_each_package_has_a_bounded_range_that_holds_the_pinned_version_and_the_installed_one(item):
    assert {specifier.operator for specifier in item.specifier} == {">=", "<"}
    assert pins()[canonicalize_name(item.name)] in item.specifier
    if item not in listed("bench"):
        assert item.specifier.contains(version(item.name), prereleases=True)


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_each_pin_accepts_every_python_that_the_project_allows(python):
    assert python in SpecifierSet(PROJECT["requires-python"])
    installed = {canonicalize_name(item.name): item for item in distributions()}
    compared = [name for name, pin in pins().items() if name in installed and installed[name].version == pin]
    assert len(compared) > len(listed())
    for name in compared:
        assert python in SpecifierSet(installed[name].metadata["Requires-Python"] or ""), name


@pytest.mark.parametrize(("folder", "extra"), [("helpers", "hub"), ("tests", "test"), ("tools", "bench")])
def test_whatever_is_imported_is_listed(folder, extra):
    names = {canonicalize_name(item.name) for item in listed() + listed(extra)}
    owners = packages_distributions()
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in house.top_level_imports(path) - sys.stdlib_module_names - {"helpers", "tools"}:
            if not (path.parent / f"{module}.py").exists():
                assert names & {canonicalize_name(owner) for owner in owners.get(module, [module])}, (
                    f"{path.name} imports {module}"
                )


# The conda way in.


def test_environment_yml_has_this_project_alone_and_the_pythons_that_it_allows():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert set(environment) == {"name", "channels", "dependencies"} and environment["channels"] == ["conda-forge"]
    python, pip, nested = environment["dependencies"]
    assert (MatchSpec(python).name.normalized, MatchSpec(pip).name.normalized) == ("python", "pip")
    assert nested == {"pip": ["-e ."]}
    conda, allowed = SpecifierSet(str(MatchSpec(python).version)), SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in MINORS if f"{minor}.5" in conda] == [m for m in MINORS if f"{m}.5" in allowed]


# The Makefile, in a copy of its own: what it would do, without doing it.


@pytest.fixture
def copy(tmp_path):
    """A folder with the Makefile and what its stamps depend on, as after a finished set-up."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".venv").mkdir()
    (tmp_path / "home").mkdir()
    for settings in ("share/jupyter/lab/settings/overrides.json", "etc/jupyter/jupyter_server_config.json"):
        (tmp_path / ".venv" / settings).parent.mkdir(parents=True)
        (tmp_path / ".venv" / settings).write_text("{}", encoding="utf-8")
    for age, name in enumerate((".python", ".packages", models_stamp(tmp_path)), start=2):
        (tmp_path / ".venv" / name).write_text(f"{tmp_path / 'home'}\n", encoding="utf-8")
        os.utime(tmp_path / ".venv" / name, (age, age))
    return tmp_path


def environment(folder: Path, **changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "MAKEFLAGS")}
    return kept | {"HOME": str(folder), "KIT_HOME": str(folder / "home")} | changed


def models_stamp(folder: Path) -> str:
    """The stamp's name, which depends on where the models would lie."""
    database = make(folder, "-pn", "help")
    return re.search(r"^MODELS := \.venv/(\S+)", database, re.MULTILINE)[1]


def make(folder: Path, *arguments: str, ok: bool = True, **changed: str) -> str:
    command = ["make", "-C", str(folder), "--no-print-directory", *arguments]
    run = subprocess.run(command, env=environment(folder, **changed), capture_output=True, text=True)
    assert (run.returncode == 0) == ok, run.stdout + run.stderr
    return run.stdout + run.stderr


@needs_make
def test_a_finished_set_up_is_not_repeated_and_a_half_finished_one_is_taken_up_again(copy):
    assert "pip install" not in make(copy, "-n", "setup") and "helpers fetch" not in make(copy, "-n", "setup")
    (command,) = make(copy, "-n", "test").splitlines()
    assert command.startswith(".venv/bin/python -m pytest -q")
    assert "helpers fetch" in make(copy, "-n", "setup", KIT_HOME=str(copy / "other")), "models lie elsewhere"
    (copy / "home").rmdir()
    assert "helpers fetch" in make(copy, "-n", "setup")
    (copy / ".venv" / ".packages").unlink()
    assert "pip install" in make(copy, "-n", "setup")
    (copy / ".venv" / ".python").unlink()
    assert "venv --clear .venv" in make(copy, "-n", "setup")


@needs_make
def test_an_old_or_missing_python_is_refused_in_plain_words(copy):
    shutil.rmtree(copy / ".venv")
    said = make(copy, "setup", "PYTHON=no-such-python", ok=False)
    assert "No program called no-such-python" in said and "PYTHON=" in said
    fake = "import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])"
    old = copy / "old-python"
    old.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{fake}' \"$2\"\n", encoding="utf-8")
    old.chmod(0o755)
    assert "is Python 3.9, but the kit needs 3.11" in make(copy, "setup", f"PYTHON={old}", ok=False)
    assert not (copy / ".venv").exists()


# The README, which newcomers follow to the letter.


def test_the_readme_names_the_rooms_notebooks_and_make_targets_that_there_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "helpers").glob("*/__init__.py")}
    assert set(re.findall(r"^ {6}(\w+)/ ", text, re.MULTILINE)) == rooms
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(re.findall(r"^\| `(\d\d_\w+)` \|", text, re.MULTILINE)) == notebooks
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    assert {"lab", "test", "run"} <= set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE)) <= set(phony)


def test_importing_the_kit_loads_none_of_the_heavy_libraries():
    heavy = "{'torch', 'transformers', 'peft', 'llama_index', 'chromadb', 'matplotlib', 'pandas', 'scipy'}"
    run = run_python("-c", f"import helpers, sys; print(sorted({heavy} & set(sys.modules)))")
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
