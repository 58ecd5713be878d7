"""The paper plan: its formulas by hand, recorded figures in their places, and the page as it is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, run_python

from helpers.analysis import rules
from helpers.analysis.cost import load_prices
from helpers.analysis.scaleplan import NOT_MEASURED, figures, measured, page, show
from helpers.data.records import DataError

RECORDED = {
    "benchmarks": {
        "training": {"text": {"kit": {"tokens_per_s": 1000.0, "share_of_limit": 0.25}}},
        "indexing": {"kit": {"chunks_per_s": 200.0}},
        "retrieval_scale": {
            "embedded_100000": {"disk_bytes": 500_000_000},
            "server_100000": {"memory_bytes": 300_000_000, "query_p95_s": 0.004},
        },
    }
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder in which some figures are recorded, and others are not."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "latest.json").write_text(json.dumps(RECORDED), encoding="utf-8")
    return tmp_path


def test_the_formulas_by_hand():
    prices = load_prices(accelerator_flops=1e15, accelerator_bytes_per_second=1e12, accelerator_per_hour=3.6)
    nothing = dict.fromkeys((each["id"] for each in rules.load("scale")["measured"]), None)
    sizes = {"documents": 1000, "document_tokens": 100, "chunk_size": 60, "chunk_overlap": 10, "dimensions": 8}
    model = {"parameters": 1e9, "passes": 2, "accelerators": 4, "step_tokens": 1000, "accelerator_bytes": 1e10}
    widths = {"layers": 2, "width": 10, "inner_width": 30, "key_value_width": 5, "rank": 4}
    asked = {"prompt_tokens": 100, "answer_tokens": 10, "answers_at_once": 5, "links": 16}
    found = figures(nothing, prices, **sizes, **model, **widths, **asked)
    assert found["chunks"] == 2000 and found["vectors"] == 2000 * 8 * 4
    assert found["links_bytes"] == pytest.approx(2000 * (32 + 16 / 2.772589) * 4)
    assert found["text_tokens"] == 200_000
    assert found["whole_hours"] == pytest.approx(6 * 1e9 * 200_000 / 1e15 / 3600)
    assert found["adapter"] == 4 * 2 * (20 + 15 + 15 + 20 + 3 * 40)
    assert found["whole_state"] == 16e9 and found["whole_share"] == 4e9 and found["whole_least"] == 2
    assert found["adapter_least"] == 1 and found["sent_fsdp"] == 8e9 * 3 / 4 and found["sent_data_parallel"] == 3e9
    assert found["steps"] == 200 and found["step_s"] == pytest.approx(6 * 1e9 * 200_000 / 1e15 / 4 / 200)
    assert found["first_token"] == pytest.approx(2 * 1e9 * 100 / 1e15 + 2e9 / 1e12)
    assert found["one_answer"] == pytest.approx(0.0002 + 10 * 0.002)
    assert found["answers_per_s_large"] == pytest.approx(5 / (5 * 0.0002 + 10 * 0.002))
    assert found["thousand_cost"] == pytest.approx(1000 / found["answers_per_s_large"] / 3600 * 3.6)
    assert found["cache"] == 5 * 110 * 2 * 2 * 5 * 2
    assert found["disk"] is found["search"] is found["own_hours"] is None


def test_what_is_recorded_is_taken_over_and_the_rest_says_so(root):
    known = measured(root)
    assert known["train_tokens_per_s"] == 1000 and known["chunk_disk"] == 5000 and known["chunk_memory"] == 3000
    assert known["answers_per_s"] is None and known["whole_minutes"] is None
    found = figures(known)
    assert found["disk"] == 5000 * found["chunks"] and found["own_hours"] == found["chunks"] / 200 / 3600
    assert found["search"] == pytest.approx(0.004 * 1.5398, rel=1e-3), "ln(50 million) / ln(100,000)"
    text = page(root)
    assert "| training on packed text, the kit's own model | 1000 tokens/s |" in text
    assert f"| answers with passages, in batches | {NOT_MEASURED} |" in text
    assert "| 69.4 hours; 2.89 machines for a day |" in text and "$" not in text.replace("$SLURM_ARRAY_TASK_ID", "")


def test_rows_of_a_list_are_found_by_a_field(root):
    (root / "results" / "reference").mkdir(parents=True)
    rows = [
        {"training": "triage", "minutes": 1},
        {"training": "domain+pairs, all weights but the embeddings", "minutes": 12},
    ]
    sweep = root / "results" / "reference" / "training_sweep.json"
    sweep.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    assert measured(root)["whole_minutes"] == 12 and measured(root)["whole_memory"] is None
    sweep.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="training_sweep.json is no JSON"):
        measured(root)


def test_figures_are_short_and_units_stand_behind_them():
    shown = [show(None, "B"), show(5e7), show(8.44e10, "B"), show(0.0361, "s"), show(1024), show(131_072)]
    assert shown == [NOT_MEASURED, "50 M", "84.4 GB", "0.0361 s", "1024", "131 k"]


def test_every_figure_of_the_page_has_a_formula():
    named = set(re.findall(r"\$\{?(\w+)", (rules.FOLDER / "scale.md").read_text(encoding="utf-8")))
    assert named - {"measured", "SLURM_ARRAY_TASK_ID"} <= set(figures(measured()))


def test_the_committed_page_is_what_the_command_writes(tmp_path):
    run = run_python("-m", "helpers", "scale", "--out", tmp_path / "scale.md")
    assert run.returncode == 0, run.stderr
    made = (tmp_path / "scale.md").read_text(encoding="utf-8")
    assert made == (ROOT / "docs" / "scale.md").read_text(encoding="utf-8"), (
        "recorded figures have changed: run `python -m helpers scale --out docs/scale.md`"
    )


def test_the_page_names_commands_and_modules_that_there_are(tmp_path):
    text = page()
    verbs = set(re.findall(r"-m helpers ([a-z-]+)", text))
    listed = run_python("-m", "helpers", "--help", COLUMNS="200").stdout
    assert verbs >= {"train", "study", "move-index", "scale"} and all(verb in listed for verb in verbs)
    named = set(re.findall(r"(?:helpers|benchmarks|docs)/[\w./]+\w", text)) - {"benchmarks/latest.json"}
    assert all((ROOT / name).is_file() for name in named), named
