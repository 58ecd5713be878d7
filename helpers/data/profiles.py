"""How large an experiment is: quick (CI, a first look), workshop (the notebooks as opened), full (a GPU or a night)."""

from __future__ import annotations

from dataclasses import dataclass

from .records import KitError

WARM_UP = 2  # tokens decoded before times are taken
VALIDATION = 30  # validation pairs and texts that a training reads now and then


@dataclass(frozen=True)
class Profile:
    """Every size and budget in one place; None means all."""

    name: str
    questions_per_set: int | None
    latency_questions: int  # of `facts_heldout`, asked again one at a time for first-token and total time
    latency_repeats: int  # of each point of a latency curve
    sweep_questions: int  # for each point of a sweep in notebook 03
    batch_size: int  # answers decoded together when they are scored; with long prompts, more take much memory
    training_share: float  # of a training's passes over its data; a small share only shows how it is done
    validation_examples: int = VALIDATION  # pairs and texts that a training reads now and then
    left_out: tuple[str, ...] = ()  # arms that a whole comparison does without
    own_words: int | None = None  # of documents of your own, for continued pretraining


_ALL = (
    Profile(
        "quick", questions_per_set=8, latency_questions=1, latency_repeats=1, sweep_questions=6, batch_size=32,
        training_share=0.006, validation_examples=6, own_words=10_000,
        left_out=(
            "rag:3_passages", "rag:3_passages_best_last", "rag:two_step", "rag:wrong_papers", "rag:documents+notes",
            "long_context", "customization:60_labels", "domain_adaptation+customization:60_labels",
            "customization:triage", "customization:answers",
        ),
    ),
    Profile(
        "workshop", questions_per_set=None, latency_questions=30, latency_repeats=5, sweep_questions=40, batch_size=32,
        training_share=1.0, own_words=30_000,
    ),
    Profile(
        "full", questions_per_set=None, latency_questions=40, latency_repeats=10, sweep_questions=80, batch_size=32,
        training_share=1.0,
    ),
)  # fmt: skip
PROFILES = {profile.name: profile for profile in _ALL}


def get_profile(name: str) -> Profile:
    """The profile of this name; a `KitError` says if there is none."""
    if name not in PROFILES:
        raise KitError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
