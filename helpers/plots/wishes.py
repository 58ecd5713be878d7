"""The story figure: what people want, by method, and what each method costs; and its finding in a sentence."""

import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..analysis import Comparison, accuracy, costs, difference, load_prices, span
from ..data import TIMED_SET, DataError, table
from .style import finish, number, plain_name, with_n

METHODS, WISHES, SUBJECTS, HEADS, DECLINES, CAPTION = table(__file__).values()
KEEPS = "keeps general knowledge"
MOST = 0.8  # of the best share in a column: a method with so much of it is named, and drawn dark
LITTLE, GAIN = 0.1, 0.2  # a loss, and a gain, that one notices at work: those of the lecture's table
DARK, PALE, TRACK = "#0b4f85", "#8fa9bf", "#e9ecef"  # apart in grey too
NAMES, WISH, COST, ROW = 1.54, 0.645, 0.625, 0.42  # inches: methods' names, a column of a wish or of a cost, a row


class Row(NamedTuple):
    """One method: for each wish its accuracy, None where it was not measured; and its costs, empty where unknown.

    `clear` are the wishes that it does better than the model as shipped by more than chance explains; nobody is praised
    for declining who was asked nothing else.
    """

    shares: dict[str, Mapping[str, float] | None]
    clear: set[str]
    costs: tuple[str, str, str]

    def share(self, wish: str, absent: float = -1.0) -> float:
        """The share right."""
        cell = self.shares[wish]
        return cell["value"] if cell else absent


def rows(comparison: Comparison) -> dict[str, Row]:
    """The methods of the figure that have results, the simplest first."""
    found, paid, prices, sets = {}, costs(comparison), load_prices(), sets_of(comparison)
    base = {wish: comparison.by_world("base", name) for wish, name in sets.items()}
    for arm in (arm for arm in METHODS if arm in comparison.arms):
        asked = {wish: comparison.by_world(arm, name) for wish, name in sets.items()}
        both = [w for w in WISHES if sets[w] == WISHES[w][0] and base[w].keys() & asked[w].keys()]
        seconds, cost, built = comparison.seconds(arm, TIMED_SET), paid.get(arm), comparison.effort(arm).wall_s / 60
        changes = prices["changes"][0] if cost and cost.change is not None else 0
        month = span(cost.monthly(prices["queries"][0], changes)).replace(" to ", "–") if cost else ""
        answered, built = number(float(np.median(seconds))) if seconds else "", f"{built:.{int(built < 10)}f}"
        clear = {wish for wish in both if difference(base[wish], asked[wish])["low"] > 0}
        right = {wish: accuracy(scores) if scores else None for wish, scores in asked.items()}
        found[arm] = Row(right, clear, (built, answered, month))
    return found


def sets_of(comparison: Comparison) -> dict[str, str]:
    """The question set that stands for each wish: the first that any method was asked."""
    return {wish: next((name for name in names if name in comparison.sets), names[0]) for wish, names in WISHES.items()}


def finding(found: Mapping[str, Row]) -> str:
    """Which method gives what, in a sentence made from the numbers.

    For each wish it names the simplest method that reaches `MOST` of the best, where it is `GAIN` above the model as
    shipped and that is no chance ("partly": right less than half of the time); and who has lost general knowledge.
    """
    gives: dict[str, list[str]] = {}
    for wish in WISHES:
        had = found["base"].share(wish, 0.0) if "base" in found else 0.0
        best = max((row.share(wish) for row in found.values()), default=-1.0)
        if wish == KEEPS:
            for arm in (arm for arm, row in found.items() if row.share(wish, had) < had - LITTLE):
                gives.setdefault(arm, []).append("loses general knowledge")
            continue
        able = next((arm for arm, row in found.items() if row.share(wish) >= min(best, MOST * best)), "")
        if best >= had + GAIN and ("base" not in found or wish in found[able].clear):
            gives.setdefault(able, []).append("partly " * (found[able].share(wish) < 0.5) + wish)
    listed = {arm: " and ".join([", ".join(each[:-1])] * bool(each[1:]) + each[-1:]) for arm, each in gives.items()}
    parts = [f"{SUBJECTS.get(arm, plain_name(arm))} {listed[arm]}" for arm in METHODS if arm in listed]
    text = "; ".join(parts) or "no method is clearly better than Base in what was asked"
    return f"{text[0].upper()}{text[1:]}."


def in_words(found: Mapping[str, Row]) -> str:
    """Every number of the figure as text, for those who do not see it."""
    told = []
    for arm, row in found.items():
        shares = [
            f"{wish} {cell['value']:.2f}" if cell else f"{wish} not measured" for wish, cell in row.shares.items()
        ]
        paid = [f"{value} {unit}" for value, unit in zip(row.costs, HEADS, strict=True) if value]
        told.append(f"{plain_name(arm)}: {', '.join(shares + paid)}")
    return "; ".join(told) + "."


def story(comparison: Comparison, ax: Axes | None = None, title: str | None = None) -> Axes:
    """What each method gives (shares right, dark where most of the best is reached), and what it costs.

    What nobody measured is a gap that says so. `title` replaces the finding; "" leaves it to the text around the
    figure. DataError where there is none of the methods.
    """
    found, prices = rows(comparison), load_prices()
    if not found:
        raise DataError(f"none of these arms has a result: {', '.join(METHODS)}. Run the study on one of them first.")
    told = textwrap.wrap(finding(found) if title is None else title, 85)
    stated = {"most": MOST, "queries": prices["queries"][0], "changes": prices["changes"][0]}
    stated["declines"] = DECLINES[sets_of(comparison)["says when it does not know"]]
    notes = textwrap.wrap(CAPTION.format(**stated), 126)
    ends = np.cumsum([NAMES, *[WISH] * len(WISHES), *[COST] * len(HEADS)])
    top, bottom = 0.72 + 0.2 * len(told), len(found) * ROW + 0.1 + 0.15 * len(notes)
    if ax is None:
        ax = plt.figure(figsize=(ends[-1] + 0.04, top + bottom + 0.04)).add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.02, ends[-1] + 0.02), ylim=(bottom + 0.02, -top - 0.02))  # in inches, from the first row down
    ax.set_axis_off()
    ax.text(0, -top, "\n".join(told), fontsize=10, weight="bold", va="top", linespacing=1.3)
    ax.text(0, bottom, "\n".join(notes), fontsize=7.5, color="0.3", va="bottom", linespacing=1.25)
    for place, arm in enumerate(found):
        ax.text(0.02, ROW * (place + 0.5), plain_name(arm), va="center", fontsize=9)
        ax.plot([0, ends[-1]], [ROW * place] * 2, color="0.85", linewidth=0.8)
    for left, wish in zip(ends, WISHES, strict=False):
        cells = [row.shares[wish] for row in found.values()]
        _word(ax, left + WISH / 2, -0.36, textwrap.fill(wish, 9), 8)
        _word(ax, left + WISH / 2, -0.09, with_n("", filter(None, cells), "n = {1}") if any(cells) else "", 7)
        best = max((cell["value"] for cell in cells if cell), default=0.0)
        for place, cell in enumerate(cells):
            _share(ax, left + 0.07, ROW * place, cell, best)
    for column, (left, head) in enumerate(zip(ends[len(WISHES) :], HEADS.values(), strict=False)):
        _word(ax, left + COST / 2, -0.36, head, 8)
        for place, row in enumerate(found.values()):
            value = row.costs[column]
            _word(ax, left + COST / 2, ROW * (place + 0.5), value or "not\nmeasured", 8 if value else 7)
    return finish(ax, f"{finding(found)} {in_words(found)}")


def _share(ax: Axes, left: float, top: float, cell: Mapping[str, float] | None, best: float) -> None:
    """A share as a number above a bar and its interval, or the words that it was not measured."""
    width = WISH - 0.14
    if not cell:
        return _word(ax, left + width / 2, top + ROW / 2, "not\nmeasured", 7)
    value, strong = cell["value"], cell["value"] >= MOST * best > 0
    ax.barh(top + 0.29, width, 0.08, left=left, color=TRACK)
    ax.barh(top + 0.29, width * value, 0.08, left=left, color=DARK if strong else PALE)
    ends = [left + width * cell["low"], left + width * cell["high"]]
    ax.plot(ends, [top + 0.36] * 2, color="0.35", linewidth=1.3, solid_capstyle="butt")
    return _word(ax, left + width / 2, top + 0.15, f"{value:.2f}", 9.5, "bold" if strong else "normal")


def _word(ax: Axes, x: float, y: float, text: str, size: float, weight: str = "normal") -> None:
    colour = "0.35" if size < 8 else "black"
    ax.text(x, y, text, ha="center", va="center", fontsize=size, weight=weight, color=colour, linespacing=1.1)
