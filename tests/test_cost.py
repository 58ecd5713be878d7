"""Costs: every dollar follows from a measured figure and a stated price, and estimates follow their formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import EFFORTS, TUNED, make_results

from helpers.analysis import Comparison, Cost, cost_rows, costs, load_prices, rules, size_rows, span
from helpers.analysis.cost import GPU_FLOPS, SIZES, Size
from helpers.data.records import DataError

LOW = {name: ends[0] for name, ends in load_prices().items()}


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results(sets=("facts_heldout", "updates")))


def test_costs_are_measured_figures_times_prices(made):
    found = costs(made, load_prices(**LOW | {
        "label": 2, "engineer_hour": 60, "document_minutes": 3, "question_minutes": 1, "questions": 50, "trainings": 2,
        "note_minutes": 4, "label_minutes": 6, "machine_hour": 3.6, "storage_gb_month": 1, "own_machine": 1,
        "gpu_hour": 2, "input_per_million": 1e6, "output_per_million": 2e6,
    }))  # fmt: skip
    assert list(found) == made.arms
    rag, tuned, few, both = (found[a] for a in ("rag", "customization", "base:few_shot", "rag+customization"))
    assert found["base"].people == 50 and rag.people == both.people == 50 + 3 * 99 and tuned.people == 50
    assert (rag.labels, few.labels, tuned.labels) == (0, 14, 2 * TUNED.labelled_examples)
    assert rag.computing == pytest.approx(EFFORTS["rag"].wall_s / 1000)
    assert tuned.computing == pytest.approx(2 * TUNED.wall_s / 1000)
    assert tuned.hours == pytest.approx((50 + 6 * TUNED.labelled_examples) / 60 + 2 * TUNED.wall_s / 3600)
    assert tuned.hosting == pytest.approx(TUNED.artefact_bytes / 1e9 + 730 * 2) and rag.hosting < 0.01
    assert rag.query == 260 + 2 * 8 and found["base"].query == 60 + 2 * 8
    changed = 27 / 99
    assert rag.change == pytest.approx(0.0006 + changed * 3 * 99) and rag.change_measured is True
    assert tuned.change == pytest.approx(TUNED.wall_s / 1000 + changed * tuned.labels) and not tuned.change_measured
    assert both.change == pytest.approx(rag.change), "weights that read passages need no new labels when facts change"


def test_a_range_goes_from_all_lowest_to_all_highest_prices(made):
    prices = load_prices()
    ends = [costs(made, load_prices(**{name: each[end] for name, each in prices.items()})) for end in (0, 1)]
    for arm, each in costs(made, prices).items():
        month = each.monthly(5_000, 0)
        low, high = (found[arm].monthly(5_000, 0) for found in ends)
        assert (month.min(), month.max()) == (pytest.approx(low), pytest.approx(high)) and low < high
        assert span(month) == span((low, high))


def test_a_month_adds_up():
    cheap_to_ask = Cost(1.0, 10.0, 100.0, 10.0, 0.5, 0.001, 10.0, True, 0.5, 12)
    cheap_to_change = Cost(1.0, 1.0, 0.0, 0.0, 0.1, 0.003, 0.01, True, 0.8, 12)
    assert cheap_to_ask.monthly(1000, 2) == pytest.approx(120 / 12 + 0.5 + 1.0 + 20.0)
    assert cheap_to_ask.thousand_right(1000, 2) == pytest.approx(31.5 / 0.5)
    assert np.isinf(replace(cheap_to_ask, right=0.0).thousand_right(1000, 0))
    assert cheap_to_change.monthly(5_158 + 1 / 3, 0) == pytest.approx(cheap_to_ask.monthly(5_158 + 1 / 3, 0))


def test_what_a_change_costs_is_not_made_up_where_it_is_unknown_or_impossible(made):
    found = costs(made)
    assert {arm for arm, each in found.items() if each.change is None} == {"base", "base:few_shot"}
    assert np.isnan(found["base"].monthly(10, 1)).all() and np.isfinite(found["base"].monthly(10, 0)).all()
    unmeasured = [r for r in made.results if (r.arm, r.question_set) != ("rag:3_passages", "updates")]
    found = costs(Comparison(unmeasured))
    rows = {row["arm"]: row for row in cost_rows(found)}
    assert rows["rag"]["1,000 queries ($)"] == span(1000 * found["rag"].query)
    assert rows["base"]["1,000 right facts, all in ($)"] == "none is right"
    updates = {arm: row["cost per update ($)"] for arm, row in rows.items()}
    assert updates["rag"] == span(found["rag"].change) and updates["rag:3_passages"] == "not measured"
    assert updates["customization"].endswith(" (estimated)") and updates["base"] == "takes nothing in"
    assert costs(Comparison(make_results(arms=("base",), sets=("terms",), profile="quick"))) == {}


def test_estimates_agree_with_published_sizes():
    lora = SIZES["8B"].training_gb("LoRA") - SIZES["8B"].training_gb("LoRA", rank=0)
    assert lora / 16 * 1e3 == pytest.approx(42, rel=0.02), "million parameters, as peft counts for 8B at rank 16"
    assert 33 < Size(65e9, 8192, 80, 8).training_gb("4-bit LoRA") < 48, "QLoRA tunes a 65B model on one GPU of 48 GB"
    gpt3 = Size(175e9, 12288, 96, 20).gpu_hours(300e9) * 3600 * GPU_FLOPS
    assert gpt3 == pytest.approx(3.15e23, rel=0.01), "Brown et al. 2020, appendix D"
    gpus = [row["GPUs of 80 GB"] for row in size_rows(1e6)]
    assert len(gpus) == 12 and gpus[:3] == [1, 1, 1] and gpus[-3] > 10


def test_prices_are_read_from_their_file_and_checked(monkeypatch, tmp_path):
    assert load_prices(label=3.0)["label"] == (3.0, 3.0) and load_prices(label=[1, 2])["label"] == (1.0, 2.0)
    for other in ({"label": -1}, {"label": math.nan}, {"label": "dear"}, {"months": 0}, {"label": [2, 1]}, {"tips": 1}):
        with pytest.raises(DataError, match=next(iter(other))):
            load_prices(**other)
    (tmp_path / "prices.yaml").write_text("label: 1\n", encoding="utf-8")
    monkeypatch.setattr(rules, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"prices.yaml.*engineer_hour"):
        load_prices()
