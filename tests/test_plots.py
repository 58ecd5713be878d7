"""Figures show the numbers that they were given, on the Axes that they were given, under plain names."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from synthetic import make_results  # noqa: E402

from helpers import plots  # noqa: E402
from helpers.analysis import Comparison, Cost, advise  # noqa: E402
from helpers.data import DataError, KitError  # noqa: E402
from helpers.experiment import ARMS  # noqa: E402
from helpers.plots import style  # noqa: E402

MEASURED = {"base": (0.0, 0.75), "base:few_shot": (0.25, 0.5), "rag": (0.875, 1.0)}
NAMES = ["Base", "Few-shot", "RAG"]
POINTS = [{"x": x, "value": x / 10, "low": x / 20, "high": x / 5, "n": 80} for x in (1, 2, 4)]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def compared():
    """A comparison: two sets, of which one (choices) is not timed."""
    table = {}
    for place, (arm, (facts, general)) in enumerate(MEASURED.items()):
        table[arm] = {
            "facts_heldout": {
                "accuracy": {"value": facts, "low": max(0, facts - 0.1), "high": min(1, facts + 0.1), "n": 80},
                "first_token_s": {"median": 0.1 + place, "p95": 0.2 + place},
                "total_s": {"median": 0.5 + place, "p95": 1.5 + place, "n": 8},
            },
            "general": {
                "accuracy": {"value": general, "low": general - 0.2, "high": min(1, general + 0.2), "n": 100},
                "first_token_s": None, "total_s": None,
            },
        }  # fmt: skip
    return table


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def points(ax) -> dict[str, tuple[float, float]]:
    """The points that carry a name."""
    named = [line for line in ax.lines if line.get_label()[0] != "_"]
    return {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in named}


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_overview_has_a_panel_a_set_and_every_value_whole_with_its_interval(compared):
    figure = plots.overview(compared, title="RAG knows the facts")
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_visible()}
    assert list(panels) == ["Held-out facts, n = 80", "General knowledge, n = 100"]
    for name, ax in zip(("facts_heldout", "general"), panels.values(), strict=True):
        for place, row in enumerate(compared.values()):
            cell = row[name]["accuracy"]
            assert points(ax)[NAMES[place]] == (cell["value"], place)
            assert any(list(line.get_xdata()) == [cell["low"], cell["high"]] for line in ax.lines)
        assert not any(line.get_clip_on() for line in ax.lines if line.get_label() in NAMES), "a dot at 0 or 1 is whole"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == NAMES
    assert figure.get_suptitle() == "RAG knows the facts" and "RAG: held-out facts 0.88" in figure.get_label()
    del compared["base"]["general"]
    ax = plots.accuracy_dots(compared, "general")
    assert list(points(ax)) == NAMES[1:] and texts(ax) == ["0.50", "1.00"], "what was not measured is left out"
    with pytest.raises(DataError, match="triage"):
        plots.overview(compared, ["triage"])


def test_the_story_shows_every_share_and_its_title_follows_from_the_numbers():
    shares = {"base": 8 * [0.0], "rag": [0.9, 0.9, 0, 0.8, 0, 0.4, 0, 0.5], "rag+customization": 8 * [0.9]}
    made = make_results(arms=("base", "rag", "rag+customization"), profile="quick", shares=shares)
    made = [result for result in made if (result.arm, result.question_set) != ("base", "general")]
    comparison = Comparison(made)
    ax = plots.story(comparison)
    table, shown = comparison.table(), texts(ax)
    sets = plots.wishes.sets_of(comparison).values()
    asked = [(row, name) for row in table.values() for name in sets if name in row]
    for row, name in asked:
        assert f"{row[name]['accuracy']['value']:.2f}" in shown and f"n = {row[name]['accuracy']['n']}" in shown
    assert len(asked) == 14 and shown.count("not\nmeasured") == 4, "language, and of Base one more"
    assert [t for t in shown if t in ("Base", "RAG", "RAG + tuning")] == ["Base", "RAG", "RAG + tuning"]
    title = shown[0].replace("\n", " ")
    assert title.startswith("RAG knows your facts and follows a change; RAG + tuning does your task")
    assert ax.get_label().startswith(title) and "speaks your language not measured" in ax.get_label()
    few = [replace(r, scores=r.scores[:1]) for r in made if r.question_set == "facts_heldout"]
    assert texts(plots.story(Comparison(few)))[0].startswith("No method is clearly better"), "one question says nothing"
    assert texts(plots.story(comparison, title="Mine"))[0] == "Mine"
    lost = make_results(
        arms=("base", "customization"), sets=("general",), shares={"base": 8 * [0.9], "customization": 8 * [0.3]}
    )
    assert texts(plots.story(Comparison(lost)))[0] == "Instruction tuning loses general knowledge."
    with pytest.raises(DataError, match="none of these arms"):
        plots.story(Comparison(make_results(arms=("rag:3_passages",), sets=("general",))))


def test_the_tree_ends_each_way_in_its_own_advice():
    given = [advise(plots.tree.USUAL | way) for way in plots.tree.WAYS]
    ax = plots.decision_tree()
    shown = [text.replace("\n", " ").lower() for text in texts(ax)]
    assert len({each.id for each in given}) == len(given) and all(each.take.lower() in shown for each in given)
    assert all(each.holds in ax.get_label() for each in given)


def test_curves_show_points_intervals_and_n():
    ax = plots.learning_curves({"rag": POINTS}, "passages", "accuracy")
    assert ax.containers[0].lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.2], [4, 0.4]]
    spans = [segment[:, 1].tolist() for segment in ax.containers[0].lines[2][0].get_segments()]
    assert spans == [pytest.approx([p["low"], p["high"]]) for p in POINTS]
    assert ax.get_xlabel() == "passages   (n = 80 a point)"
    assert texts(ax) == ["0.10", "0.20", "0.40"] and ax.get_ylim()[0] <= 0 <= 1 <= ax.get_ylim()[1]
    both = {"rag": POINTS, "base": [{"x": 10, "value": 0.9, "low": 0.8, "high": 1.0, "n": 40}]}
    ax = plots.learning_curves(both, "labels", "accuracy on facts_heldout")
    assert legend(ax) == ["RAG", "Base"]
    ax.figure.canvas.draw()
    box, page = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert not box.overlaps(ax.get_window_extent()) and page.x0 <= box.x0 and box.x1 <= page.x1
    assert "n = 40 to 80" in ax.get_xlabel() and ax.get_ylabel() == "accuracy on held-out facts"
    assert ax.get_xscale() == "log" and [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "4", "10"]
    named = [{"x": mode, "value": 0.5, "low": 0.4, "high": 0.6} for mode in ("vector", "hybrid")]
    line = plots.learning_curves({"rag": named}, "search", "accuracy").containers[0].lines[0]
    assert line.get_linestyle() == "None" and list(line.get_xdata()) == ["vector", "hybrid"]
    low, high = plots.learning_curves({"rag": POINTS}, "k", "time (s)").get_ylim()
    assert low <= 0 and high > 0.8, "times begin at zero"
    for nothing in ({}, {"rag": []}):
        with pytest.raises(DataError, match="no curve"):
            plots.learning_curves(nothing, "epochs", "accuracy")


def cost(prepared: float, query: float, change: float | None = 0.0) -> Cost:
    return Cost(1.0, prepared, 0.0, 0.0, 0.0, np.array([1, 2, 4]) * query, change, change is not None, 1.0, 12)


def test_costs_are_drawn_as_bands_with_what_break_even_says():
    costs = {
        "rag": cost(0.0, 0.01), "customization": cost(120.0, 0.005),
        "base": cost(0.0, 0.0, None), "domain_adaptation": cost(12.0, 0.01, 1.0),
    }  # fmt: skip
    ax = plots.break_even_lines(costs, changes=4)
    drawn = {line.get_label(): line for line in ax.lines}
    assert {"RAG", "Instruction-tuned", "Continued pretraining"} <= set(drawn) and "Base" not in drawn
    asked = drawn["RAG"].get_xdata()
    assert drawn["RAG"].get_ydata() == pytest.approx(0.02 * asked)
    assert drawn["Instruction-tuned"].get_ydata() == pytest.approx(10 + 0.01 * asked)
    assert drawn["Continued pretraining"].get_ydata() == pytest.approx(1 + 4 + 0.02 * asked)
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.01 * asked[0]) and band[:, 1].max() == pytest.approx(0.04 * asked[-1])
    assert "; Instruction-tuned 10.1 to " in ax.get_label() and "4 changes" in ax.get_xlabel()
    with pytest.raises(DataError, match="no costs"):
        plots.break_even_lines({"base": costs["base"]})


def test_a_training_curve_shows_every_point_whole():
    history = [SimpleNamespace(step=s, steps=3, loss=v, validation_loss=None, general_loss=None)
               for s, v in ((1, 4.6), (2, 4.0), (3, 4.4))]  # fmt: skip
    history[-1].validation_loss, history[-1].general_loss = 4.8, 2.2
    ax = plots.training_curve(history)
    training, validation, general = (line.get_xydata().tolist() for line in ax.get_lines())
    assert training == [[1, 4.6], [2, 4.0], [3, 4.4]]
    assert validation == [[3, 4.8]] and general == [[3, 2.2]]
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 4.8 and ax.get_xlim()[1] > 3
    assert all(tick == int(tick) for tick in ax.get_xticks())
    assert legend(ax) == ["training", "validation", "general text"]
    with pytest.raises(DataError, match="not reported"):
        plots.training_curve([])


def test_every_figure_draws_where_it_is_told_opens_nothing_else_and_says_what_it_shows(compared):
    entry = SimpleNamespace(step=1, steps=1, loss=2.0, validation_loss=None, general_loss=None)
    for draw, given in (
        (plots.accuracy_dots, (compared, "general")),
        (plots.learning_curves, ({"rag": POINTS}, "k", "accuracy")),
        (plots.training_curve, ([entry],)), (plots.decision_tree, ()),
        (plots.break_even_lines, ({"rag": cost(1.0, 0.1)},)),
    ):  # fmt: skip
        ax = plt.figure().add_subplot()
        assert draw(*given, ax=ax) is ax and len(plt.get_fignums()) == 1
        assert len(ax.get_label()) > 20, draw
        plt.close("all")


def test_every_arm_has_a_plain_name_and_a_look_of_its_own():
    assert set(ARMS) == set(plots.LOOKS)
    for looks in (*zip(*plots.LOOKS.values(), strict=True), map(plots.plain_name, ARMS)):
        assert len(set(looks)) == len(ARMS)
    for arm in [*plots.LOOKS, "an arm of somebody else's"]:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(style.line(arm)["color"])]
        light = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (light + 0.05) >= 3, f"a line of {arm} is hard to see on white"


def test_show_gives_a_described_picture_and_leaves_no_figure_open(compared, capsys):
    page = plots.image(plots.accuracy_dots(compared, "general"), 'rag is "above" <base>\n  on facts').data
    assert 'alt="rag is &quot;above&quot; &lt;base&gt; on facts"' in page
    assert base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).startswith(b"\x89PNG")
    assert 'alt="Dots of accuracy' in plots.image(plots.accuracy_dots(compared, "general")).data
    plots.show(plots.overview(compared))
    assert plt.get_fignums() == [] and "HTML" in capsys.readouterr().out
    with pytest.raises(KitError, match="description"):
        plots.show(plt.figure().add_subplot())
