"""The kit's own trainings: what each learns from, and with which settings; recipes.yaml lists them."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..data import TASKS, VALIDATION, Dataset, Example, KitError, Passage, Profile, Question, contains, table
from ..models import prompts
from .training_data import Lora, TrainingData, TrainSettings

Retrieve = Callable[[Sequence[str]], list[list[Passage]]]

RECIPES = table(__file__)
STARTS_FROM = {name: recipe["start"] for name, recipe in RECIPES.items() if "start" in recipe}
CHECKED = [name for name, recipe in RECIPES.items() if recipe.get("checked")]  # stop by validation questions
GENERAL = 3  # of so many validation texts one is general text: it is watched along the way and costs time
PASSAGES = 3  # how many passages a question of the training `passages` comes with
PASSAGE_ORDER = prompts.BEST_LAST  # and in which order, which is that of the arm `rag+customization`
SAME_ASSET, OTHER_ASSET = 3, 1  # questions added to each set of passages: on its asset, and on another one


def _settings(lora: list[int] | None, **others: Any) -> TrainSettings:
    return TrainSettings(lora and Lora(*lora), **others)


SETTINGS = {name: _settings(**recipe["settings"]) for name, recipe in RECIPES.items()}


def settings(name: str, profile: Profile, seed: int, changes: Mapping[str, Any] | None = None) -> TrainSettings:
    """The settings of a training in a profile, `changes` by name in them: a quick one passes over less of the data."""
    chosen = replace(SETTINGS[_parts(name)[0]], **changes or {})
    part = profile.training_share
    pairs = None if chosen.pair_epochs is None else chosen.pair_epochs * part
    return replace(chosen, epochs=chosen.epochs * part, pair_epochs=pairs, seed=seed)


def with_starts(names: Iterable[str]) -> list[str]:
    """These trainings and those that they go on from, each once, in the order in which they are made."""
    return list(dict.fromkeys(each for name in names for each in (start(name), name) if each))


def start(name: str) -> str | None:
    """The training whose weights this one goes on from; None where it begins with the foundation model."""
    return STARTS_FROM.get(_parts(name)[0])


def _parts(name: str) -> tuple[str, int | None]:
    """A training's own name, and with how many labels it makes do: `triage:60` has 60 of those of `triage`."""
    own, colon, labels = name.partition(":")
    if own not in SETTINGS or (colon and not (labels.isdecimal() and int(labels) > 0)):
        raise KitError(f"unknown training {name!r}: choose from {', '.join(SETTINGS)}; `triage:60` takes 60 labels")
    return own, int(labels) if colon else None


def missing_files(name: str, dataset: Dataset) -> list[str]:
    """The files that a training learns from and the data set lacks; a learner's own data may have no labelled pairs."""
    return [file for file in RECIPES[_parts(name)[0]]["files"] if not (dataset.folder / file).is_file()]


def training_data(
    name: str, dataset: Dataset, retrieve: Retrieve | None = None, seed: int = 7, validation: int = VALIDATION
) -> TrainingData:
    """What a training learns from; nothing of the questions is read, and a `DataError` names a file that is missing.

    `retrieve` finds the passages of the training `passages`, and `seed` chooses which questions share them.
    `validation` is how many validation pairs and texts are read now and then.
    """
    name, labels = _parts(name)
    task = name.split(",")[-1]
    if task in TASKS:
        pairs = dataset.examples(task)
        pairs = pairs[:labels] * (len(pairs) // labels if labels else 1)  # as many steps, whatever the number of labels
        return TrainingData(pairs=pairs, validation_pairs=dataset.examples(task, "validation")[:validation])
    if name == "passages":
        if retrieve is None:
            raise KitError("the training `passages` needs a retriever: give one")
        groups = passage_groups(dataset.examples("answers"), retrieve, random.Random(seed))
        return TrainingData(groups=groups, replay=dataset.general_text("replay"))
    return TrainingData(
        texts=dataset.corpus(),
        pairs=dataset.examples("answers") if name == "domain+pairs" else (),
        replay=dataset.general_text("replay"),
        validation_texts=dataset.corpus("validation")[:validation],
        general_texts=dataset.general_text("evaluation")[: max(1, validation // GENERAL)],
    )


def passage_groups(
    pairs: Sequence[Example], retrieve: Retrieve, rng: random.Random
) -> list[list[tuple[str, str, str]]]:
    """Questions with passages, grouped by the passages that they share, as RAFT trains (Zhang et al. 2024, 2403.10131).

    One of the wordings of each response of an asset retrieves its passages, the right one among distractors, in
    `PASSAGE_ORDER`; a few other questions are asked with them. Where no passage holds a pair's response, the response
    becomes `prompts.ABSTAIN`.
    """
    asking = list({(pair.asset, pair.response): pair for pair in pairs}.values())
    groups = []
    for pair, found in zip(asking, retrieve([pair.prompt for pair in asking]), strict=True):
        passages = prompts.in_order(found, PASSAGE_ORDER)
        same = [other for other in pairs if other.asset == pair.asset and other.response != pair.response]
        others = [other for other in pairs if other.asset != pair.asset]
        asked = [pair]
        for more, count in ((same, SAME_ASSET), (others, OTHER_ASSET)):
            asked += rng.sample(more, min(count, len(more)))
        groups.append([_with_passages(one, passages) for one in asked])
    return groups


def _with_passages(pair: Example, passages: Sequence[Passage]) -> tuple[str, str, str]:
    """The pair as RAG asks it. A passage speaks of an asset when it names it."""
    about = [passage.text for passage in passages if not pair.asset or contains(passage.text, [pair.asset])]
    told = any(contains(text, [pair.response]) for text in about)
    prompt = prompts.expand(Question(pair.id, pair.task, pair.prompt), passages)
    return pair.id, prompt, pair.response if told else prompts.ABSTAIN
