"""How large an experiment is: quick (CI, a first look), workshop (the notebooks as opened), full (a GPU or a night)."""

from __future__ import annotations

from dataclasses import dataclass

from .records import KitError

WARM_UP = 2  # tokens decoded before times are taken
VALIDATION = 30  # validation pairs and texts that a training reads now and then


@dataclass(frozen=True)
class Profile:
    """Every size and budget in one place, by default those of `workshop`; None means all."""

    name: str
    questions_per_set: int | None = None
    latency_questions: int = 30  # of `facts_heldout`, asked again one at a time for first-token and total time
    latency_repeats: int = 5  # of each point of a latency curve
    sweep_questions: int = 40  # for each point of a sweep in notebook 01
    batch_size: int = 32  # answers decoded together when they are scored; with long prompts, more take much memory
    training_share: float = 1.0  # of a training's passes over its data; a small share only shows how it is done
    validation_examples: int = VALIDATION  # pairs and texts that a training reads now and then
    left_out: tuple[str, ...] = ()  # arms that a whole comparison does without
    own_words: int | None = 30_000  # of documents of your own, for continued pretraining


LEFT_OUT = (
    "rag:3_passages", "rag:3_passages_best_last", "rag:two_step", "rag:wrong_papers", "rag:documents+notes",
    "long_context", "customization:60_labels", "domain_adaptation+customization:60_labels",
)  # fmt: skip
_ALL = (
    Profile("quick", 8, 1, 1, 6, training_share=0.006, validation_examples=6, left_out=LEFT_OUT, own_words=10_000),
    Profile("workshop"),
    Profile("full", latency_questions=40, latency_repeats=10, sweep_questions=80, own_words=None),
)
PROFILES = {profile.name: profile for profile in _ALL}


def get_profile(name: str) -> Profile:
    """The profile of this name; a `KitError` says if there is none."""
    if name not in PROFILES:
        raise KitError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
