"""A study of the user's own documents: prepared, run on the arms that the data allows, concluded with its caveats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..analysis import Comparison, read_claims
from ..data import OWN_ARMS, Result, prepare_own_data
from ..experiment import Study, get_arms, left_out
from ..plots import write_report


def run_own_study(
    names: list[str] | None,
    profile: str,
    seed: int,
    documents: Path,
    questions: str | None,
    pairs: Path | None,
    columns: Mapping[str, str],
    out: Path | None,
    model: str,
    vector_store: str | None = None,
) -> list[Result]:
    """Studies a folder of documents, and prints what was read, the comparison, what it bears and where its files lie.

    Args:
        names: Arms; None takes those of `data.OWN_ARMS`. Those that the data does not allow are named and left out.
        profile: "quick", "workshop" or "full".
        seed: Seeds training and sampling.
        documents: The folder; it is only read.
        questions: A file, or the id of a data set on the Hub; None makes cloze questions.
        pairs: A file of labelled pairs, if there is one.
        columns: Which column holds a field, such as {"questions.prompt": "Frage"}; the others are guessed.
        out: Where results go; None takes results/own.
        model: The foundation model's name.
        vector_store: The URL of a Chroma server for the index; None keeps it in a folder.

    Returns:
        The results, each of them also a file.

    Raises:
        KitError: An arm is unknown, or a file cannot be read.
    """
    get_arms(names or [])
    own = prepare_own_data(documents, questions, pairs, profile, out, columns)
    print(*own.columns, *own.notes, sep="\n")
    study = Study(own.folder, profile, seed, own.out / profile, model, vector_store=vector_store)
    wanted = list(OWN_ARMS) if names is None else names
    missing = left_out(wanted, study.dataset, study.question_sets)
    for arm, why in missing.items():
        print(f"left out: {arm}, since {why}")
    made = study.run([arm for arm in wanted if arm not in missing])
    comparison = Comparison(made)
    print(comparison.text(), "", *comparison.caveats(), sep="\n")
    page = write_report(study.out, study.out / "comparison.html", read_claims("own_data"), comparison)
    print(f"report: {page}\n\n{len(made)} result files in {study.out}")
    return made
