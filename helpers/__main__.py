"""The kit's commands: `python -m helpers VERB`; each says more with `--help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

# Before torch can load: its threads sleep while they wait, since the machine is shared with a browser, a lab server and
# other learners. Threads that spin would take the cores from them, and from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from . import verbs
from .data import KitError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def doctor() -> None:
    """Looks at this machine and says what is missing and how to fix it; exit status 1 when something is."""
    from rich.console import Console

    from .models import doctor as checks

    found = checks.check()
    Console().print(checks.report(found))
    raise typer.Exit(int(checks.something_missing(found)))


@app.command()
def fetch(
    models: Annotated[list[str] | None, typer.Argument(help="Default models or Hub ids; none: both defaults.")] = None,
    source: Annotated[Path | None, typer.Option(help="Take default models from this folder, as in a pack.")] = None,
) -> None:
    """Fetches and verifies the default models, or downloads models from the Hub into its cache."""
    from .models import MODELS, fetch_from_hub
    from .models import fetch as fetch_default

    for name in models or MODELS:
        print(fetch_default(name, source=source) if name in MODELS else fetch_from_hub(name))


app.add_typer(verbs.app)


def main() -> None:
    """Runs a command.

    The kit's own errors end as a sentence (what, where, remedy) and exit status 2, Ctrl-C as a sentence and status 130.
    """
    try:
        app()
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:  # typer turns Ctrl-C into this status
        if end.code == 130:
            print("interrupted; what was finished is kept, and the same command resumes from there", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
