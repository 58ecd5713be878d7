"""A grid of studies: its jobs and shares, and that two shares at once find what one run without shares finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, make_tiny, run_python

from helpers.analysis import Comparison
from helpers.data import profiles
from helpers.data.records import KitError, Result
from helpers.experiment import grid, results

ARMS = ("base", "rag", "customization")
SETTINGS = [("k", [1, 2])]
SETS = ("facts_heldout", "triage")
JOBS = grid.jobs(ARMS, [7, 8], SETTINGS)
FEW = replace(profiles.PROFILES["quick"], questions_per_set=3, latency_questions=2, batch_size=3)
TIMES = (
    "wall_s",
    "cpu_s",
    "peak_memory_bytes",
    "artefact_bytes",
    "retrieval_s",
    "first_token_s",
    "total_s",
    "created",
    "timed_on",
)


# ---- jobs and shares


def test_every_job_is_in_one_share_and_shared_weights_are_not_split():
    wanted = grid.jobs([*ARMS, "rag+customization"], [7, 8, 9], SETTINGS)
    assert len(wanted) == len(set(wanted)) == 2 * (1 + 1 + 3 + 3), "only trained arms are repeated with each seed"
    for count in (1, 2, 3, 5, 50):
        shares = [grid.share(wanted, number, count) for number in range(1, count + 1)]
        assert sorted(map(str, sum(shares, []))) == sorted(map(str, wanted))
        owners = {}
        for number, jobs in enumerate(shares):
            for weights in {each for job in jobs for each in job.weights}:
                assert owners.setdefault(weights, number) == number, "one training would be made twice"
    assert all(grid.share(wanted, number, 3) for number in (1, 2, 3)), "three seeds are work for three machines"


def test_what_changes_a_training_makes_other_weights_and_what_does_not_shares_them():
    (one, two) = grid.jobs(["customization"], [7], SETTINGS)
    assert one.weights == two.weights and one.folder == "k=1" and two.folder == "k=2"
    (one, two) = grid.jobs(["customization"], [7], [("epochs", [1.0, 2.0])])
    assert not one.weights & two.weights
    twice = grid.jobs(["rag"], [7], [("k", [1, 2]), ("mode", ["bm25"]), ("k", [2, 3])])
    assert [job.folder for job in twice] == ["k=1,mode=bm25", "k=2,mode=bm25", "k=3,mode=bm25"]
    (plain,) = grid.jobs(["base"], [7])
    assert plain.folder == "" and not plain.weights and str(plain) == "base seed 7"


def test_shares_seeds_and_settings_are_read_or_refused():
    assert grid.read_share("2/8") == (2, 8) and grid.read_seeds("7,8") == [7, 8]
    assert grid.read_setting("k=1,3,1") == ("k", [1, 3])
    assert grid.read_setting("learning_rate=1e-3,5e-4") == ("learning_rate", [1e-3, 5e-4])
    for wrong in ("0/2", "3/2", "1", "a/b", "-1/2"):
        with pytest.raises(KitError, match="must be i/n with i from 1 to n"):
            grid.read_share(wrong)
    with pytest.raises(KitError, match="unknown setting 'colour': choose one of chunk_size"):
        grid.read_setting("colour=red")
    with pytest.raises(KitError, match="the values of `k` must be like 1, with commas. Got 'two'"):
        grid.read_setting("k=two")
    with pytest.raises(KitError, match="whole numbers"):
        grid.read_seeds("7,x")
    with pytest.raises(KitError, match="at least one arm"):
        grid.jobs([], [7])


def test_the_plan_names_the_share_of_each_job():
    run = run_python(
        "-m", "helpers", "study", "--arms", "base,customization", "--seed", "7,8", "--shard", "1/2", "--plan"
    )
    rows = json.loads(run.stdout)
    assert [(row["arm"], row["seed"]) for row in rows] == [("base", 7), ("customization", 7), ("customization", 8)]
    assert {row["shard"] for row in rows[1:]} == {"1/2", "2/2"} and rows[0]["settings"] == {}


# ---- runs

SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_grid import JOBS, grid, run_grid
run_grid({data!r}, {model!r}, {out!r}, {jobs}, timing={timing})
"""


def run_grid(data: str, model: str, out: str, wanted: list[grid.Job], timing: bool) -> dict[str, list[Result]]:
    """Runs jobs with few questions."""
    kept = profiles.PROFILES["quick"]
    profiles.PROFILES["quick"] = FEW
    try:
        return grid.run(wanted, data, "quick", Path(out), model, timing, SETS, progress=False)
    finally:
        profiles.PROFILES["quick"] = kept


def without_times(value: Any) -> Any:
    """The same record without what a clock, the load of the machine or the size of a database file decides.

    Scores of passages are rounded: Chroma gives the same vectors back with other last bits.
    """
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    if isinstance(value, float):
        return round(value, 4)
    return [without_times(each) for each in value] if isinstance(value, list | tuple) else value


def read(folder: Path) -> dict[str, Any]:
    """Every result below a grid's folder, by its path, without times."""
    return {
        str(path.relative_to(folder)): without_times(results.read_result(path).to_dict())
        for path in sorted(folder.glob("k=*/*.json"))
    }


def test_two_shares_at_once_find_what_one_run_finds(small_world, tmp_path):
    model, two, one = make_tiny("Llama", tmp_path / "model"), tmp_path / "two", tmp_path / "one"
    runs = [(two, "grid.share(JOBS, 1, 2)", False), (two, "grid.share(JOBS, 2, 2)", False), (one, "JOBS", True)]
    started = []
    for out, chosen, timing in runs:
        fields = {"root": str(ROOT), "tests": str(ROOT / "tests"), "data": str(small_world), "model": str(model)}
        code = SCRIPT.format(**fields, out=str(out), jobs=chosen, timing=timing)
        options = {"stderr": subprocess.PIPE, "text": True, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
        started.append(subprocess.Popen([sys.executable, "-c", code], **options))
    said = [process.communicate()[1][-2000:] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said

    found, expected = read(two), read(one)
    assert len(expected) == len(JOBS) * len(SETS) and found == expected
    weights = [{path.name for path in (folder / "adapters").glob("[!.]*.seed*")} for folder in (one, two)]
    assert weights[0] == weights[1] and len(weights[0]) == 4, "two trainings with each of two seeds"
    timed = [results.read_result(path).metrics for path in two.glob("k=*/*.json")]
    assert timed and not any("total_s" in metrics for metrics in timed), "a share times no latency"

    before = {path: path.stat().st_mtime_ns for path in two.rglob("*.safetensors")}
    merged = run_grid(str(small_world), str(model), str(two), JOBS, timing=True)
    for result in [result for folder in merged.values() for result in folder]:
        assert len(result.metrics.get("total_s", ())) == (2 if result.question_set == "facts_heldout" else 0)
    assert read(two) == expected and set(Comparison(merged["k=1"]).arms) == set(ARMS)
    assert before == {path: path.stat().st_mtime_ns for path in two.rglob("*.safetensors")}


def test_a_job_that_fails_does_not_take_the_others_with_it(small_world, tmp_path):
    model = make_tiny("Llama", tmp_path / "model")
    wanted = grid.jobs(["rag"], [7], [("k", [100_000, 1])])
    with pytest.raises(KitError, match="(?s)1 of 2 jobs failed.*rag seed 7 k=100000: `k` must be at most"):
        run_grid(str(small_world), str(model), str(tmp_path / "out"), wanted, timing=False)
    assert len(list((tmp_path / "out" / "k=1").glob("*.json"))) == len(SETS)
    wanted = [*grid.jobs(["customization"], [7], [("learning_rate", [0.0])]), *grid.jobs(["base"], [7])]
    with pytest.raises(KitError, match="(?s)1 of 2 jobs failed.*ValueError.*`learning_rate` must be above 0"):
        run_grid(str(small_world), str(model), str(tmp_path / "other"), wanted, timing=False)
    assert len(list((tmp_path / "other").glob("*.json"))) == len(SETS)
