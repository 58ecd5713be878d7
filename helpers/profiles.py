"""How large an experiment is: quick (CI, a first look), workshop (the notebooks as opened), full (a GPU or a night)."""

from __future__ import annotations

from dataclasses import dataclass

from .records import KitError


@dataclass(frozen=True)
class Profile:
    """Every size and budget in one place.

    `questions_per_set`: how many questions of each set are asked (None: all).
    `latency_questions`: how many of them are asked again one at a time, for first-token and total time.
    `latency_repeats`: how often each point of a latency curve is timed.
    `sweep_questions`: how many questions each point of a sweep in notebook 03 is measured on.
    `batch_size`: how many answers are decoded together when they are scored.
    `seeds`: how many seeds a trained arm is repeated with.
    `training_share`: how much of a training's passes over its data are made; a small share shows only the way.
    `validation_examples`: how many validation pairs and texts a training reads now and then.
    `own_documents`: how many documents of a folder of your own are taken (None: all).
    `own_words`: how many words of them continued pretraining reads at most (None: all).
    """

    name: str
    questions_per_set: int | None
    latency_questions: int
    latency_repeats: int
    sweep_questions: int
    batch_size: int
    seeds: int
    training_share: float
    validation_examples: int = 30
    own_documents: int | None = None
    own_words: int | None = None


PROFILES = {
    "quick": Profile("quick", 12, 1, 2, 8, 32, 1, 0.01, 6, 100, 10_000),
    "workshop": Profile("workshop", None, 8, 5, 40, 32, 1, 1.0, 30, None, 30_000),
    "full": Profile("full", None, 40, 10, 80, 32, 3, 1.0),
}


def get_profile(name: str) -> Profile:
    """The profile of this name.

    Raises:
        KitError: There is none.
    """
    if name not in PROFILES:
        raise KitError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
