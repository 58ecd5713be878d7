"""The decision tree: the questions that decide most, and the advice at the end of each way, with how sure it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes

from ..analysis import Comparison, advise, questionnaire
from .style import finish, new_axes

USUAL = {"documents": "yes", "changes": "monthly", "labels": "none", "form": "no", "words": "no", "latency": "relaxed",
         "compute": "some", "sources": "no", "privacy": "may"}  # fmt: skip
ORDER = (  # the next question after these answers; where there is none, the advice follows
    ({}, "documents"), ({"documents": "yes"}, "form"), ({"documents": "no"}, "form"), ({"form": "yes"}, "labels"),
    ({"documents": "no", "labels": "many"}, "words"),
)  # fmt: skip
ASKED = {"labels": ("few", "many")}  # "none" and "a handful" lead to the same advice
WIDE, HIGH, LEAF = 1.8, 0.84, 2.6  # inches: a question's column, a leaf's row, a leaf's text


def decision_tree(comparison: Comparison | None = None, ax: Axes | None = None) -> Axes:
    """The tree, for cases that are as usual in what it does not ask; its shares of resamples are from `comparison`."""
    leaves = _leaves({})
    deep = max(len(path) for path in leaves)
    ax = new_axes(ax, deep * WIDE + LEAF, len(leaves) * HIGH)
    ax.set(xlim=(0, deep * WIDE + LEAF), ylim=(len(leaves) * HIGH, 0))
    ax.set_axis_off()
    words = _draw(ax, {}, 0.0, leaves, comparison)[1]
    return finish(ax, f"Decision tree. {' '.join(words)}")


def _next(path: Mapping[str, str]) -> str:
    """The question that comes after these answers; empty where the advice does."""
    fitting = (name for given, name in reversed(ORDER) if given.items() <= path.items() and name not in path)
    return next(fitting, "") if path.get("form") != "no" else ""


def _answers(name: str) -> dict[str, str]:
    question = next(each for each in questionnaire() if each.id == name)
    return {answer: text for answer, text in question.answers.items() if answer in ASKED.get(name, question.answers)}


def _leaves(path: dict[str, str]) -> list[dict[str, str]]:
    name = _next(path)
    return sum((_leaves(path | {name: answer}) for answer in _answers(name)), []) if name else [path]


def _draw(ax, path, top, leaves, comparison) -> tuple[float, list[str]]:
    """Draws what follows these answers below `top`; returns the height at which it begins, and it in words."""
    left, name = len(path) * WIDE, _next(path)
    if not name:
        advice = advise({**USUAL, **path}, comparison)
        middle, take = top + HIGH / 2, advice.take[0].upper() + advice.take[1:]
        ax.text(left, middle - 0.04, textwrap.fill(take, 36), fontsize=9, weight="bold", va="bottom")
        ax.text(left, middle, textwrap.fill(advice.holds, 52), fontsize=7.5, color="0.25", va="top")
        asked = {each.id: each.ask for each in questionnaire()}
        way = ", ".join(f"{asked[each]} {_answers(each)[answer]}" for each, answer in path.items())
        return middle, [f"{way}: {take}. {advice.holds}"]
    starts, words, at = {}, [], top
    for answer in _answers(name):
        below = path | {name: answer}
        starts[answer], more = _draw(ax, below, at, leaves, comparison)
        at += HIGH * sum(below.items() <= leaf.items() for leaf in leaves)
        words += more
    middle = (min(starts.values()) + max(starts.values())) / 2
    for answer, there in starts.items():
        ax.plot([left + 1.3, left + WIDE - 0.42], [middle, there], color="0.6", zorder=0)
        ax.text(left + WIDE - 0.4, there, answer, fontsize=8, va="center")
    ask = next(each.ask for each in questionnaire() if each.id == name)
    box = {"boxstyle": "round,pad=0.3", "facecolor": "#eef3f8", "edgecolor": "0.6"}
    ax.text(left + 0.06, middle, textwrap.fill(ask, 19), fontsize=8, va="center", bbox=box)
    return middle, words
