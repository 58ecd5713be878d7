"""The whole comparison as one HTML file that opens without a network and prints well, and as Markdown for a README.

    python -m helpers compare results/own/workshop --report comparison.html

`report.html.j2` has the page; this module has what is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .. import analysis
from ..analysis import Claim, Comparison, Cost, Prices, in_brackets
from ..data import QUESTION_SETS, TIMED_SET, Effort, write_text
from ..experiment import Curve, of_one_figure, read_curves
from . import figures
from .accuracy import overview
from .effort import EFFORT_MEASURES, effort_bars, latency_bars
from .images import image
from .style import Compared, plain_name

FORMULA = (
    "Estimated, not measured. Training takes 6 operations a parameter and token, or 4 with LoRA (Kaplan et al. 2020, "
    "arXiv:2001.08361); reading takes 2; each token that is written takes one reading of all weights from memory "
    "(Pope et al. 2022, arXiv:2211.05102). The accelerator's speed and price are among the stated prices."
)


def write_report(
    folder: Path, out: Path, claims: Sequence[Claim] | None = None, comparison: Comparison | None = None
) -> Path:
    """Compares the results of a folder and writes the report; returns its path.

    With `comparison`, only these of the folder's results are shown; for `claims` see `page`.

    Raises:
        DataError: The results cannot be compared.
        KitError: The file cannot be written.
    """
    shown = analysis.read_comparison(folder) if comparison is None else comparison.with_timings(folder)
    return write_text(Path(out), page(shown, read_curves(folder), claims=claims))


def page(
    comparison: Comparison,
    curves: Mapping[str, Curve] | None = None,
    prices: Prices | None = None,
    claims: Sequence[Claim] | None = None,
    note: str = "",
) -> str:
    """The report: tables and figures in one HTML page, with no script and nothing to fetch.

    Prices and claims are those of the data files unless given; `note` is a sentence on top, such as whose results
    these are, and `curves` are recorded curves by name.
    """
    prices, compared = prices or analysis.load_prices(), comparison.table()
    rows, costs = analysis.textbook_rows(comparison, prices), analysis.costs(comparison, prices)
    verdicts = analysis.judge(comparison, curves, claims)
    compares = [arm for arm in ("base", "rag") if arm in comparison.arms and len(comparison.arms) > 1]
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {
        "plain": plain_name,
        "code": _code,
        "accuracy": lambda name, row: in_brackets(row.get(name)),
    }
    return environment.get_template("report.html.j2").render(
        note=note, about=about(comparison), caveats=comparison.caveats(), timed=comparison.timed,
        take_aways=analysis.take_aways(rows), textbook=rows, verdicts=verdicts, counts=analysis.counts(verdicts),
        compared=compared, sets=_sets(compared), measures=EFFORT_MEASURES, prices=asdict(prices), costs=costs,
        stopped=[f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row],
        differences={arm: comparison.contrasts(arm) for arm in compares},
        energy={arm: analysis.energy_kwh(Effort(**row["effort"]), prices) for arm, row in compared.items()},
        formula=FORMULA, larger=analysis.scaled(comparison, prices),
        figures=_figures(compared, costs, prices, curves or {}),
    )  # fmt: skip


def markdown(comparison: Comparison, prices: Prices | None = None) -> str:
    """What a README shows: where the numbers come from, accuracy by arm and set, and the measured textbook table."""
    compared = comparison.table()
    sets = _sets(compared)
    lines = ["| arm | " + " | ".join(map(plain_name, sets)) + " |", "|" + " --- |" * (1 + len(sets))]
    for arm, row in compared.items():
        lines.append(f"| {plain_name(arm)} (`{arm}`) | " + " | ".join(in_brackets(row.get(s)) for s in sets) + " |")
    rows = analysis.textbook_rows(comparison, prices)
    return "\n\n".join([about(comparison), "\n".join(lines), analysis.textbook_markdown(rows)])


def about(comparison: Comparison) -> str:
    """Where results come from, in a sentence: model, profile, machine, days, and how many questions were asked."""
    results = comparison.results
    machines = {f"{r.hardware.get('processor', 'unknown')}, {r.hardware.get('cores', '?')} cores" for r in results}
    days = sorted({r.created[:10] for r in results if r.created}) or ["an unknown day"]
    span = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    seeds = sorted({result.seed for result in results})
    answers = sum(len(result.scores) for result in results)
    return (
        f"{results[0].config.get('model', 'The model')} in the {results[0].profile} profile on "
        f"{' and '.join(sorted(machines))}, {span}; {answers:,} scored answers in {len(results)} result files, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
    )


def _code(text: str) -> Markup:
    """A text, escaped, with what is in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _sets(compared: Compared) -> list[str]:
    return [name for name in QUESTION_SETS if any(name in row for row in compared.values())]


def _figures(
    compared: Compared, costs: Mapping[str, Cost], prices: Prices, curves: Mapping[str, Curve]
) -> dict[str, list[Markup]]:
    """The figures of each section as pictures; an empty list where nothing was measured."""
    timed = any(row.get(TIMED_SET, {}).get("total_s") for row in compared.values())
    drawn = {
        "overview": [bool(_sets(compared)) and overview(compared)],
        "latency": [timed and latency_bars(compared)],
        "time": [figures.time_figure(compared)],
        "effort": [any(row["effort"]["wall_s"] for row in compared.values()) and effort_bars(compared)],
        "cost": [
            figures.cost_pareto(compared, costs, prices),
            figures.cost_figure(costs, prices),
            figures.changes_figure(costs, prices),
        ],
        "freshness": [figures.freshness_figure(compared)],
        "curves": [figures.curve_figure(*alike) for alike in of_one_figure(curves.values())],
    }
    return {name: [Markup(image(each).data) for each in made if each] for name, made in drawn.items()}
