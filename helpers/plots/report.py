"""The whole comparison as one HTML file that opens without a network and prints well, and as Markdown for a README.

python -m helpers compare results/own/workshop --report comparison.html
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import plots
from ..analysis import (
    Claim,
    Comparison,
    Cost,
    Prices,
    Verdict,
    costs,
    counts,
    energy_kwh,
    in_brackets,
    judge,
    load_prices,
    read_comparison,
    rules,
    scaled,
    take_aways,
    textbook_html,
    textbook_markdown,
    textbook_rows,
)
from ..data import QUESTION_SETS, TIMED_SET, Effort, write_text
from ..experiment import Curve, of_one_figure, read_curves
from . import figures

FORMULA = (
    "Estimated, not measured. Training takes 6 operations a parameter and token, or 4 with LoRA (Kaplan et al. 2020, "
    "arXiv:2001.08361); reading takes 2; each token that is written takes one reading of all weights from memory "
    "(Pope et al. 2022, arXiv:2211.05102). The accelerator's speed and price are among the stated prices."
)


def write_report(
    folder: Path,
    out: Path,
    claims: Sequence[Claim] | None = None,
    comparison: Comparison | None = None,
) -> Path:
    """Compares the results of a folder and writes the report; returns its path.

    Args:
        folder: Where results, latency job and recorded curves lie.
        out: The report's file.
        claims: See `page`.
        comparison: The results of the folder that are shown; None takes all of them.

    Raises:
        DataError: The results cannot be compared.
        KitError: The file cannot be written.
    """
    shown = read_comparison(folder) if comparison is None else comparison.with_timings(folder)
    return write_text(Path(out), page(shown, read_curves(folder), claims=claims))


def page(
    comparison: Comparison,
    curves: Mapping[str, Curve] | None = None,
    prices: Prices | None = None,
    claims: Sequence[Claim] | None = None,
    note: str = "",
) -> str:
    """The report: tables and figures in one HTML page, with no script and nothing to fetch.

    Args:
        comparison: The results.
        curves: Recorded curves by name.
        prices: Those of the data file unless told otherwise.
        claims: Those of the kit's own world unless given.
        note: A sentence on top, such as whose results these are.
    """
    prices, compared = prices or load_prices(), comparison.table()
    rows = textbook_rows(comparison, prices)
    found = costs(comparison, prices)
    drawn_together = of_one_figure((curves or {}).values())
    sections = [
        ("Before you conclude", _bullets(comparison.caveats())),
        ("Take away", _bullets(take_aways(rows))),
        ("Accuracy", _accuracy(compared)),
        ("Differences from the base model", _contrasts(comparison)),
        ("Differences from RAG", _contrasts(comparison, "rag")),
        ("What was expected, and what came out", _claims(judge(comparison, curves, claims))),
        ("The textbook table, measured", textbook_html(rows)),
        ("Latency, one question at a time", _latency(compared, comparison.timed)),
        ("Quality against time", _drawn(figures.time_figure, compared)),
        ("Effort", _effort(compared, prices)),
        (
            "Cost, by stated prices",
            _costs(found, prices)
            + _drawn(figures.cost_pareto, compared, found, prices, figures.ASKED, figures.CHANGES)
            + _drawn(figures.cost_figure, found, prices)
            + _drawn(figures.changes_figure, found, prices),
        ),
        ("Larger models, estimated by formula", _scaled(comparison, prices)),
        ("Freshness", _drawn(figures.freshness_figure, compared)),
        ("Recorded curves", "".join(_drawn(figures.curve_figure, *alike) for alike in drawn_together)),
    ]
    body = "".join(f"<section><h2>{html.escape(title)}</h2>{text}</section>" for title, text in sections if text)
    style = (rules.FOLDER / "report.css.txt").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>RAG or fine-tuning? The comparison</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main><h1>RAG or fine-tuning? The comparison</h1>"
        f"<p>{html.escape(' '.join(filter(None, (note, about(comparison)))))}</p>{body}</main></body></html>\n"
    )


def markdown(comparison: Comparison, prices: Prices | None = None) -> str:
    """What a README shows: where the numbers come from, accuracy by arm and set, and the measured textbook table."""
    compared = comparison.table()
    sets = _sets_of(compared)
    lines = ["| arm | " + " | ".join(sets) + " |", "|" + " --- |" * (1 + len(sets))]
    for arm, row in compared.items():
        lines.append("| " + " | ".join([f"`{arm}`", *(in_brackets(row.get(s)) for s in sets)]) + " |")
    return "\n\n".join([about(comparison), "\n".join(lines), textbook_markdown(textbook_rows(comparison, prices))])


def about(comparison: Comparison) -> str:
    """Where results come from, in a sentence: model, profile, machine, days, and how much was asked."""
    results = comparison.results
    machines = {f"{r.hardware.get('processor', 'unknown')}, {r.hardware.get('cores', '?')} cores" for r in results}
    days = sorted(r.created[:10] for r in results if r.created)
    span = (
        "on an unknown day" if not days else f"on {days[0]}" if days[0] == days[-1] else f"from {days[0]} to {days[-1]}"
    )
    seeds = sorted({result.seed for result in results})
    answers = sum(len(result.scores) for result in results)
    return (
        f"{results[0].config.get('model', 'The model')} in the {results[0].profile} profile on "
        f"{' and '.join(sorted(machines))}, {span}; {answers:,} scored answers in {len(results)} result files, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
    )


def _sets_of(compared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name in QUESTION_SETS if any(name in row for row in compared.values())]


def _drawn(figure: Callable[..., Axes | Figure | None], *arguments: Any) -> str:
    made = figure(*arguments)
    return f"<figure>{plots.image(made).data}</figure>" if made else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table in which every text is escaped; the first cell of a row is its heading."""
    columns = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(str(value))}</td>" for value in rest)
        lines.append(f'<tr><th scope="row">{html.escape(str(first))}</th>{cells}</tr>')
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _bullets(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _accuracy(compared: Mapping[str, Mapping[str, Any]]) -> str:
    sets = _sets_of(compared)
    stopped = [f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row]
    if not sets:
        return f"<p>No run was completed. Interrupted: {html.escape('; '.join(stopped))}.</p>"
    note = f"<p>Interrupted, and left out: {html.escape('; '.join(stopped))}.</p>" if stopped else ""
    table = _table(["arm", *sets], ([arm, *(in_brackets(row.get(s)) for s in sets)] for arm, row in compared.items()))
    return _drawn(plots.overview, compared) + table + note + _drawn(plots.accuracy_heatmap, compared)


def _contrasts(comparison: Comparison, against: str = "base") -> str:
    if len(comparison.arms) < 2 or against not in comparison.arms:
        return ""
    rows = (
        (c.second, c.question_set, "{value:+.2f} [{low:+.2f}, {high:+.2f}]".format(**c.difference),
         f"{c.p:.3f}", "clear" if c.clear else "not clear")
        for c in comparison.contrasts(against)
    )  # fmt: skip
    return _table(("arm", "question set", "difference, 95 % interval", "p (Holm)", f"against {against}"), rows)


def _claims(verdicts: Sequence[Verdict]) -> str:
    summary = ", ".join(f"{count} {name}" for name, count in counts(verdicts).items())
    rows = ((v.claim.text, v.verdict, v.why, v.claim.source) for v in verdicts)
    return f"<p>{summary}.</p>" + _table(("claim", "verdict", "measured", "source"), rows)


def _latency(compared: Mapping[str, Mapping[str, Any]], timed: str) -> str:
    drawn = (
        _drawn(plots.latency_bars, compared)
        if any(row.get(TIMED_SET, {}).get("total_s") for row in compared.values())
        else ""
    )
    return f"<p>{html.escape(timed)}</p>{drawn}" if drawn and timed else drawn


def _effort(compared: Mapping[str, Mapping[str, Any]], prices: Prices) -> str:
    head = ["arm", *(title for title, _ in plots.EFFORT_MEASURES.values()), "CPU time (s)", "tokens seen"]
    rows = []
    for arm, row in compared.items():
        e = row["effort"]
        measured = [f"{e[name] * scale:,.1f}" for name, (_, scale) in plots.EFFORT_MEASURES.items()]
        kwh = energy_kwh(Effort(**e), prices)
        told = f"{e['cpu_s']:,.1f}", f"{e['tokens_seen']:,}", f"{kwh:.4f}", f"{kwh * prices.energy_per_kwh:.4f}"
        rows.append([arm, *measured, *told])
    table = _table([*head, "energy (kWh, estimated)", "energy ($, estimated)"], rows)
    return _drawn(plots.effort_bars, compared) + table


def _costs(found: Mapping[str, Cost], prices: Prices) -> str:
    if not found:
        return ""
    rows = (
        (c.arm, f"{c.computing:.4f}", f"{c.labels:.2f}", f"{c.storage:.4f}", f"{1000 * c.query:.4f}",
         f"{1000 * c.hosted:.4f}", _change(c), f"{1000 * c.query_kwh:.4f}")
        for c in found.values()
    )  # fmt: skip
    stated = ", ".join(f"{name} {getattr(prices, name):g}" for name in Prices.__dataclass_fields__)
    head = ("arm", "computing ($, once)", "labels ($, once)", "storage ($ a month)", "1,000 queries ($, own machine)",
            "1,000 queries ($, hosted)", "one change ($)", "1,000 queries (kWh, estimated)")  # fmt: skip
    return _table(head, rows) + f"<p>Stated prices, not measured: {html.escape(stated)}.</p>"


def _change(cost: Cost) -> str:
    if cost.change is None:
        return "not measured" if cost.change_measured is None else "takes nothing in"
    return f"{cost.change:.4f}" + ("" if cost.change_measured else " (estimated)")


def _scaled(comparison: Comparison, prices: Prices) -> str:
    digits = {"training_hours": 3, "training_cost": 2, "first_token_s": 4, "token_s": 4}
    rows = [
        (each["arm"], each["size"], *(f"{each[name]:.{places}f}" for name, places in digits.items()))
        for each in scaled(comparison, prices)
    ]
    head = ("arm", "size", "training (hours)", "training ($)", "first token (s)", "each further token (s)")
    return f"<p>{html.escape(FORMULA)}</p>{_table(head, rows)}" if rows else ""
