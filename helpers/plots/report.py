"""The whole comparison as one HTML file that opens without a network and prints well.

`report.html.j2` has the page; this module has what is filled in.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import analysis
from ..analysis import Claim, Comparison, in_brackets
from ..data import TIMED_SET, DataError, read_text, write_text
from ..experiment import ARMS, Curve, of_one_figure, plain_name, read_curves
from . import wishes
from .lines import break_even_lines, learning_curves
from .style import image, in_words


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
    comparison: Comparison, curves: Mapping[str, Curve] | None = None, claims: Sequence[Claim] | None = None
) -> str:
    """Verdict, figures, tables and all answers in one HTML page that fetches nothing; `claims` as in `judge`."""
    compared, verdicts = comparison.table(), analysis.judge(comparison, claims)
    main = {arm: row for arm, row in compared.items() if arm in wishes.METHODS} or compared
    costs = {arm: cost for arm, cost in analysis.costs(comparison).items() if arm in main}
    compares = [arm for arm in ("base", "rag") if arm in comparison.arms and len(comparison.arms) > 1]
    varied = [
        (alike, _drawn(learning_curves, {each.arm: each.points for each in alike}, alike[0].x, alike[0].y))
        for alike in of_one_figure((curves or {}).values())
    ]
    script = read_text(Path(__file__).with_name("explorer.js"))
    here = PackageLoader(__package__, ".")
    environment = Environment(loader=here, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"plain": plain_name, "code": _code, "words": in_words, "accuracy": _accuracy}
    return environment.get_template("report.html.j2").render(
        comparison=comparison, sets=comparison.sets, compared=compared, main=main, arms=ARMS,
        verdict=wishes.finding(wishes.rows(comparison)), sentences=sentences(comparison), about=about(comparison),
        textbook=analysis.textbook_rows(comparison), verdicts=verdicts, counts=analysis.counts(verdicts),
        costs=analysis.cost_rows(costs),
        prices={name: analysis.span(ends) for name, ends in analysis.load_prices().items()},
        stopped=[f"{arm}: {', '.join(row['interrupted'])}" for arm, row in compared.items() if "interrupted" in row],
        differences={arm: comparison.contrasts(arm).to_dict("records") for arm in compares},
        answers=answers(comparison), script=Markup(script), policy=b64encode(sha256(script.encode()).digest()).decode(),
        figures={
            "story": _drawn(wishes.story, comparison, None, ""), "cost": _drawn(break_even_lines, costs),
            "curves": varied,
        },
    )  # fmt: skip


def sentences(comparison: Comparison) -> list[str]:
    """Who is right on facts and how sure that is, what a change takes, and what a first version takes."""
    share = {arm: comparison.by_world(arm, TIMED_SET) for arm in wishes.METHODS}
    share = {arm: (analysis.accuracy(scores), scores) for arm, scores in share.items() if scores}
    ranked = sorted(share, key=lambda arm: share[arm][0]["value"], reverse=True)
    told = [f"Nobody was asked {plain_name(TIMED_SET).lower()}."]
    if ranked:
        best = in_brackets({"accuracy": share[ranked[0]][0]})
        told = [f"{plain_name(ranked[0])} is right on {best} of the questions about facts"]
    for second in ranked[1:2]:
        gap = analysis.difference(share[second][1], share[ranked[0]][1])
        sure = "more" if gap["low"] > 0 else "no more"
        told[0] += f"; {plain_name(second)} follows, {gap['value']:.2f} behind, {sure} than chance explains"
    arms = [arm for arm in ("rag", "customization", "domain_adaptation+customization") if arm in comparison.arms]
    for metric in ("update_s", "effort_hours"):
        asked = [analysis.quantities.Quantity(arm=arm, metric=metric) for arm in arms]
        known = [each for each in asked if each.of(comparison) is not None]
        words = analysis.quantities.in_words(comparison, known)
        told.append(words or f"Not measured here: {analysis.quantities.METRICS[metric].words}")
    return [f"{each[0].upper()}{each[1:].rstrip('.')}." for each in told]


def answers(comparison: Comparison) -> dict[str, Any]:
    """Every scored answer for the explorer, each text and passage once: its places stand for it."""
    arms, sets, worlds = comparison.arms, comparison.sets, list(comparison.worlds)
    texts, passages, asked = {}, {}, {}
    for result in (each for each in comparison.results if each.status == "complete"):
        for score in result.scores:
            question, seen = score.question, [(p.document_id, p.title, p.text) for p in score.answer.passages]
            own = asked.setdefault((result.seed, question), {
                "set": sets.index(question.set), "world": worlds.index(result.seed), "prompt": question.prompt,
                "gold": question.answers, "documents": question.documents, "answers": [],
            })  # fmt: skip
            text, why = (texts.setdefault(each, len(texts)) for each in (score.answer.text, score.why))
            places = [passages.setdefault(each, len(passages)) for each in seen]
            own["answers"].append([arms.index(result.arm), text, score.value, why, places])
    main = [place for place, arm in enumerate(arms) if arm in wishes.METHODS] or list(range(len(arms)))
    return {
        "methods": list(map(plain_name, arms)), "main": main, "sets": list(map(plain_name, sets)), "worlds": worlds,
        "questions": list(asked.values()), "texts": list(texts), "passages": list(passages),
    }  # fmt: skip


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


def _accuracy(question_set: str, row: Mapping[str, Any]) -> str:
    return in_brackets(row.get(question_set))


def _drawn(draw: Callable[..., Axes | Figure], *what: Any) -> list[Markup]:
    """A figure as a picture, in a list; an empty list where what it shows was not measured."""
    try:
        return [Markup(image(draw(*what)).data)]
    except DataError:
        return []
