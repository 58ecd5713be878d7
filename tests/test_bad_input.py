"""Bad input of every kind, to every command: one sentence that names the user's file or flag, and never a traceback."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, TOPICS, write
from synthetic import make_results
from test_cli import kit

from helpers.data.files import table
from helpers.experiment import results

COMMANDS = table(ROOT / "tests/cases/bad_input.yaml")
ROWS = {f"{name}-{n}": (each["command"], *row) for name, each in COMMANDS.items() for n, row in enumerate(each["rows"])}
LONGEST = 2000  # characters of a message


def put(path: Path, content) -> None:
    """Writes what a row of the table describes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif "hex" in content:
        path.write_bytes(bytes.fromhex(content["hex"]))
    elif "link" in content:
        path.symlink_to(content["link"])
    elif "folder" in content:
        path.mkdir()
    elif "zip" in content:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content["zip"].items():
                archive.writestr(name, text)
    else:
        body = content["repeat"] * content["times"]
        path.write_text(content.get("head", "") + body + content.get("tail", ""), encoding="utf-8")


@pytest.fixture(scope="module")
def places(tmp_path_factory, small_world) -> dict[str, str]:
    """What the words in capitals of the table stand for."""
    root = tmp_path_factory.mktemp("good")
    for number, topic in enumerate(TOPICS):
        write(root / "mine" / f"{topic}.md", f"# {topic}\n\nThe {topic} was painted in {1900 + number}.")
    asked = write(root / "q.csv", f"question,answer,document\nWhen was the {TOPICS[0]} painted?,1900,{TOPICS[0]}\n")
    for each in make_results(arms=("base", "rag"), shares={}):
        results.write_result(root / "results", each)
    return {"WORLD": small_world, "DOCUMENTS": root / "mine", "ASKED": asked, "RESULTS": root / "results"}


@pytest.mark.parametrize(("command", "files", "arguments", "named"), ROWS.values(), ids=ROWS)
def test_each_is_refused_in_one_sentence_that_names_it(tmp_path, places, command, files, arguments, named):
    for name, content in files.items():
        put(tmp_path / name, content)

    def filled(text: str) -> str:
        for word, place in places.items():
            text = text.replace(word, str(place))
        return text.replace("IN", str(tmp_path))

    run = kit(*shlex.split(filled(f"{command} {arguments}")))
    assert run.returncode == 2 and run.stdout == "", run.stdout[:300]
    assert re.search("^(error: |Usage: )", run.stderr, re.MULTILINE), run.stderr[:500]
    assert all(filled(name) in run.stderr for name in named), run.stderr[:500]
    assert len(run.stderr) <= LONGEST


def test_there_are_enough_kinds():
    assert len(ROWS) >= 150
