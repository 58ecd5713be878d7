"""Figures: they show the numbers that they were given, on the Axes that they were given; an arm keeps its colour."""

from __future__ import annotations

import base64
import math
import re

import matplotlib
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.text import Text  # noqa: E402

from helpers import plots  # noqa: E402
from helpers.data.records import DataError, Effort, KitError  # noqa: E402
from helpers.experiment import study
from helpers.plots import style  # noqa: E402
from helpers.tuning.trainer import LogEntry

MEASURED = {"base": (0.0, 0.75), "base:few_shot": (0.25, 0.5), "rag": (0.875, 0.625)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def compared():
    """A comparison in the form of `compare.table`: two sets, of which one (choices) is not timed."""
    table = {}
    for place, (arm, (facts, general)) in enumerate(MEASURED.items()):
        table[arm] = {
            "facts_heldout": {
                "accuracy": {"value": facts, "low": max(0, facts - 0.1), "high": min(1, facts + 0.1), "n": 80},
                "first_token_s": {"median": 0.1 + place, "p95": 0.2 + place},
                "total_s": {"median": 0.5 + place, "p95": 1.5 + place},
            },
            "general": {
                "accuracy": {"value": general, "low": general - 0.2, "high": general + 0.2, "n": 100},
                "first_token_s": None, "total_s": None,
            },
            "effort": vars(Effort(wall_s=12.0 * place, peak_memory_bytes=10**9 * place, labelled_examples=place)),
        }  # fmt: skip
    return table


def heights(ax) -> dict[str, list[float]]:
    """The bars' heights by the name of their arm."""
    return {
        bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers if bars.get_label()[0] != "_"
    }


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_accuracy_bars_show_values_intervals_and_n(compared):
    ax = plots.accuracy_bars(compared)
    assert heights(ax) == {arm: list(values) for arm, values in MEASURED.items()}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["facts\nheldout\nn = 80", "general\nn = 100"]
    assert {"0.88", "0.75", "0"} <= set(texts(ax))
    spans = [segment[:, 1].tolist() for lines in ax.collections for segment in lines.get_segments()]
    for row in compared.values():
        for name in ("facts_heldout", "general"):
            assert pytest.approx([row[name]["accuracy"]["low"], row[name]["accuracy"]["high"]]) in spans


def test_bars_follow_the_sets_that_are_asked_for_and_leave_a_gap_where_none_was_measured(compared):
    del compared["rag"]["general"]
    ax = plots.accuracy_bars(compared, ["general", "facts_heldout"])
    assert heights(ax)["base"] == [0.75, 0.0] and heights(ax)["rag"] == [0.875]
    rag = next(bars for bars in ax.containers if bars.get_label() == "rag")
    assert 0.5 < rag[0].get_x() < 1.5, "the bar stands with its own set"
    with pytest.raises(DataError, match="triage"):
        plots.accuracy_bars(compared, ["triage"])


def test_heat_map_holds_every_value(compared):
    del compared["base"]["general"]
    ax = plots.accuracy_heatmap(compared)
    assert texts(ax) == ["0.00", "0.25", "0.50", "0.88", "0.62"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(MEASURED)
    assert "n = 80" in ax.get_xticklabels()[0].get_text()


def test_latency_bars_show_the_median_and_reach_to_the_p95(compared):
    ax = plots.latency_bars(compared)
    drawn = [(bars.get_label(), bars[0].get_width()) for bars in ax.containers]
    assert drawn[2:4] == [("base:few_shot", 1.5), ("base:few_shot", 1.1)]
    assert "0.10 / 0.50 (1.50)" in texts(ax)
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.5, 1.5], [1.5, 2.5], [2.5, 3.5]]
    with pytest.raises(DataError, match="general"):
        plots.latency_bars(compared, "general")


@pytest.mark.parametrize("measure", plots.EFFORT_MEASURES)
def test_effort_bars_show_one_measure_with_its_unit(compared, measure):
    title, scale = plots.EFFORT_MEASURES[measure]
    ax = plots.effort_bars(compared, measure)
    shown = [bars[0].get_width() for bars in ax.containers]
    assert shown == pytest.approx([row["effort"][measure] * scale for row in compared.values()])
    assert ax.get_xlabel() == title


def test_effort_bars_refuse_a_measure_that_is_none(compared):
    with pytest.raises(KitError, match="charm"):
        plots.effort_bars(compared, "charm")


def test_sweep_line_shows_points_intervals_and_n():
    points = [{"x": k, "value": k / 8, "low": k / 10, "high": k / 5, "n": 12} for k in (1, 2, 3, 5)]
    ax = plots.sweep_line(points, "passages", "More passages")
    line = ax.containers[0].lines[0]
    assert line.get_xydata().tolist() == [[k, k / 8] for k in (1, 2, 3, 5)]
    spans = [segment[:, 1].tolist() for segment in ax.containers[0].lines[2][0].get_segments()]
    assert spans == [pytest.approx([k / 10, k / 5]) for k in (1, 2, 3, 5)]
    assert ax.get_xlabel() == "passages   (n = 12 a point)" and ax.get_title() == "More passages"
    assert texts(ax) == ["0.12", "0.25", "0.38", "0.62"]


def test_names_are_points_without_a_line_and_a_second_line_has_another_colour():
    named = [{"x": mode, "value": 0.5, "low": 0.4, "high": 0.6} for mode in ("vector", "hybrid")]
    assert plots.sweep_line(named, "search").containers[0].lines[0].get_linestyle() == "None"
    points = [{"x": k, "value": 2.0, "low": 1.0, "high": 3.0} for k in (1, 2)]
    ax = plots.sweep_line(points, "k", y="seconds")
    assert plots.sweep_line(points, "k", ax=ax, y="seconds", label="again") is ax
    first, second = (each.lines[0] for each in ax.containers)
    assert to_rgb(first.get_color()) != to_rgb(second.get_color())
    assert ax.get_ylim()[1] > 3
    with pytest.raises(DataError, match="no points"):
        plots.sweep_line([], "k")


def test_latency_against_context_names_both_units():
    ax = plots.latency_against_context([{"x": 128, "value": 0.1, "low": 0.1, "high": 0.2}])
    assert "tokens" in ax.get_xlabel() and "(s)" in ax.get_ylabel()


def test_every_figure_draws_where_it_is_told_and_opens_nothing_else(compared):
    point = [{"x": 1, "value": 0.5, "low": 0.4, "high": 0.6}]
    for draw in (plots.accuracy_bars, plots.accuracy_heatmap, plots.latency_bars, plots.effort_bars):
        ax = plt.figure().add_subplot()
        assert draw(compared, ax=ax) is ax
        assert len(plt.get_fignums()) == 1
        plt.close("all")
    ax = plt.figure().add_subplot()
    assert plots.sweep_line(point, "k", ax=ax) is ax
    assert plots.latency_against_context(point, ax=ax) is ax


def test_an_arm_has_one_colour_everywhere_and_no_other_arm_has_it(compared):
    assert set(study.ARMS) <= set(plots.ARM_COLOURS)
    assert len(set(plots.ARM_COLOURS.values())) == len(set(plots.ARM_HATCHES.values())) == len(plots.ARM_NAMES)
    for draw in (plots.accuracy_bars, plots.latency_bars, plots.effort_bars):
        bars = [each for each in draw(compared).containers if each.get_label() in MEASURED]
        assert {each.get_label() for each in bars} == set(MEASURED)
        for each in bars:
            assert to_rgb(each[0].get_facecolor()) == plots.ARM_COLOURS[each.get_label()]
            assert (each[0].get_hatch() or "") == plots.ARM_HATCHES[each.get_label()]


def test_show_gives_a_described_picture_and_leaves_no_figure_open(compared, capsys):
    ax = plots.accuracy_bars(compared)
    page = plots.image(ax, 'rag is "above" <base>\n  on facts').data
    assert 'alt="rag is &quot;above&quot; &lt;base&gt; on facts"' in page
    assert base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).startswith(b"\x89PNG")
    assert plt.get_fignums() == []
    plots.show(plots.effort_bars(compared).figure, "effort of three arms")
    assert plt.get_fignums() == [] and "HTML" in capsys.readouterr().out
    with pytest.raises(KitError, match="description"):
        plots.show(plots.effort_bars(compared), " ")


# ---- figures of the whole comparison


def shown_points(ax) -> dict[str, tuple[float, float]]:
    """The points that carry an arm's name."""
    return {
        line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_label()[0] != "_"
    }


def test_overview_has_a_panel_a_set_and_every_value_with_its_interval(compared):
    figure = plots.overview(compared)
    panels = {ax.get_title().split(",")[0]: ax for ax in figure.axes if ax.get_visible()}
    assert set(panels) == {"facts_heldout", "general"} and "n = 80" in panels["facts_heldout"].get_title()
    for name, ax in panels.items():
        for place, (arm, row) in enumerate(compared.items()):
            cell = row[name]["accuracy"]
            assert shown_points(ax)[arm] == (cell["value"], place)
            assert any(list(line.get_xdata()) == [cell["low"], cell["high"]] for line in ax.lines)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(MEASURED)


def test_pareto_joins_the_front_and_names_every_arm():
    points = {
        "base": {"x": 0.4, "value": 0.0, "low": 0.0, "high": 0.1},
        "rag": {"x": 0.6, "value": 0.8, "low": 0.7, "high": 0.9},
        "base:few_shot": {"x": 0.7, "value": 0.1, "low": 0.0, "high": 0.2},
    }
    ax = plots.pareto(points, ["rag", "base"], "time (s)")
    assert shown_points(ax) == {arm: (point["x"], point["value"]) for arm, point in points.items()}
    assert ax.lines[0].get_xydata().tolist() == [[0.4, 0.0], [0.6, 0.8]]
    assert set(texts(ax)) == set(points) and ax.get_xscale() == "log"
    with pytest.raises(DataError, match="more than 0"):
        plots.pareto({"base": points["base"] | {"x": 0.0}}, [], "time (s)")


def test_names_beside_points_do_not_lie_on_one_another():
    same = {arm: {"x": 0.4 + i / 1000, "value": 0.0, "low": 0.0, "high": 0.1} for i, arm in enumerate(plots.ARM_NAMES)}
    ax = plots.pareto(same, [plots.ARM_NAMES[0]], "time (s)")
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the lines that join them to their points
    assert len(boxes) == len(plots.ARM_NAMES)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    page = ax.figure.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


def test_freshness_draws_what_was_measured_and_no_more():
    step = {"low": 0.6, "high": 0.9, "n": 68}
    ax = plots.freshness({
        "rag": step | {"seconds": 2.0, "value": 0.8, "fresh": True},
        "customization": step | {"seconds": 300.0, "value": 0.7, "fresh": False},
        "base": step | {"seconds": 0.0, "value": 0.65, "fresh": False},
    })  # fmt: skip
    assert shown_points(ax) == {"rag": (2.0, 0.8), "customization": (300.0, 0.7)}
    first, last = ax.get_xlim()
    spans = {line.get_ydata()[0]: tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 2}
    assert spans == {0.8: (2.0, last), 0.7: (first, 300.0), 0.65: (first, last)}
    with pytest.raises(DataError, match="updates"):
        plots.freshness({})


def test_learning_curves_and_break_even_show_their_numbers():
    points = [{"x": x, "value": x / 10, "low": x / 20, "high": x / 5} for x in (1, 2, 4)]
    ax = plots.learning_curves({"rag": points}, "epochs", "accuracy")
    assert ax.lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.2], [4, 0.4]] and texts(ax) == ["rag"]
    with pytest.raises(DataError, match="no curve"):
        plots.learning_curves({}, "epochs", "accuracy")
    ax = plots.break_even_lines({"rag": [1.0, 10.0], "base": [5.0, 6.0]}, [10, 1000], [(300.0, 5.5)])
    assert {line.get_label(): list(line.get_ydata()) for line in ax.lines[:2]} == {"rag": [1, 10], "base": [5, 6]}
    assert "300" in texts(ax) and "US dollars" in ax.get_ylabel()
    with pytest.raises(DataError, match="no costs"):
        plots.break_even_lines({}, [1])
    counts = [point | {"n": 80} for point in points]
    assert plots.learning_curves({"rag": counts}, "epochs", "accuracy").get_xlabel() == "epochs   (n = 80 a point)"
    mixed = {"rag": counts, "base": [points[0] | {"n": 40}]}
    assert "n = 40 to 80" in plots.learning_curves(mixed, "epochs", "accuracy").get_xlabel()
    front = plots.pareto({"rag": counts[0], "base": counts[1]}, ["rag"], "seconds")
    assert "n = 80" in front.get_ylabel()
    ax = plots.latency_against_index([{"x": x, "value": 0.1, "low": 0.1, "high": 0.2} for x in (100, 1000)])
    assert "chunks" in ax.get_xlabel() and [t.get_text() for t in ax.get_xticklabels()] == ["100", "1,000"]


def test_a_training_curve_shows_every_point_whole():
    moments = [
        LogEntry(s, 3, loss, validation_loss=held) for s, loss, held in ((1, 4.6, None), (2, 4.0, None), (3, 4.4, 4.8))
    ]
    ax = plots.training_curve(moments)
    training, validation = ax.get_lines()
    assert training.get_ydata().tolist() == [4.6, 4.0, 4.4] and validation.get_xydata().tolist() == [[3, 4.8]]
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 4.8 and ax.get_xlim()[1] > 3
    assert all(tick == int(tick) for tick in ax.get_xticks())
    with pytest.raises(DataError, match="not reported"):
        plots.training_curve([])


def test_perplexities_begin_before_the_first_step_and_end_with_the_last():
    moments = [LogEntry(s, 4, 3.0, validation_loss=3.0 - s / 4, general_loss=2.0 + s / 8) for s in (2, 4)]
    assert [line.get_label() for line in plots.training_curve(moments).get_lines()][2] == "general text"
    ax = plots.perplexity_by_pass(moments, {"eval_loss": 3.0, "general_loss": 2.0}, passes=2)
    domain, general = (line.get_xydata() for line in ax.get_lines())
    assert domain[:, 0].tolist() == general[:, 0].tolist() == [0, 1, 2]
    assert domain[:, 1] == pytest.approx([math.exp(3.0), math.exp(2.5), math.exp(2.0)])
    assert general[:, 1] == pytest.approx([math.exp(2.0), math.exp(2.25), math.exp(2.5)])
    assert {"20.1", "7.39", "12.2", "general text", "domain text, unread"} <= set(texts(ax))
    with pytest.raises(DataError, match="watched no general text"):
        plots.perplexity_by_pass(moments, {}, 2)


@pytest.mark.parametrize("arm", [*plots.ARM_NAMES, "an arm of somebody else's"])
def test_lines_can_be_told_from_white_paper(arm):
    assert style.contrast_with_white(style.line_colour(arm)) >= 3


def test_the_distribution_of_times_is_drawn_whole():
    ax = plots.latency_distribution({"rag": [0.2, 0.4, 0.1], "base": [0.1], "nobody": []})
    assert [line.get_label() for line in ax.lines] == ["rag (n = 3)", "base (n = 1)"]
    assert list(ax.lines[0].get_xdata())[1:] == [0.1, 0.2, 0.4] and ax.lines[0].get_ydata()[-1] == 1
    with pytest.raises(DataError, match="no times"):
        plots.latency_distribution({"base": []})
