"""Executes every notebook once, with the network blocked, and looks at the committed copies."""

import ast
import os
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from test_demonstrations import check_demonstrations

from helpers.data import KitError, table
from helpers.experiment.arms import ARMS
from tools import notebooks
from tools.lessons import EXERCISE, GENERATED, lessons, word_count
from tools.notebooks import LIVE, NOTEBOOKS, publish, run_notebooks, summary

BLOCKED = Path(__file__).parent / "blocked_network"
REFUSAL = "network blocked by the test"
WANTED = table(Path(__file__).with_name("cases") / "notebooks.yaml")
BUDGETS, LIBRARY_CALLS, PROBE, ENDLESS = (WANTED[name] for name in ("budgets", "library_calls", "probe", "endless"))
APPENDIX = ("a_model_and_scores", "b_statistics", "c_sweeps")
COMMITTED = [
    *(NOTEBOOKS / f"{name}.ipynb" for name in BUDGETS),
    *(NOTEBOOKS / "appendix" / f"{name}.ipynb" for name in APPENDIX),
]
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


def test_a_latecomer_gets_the_notebooks_before_and_what_was_trained_but_no_answers(tmp_path):
    for name in ("00_a", "01_b", "02_c"):
        write_notebook(tmp_path, f"{name}.ipynb")
    assert notebooks.earlier("02", tmp_path) == ["00_a.ipynb", "01_b.ipynb"]
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    for folder, names in (
        (theirs, ("adapters/weights", "adapters/more", "progress.json")),
        (mine, ("adapters/weights",)),
    ):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(folder.name, encoding="utf-8")
    notebooks.take_missing(theirs, mine)
    assert {path.name: path.read_text() for path in mine.rglob("*") if path.is_file()} == {
        "weights": "mine",
        "more": "theirs",
    }


# The kit's own notebooks: one execution, in the quick profile, from an empty results folder, and backwards: none may
# lean on what an earlier one made.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    blocked = offline(folder / "results")
    made = {}
    for path in reversed(COMMITTED):
        found = run_notebooks("quick", folder, [path.name], environment=blocked)
        made |= {run.notebook.stem: run for run in found}
    tried = Path(blocked["KIT_BLOCKED_LOG"])
    assert not tried.exists(), f"somebody tried to reach {tried.read_text(encoding='utf-8').split()}"
    return made


@pytest.mark.parametrize("name", [path.stem for path in COMMITTED])
def test_notebook_runs_offline(runs, name):
    run = runs[name]
    assert run.error == ""
    executed = nbformat.read(run.executed, 4)
    injected = [cell for cell in code_cells(executed) if "injected-parameters" in tags(cell)]
    assert len(injected) == 1 and 'PROFILE = "quick"' in injected[0].source
    assert outputs(executed, "stream", "display_data", "execute_result"), "the notebook shows nothing"
    check_demonstrations(executed, name)
    for output in outputs(executed, "stream"):
        assert not WARNING.search(output.text), output.text
        if output.name == "stderr":
            lines = [line for line in re.split(r"[\r\n]", output.text) if line.strip(" \x1b[A")]
            assert all(PROGRESS_BAR.search(line) for line in lines), f"on the learner's page: {output.text}"


# The committed copies.


of_each_notebook = pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
of_each_lesson = pytest.mark.parametrize("path", COMMITTED[: len(BUDGETS)], ids=lambda path: path.stem)


def test_these_are_all_notebooks():
    assert [lesson.path for lesson in lessons()] == COMMITTED


def shown_text(output) -> str:
    """The readable part of an output: a stream's text, or the text and HTML of what is displayed."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(output.data.get(kind, "") for kind in ("text/plain", "text/html", "text/markdown"))


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def main_line(path: Path) -> list:
    """The cells of a notebook but for those of exercises and the quiz."""
    return [cell for cell in nbformat.read(path, 4).cells if EXERCISE not in tags(cell)]


def words_and_code_cells(path: Path) -> tuple[int, int]:
    cells = main_line(path)
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    return sum(map(word_count, texts)), len(cells) - len(texts)


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


def test_the_lessons_keep_to_their_words_and_cells():
    counts = {path.stem: words_and_code_cells(path) for path in COMMITTED[: len(BUDGETS)]}
    assert [name for name in counts if np.any(np.array(counts[name]) > 1.15 * np.array(BUDGETS[name]))] == []
    assert (np.sum(list(counts.values()), axis=0) <= (8000, 110)).all(), counts


@of_each_notebook
def test_committed_notebook_reads_well(path):
    notebook = nbformat.read(path, 4)
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert notebook.cells[0] == texts[0] and texts[0].source.startswith("# ")
    lengths = sorted(len(cell.source.splitlines()) for cell in code_cells(notebook))
    assert lengths[-1] <= 40 and lengths[-2] <= 20, "one cell may be a whole training"
    for cell in notebook.cells:
        text = re.sub(r"```mermaid.*?```", "", GENERATED.sub("", cell.source), flags=re.DOTALL)
        long = [line for line in text.splitlines() if len(line) > 100 and not line.startswith("|")]
        assert not long, f"a line of more than 100 columns: {long[0]}"
    shown = "\n".join(shown_text(output) for output in outputs(notebook, "display_data", "execute_result"))
    for tag in re.findall(r"<img\b[^>]*>", shown):
        assert re.search(r'\balt="[^"]+"', tag), f"a figure without a description: {tag[:200]}"


@of_each_notebook
def test_learners_meet_plain_names_and_never_keys(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    text = GENERATED.sub("", text)
    strange = [arm for arm in ARMS if re.search(r"[_+:]", arm)]
    assert [arm for arm in strange if re.search(rf"(?<![\w/]){re.escape(arm)}(?!\w)", text)] == []
    assert [arm for arm in ARMS if f"`{arm}`" in text] == []


@of_each_lesson
def test_a_lesson_has_its_shape(path):
    cells, main = nbformat.read(path, 4).cells, main_line(path)
    texts = [cell.source for cell in main if cell.cell_type == "markdown"]
    assert "You will be able to" in "\n".join(texts[:2])
    assert re.search(r"In this notebook we:?(\*\*)?\s*\n+- ", "\n".join(texts[-3:]))
    asking = re.compile(r"\bq\.(e\d|quiz)\b|exercises\.load")
    assert not any(asking.search(cell.source) for cell in main), "an exercise's cell without its tag"
    if path.stem[:2] != "00":
        asked = [cell.source for cell in cells if EXERCISE in tags(cell) and ".check(" in cell.source]
        assert len(asked) == 5 and "q.quiz" in [cell.source for cell in cells]
        for n, source in enumerate(asked, 1):
            assert f"\nq.e{n}.check(" in source and f"\n# q.e{n}.hint()\n# q.e{n}.solution()" in source


@of_each_notebook
def test_parameters_cell_is_tagged_and_honoured(path):
    cells = code_cells(nbformat.read(path, 4))
    tagged = [cell for cell in cells if "parameters" in tags(cell)]
    assert tagged == cells[:1], "the first code cell, and only it, is tagged `parameters`"
    assert re.search(r'^PROFILE = "workshop"', tagged[0].source, re.MULTILINE)
    names = [node for cell in cells[1:] for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
    assert {type(node.ctx) for node in names if node.id == "PROFILE"} <= {ast.Load}, "PROFILE is overwritten"


# What the learner calls: by the syntax tree, since a comment or a text calls nothing.


def called(tree: ast.AST) -> set[str]:
    """Every name in the calls of a cell: of `VectorStoreIndex.from_documents(...)` both."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = {node.attr for function in functions for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    return found | {node.id for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", LIBRARY_CALLS)
def test_the_libraries_are_called_in_cells(name):
    trees = [ast.parse(cell.source) for cell in main_line(NOTEBOOKS / f"{name}.ipynb") if cell.cell_type == "code"]
    assert set(LIBRARY_CALLS[name]) - set().union(*map(called, trees)) == set()
    if name.startswith("02"):  # the loss mask is written by hand
        signed = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.UnaryOp | ast.BinOp)]
        assert any("-100" in ast.unparse(node) for node in signed)


class Origins(dict):
    """Where the names of a notebook come from: "library", "helpers", or "" for Python's own and what shows things."""

    def of(self, node: ast.AST) -> set[str]:
        """The origins of all names inside; a thing made by a library and by helpers is the library's too."""
        return {self.get(each.id, "") for each in ast.walk(node) if isinstance(each, ast.Name)} - {""}

    def read(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    top = (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
                    own = top in sys.stdlib_module_names or top in ("IPython", "ipywidgets")
                    kind = "" if own else "helpers" if top == "helpers" else "library"
                    self[(alias.asname or alias.name).split(".")[0]] = kind
            elif isinstance(node, ast.Assign | ast.With | ast.For | ast.FunctionDef):
                origins = self.of(node)
                kind = "library" if "library" in origins else "helpers" if origins else ""
                targets = [node.name] if isinstance(node, ast.FunctionDef) else [
                    each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
                ]  # fmt: skip
                self.update((name, kind) for name in targets if self.get(name) != "library")


def test_at_most_a_third_of_the_code_cells_call_nothing_but_helpers():
    only, every = [], 0
    for path in COMMITTED[: len(BUDGETS)]:
        origins = Origins()
        for cell in main_line(path):
            if cell.cell_type == "code":
                tree = ast.parse(cell.source)
                origins.read(tree)
                every += 1
                calls = [origins.of(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
                if {"helpers"} == set().union(*calls):
                    only.append(f"{path.stem}: {cell.source.splitlines()[0]}")
    assert len(only) <= every / 3, only
