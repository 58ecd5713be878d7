"""Executes every notebook once, with the network blocked, and looks at the committed copies."""

import ast
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import run_python

from helpers.data.profiles import get_profile
from helpers.data.records import KitError
from helpers.experiment.arms import ARMS
from tools.notebooks import LIVE, NOTEBOOKS, publish, run_notebooks, summary

BLOCKED = Path(__file__).parent / "blocked_network"
REFUSAL = "network blocked by the test"
COMMITTED = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
PROBE = """
import socket
def attempt(reach):
    try:
        reach()
    except OSError as error:
        return str(error)
    return "reached"
print(attempt(lambda: socket.create_connection(("192.0.2.1", 80), timeout=5)))
print(attempt(lambda: socket.socket().connect(("192.0.2.1", 80))))
print(attempt(lambda: socket.socket().connect_ex(("192.0.2.1", 80))))
print(attempt(lambda: socket.getaddrinfo("example.org", 443)))
"""
ENDLESS = """
from helpers.lessons.checks import FunctionRule
def loop():
    while True: pass
print(FunctionRule(cases=[{"given": [], "says": "No."}], seconds=0.2).check(loop, "loop").message)
"""
PROGRESS_BAR = re.compile(r"\d+%\||\d+it \[|\d+(\.\d+)?(s/it|it/s)")
WARNING = re.compile(r"\b\w*Warning\b|\bTraceback\b")
HERE = re.escape(str(NOTEBOOKS.parent))
OWN_PATH = re.compile(rf"(?<!\w)(/(?:home|root|Users|tmp|var/folders)/|{HERE}|[A-Z]:\\)")


def offline(results: Path) -> dict[str, str]:
    """What a kernel's environment needs so that nothing but loopback can be reached and results go to `results`."""
    others = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return {
        "PYTHONPATH": os.pathsep.join([str(BLOCKED), *others]), "KIT_RESULTS": str(results),
        "KIT_BLOCKED_LOG": f"{results}.blocked",
    }  # fmt: skip


def write_notebook(folder: Path, name: str, *sources: str) -> Path:
    """A small notebook with the parameters cell and these code cells."""
    parameters = nbformat.v4.new_code_cell('PROFILE = "workshop"', metadata={"tags": ["parameters"]})
    cells = [parameters, *(nbformat.v4.new_code_cell(source) for source in sources)]
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook, *types: str) -> list:
    return [output for cell in code_cells(notebook) for output in cell.outputs if output.output_type in types]


def printed(path: Path) -> str:
    return "".join(output.text for output in outputs(nbformat.read(path, 4), "stream"))


# The block itself comes first: without it, the execution below would prove nothing about the network.


def test_a_kernel_and_its_children_are_refused_and_run_on_this_python(tmp_path):
    child = (
        f"import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', {PROBE!r}], text=True), end='')"
    )
    write_notebook(tmp_path, "00_probe.ipynb", PROBE, child, "print(sys.executable)", "print(PROFILE)")
    blocked = offline(tmp_path / "results")
    (run,) = run_notebooks("quick", tmp_path / "out", folder=tmp_path, environment=blocked)
    assert run.error == "", "the kernel is reached by loopback"
    lines = list(filter(None, printed(run.executed).splitlines()))
    assert len(lines) == 10 and all(line.startswith(REFUSAL) for line in lines[:8]), lines
    assert lines[8:] == [sys.executable, "quick"]
    written_down = Path(blocked["KIT_BLOCKED_LOG"]).read_text(encoding="utf-8").splitlines()
    assert len(written_down) >= 8, "each attempt is written down"
    assert "KIT_BLOCKED_LOG" not in os.environ, "the kernels' environment is theirs alone"


# How the runner behaves when a notebook fails, what it refuses, and what it takes over.


def test_a_failing_notebook_is_named_with_its_cell_and_does_not_stop_the_next(tmp_path, capsys):
    source = write_notebook(tmp_path, "00_broken.ipynb", "depth = 0", "# divide\nprint(12 / depth)")
    write_notebook(tmp_path, "01_dead.ipynb", "import os; os._exit(1)")
    write_notebook(tmp_path, "02_whole.ipynb", "print(6 * 7)", ENDLESS)
    write_notebook(tmp_path, "03_not_chosen.ipynb")
    before, chosen = source.read_bytes(), ["02", "00_broken", "01_dead.ipynb"]
    broken, dead, whole = runs = run_notebooks("quick", tmp_path / "out", chosen, folder=tmp_path)
    assert "In [4]" in broken.error and "ZeroDivisionError: division by zero" in broken.error
    assert broken.executed.is_file() and str(broken.executed) in capsys.readouterr().out
    assert "Kernel died" in dead.error
    assert whole.error == "" and printed(whole.executed).startswith("42\n`loop()` was stopped"), "in a kernel too"
    assert source.read_bytes() == before
    assert "failed: 00_broken, 01_dead" in summary(runs)
    with pytest.raises(KitError, match="00_broken failed"):
        publish(runs)


def test_bad_input_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "00_torn.ipynb").write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(KitError, match="00_torn"):
        run_notebooks("quick", tmp_path / "out", folder=tmp_path)
    for profile, chosen, named in (("enormous", None, "enormous"), ("quick", ["07"], "no notebook '07'")):
        with pytest.raises(KitError, match=named):
            run_notebooks(profile, tmp_path / "out", chosen, folder=tmp_path)
    assert not (tmp_path / "out").exists()
    (tmp_path / "00_torn.ipynb").unlink()
    whole = write_notebook(tmp_path, "01_whole.ipynb", "1 + 1").read_bytes()
    with pytest.raises(KitError, match="the notebooks themselves, which are only read"):
        run_notebooks("quick", tmp_path, folder=tmp_path)
    assert (tmp_path / "01_whole.ipynb").read_bytes() == whole


def test_outputs_are_taken_over_without_widgets_and_only_where_nothing_was_changed(tmp_path):
    show = "from ipywidgets import IntSlider\ndisplay(IntSlider())\nprint('told')\n6 * 7"
    path = write_notebook(tmp_path, "00_a.ipynb", show)
    (run,) = run_notebooks("quick", tmp_path / "out", folder=tmp_path)
    publish([run])
    made = nbformat.read(path, as_version=4)
    assert [cell.source for cell in made.cells] == ['PROFILE = "workshop"', show]
    assert [cell.execution_count for cell in made.cells] == [1, 2]
    assert [output.output_type for output in made.cells[1].outputs] == ["stream", "execute_result"]
    assert made.cells[1].outputs[1].execution_count == 2
    assert "execution" not in made.cells[1].metadata and "papermill" not in made.cells[1].metadata
    made.cells[1].source = "6 * 8"
    nbformat.write(made, path)
    before = path.read_bytes()
    with pytest.raises(KitError, match="changed since"):
        publish([run])
    assert path.read_bytes() == before


# The kit's own notebooks: one execution, in the quick profile, from an empty results folder, and not in the order of
# their numbers: none may lean on what an earlier one made. 04 comes before 05, since each shows a training that is new.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    blocked = offline(folder / "results")
    names = [path.stem for path in COMMITTED]
    made = {}
    for name in [*names[4:6], *reversed(names[:4]), *names[6:]]:
        made |= {run.notebook.stem: run for run in run_notebooks("quick", folder, [name], environment=blocked)}
    tried = Path(blocked["KIT_BLOCKED_LOG"])
    assert not tried.exists(), f"somebody tried to reach {tried.read_text(encoding='utf-8').split()}"
    return made


@pytest.mark.parametrize("name", [path.stem for path in COMMITTED])
def test_notebook_runs_offline(runs, name):
    run = runs[name]
    assert run.error == ""
    executed = nbformat.read(run.executed, 4)
    injected = [cell for cell in code_cells(executed) if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1 and 'PROFILE = "quick"' in injected[0].source
    assert outputs(executed, "stream", "display_data", "execute_result"), "the notebook shows nothing"
    for output in outputs(executed, "stream"):
        assert not WARNING.search(output.text), output.text
        if output.name == "stderr":
            lines = [line for line in re.split(r"[\r\n]", output.text) if line.strip(" \x1b[A")]
            assert all(PROGRESS_BAR.search(line) for line in lines), f"on the learner's page: {output.text}"


def test_what_the_notebooks_made_is_compared_and_reported(runs, tmp_path):
    folder = next(iter(runs.values())).executed.parent / "results" / "quick"
    report = tmp_path / "comparison.html"
    run = run_python("-m", "helpers", "compare", str(folder), "--report", str(report))
    assert run.returncode == 0, run.stderr
    left_out = get_profile("quick").left_out
    assert set(left_out) < set(ARMS)
    for arm in ARMS:
        assert bool(re.search(rf"^{re.escape(arm)} ", run.stdout, re.MULTILINE)) == (arm not in left_out), arm
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


# The committed copies.


of_each_notebook = pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)


def shown_text(output) -> str:
    """The readable part of an output: a stream's text, or the text and HTML of what is displayed."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(output.data.get(kind, "") for kind in ("text/plain", "text/html", "text/markdown"))


@of_each_notebook
def test_committed_notebook_is_a_whole_run_and_shows_nothing_of_its_machine(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells, made = code_cells(notebook), outputs(notebook, "stream", "display_data", "execute_result")
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert made and not outputs(notebook, "error")
    for output in made:
        assert not OWN_PATH.search(shown_text(output)), f"a path of one machine: {shown_text(output)[:500]}"
        assert LIVE not in output.get("data", {}), "a widget: `python -m tools.notebooks --publish` leaves it out"


@of_each_notebook
def test_committed_notebook_reads_well(path):
    notebook = nbformat.read(path, 4)
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert notebook.cells[0] == texts[0] and texts[0].source.startswith("# ")
    assert len(texts) >= len(code_cells(notebook))
    assert all(len(cell.source.splitlines()) <= 20 for cell in notebook.cells)
    shown = "\n".join(shown_text(output) for output in outputs(notebook, "display_data", "execute_result"))
    for tag in re.findall(r"<img\b[^>]*>", shown):
        assert re.search(r'\balt="[^"]+"', tag), f"a figure without a description: {tag[:200]}"


@of_each_notebook
def test_parameters_cell_is_tagged_and_honoured(path):
    cells = code_cells(nbformat.read(path, 4))
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == cells[:1], "the first code cell, and only it, is tagged `parameters`"
    assert re.search(r'^PROFILE = "workshop"', tagged[0].source, re.MULTILINE)
    names = [node for cell in cells[1:] for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
    uses = {type(node.ctx) for node in names if node.id == "PROFILE"}
    assert uses == {ast.Load}, "PROFILE is never used, or overwritten"
