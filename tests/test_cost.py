"""Costs: every dollar follows from a measured figure and a stated price, and estimates follow their formulas."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from synthetic import EFFORTS, TUNED, make_results

from helpers.analysis import Comparison, Cost, break_even, cost_rows, costs, load_prices
from helpers.data.records import DataError, KitError


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results(sets=("facts_heldout", "updates")))


def test_costs_are_measured_figures_times_prices(made):
    prices = load_prices(machine_per_hour=3.6, label=2.0, storage_per_gb_month=1.0, hosted_input_per_million=1e6,
                         hosted_output_per_million=2e6)  # fmt: skip
    found = costs(made, prices)
    assert list(found) == made.arms
    rag, tuned, few = found["rag"], found["customization"], found["base:few_shot"]
    assert rag.computing == pytest.approx(EFFORTS["rag"].wall_s / 1000) and rag.labels == 0
    assert tuned.computing == pytest.approx(TUNED.wall_s / 1000)
    assert tuned.labels == 2 * TUNED.labelled_examples and few.labels == 14
    assert tuned.storage == pytest.approx(TUNED.artefact_bytes / 1e9)
    assert rag.query == pytest.approx(statistics.median(made.seconds("rag")) / 1000)
    assert rag.hosted == 260 + 2 * 8 and found["base"].hosted == 60 + 2 * 8
    assert rag.change == pytest.approx(0.0006) and rag.change_measured is True
    assert tuned.change == pytest.approx(TUNED.wall_s / 1000) and tuned.change_measured is False


def test_a_month_adds_up_and_break_even_is_where_the_lines_cross():
    cheap_to_ask = Cost("tuned", 10.0, 110.0, 0.5, 0.001, 0.0001, 10.0, True, 12)
    cheap_to_change = Cost("rag", 1.0, 0.0, 0.1, 0.003, 0.0005, 0.01, True, 12)
    assert cheap_to_ask.monthly(1000, 2) == pytest.approx(120 / 12 + 0.5 + 1.0 + 20.0)
    assert replace(cheap_to_ask, months=6).monthly(1000, 0, hosted=True) == pytest.approx(20 + 0.5 + 0.1)
    for changes in (0, 4):
        queries = break_even(cheap_to_change, cheap_to_ask, changes)
        assert cheap_to_change.monthly(queries, changes) == pytest.approx(cheap_to_ask.monthly(queries, changes))
        assert queries == break_even(cheap_to_ask, cheap_to_change, changes)
    assert break_even(cheap_to_change, cheap_to_ask, 4) > break_even(cheap_to_change, cheap_to_ask, 0)
    assert break_even(cheap_to_change, replace(cheap_to_change, computing=9.0), 0) is None
    assert break_even(cheap_to_change, replace(cheap_to_change, computing=9.0, query=0.1), 0) is None


def test_a_change_that_nobody_measured_is_not_free():
    unknown = Cost("x", 1.0, 0.0, 0.0, 0.1, 0.1, None, None, 12)
    assert unknown.monthly(10, 0) > 0
    with pytest.raises(KitError, match="updates"):
        unknown.monthly(10, 1)
    untimed = Comparison(make_results(arms=("base",), sets=("terms",), profile="quick"))
    assert costs(untimed) == {}, "choices are not timed"


def test_an_arm_that_takes_nothing_in_has_no_cost_of_a_change(made):
    found = costs(made)
    still = {arm for arm, each in found.items() if each.change is None}
    assert still == {"base", "base:few_shot"} and found["base"].change_measured is False
    assert found["base"].monthly(10, 0) > 0
    with pytest.raises(KitError, match="base cannot absorb a change"):
        found["base"].monthly(10, 1)


def test_the_rows_of_the_table_say_what_an_update_costs_and_where_that_is_not_known(made):
    unmeasured = [r for r in made.results if (r.arm, r.question_set) != ("rag:3_passages", "updates")]
    found = costs(Comparison(unmeasured))
    rows = {row["arm"]: row for row in cost_rows(found)}
    assert rows["rag"]["1,000 queries ($)"] == f"{1000 * found['rag'].query:.4f}"
    assert rows["customization"]["labels ($)"] == f"{found['customization'].labels:.2f}"
    updates = {arm: row["cost per update ($)"] for arm, row in rows.items()}
    assert updates["rag"] == f"{found['rag'].change:.4f}" and updates["rag:3_passages"] == "not measured"
    assert updates["customization"].endswith(" (estimated)") and updates["base"] == "takes nothing in"


def test_prices_are_read_from_their_file_and_checked(tmp_path):
    assert load_prices(label=3.0).label == 3.0
    for other in ({"label": -1}, {"label": float("nan")}, {"label": "dear"}, {"months": 0}):
        with pytest.raises(DataError, match=next(iter(other))):
            load_prices(**other)
    with pytest.raises(DataError, match="tips"):
        load_prices(tips=1.0)
    (tmp_path / "prices.yaml").write_text("label: 1\n", encoding="utf-8")
    with pytest.raises(DataError, match="prices.yaml"):
        load_prices(tmp_path)
