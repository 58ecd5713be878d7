"""The kit's commands: `python -m helpers VERB`; each says more with `--help`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

# Before torch can load: its threads sleep while they wait. Threads that spin would take the cores from the browser, the
# lab server and other learners on the machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from . import analysis, models, plots, verbs
from .data import KitError, visible

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON, to send on.")] = False) -> None:
    """Looks at this machine and says what is missing and how to fix it; exit status 1 when something is."""
    found = models.doctor.check()
    print(json.dumps([vars(row) for row in found], indent=1) if as_json else models.doctor.report(found))
    raise typer.Exit(int(models.doctor.something_missing(found)))


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Default models or Hub ids; none: both defaults.")] = None,
    source: Annotated[Path | None, typer.Option(help="Take default models from this folder, as in a pack.")] = None,
) -> None:
    """Fetches and verifies the default models, or downloads models from the Hub into its cache."""
    for name in names or models.MODELS:
        print(models.fetch(name, source=source) if name in models.MODELS else models.fetch_from_hub(name))


app.add_typer(verbs.app)


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object and nothing else.")] = False,
    claims: Annotated[bool, typer.Option("--claims", help="Judge the claims instead.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Judge; status 1 when one is contradicted.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write all of it to one HTML file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the main figure to a PNG or SVG file.")] = None,
) -> None:
    """Compares the results of a folder: accuracy with 95 % intervals, latency, effort."""
    comparison = analysis.read_comparison(folder)
    if report is not None:  # where files lie goes to stderr, which leaves stdout to the tables
        print(plots.write_report(folder, report), file=sys.stderr)
    if figure is not None:
        try:
            plots.story(comparison).figure.savefig(figure, dpi=150, facecolor="white", format=figure.suffix[1:])
        except (OSError, ValueError) as error:  # ValueError: a format that matplotlib does not write
            raise KitError(f"could not write {figure}: {error}. Choose a .png or .svg file elsewhere.") from error
        print(figure, file=sys.stderr)
    if claims or strict:
        verdicts = analysis.judge(comparison)
        print(analysis.verdicts_as_text(verdicts))
        raise typer.Exit(int(strict and any(each.verdict == "contradicted" for each in verdicts)))
    if as_json:
        print(json.dumps(comparison.table()))
    else:
        print(comparison.text())


def main() -> None:
    """Runs a command; the kit's own errors end as a sentence and exit status 2, Ctrl-C as one and status 130."""
    try:
        app()
    except KitError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        remedy = "Free some space there, or check that you may read and write it"
        print(visible(f"error: {error.filename or 'a file'}: {error.strerror or error}. {remedy}."), file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:  # typer turns Ctrl-C into this status
        if end.code == 130:
            print("interrupted; what was finished is kept, and the same command resumes from there", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
