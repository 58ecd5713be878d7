"""The commands of an experiment: ask, train, study, compare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .data import KitError, own_folder

if TYPE_CHECKING:
    from .analysis import Comparison

app = typer.Typer()

DATA = Path(__file__).parent.parent / "datasets" / "tidewater"
Data = Annotated[Path, typer.Option(help="A data folder, as `world` makes it.")]
VectorStore = Annotated[str | None, typer.Option(help="URL of a Chroma server for the index; none: a folder.")]
ProfileName = Annotated[str, typer.Option(help="quick, workshop or full.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting and its values, such as k=1,3; may be given again.")
]


@app.command()
def ask(
    questions: Annotated[Path, typer.Option(help="JSONL: id and prompt on each line.")],
    arm: Annotated[str, typer.Option(help="Which arm answers.")] = "rag",
    profile: ProfileName = "workshop",
    seed: Annotated[int, typer.Option(help="The seed of the arm's trainings.")] = 7,
    data: Data = DATA,
    out: Annotated[Path | None, typer.Option(help="Where indices and adapters lie.")] = None,
    model: Annotated[str | None, typer.Option(help="A folder or Hub id; the default FM unless told.")] = None,
    vector_store: VectorStore = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an answer.")] = False,
) -> None:
    """Answers questions that anyone wrote; a tuned arm takes the weights that `train` made for the same profile."""
    from .data import read_prompts
    from .experiment import Study
    from .models import FOUNDATION_MODEL

    asked = read_prompts(questions)
    study = Study(data, profile, seed, out, model or FOUNDATION_MODEL, progress=not as_json, vector_store=vector_store)
    for question, answer in zip(asked, study.assistant(arm).ask_all(asked, progress=not as_json), strict=True):
        if as_json:
            row = {
                "id": question.id,
                "text": answer.text,
                "documents": [passage.document_id for passage in answer.passages],
                "retrieval_s": answer.retrieval_s,
                "first_token_s": answer.first_token_s,
                "total_s": answer.total_s,
                "batch_size": answer.batch_size,
            }
            print(json.dumps(row, ensure_ascii=False))
        else:
            sources = ", ".join(dict.fromkeys(passage.document_id for passage in answer.passages))
            print(f"{question.prompt}\n    {answer.text}" + (f"\n    from {sources}" if sources else ""))


@app.command()
def train(
    arm: Annotated[str, typer.Option(help="The arm whose weights are made.")] = "customization",
    profile: ProfileName = "quick",
    seed: Annotated[int, typer.Option(help="Seeds training and sampling only.")] = 7,
    data: Data = DATA,
    out: Annotated[Path | None, typer.Option(help="Where adapters go; results/own unless told.")] = None,
    model: Annotated[str | None, typer.Option(help="A folder or Hub id; the default FM unless told.")] = None,
    settings: Settings = None,
    fsdp: Annotated[bool, typer.Option("--fsdp", help="Under torchrun: share the weights between processes.")] = False,
) -> None:
    """Makes an arm's weights, or goes on where an earlier call was interrupted; runs under torchrun too."""
    from .experiment import Study, get_arms, left_out, read_setting
    from .models import FOUNDATION_MODEL, is_first_process

    frame = Study(data, profile, seed, out, model or FOUNDATION_MODEL)
    for name, values in map(read_setting, settings or ()):
        if len(values) > 1:
            raise KitError(f"one training takes one value of `{name}`; `study` takes several")
        frame.changes[name] = values[0]
    (wanted,) = get_arms([arm])
    if not wanted.trainings:
        raise KitError(f"the arm {arm!r} has the weights as shipped: there is nothing to train")
    if without := left_out([arm], frame.dataset, frame.question_sets):
        raise KitError(f"the arm {arm!r} cannot be trained: {without[arm]}")
    for name in wanted.trainings_for(frame.question_sets):
        made = frame.train(name, fsdp=fsdp)
        if is_first_process():
            print(f"{name}: {made.effort.wall_s:.0f} s, {made.effort.tokens_seen} tokens, {made.folder}")


@app.command()
def study(
    arms: Annotated[str | None, typer.Option(help="Arms with commas between them.")] = None,
    profile: ProfileName = "quick",
    seed: Annotated[
        str, typer.Option(help="Seeds training and sampling; with several, as 7,8, trained arms repeat.")
    ] = "7",
    data: Data = DATA,
    documents: Annotated[Path | None, typer.Option(help="Your own folder of documents, instead of --data.")] = None,
    questions: Annotated[str | None, typer.Option(help="CSV, JSONL, SQuAD's JSON, or a Hub id: owner/name.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Labelled pairs, CSV or JSONL.")] = None,
    columns: Annotated[str, typer.Option(help="Such as questions.prompt=Frage,pairs.response=Antwort.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where results go; results/own unless told.")] = None,
    model: Annotated[str | None, typer.Option(help="A folder or Hub id; the default FM unless told.")] = None,
    vector_store: VectorStore = None,
    settings: Settings = None,
    shard: Annotated[str, typer.Option(help="i/n: only share i of n, which times no latency.")] = "1/1",
    show_plan: Annotated[bool, typer.Option("--plan", help="Print jobs and shares as JSON; run none.")] = False,
) -> None:
    """Runs arms on every question set and writes one result file each; what is there is reused.

    Several seeds and settings make a grid of jobs, and `--shard` takes a share of it: see docs/scale.md. With
    --documents the study is of your own documents; questions and labelled pairs are read from files of yours.
    """
    from .analysis import Comparison
    from .data import open_dataset
    from .experiment import get_arms, grid, left_out
    from .models import FOUNDATION_MODEL

    model = model or FOUNDATION_MODEL
    seeds = grid.read_seeds(seed)
    if documents is not None:
        if data != DATA:
            raise KitError("--data is a data folder of the kit, --documents a folder of your own: give one of them")
        if len(seeds) > 1 or settings or shard != "1/1" or show_plan:
            raise KitError("--documents takes one --seed and no --set, --shard or --plan: study the folder it makes")
        from .lessons import run_own_study

        chosen = dict(pair.partition("=")[::2] for pair in columns.split(",") if pair.strip())
        names = None if arms is None else _names(arms)
        run_own_study(names, profile, seeds[0], documents, questions, pairs, chosen, out, model, vector_store)
        return
    if questions is not None or pairs is not None or columns:
        raise KitError("--questions, --pairs and --columns belong to --documents: give the folder of documents too")
    number, count = grid.read_share(shard)
    names = _names(arms or "base,base:few_shot,rag")
    get_arms(names)
    dataset = open_dataset(data)
    names = _without(names, left_out(names, dataset, dataset.question_sets))
    wanted = grid.jobs(names, seeds, [grid.read_setting(each) for each in settings or ()])
    if show_plan:
        print(json.dumps(grid.plan(wanted, count)))
        return
    folder, mine = out or own_folder(), grid.share(wanted, number, count)
    made = grid.run(mine, data, profile, folder, model, timing=count == 1, vector_store=vector_store)
    for name, found in made.items():
        print(f"{name}\n" if name else "", end="")
        print(Comparison(found).text())
    print(f"\n{sum(map(len, made.values()))} result files in {folder}")


def _names(arms: str) -> list[str]:
    return [name.strip() for name in arms.split(",") if name.strip()]


def _without(names: list[str], missing: dict[str, str]) -> list[str]:
    """The arms that the data allows; the others are named with the reason."""
    for arm, why in missing.items():
        print(f"left out: {arm}, since {why}", file=sys.stderr)
    return [name for name in names if name not in missing]


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object and nothing else.")] = False,
    expectations: Annotated[bool, typer.Option("--expectations", help="Judge the claims instead.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Judge; status 1 when one is contradicted.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The tables as a README shows them.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write all of it to one HTML file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the main figure to a PNG or SVG file.")] = None,
) -> None:
    """Compares the results of a folder: accuracy with 95 % intervals, latency, effort."""
    from .analysis import read_comparison

    comparison = read_comparison(folder)
    if report is not None or figure is not None:
        _write(folder, comparison.table(), report, figure)
    if expectations or strict:
        _judge(folder, comparison, strict)
    elif markdown:
        from .plots import markdown as tables

        print(tables(comparison))
    elif as_json:
        print(json.dumps(comparison.table()))
    elif report is None and figure is None:
        print(comparison.text())


def _write(folder: Path, compared: dict, report: Path | None, figure: Path | None) -> None:
    """Writes the report and the main figure; where they lie goes to stderr, which leaves stdout to the tables."""
    if report is not None:
        from .plots import write_report

        print(write_report(folder, report), file=sys.stderr)
    if figure is not None:
        from .plots import overview

        if figure.suffix not in (".png", ".svg"):
            raise KitError(f"a figure is written as .png or .svg. Got {str(figure)!r}")
        try:
            overview(compared).savefig(figure, dpi=150, facecolor="white")
        except OSError as error:
            raise KitError(f"could not write {figure}: {error.strerror or error}") from error
        print(figure, file=sys.stderr)


def _judge(folder: Path, comparison: Comparison, strict: bool) -> None:
    from .analysis import judge, verdicts_as_text
    from .experiment import read_curves

    verdicts = judge(comparison, read_curves(folder))
    print(verdicts_as_text(verdicts))
    raise typer.Exit(int(strict and any(each.verdict == "contradicted" for each in verdicts)))


def results_in_words(folder: Path) -> str:
    """A folder's comparison, how many claims are supported, and where report and results lie; writes the report."""
    from .analysis import read_comparison
    from .plots import write_report

    table = read_comparison(folder).text()
    report = write_report(folder, folder / "comparison.html")
    return f"{table}\n\n{judged(folder)}\n\nreport: {report}\nresults: {folder}"


def judged(folder: Path) -> str:
    """How many claims of a folder are supported, in one line."""
    from .analysis import judge, read_comparison, verdicts_as_text
    from .experiment import read_curves

    return verdicts_as_text(judge(read_comparison(folder), read_curves(folder))).splitlines()[-1]
