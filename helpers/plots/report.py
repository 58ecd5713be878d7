"""The whole comparison as one HTML file that opens without a network and prints well, and as Markdown for a README.

`report.html.j2` has the page; this module has what is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import analysis
from ..analysis import Claim, Comparison, in_brackets
from ..data import QUESTION_SETS, DataError, write_text
from ..experiment import Curve, of_one_figure, read_curves
from .accuracy import latency_bars, overview
from .lines import break_even_lines, learning_curves
from .style import Compared, image, plain_name

EFFORT_MEASURES = {
    "wall_s": ("preparation time (s)", 1),
    "peak_memory_bytes": ("peak memory while preparing (MB)", 1e-6),
    "artefact_bytes": ("disk space (MB)", 1e-6),
    "labelled_examples": ("labelled examples", 1),
    "documents": ("documents read", 1),
    "trainable_parameters": ("trainable parameters (millions)", 1e-6),
}


def write_report(
    folder: Path, out: Path, claims: Sequence[Claim] | None = None, comparison: Comparison | None = None
) -> Path:
    """Compares the results of a folder, or only these of `comparison`, and writes the report; returns its path.

    Raises:
        DataError: The results cannot be compared.
        KitError: The file cannot be written.
    """
    shown = analysis.read_comparison(folder) if comparison is None else comparison.with_timings(folder)
    return write_text(Path(out), page(shown, read_curves(folder), claims=claims))


def page(
    comparison: Comparison, curves: Mapping[str, Curve] | None = None, claims: Sequence[Claim] | None = None,
    note: str = "",
) -> str:  # fmt: skip
    """The report: tables and figures in one HTML page, with no script and nothing to fetch.

    Claims are those of the data file unless given; `note` is a sentence on top, such as whose results these are.
    """
    compared, rows, costs = comparison.table(), analysis.textbook_rows(comparison), analysis.costs(comparison)
    verdicts = analysis.judge(comparison, claims)
    compares = [arm for arm in ("base", "rag") if arm in comparison.arms and len(comparison.arms) > 1]
    here = PackageLoader(__package__, ".")
    environment = Environment(loader=here, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"plain": plain_name, "code": _code, "accuracy": lambda key, row: in_brackets(row.get(key))}
    return environment.get_template("report.html.j2").render(
        note=note, about=about(comparison), caveats=comparison.caveats(), timed=comparison.timed,
        take_aways=analysis.take_aways(rows), textbook=rows, verdicts=verdicts, counts=analysis.counts(verdicts),
        compared=compared, sets=_sets(compared), measures=EFFORT_MEASURES,
        prices={name: analysis.span(ends) for name, ends in analysis.load_prices().items()},
        costs=analysis.cost_rows(costs),
        stopped=[f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row],
        differences={arm: comparison.contrasts(arm).to_dict("records") for arm in compares},
        figures={
            "overview": _drawn(overview, compared), "latency": _drawn(latency_bars, compared),
            "cost": _drawn(break_even_lines, costs),
            "curves": [
                _drawn(learning_curves, {each.arm: each.points for each in alike}, alike[0].x, alike[0].y)[0]
                for alike in of_one_figure((curves or {}).values())
            ],
        },
    )  # fmt: skip


def markdown(comparison: Comparison) -> str:
    """What a README shows: where the numbers come from, accuracy by arm and set, and the measured textbook table."""
    compared = comparison.table()
    sets = _sets(compared)
    lines = ["| arm | " + " | ".join(map(plain_name, sets)) + " |", "|" + " --- |" * (1 + len(sets))]
    for arm, row in compared.items():
        lines.append(f"| {plain_name(arm)} (`{arm}`) | " + " | ".join(in_brackets(row.get(s)) for s in sets) + " |")
    rows = analysis.textbook_rows(comparison)
    return "\n\n".join([about(comparison), "\n".join(lines), analysis.textbook_markdown(rows)])


def about(comparison: Comparison) -> str:
    """Where results come from, in a sentence: model, profile, machine, days, and how many questions were asked."""
    results = comparison.results
    machines = {f"{r.hardware.get('processor', 'unknown')}, {r.hardware.get('cores', '?')} cores" for r in results}
    days = sorted({r.created[:10] for r in results if r.created}) or ["an unknown day"]
    span = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    answers = sum(len(result.scores) for result in results)
    return (
        f"{results[0].config.get('model', 'The model')} in the {results[0].profile} profile on "
        f"{' and '.join(sorted(machines))}, {span}; {answers:,} scored answers in {len(results)} result files, "
        f"seed {', '.join(map(str, comparison.worlds))}."
    )


def _code(text: str) -> Markup:
    """A text, escaped, with what is in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _sets(compared: Compared) -> list[str]:
    return [name for name in QUESTION_SETS if any(name in row for row in compared.values())]


def _drawn(draw: Callable[..., Axes | Figure], *what: Any) -> list[Markup]:
    """A figure as a picture, in a list; an empty list where what it shows was not measured."""
    try:
        return [Markup(image(draw(*what)).data)]
    except DataError:
        return []
