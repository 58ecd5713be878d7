"""Makes a world: documents, corpus, labelled pairs and questions, from one table of facts and a seed.

python -m tools.world --seed 7 --assets 24 --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.data import KitError

from .make import generate
from .notes import RESTATEMENTS


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.world", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another world")
    parser.add_argument(
        "--assets",
        type=int,
        default=24,
        help="how many machines to train on or hold out, 12 to 2,000; two more are for checks",
    )
    parser.add_argument("--restatements", type=int, default=RESTATEMENTS, help="in how many notes each fact is stated")
    given = parser.parse_args(arguments)
    try:
        generate(given.out, given.seed, given.assets, given.restatements)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
