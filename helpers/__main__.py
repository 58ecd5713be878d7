"""The kit's commands: `python -m helpers VERB`; each says more with `--help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .records import KitError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DATA = Path(__file__).parent.parent / "datasets" / "tidewater"
Data = Annotated[Path, typer.Option(help="A data folder, as `world` makes it.")]
ProfileName = Annotated[str, typer.Option(help="quick, workshop or full.")]


@app.command()
def doctor() -> None:
    """Looks at this machine and says what is missing and how to mend it; exit status 1 when something is."""
    from rich.console import Console

    from . import doctor as checks

    found = checks.check()
    Console().print(checks.report(found))
    raise typer.Exit(int(checks.something_missing(found)))


@app.command()
def fetch(
    models: Annotated[list[str] | None, typer.Argument(help="Default models or Hub ids; none: both defaults.")] = None,
) -> None:
    """Fetches and verifies the default models, or downloads models from the Hub into its cache."""
    from .fetch import MODELS, fetch_from_hub
    from .fetch import fetch as fetch_default

    for name in models or MODELS:
        print(fetch_default(name) if name in MODELS else fetch_from_hub(name))


@app.command()
def world(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 7,
    assets: Annotated[int, typer.Option(help="How many assets, 12 to 2,000.")] = 24,
    restatements: Annotated[int, typer.Option(help="How often the corpus states each fact.")] = 7,
) -> None:
    """Makes the invented domain: documents, corpus, labelled pairs and questions, from one table of facts."""
    from .tidewater import generate

    generate(out, seed=seed, assets=assets, restatements=restatements)
    print(out)


@app.command()
def ask(
    questions: Annotated[Path, typer.Option(help="JSONL: id and prompt on each line.")],
    arm: Annotated[str, typer.Option(help="Which arm answers.")] = "rag",
    data: Data = DATA,
    out: Annotated[Path | None, typer.Option(help="Where indices and adapters lie.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an answer.")] = False,
) -> None:
    """Answers questions that anyone wrote."""
    from .data import load_prompts
    from .study import Study

    asked = load_prompts(questions)
    study = Study(data, out=out, progress=not as_json)
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
def study(
    arms: Annotated[str, typer.Option(help="Arms with commas between them.")] = "base,base:few_shot,rag",
    profile: ProfileName = "quick",
    seed: Annotated[int, typer.Option(help="Seeds training and sampling only.")] = 7,
    data: Data = DATA,
    out: Annotated[Path | None, typer.Option(help="Where results go; results/own unless told.")] = None,
    model: Annotated[str | None, typer.Option(help="A folder or Hub id; the default FM unless told.")] = None,
) -> None:
    """Runs arms on every question set and writes one result file each; what is there is reused."""
    from . import compare as comparison
    from .models import FOUNDATION_MODEL
    from .study import Study

    frame = Study(data, profile, seed, out, model or FOUNDATION_MODEL)
    made = frame.run([name.strip() for name in arms.split(",") if name.strip()])
    print(comparison.as_text(comparison.table(made)))
    print(f"\n{len(made)} result files in {frame.out}")


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object and nothing else.")] = False,
) -> None:
    """Compares the results of a folder: accuracy with 95 % intervals, latency, effort."""
    from . import compare as comparison

    compared = comparison.compare(folder)
    print(json.dumps(compared) if as_json else comparison.as_text(compared))


@app.command()
def run(
    profile: ProfileName = "quick",
    out: Annotated[Path | None, typer.Option(help="Where the executed copies go.")] = None,
    notebooks: Annotated[list[str] | None, typer.Argument(help="Names such as 02; none: all.")] = None,
    record: Annotated[bool, typer.Option(help="Keep the seconds as the times that the notebooks announce.")] = False,
) -> None:
    """Executes notebooks without a browser, then prints the comparison and where its files lie."""
    from . import compare as comparison
    from . import results
    from .run import record_times, run_notebooks, summary

    runs = run_notebooks(profile, out, notebooks)
    print(summary(runs))
    if any(one.error for one in runs):
        raise typer.Exit(1)
    if record:
        print(f"times: {record_times(profile, runs)}")
    folder = results.own_folder() / profile
    if any(folder.glob("*.seed*.json")):
        print("\n" + comparison.as_text(comparison.compare(folder)))
        print(f"\nresults: {folder}\nexecuted notebooks: {runs[0].executed.parent}")


def main() -> None:
    """Runs a command; the kit's own errors end as a sentence and exit status 2, not as a traceback."""
    try:
        app()
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:  # typer turns Ctrl-C into this status
        if end.code == 130:
            print("interrupted; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
