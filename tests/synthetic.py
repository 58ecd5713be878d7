"""Result files of every arm, drawn by a stated random process: no model is needed, and the truth is known.

For each arm and question set, every asset gets a share drawn from a beta distribution around the arm's own share
(intraclass correlation `TOGETHER`), and each of the asset's questions is answered right with that share. Times are
log-normal around a stated median. The questions are those of a real data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from helpers.data.dataset import open_dataset, sample
from helpers.data.profiles import get_profile
from helpers.data.records import Answer, Effort, Passage, Question, Result, Score
from helpers.experiment.arms import ARMS

ROOT = Path(__file__).resolve().parent.parent
SEED, TOGETHER = 7, 0.15
PASSAGES = "passages"
SETS = "facts_trained facts_heldout terms updates two_hop twins triage general".split()
SHARES = {  # right answers by arm, in the order of SETS
    "base": (0.0, 0.0, 0.3, 0.0, 0.0, 0.1, 0.0, 0.6),
    "base:few_shot": (0.01, 0.01, 0.3, 0.01, 0.0, 0.2, 0.3, 0.58),
    "rag": (0.85, 0.85, 0.5, 0.8, 0.05, 0.3, 0.02, 0.55),
    "rag:3_passages": (0.7, 0.7, 0.5, 0.65, 0.05, 0.3, 0.02, 0.55),
    "customization": (0.6, 0.06, 0.3, 0.03, 0.02, 0.3, 0.97, 0.52),
    "domain_adaptation": (0.06, 0.06, 0.6, 0.02, 0.02, 0.1, 0.0, 0.56),
    "domain_adaptation+customization": (0.9, 0.55, 0.65, 0.04, 0.1, 0.3, 0.96, 0.5),
    "rag+customization": (0.95, 0.93, 0.6, 0.9, 0.3, 0.85, 0.9, 0.52),
    "customization:triage": (0.0, 0.0, 0.3, 0.0, 0.0, 0.1, 0.98, 0.55),
    "customization:answers": (0.6, 0.06, 0.3, 0.03, 0.02, 0.3, 0.02, 0.55),
}
PERPLEXITY = {"domain_adaptation": (4.0, 24.0), "domain_adaptation+customization": (4.5, 26.0)}  # terms, general
FIRST_TOKEN_S = {"rag": 0.3, "rag+customization": 0.3, "base:few_shot": 0.2}
EFFORTS = {
    "base": Effort(),
    "base:few_shot": Effort(labelled_examples=7),
    "rag": Effort(12.0, 20.0, 900_000_000, 0, 0, 3_000_000, 0, 99),
    "rag:3_passages": Effort(12.0, 20.0, 900_000_000, 0, 0, 3_000_000, 0, 99),
}
TUNED = Effort(300.0, 560.0, 3_000_000_000, 60_000, 4_900_000, 20_000_000, 350, 0)


def make_results(
    folder: Path | str = ROOT / "datasets" / "tidewater", profile: str = "workshop",
    arms: Sequence[str] = tuple(SHARES), sets: Sequence[str] = SETS,
    shares: Mapping[str, Sequence[float]] | None = None,
) -> list[Result]:  # fmt: skip
    """Results of these arms on these sets, with the shares of `SHARES` unless told otherwise."""
    dataset = open_dataset(folder)
    made = []
    for place, arm in enumerate(arms):
        for question_set in sets:
            questions = sample(dataset.questions(question_set), get_profile(profile).questions_per_set)
            share = ({**SHARES, **(shares or {})})[arm][SETS.index(question_set)]
            generator = np.random.default_rng([SEED, place, SETS.index(question_set)])
            made.append(_result(arm, question_set, profile, dataset.hash, questions, share, generator))
    return made


def _result(arm, question_set, profile, data_hash, questions, share, generator) -> Result:
    sees = PASSAGES if arm.startswith("rag") else "examples" if arm.endswith("few_shot") else "nothing"
    tuned = "customization" in arm or "domain_adaptation" in arm
    config = {
        "model": "tiny", "model_hash": "m" * 64, "dtype": "float32", "device": "cpu", "data_hash": data_hash,
        "arm": {"name": arm, "sees": sees, "what": f"{arm}, drawn at random", "k": ARMS[arm].k},
    }  # fmt: skip
    config |= {"rag": {"k": ARMS[arm].k or 1, "mode": "hybrid"}} if sees == PASSAGES else {}
    config |= {"examples": {"answers": 4, "triage": 3}} if sees == "examples" else {}
    config |= {"adapter": {name: {"seed": SEED} for name in ARMS[arm].recipes}} if tuned else {}
    right = _right(questions, share, generator)
    scores = [_score(q, sees, value) for q, value in zip(questions, right, strict=True)]
    effort = EFFORTS.get(arm, TUNED)
    return Result(
        arm, question_set, SEED, profile, "e" * 64, "complete", scores, _metrics(arm, question_set, profile, generator),
        effort, config, {"torch": "0"}, {"processor": "none", "cores": 2, "memory_bytes": 8 * 2**30}, "2026-01-02",
    )  # fmt: skip


def _right(questions: Sequence[Question], share: float, generator: np.random.Generator) -> list[float]:
    strength = (1 - TOGETHER) / TOGETHER
    of_asset: dict[str, float] = {}
    right = []
    for question in questions:
        drawn = share if share in (0, 1) else float(generator.beta(share * strength, (1 - share) * strength))
        own = of_asset.setdefault(question.asset, drawn) if question.asset else share
        right.append(float(generator.random() < own))
    return right


def _score(question: Question, sees: str, value: float) -> Score:
    text = question.answers[0] if value and question.answers else "I do not know." if value else "<b>something</b> else"
    prompt = f"{sees}: {question.prompt}" if sees != "nothing" else question.prompt
    passage = Passage("manual-1", "node-1", f"{question.prompt} <i>passage</i> {text}", 0.9, "A manual")
    passages = (passage,) if sees == PASSAGES else ()
    answer = Answer(
        question.id, text, prompt, passages, 60 + 200 * len(passages), 8, 0.01 * len(passages), None, None, 32
    )
    return Score(question, answer, value, "right" if value else "the answer is not in the reply")


def _metrics(arm: str, question_set: str, profile: str, generator: np.random.Generator) -> dict:
    metrics: dict = {}
    if question_set not in ("terms", "general"):
        n = get_profile(profile).latency_questions
        first = FIRST_TOKEN_S.get(arm, 0.1) * generator.lognormal(0, 0.1, n)
        metrics |= {"abstained": 0.1, "first_token_s": first.tolist(), "total_s": (first + 0.3).tolist()}
    if question_set in ("terms", "general"):
        target = PERPLEXITY.get(arm, (12.0, 20.0))[question_set == "general"]
        hardness = np.random.default_rng(0).normal(0, 0.3, 30)  # texts differ, alike for every arm
        moved = np.random.default_rng(round(100 * target)).normal(0, 0.02, 30)  # the same weights read alike
        own = math.log(target) + hardness + moved
        metrics["text_losses"] = [(100 * loss, 100) for loss in own.tolist()]
        metrics["perplexity"] = math.exp(sum(loss for loss, _ in metrics["text_losses"]) / 3000)
    if question_set == "triage":
        metrics["valid_json"] = 0.9
    if "rag" in arm.split("+") and question_set not in ("triage", "general", "twins"):
        metrics["retrieval"] = {"hit_rate_1": 0.9, "hit_rate_5": 0.98, "mrr": 0.93, "ndcg": 0.9}
    if question_set == "updates":
        reads = arm.startswith("rag")
        effort = Effort(0.6, 1.0, 900_000_000, documents=27) if reads else Effort() if arm in EFFORTS else TUNED
        metrics["update"] = {"effort": asdict(effort), "measured": reads}
        metrics["update"] |= {"reembedded": 27, "unchanged": 70} if reads else {}
    return metrics
