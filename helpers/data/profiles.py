"""How large an experiment is: quick (CI, a first look), workshop (the notebooks as opened), full (a GPU or a night)."""

from pydantic.dataclasses import dataclass

from .files import table
from .records import KitError

VALIDATION = 30  # validation pairs and texts that a training reads now and then


@dataclass(frozen=True)
class Profile:
    """Every size and budget, by default those of `workshop`; None means all. The others are in profiles.yaml."""

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


PROFILES = {name: Profile(name, **sizes) for name, sizes in table(__file__).items()}


def get_profile(name: str) -> Profile:
    """The profile of this name; a `KitError` says if there is none."""
    if name not in PROFILES:
        raise KitError(f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
