"""How well the arms answer, a panel a question set, each arm's accuracy with its interval."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import Compared, beside, finish, new_axes, plain_name, point, sets_to_draw, with_n


def accuracy_dots(compared: Compared, question_set: str, ax: Axes | None = None) -> Axes:
    """Every arm's accuracy (a share in 0..1) on one question set: a row an arm, a dot with its 95 % interval.

    DataError where no arm has any.
    """
    sets_to_draw(compared, [question_set])
    cells = {arm: row.get(question_set, {}).get("accuracy") for arm, row in compared.items()}
    ax = new_axes(ax, 5.2, 1.3 + 0.28 * len(cells))
    for place, (arm, cell) in enumerate(cells.items()):
        if cell:
            ax.plot([cell["low"], cell["high"]], [place, place], color="0.35", linewidth=1.6, solid_capstyle="butt")
            ax.plot(cell["value"], place, markersize=7, clip_on=False, linestyle="none", zorder=3, **point(arm))
            at, side, align = (cell["low"], -7, "right") if cell["high"] > 0.8 else (cell["high"], 7, "left")
            beside(ax, (at, place), f"{cell['value']:.2f}", (side, 0), va="center", ha=align)
    ax.set_yticks(range(len(cells)), [plain_name(arm) for arm in cells])
    ax.set(xlim=(-0.03, 1.03), ylim=(len(cells) - 0.5, -0.5), xticks=[0, 0.5, 1])
    ax.set_title(with_n(plain_name(question_set), cells.values(), "{}, n = {}"), fontsize=10)
    return finish(ax, f"Dots of accuracy with 95 % intervals. {accuracy_in_words(compared, [question_set])}", "x")


def overview(compared: Compared, sets: Sequence[str] | None = None, columns: int = 4, title: str = "") -> Figure:
    """The kit's main figure: a panel of `accuracy_dots` for each of `sets`, or for all there are, `columns` in a row.

    `title` says in a sentence what the figure shows. DataError where no arm has accuracy on any of the sets.
    """
    sets = sets_to_draw(compared, sets)
    columns = min(columns, len(sets))
    rows = -(-len(sets) // columns)
    size = (2.6 + 2.2 * columns, rows * (0.9 + 0.24 * len(compared)) + (0.8 if title else 0.4))
    figure = plt.figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, question_set in zip(axes.flat, sets, strict=False):
        accuracy_dots(compared, question_set, ax)
    for ax in axes.flat[len(sets) :]:
        ax.set_visible(False)
    figure.suptitle(title, fontsize=12)
    figure.supxlabel("accuracy (share right), 95 % interval", fontsize=10)
    figure.set_label(f"{title or 'Accuracy with 95 % intervals'}. {accuracy_in_words(compared, sets)}")
    return figure


def accuracy_in_words(compared: Compared, sets: Sequence[str]) -> str:
    """Every accuracy on these sets as text, for those who do not see a figure."""
    words = []
    for arm, row in compared.items():
        known = [s for s in sets if "accuracy" in row.get(s, {})]
        cells = ", ".join(f"{plain_name(s).lower()} {row[s]['accuracy']['value']:.2f}" for s in known)
        words += [f"{plain_name(arm)}: {cells}"] if cells else []
    return "; ".join(words) + "."
