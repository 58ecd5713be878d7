"""Times the arms of a study in turns, and keeps the times beside its results: latency.json.

    python -m tools.benchmarks.arm_times --data datasets/tidewater --seed 7 --out results/reference

Every arm with a result is asked the profile's `latency_questions` of facts_heldout one at a time, as the replies come
and with replies of equal length; so are, on triage, the arms that are about as good there: the rules in the prompt and
tuned weights. An arm that retrieves is timed a second time with the same weights and without passages.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.analysis import read_comparison, timing_conditions
from helpers.data import TIMED_SET, DataError, Question, sample
from helpers.experiment import ARMS, Assistant, Study, Timing, Timings, write_timings

from .measuring import DATASET, WARM_UP

TRIAGE = ("base", "rules_in_prompt", "customization", "domain_adaptation+customization")
EQUAL_TOKENS = 16  # of every reply, where replies of equal length are timed
A_TURN = 10  # questions that an arm is asked in one turn: tuned copies of the model are made for it anew
BARE = "{arm}, without passages"


def time_arms(assistants: Mapping[str, Assistant], questions: Sequence[Question]) -> list[Timing]:
    """Asks every arm every question, one at a time: as the reply comes, and again with replies of equal length.

    The arms take turns of `A_TURN` questions, in a random order; each turn begins with a warm-up, and of the tuned
    copies of the model the latest two stay in memory. The timings are in the order in which they were taken.

    Raises:
        DataError: There is nothing to ask, or a question has choices, which are scored and not answered.
    """
    if not assistants or not questions:
        got = f"{len(assistants)} arms, {len(questions)} questions"
        raise DataError(f"timing needs at least one of each. Got {got}: name arms, and a set that has questions")
    if any(question.choices for question in questions):
        raise DataError("questions with choices are scored, not answered, and cannot be timed: take another set")
    order, timings = random.Random(7), []
    for start in range(0, len(questions), A_TURN):
        for arm in order.sample(list(assistants), len(assistants)):
            assistants[arm].ask(questions[0], max_new_tokens=WARM_UP)
            for question, equal in itertools.product(questions[start : start + A_TURN], (False, True)):
                answer = assistants[arm].ask(question, EQUAL_TOKENS if equal else None, exactly=equal)
                after_first, more = answer.total_s - answer.first_token_s, answer.new_tokens - 1
                timings.append(Timing(
                    arm, question.id, answer.retrieval_s, answer.first_token_s, after_first / more if more else None,
                    answer.total_s, answer.prompt_tokens, answer.new_tokens, question.set, equal,
                ))  # fmt: skip
    return timings


def assistants(study: Study, arms: list[str], question_set: str) -> dict[str, Assistant]:
    """The arms as they meet a question set, and those with weights of their own that retrieve without passages too."""
    made = {arm: study.assistant(arm, question_set) for arm, _ in study.runs(arms, [question_set])}
    bare = {BARE.format(arm=arm): Assistant(each.base, each.adapter) for arm, each in made.items() if each.retriever}
    return made | {arm: each for arm, each in bare.items() if each.adapter is not None}


def main() -> None:
    """Times both sets and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATASET)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--profile", default="workshop")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the study's results and weights")
    arguments = parser.parse_args()
    study = Study(arguments.data, arguments.profile, arguments.seed, arguments.out)
    results = [result for result in read_comparison(arguments.out).results if result.seed == arguments.seed]
    arms, timings = list(dict.fromkeys(result.arm for result in results if result.arm in ARMS)), []
    for question_set, asked in ((TIMED_SET, arms), ("triage", [arm for arm in TRIAGE if arm in arms])):
        questions = sample(study.questions(question_set), study.profile.latency_questions)
        timings += time_arms(assistants(study, asked, question_set), questions) if asked else []
    print(write_timings(arguments.out, Timings(timing_conditions(results), timings)))


if __name__ == "__main__":
    main()
