"""How large an experiment is: quick (CI, a first look), workshop (the notebooks as opened), full (a GPU or a night)."""

from __future__ import annotations

from dataclasses import dataclass

from .records import KitError

WARM_UP = 2  # tokens decoded before times are taken
VALIDATION = 30  # validation pairs and texts that a training reads now and then


@dataclass(frozen=True)
class Profile:
    """Every size and budget in one place.

    `questions_per_set`: how many questions of each set are asked (None: all).
    `latency_questions`: how many of `facts_heldout` are asked again one at a time, for first-token and total time.
    `latency_repeats`: how often each point of a latency curve is timed.
    `sweep_questions`: how many questions each point of a sweep in notebook 03 is measured on.
    `batch_size`: how many answers are decoded together when they are scored; with long prompts, more take much memory.
    `seeds`: how many seeds a trained arm is repeated with.
    `training_share`: how much of a training's passes over its data are made; a small share shows only the way.
    `validation_examples`: how many validation pairs and texts a training reads now and then.
    `left_out`: arms that notebook 06 does not ask: those that stand beside another for one comparison.
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
    validation_examples: int = VALIDATION
    left_out: tuple[str, ...] = ()
    own_documents: int | None = None
    own_words: int | None = None


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "quick", questions_per_set=8, latency_questions=1, latency_repeats=1, sweep_questions=6, batch_size=32,
            seeds=1, training_share=0.006, validation_examples=6, left_out=("rag:3_passages",), own_documents=100,
            own_words=10_000,
        ),
        Profile(
            "workshop", questions_per_set=None, latency_questions=8, latency_repeats=5, sweep_questions=40,
            batch_size=32, seeds=1, training_share=1.0, own_words=30_000,
        ),
        Profile(
            "full", questions_per_set=None, latency_questions=40, latency_repeats=10, sweep_questions=80,
            batch_size=32, seeds=3, training_share=1.0,
        ),
    )
}  # fmt: skip


def get_profile(name: str) -> Profile:
    """The profile of this name.

    Raises:
        KitError: There is none.
    """
    if name not in PROFILES:
        raise KitError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
