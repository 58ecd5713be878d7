"""The kit's commands: `python -m helpers VERB`; each says more with `--help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import verbs
from .data import KitError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def doctor() -> None:
    """Looks at this machine and says what is missing and how to mend it; exit status 1 when something is."""
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


@app.command("move-index")
def move_index(
    source: Annotated[str, typer.Argument(help="The folder of an embedded index: it holds chroma.sqlite3.")],
    target: Annotated[str, typer.Argument(help="The URL of a Chroma server, such as http://127.0.0.1:8000.")],
    collection: Annotated[str, typer.Option(help="The collection's name.")] = "documents",
    named: Annotated[str | None, typer.Option(help="Its name on the server; a study looks for its index's.")] = None,
) -> None:
    """Copies an embedded index to a Chroma server, embedding nothing anew; the same call goes on after a break."""
    from tools.moving import move_index as move

    made = move(source, target, collection, named=named)
    print(f"{made.chunks} chunks in {target}: {made.copied} copied, {made.present} were there already")


@app.command()
def scale(
    out: Annotated[Path | None, typer.Option(help="The file to write; none: print the page.")] = None,
) -> None:
    """The paper plan for many documents and a large model, from what is recorded: docs/scale.md."""
    from .analysis import page
    from .data import write_text

    print(page() if out is None else write_text(out, page()))


@app.command()
def pack(
    out: Annotated[Path, typer.Option(help="The .zip file to write.")],
    compression: Annotated[int, typer.Option(min=0, max=9, help="Of packages; 0 is quickest, 9 smallest.")] = 1,
) -> None:
    """Packs everything into one file that sets the kit up on machines of this platform without a network."""
    from tools.pack import pack as write_pack

    print(write_pack(out, compression=compression))


@app.command()
def slides() -> None:
    """Makes the slides of a workshop from the notebooks in slides/; needs a network the first time, for reveal.js."""
    from tools.slides import make

    for path in make():
        print(path)


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
