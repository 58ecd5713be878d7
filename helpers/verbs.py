"""The commands that use the models: ask, train, study."""

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import analysis, experiment, models, plots, rag, tuning
from .data import OWN_ARMS, KitError, get_profile, open_dataset, own_folder, prepare_own_data, read_prompts, visible

app = typer.Typer()

DATA = Path(__file__).parent.parent / "datasets" / "tidewater"
TIMES = ("retrieval_s", "first_token_s", "total_s", "batch_size")  # of an answer, in JSON
TRAINING = ("learning_rate", "epochs", "batch_size", "replay")  # the settings of training that `--set` changes
Data = Annotated[Path, typer.Option(help="A data folder, as `python -m tools.world` makes it.")]
VectorStore = Annotated[str | None, typer.Option(help="URL of a Chroma server for the index; none: a folder.")]
PROFILE = "workshop"  # the default of every command, as in the notebooks
ProfileName = Annotated[str, typer.Option(help="quick, workshop or full.")]
Model = Annotated[str | None, typer.Option(help="A folder or Hub id; the default model unless given.")]
Out = Annotated[Path | None, typer.Option(help="Where results, indices and adapters go; results/own unless given.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting and its values: k=1,3; several times.")]


@app.command()
def ask(
    questions: Annotated[Path, typer.Option(help="JSONL: id and prompt on each line.")],
    arm: Annotated[str, typer.Option(help="Which arm answers.")] = "rag",
    profile: ProfileName = PROFILE, data: Data = DATA, out: Out = None, model: Model = None,
    seed: Annotated[int, typer.Option(help="The seed of the arm's trainings.")] = 7, vector_store: VectorStore = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line an answer.")] = False,
) -> None:  # fmt: skip
    """Answers questions that anyone wrote; a tuned arm takes its weights of this profile, or trains them first."""
    asked = read_prompts(questions)
    study = experiment.Study(data, profile, seed, out, model, progress=not as_json, vector_store=vector_store)
    for question, answer in zip(asked, study.assistant(arm).ask_all(asked, progress=not as_json), strict=True):
        documents = [passage.document_id for passage in answer.passages]
        if as_json:
            row = {"id": question.id, "text": answer.text, "documents": documents}
            print(json.dumps(row | {name: getattr(answer, name) for name in TIMES}, ensure_ascii=False))
        else:
            lines = map(visible, (f"{question.prompt}\n    {answer.text}", *dict.fromkeys(documents)))
            print(*lines, sep="\n    from ")


@app.command()
def train(
    arm: Annotated[str, typer.Option(help="The arm whose weights are made.")] = "customization",
    profile: ProfileName = PROFILE, data: Data = DATA, out: Out = None, model: Model = None,
    seed: Annotated[int, typer.Option(help="Seeds training and sampling only.")] = 7, settings: Settings = None,
    fsdp: Annotated[bool, typer.Option("--fsdp", help="Under torchrun: share the weights between processes.")] = False,
) -> None:  # fmt: skip
    """Makes an arm's weights, or resumes where an earlier call was interrupted; runs under torchrun too."""
    chosen, *more = read_settings(settings or ())
    if more:
        raise KitError(f"one training takes one value of each setting, `study` several. Got {', '.join(settings)}")
    if others := [name for name in chosen if name not in TRAINING]:
        raise KitError(f"`{others[0]}` is a setting of retrieval, which no training reads: give it to `study`")
    study = experiment.Study(data, profile, seed, out, model, changes=chosen)
    (wanted,) = experiment.get_arms([arm])
    if not wanted.recipes:
        tuned = ", ".join(each.name for each in experiment.get_arms(experiment.ARMS) if each.recipes)
        raise KitError(f"the arm {arm!r} has the weights as shipped: there is nothing to train. Choose one of {tuned}.")
    if missing := experiment.left_out([arm], study.dataset):
        raise KitError(f"the arm {arm!r} cannot be trained: {missing[arm]}")
    for name in wanted.recipes_for(study.dataset.question_sets):
        tuned = study.train(name, fsdp=fsdp)
        if models.is_first_process():
            print(f"{name}: {tuned.effort.wall_s:.0f} s, {tuned.effort.tokens_seen} tokens, {tuned.folder}")


@app.command()
def study(
    arms: Annotated[str | None, typer.Option(help="Arms with commas between them; all: a whole comparison.")] = None,
    profile: ProfileName = PROFILE,
    seed: Annotated[str, typer.Option(help="Seeds training and sampling; with 7,8 a study of each.")] = "7",
    data: Annotated[str, typer.Option(help="A data folder; several, with commas, are paired with --seed.")] = str(DATA),
    documents: Annotated[Path | None, typer.Option(help="Your own folder of documents, instead of --data.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="Your questions with their answers: CSV, JSONL, SQuAD's JSON or a Hub id.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="Labelled pairs, CSV or JSONL.")] = None,
    columns: Annotated[str, typer.Option(help="Such as questions.prompt=Frage,pairs.response=Antwort.")] = "",
    out: Out = None, model: Model = None, vector_store: VectorStore = None, settings: Settings = None,
) -> None:  # fmt: skip
    """Runs arms on every question set and writes one result file each; what is there is reused.

    Each choice of the settings, and each of several seeds, has a folder of its own in OUT, such as k=3 or seed=8; with
    several data folders the first is studied with the first seed and so on, and all results lie side by side. With
    --documents the study is of your own documents; questions and labelled pairs are read from files of yours.
    """
    choices, seeds = read_settings(settings or ()), _read_seeds(seed)
    names = ["base", "base:few_shot", "rag"] if documents is None else list(OWN_ARMS)
    names = names if arms is None else list(experiment.ARMS) if arms == "all" else _listed(arms)
    if not experiment.get_arms(names):
        raise KitError("a study needs at least one arm: name them with `--arms`")
    if documents is None:
        if questions is not None or pairs is not None or columns:
            raise KitError("--questions, --pairs and --columns belong to --documents: give the folder of documents too")
        worlds, folder = _data_folders(data, len(seeds)), out or own_folder()
    else:
        if data != str(DATA):
            raise KitError("--data is a data folder of the kit, --documents a folder of your own: give one of them")
        renamed = dict(column.partition("=")[::2] for column in _listed(columns))
        own = prepare_own_data(documents, questions, pairs, profile, out, renamed)
        print(*map(visible, map(str, (*own.columns, *own.notes, own.reading.to_string(max_rows=10)))), sep="\n")
        worlds, folder = [own.folder], own.out / profile
    names = _that_can_be_asked(names, worlds, profile if arms == "all" else "")
    first, results = None, {}  # by the folder below OUT: none for a single study, else such as "k=3,seed=8"
    paired = zip(worlds * len(seeds) if len(worlds) == 1 else worlds, seeds, strict=True)
    for chosen, (world, own_seed) in itertools.product(choices, paired):
        named = chosen | ({"seed": own_seed} if len(seeds) > len(worlds) else {})
        place, changes = ",".join(f"{name}={value}" for name, value in named.items()), _of_training(chosen)
        retrieval = rag.RagSettings(**{name: value for name, value in chosen.items() if name not in changes})
        frame = experiment.Study(
            world, profile, own_seed, folder / place, model, retrieval, vector_store=vector_store, changes=changes,
            artefacts=folder,
        )  # fmt: skip
        if first is not None:
            frame.model, frame.embedder = first.model, first.embedder
        first = first or frame
        results.setdefault(place, []).extend(frame.run(names))
    for place, made in results.items():
        comparison = analysis.Comparison(made)
        print(*filter(None, [place]), comparison.text(), sep="\n")
        if documents is not None:
            print("", *comparison.caveats(), sep="\n")
            page, claims = folder / place / "comparison.html", analysis.read_claims("own_data")
            print(f"report: {plots.write_report(folder / place, page, claims, comparison)}")
    print(f"\n{sum(map(len, results.values()))} result files in {folder}")


def _read_seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(map(int, text.split(","))))
    except ValueError:
        raise KitError(f"`--seed` must be whole numbers with commas between them. Got {text!r}") from None


def _data_folders(text: str, seeds: int) -> list[Path]:
    """The folders of `--data`: one, or one for each seed."""
    folders = [Path(text)] if Path(text).exists() else list(map(Path, _listed(text)))
    if len(folders) not in (1, seeds):
        raise KitError(f"--data names {len(folders)} folders and --seed {seeds} seeds: give one seed a folder")
    return folders


def _that_can_be_asked(names: Sequence[str], worlds: Sequence[Path], profile: str) -> list[str]:
    """The arms that the data can feed and the profile does not leave out; says which ones it leaves out, and why."""
    missing: dict[str, str] = {}
    for world in worlds:
        missing |= experiment.left_out(names, open_dataset(world), get_profile(profile) if profile else None)
    reasons = [f"{name}, since {why}" for name, why in missing.items()]
    if set(names) <= set(missing):
        raise KitError(f"no arm can be asked: {'; '.join(reasons)}")
    print(*(f"left out: {reason}\n" for reason in reasons), sep="", end="", file=sys.stderr)
    return [name for name in names if name not in missing]


def read_settings(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Every choice of settings such as "k=1,3"; a `KitError` names a setting that is unknown, or a wrong value."""
    known = asdict(rag.RagSettings()) | _of_training(asdict(tuning.TrainSettings()))
    values: dict[str, dict[Any, None]] = {}
    for name, _, listed in (text.partition("=") for text in texts):
        if name not in known:
            raise KitError(f"unknown setting {name!r}: choose one of {', '.join(known)}")
        try:
            values.setdefault(name, {}).update(dict.fromkeys(map(type(known[name]), listed.split(","))))
        except ValueError:
            raise KitError(f"a value of `{name}` must be like {known[name]!r}. Got {listed!r}") from None
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def _of_training(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in TRAINING if name in settings}


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
