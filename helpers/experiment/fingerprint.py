"""What an experiment and a training are, as hashes: what differs in one of these is never taken for the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..models import prompts
from .arms import solved_examples
from .assistant import MAX_NEW_TOKENS, SHORT_ANSWER

if TYPE_CHECKING:
    from ..data import Dataset, Profile
    from ..models import FoundationModel
    from ..rag import RagSettings
    from ..tuning import TrainSettings

ASKED = ("name", "questions_per_set", "batch_size", "training_share")  # what of a profile an answer depends on
PROMPTS = [prompts.SYSTEM, prompts.DIRECT, prompts.EXPANDED, prompts.ABSTAIN]


def of_experiment(dataset: Dataset, model: FoundationModel, profile: Profile) -> str:
    """What must agree between results that are compared.

    Returns:
        SHA-256 in hexadecimal over data, model, dtype, profile, prompts, limits of length and solved examples.
    """
    return _hash(
        {
            "data": dataset.hash,
            "model": model.hash,
            "dtype": model.dtype,
            "profile": {name: getattr(profile, name) for name in ASKED},
            "prompts": PROMPTS,
            "limits": [SHORT_ANSWER, MAX_NEW_TOKENS],
            "examples": [example.id for shown in solved_examples(dataset).values() for example in shown],
        }
    )


def of_training(
    chain: Sequence[TrainSettings], dataset: Dataset, model: FoundationModel, retrieval: RagSettings | None = None
) -> str:
    """What decides the weights of a training.

    Args:
        chain: Its settings, and after them those of the training that it goes on from, if there is one.
        dataset: What it reads; the general text beside it counts too.
        model: What it begins with.
        retrieval: How passages are found, where it reads passages.

    Returns:
        The first 8 hexadecimal digits of a SHA-256.
    """
    told: list[Any] = [dataset.hash, model.hash, chain[0].key, asdict(retrieval) if retrieval else {}]
    told += [settings.key for settings in chain[1:]]
    return _hash([*told, *PROMPTS, dataset.general_text("replay")])[:8]


def _hash(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
