"""Times the arms of a study in turns, and keeps the times beside its results: latency.json.

    python -m tools.benchmarks.arm_times --data datasets/tidewater --seed 7 --out results/reference

Every arm with a result is asked the profile's `latency_questions` of facts_heldout one at a time, as the replies come
and with replies of equal length; so are, on triage, the arms that are about as good there: the rules in the prompt and
tuned weights. An arm that retrieves is timed a second time with the same weights and without passages.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from helpers.analysis import read_comparison, timing_conditions
from helpers.data import TIMED_SET, sample
from helpers.experiment import ARMS, LATENCY_FILE, Assistant, Study, time_arms, write_timings

from .measuring import DATASET

TRIAGE = ("base", "rules_in_prompt", "customization", "domain_adaptation+customization")
BARE = "{arm}, without passages"


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
    print(write_timings(arguments.out / LATENCY_FILE, timings, timing_conditions(results)))


if __name__ == "__main__":
    main()
