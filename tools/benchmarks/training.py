"""Fine-tuning: the kit beside trl's SFTTrainer and transformers' stock Trainer, on labelled pairs and on packed text.

    python -m tools.benchmarks.training --json
    python -m tools.benchmarks.training --quick

The same work. Model, LoRA configuration and its random beginning, learning rate, schedule, warm-up, AdamW, clipping,
passes and dtype policy (base in bfloat16 where that pays, adapters stepped in float32) are those of the kit's training
`answers` for pairs, and of `domain`, without its general text, for packed text. The kit packs several pairs into a row
of tokens; its peers read these very pairs, each as a row of its own with padding, in the same order and the same
batches, so all make the same steps. Packed text comes to the peers as the same ready-made windows. A token counts once
for each pair or window that it stands in, padding never: so all sides learn from the same number of tokens, although
the kit computes what the pairs of a row have in common only once.

SFTTrainer runs as its users start it, in the dtype of all, gradient checkpointing off. The stock Trainer gets the
fastest of its settings by a short trial: padded batches, batches grouped by length, or padding-free, each with both
attentions. `torch_compile` is not among them: to compile the whole model as one graph takes minutes, as much as these
runs. Batches grouped by length hold other examples and may reach another loss. Where they do, that was other work:
`trials` tells of it under `other_work`, and the fastest setting that keeps the batches takes its place.

Each run is a process of its own, and kit and peers take turns. Its seconds go from the weights on disk to the adapter
on disk, the import of libraries not included. The first round is not timed: it reads the validation loss
along the way. All final losses come from one plain function that reloads the adapter and computes every logit.
`seconds_to_loss` are the seconds to the highest final loss of all sides, which each of them therefore reaches.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from helpers.models import choose_dtype

from .measuring import finish, in_own_process, matrix_peak, need, options, ratio, repeats_of, take_turns
from .training_sides import TRAININGS, Job

PEERS = ("sft", "trainer")
# Over pairs no more passes than rounding alone leaves together: after six, the kit's own runs, fast, plain or
# padded to other lengths, end 12 % apart, after two 1.5 %.
PASSES = {"pairs": 2.0, "text": 2.0}
QUICK_PASSES = {"pairs": 1.0, "text": 1.0}
QUICK_EXAMPLES = {"pairs": None, "text": 108}
TOLERANCE = 0.02  # how far final losses may lie apart

Start = Callable[[Job], dict[str, Any]]


def in_process(job: Job) -> dict[str, Any]:
    """One run in a process of its own."""
    return in_own_process("tools.benchmarks.training_sides", json.dumps(asdict(job)))


def compare(job: Job, repeats: int, start: Start = in_process) -> dict[str, dict[str, Any]]:
    """All runs on one kind of data.

    Args:
        job: What is trained; its side, folder and variant are filled in here.
        repeats: Timed rounds.
        start: Makes a run.

    Returns:
        By side: `validated`, the untimed run, and `timed`, the others; and under `trials` the seconds of each variant,
        the `fastest` one that did the same work, and the loss of one that did other work.
    """
    with tempfile.TemporaryDirectory() as folder:
        print(f"{job.kind}: trials of the stock Trainer ...", flush=True)
        trials = start(replace(job, side="trials", out=f"{folder}/trials"))
        chosen = {"fastest": fastest(trials), "seconds_a_token": trials}

        def side(name: str, validate: bool) -> Callable[[], dict[str, Any]]:
            wanted = replace(job, side=name, out=f"{folder}/{name}", variant=chosen["fastest"], validate=validate)
            return lambda: start(wanted)

        names = ("kit", *PEERS)
        print(f"{job.kind}: validation losses, then times", flush=True)
        validated = take_turns({name: side(name, True) for name in names}, 1)
        reached = {name: validated[name][0]["final_loss"] for name in names}
        if _regroups(chosen["fastest"]) and not near(reached["trainer"], reached["kit"]):
            chosen["other_work"] = {"variant": chosen["fastest"], "final_loss": reached["trainer"]}
            chosen["fastest"] = fastest({name: spent for name, spent in trials.items() if not _regroups(name)})
            validated |= take_turns({"trainer": side("trainer", True)}, 1)
        timed = take_turns({name: side(name, False) for name in names}, repeats)
    runs = {name: {"validated": validated[name][0], "timed": timed[name]} for name in names}
    return runs | {"trials": chosen}


def fastest(trials: dict[str, float]) -> str:
    """The variant with the fewest seconds a token."""
    return min(trials, key=trials.__getitem__)


def _regroups(variant: str) -> bool:
    return variant.startswith("grouped")


def near(loss: float, other: float) -> bool:
    """Whether two final losses are those of the same work."""
    return abs(loss / other - 1) <= TOLERANCE


def summary(runs: dict[str, dict[str, Any]], peak: float) -> dict[str, Any]:
    """The figures of one kind of data, from what `compare` gives and the machine's matrix-product peak in FLOP/s."""
    names = ("kit", *PEERS)
    target = max(run["final_loss"] for name in names for run in runs[name]["timed"])
    seconds = {name: [run["seconds"] for run in runs[name]["timed"]] for name in names}
    losses = {name: runs[name]["timed"][0]["final_loss"] for name in names}
    found: dict[str, Any] = {"target_loss": target, "trainer_variant": runs["trials"]}
    for name in names:
        one, spent = runs[name]["timed"][0], median(seconds[name])
        reached = step_of(target, runs[name]["validated"])
        found[name] = {
            "seconds": spent, "tokens_per_s": one["tokens"] / spent, "tokens": one["tokens"], "steps": one["steps"],
            "seconds_to_loss": median(at_step(reached, run["clock"]) for run in runs[name]["timed"]),
            "first_loss": one["first_loss"], "final_loss": losses[name],
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs[name]["timed"]),
            "share_of_limit": flops(one) / spent / peak,
        }  # fmt: skip
    for name in PEERS:
        found[f"against_{name}"] = ratio(seconds["kit"], seconds[name]) | {
            "ratio_to_loss": found[name]["seconds_to_loss"] / max(found["kit"]["seconds_to_loss"], 1e-9),
            "loss_difference": losses[name] / losses["kit"] - 1,
        }
    found["agree"] = all(near(losses[name], losses["kit"]) for name in PEERS)
    return found


def flops(run: dict[str, Any]) -> float:
    """The multiply-adds, times two, that a run needs: forward, backward through all, and gradients of what is tuned.

    Attention's own products are left out, and so are logits without a label, and padding: a side that computes them
    is slower for it, not busier.
    """
    weights = run["weights"]
    of_frozen, of_tuned = 4, 6
    body = weights["layers"] * (of_frozen if weights["adapter"] else of_tuned) + weights["adapter"] * of_tuned
    head = weights["head"] * (of_frozen if weights["adapter"] else of_tuned)
    return run["computed"] * body + run["labelled"] * head


def step_of(loss: float, run: dict[str, Any]) -> float:
    """The step, with its fraction, at which a validated run first reaches a loss."""
    if run["first_loss"] <= loss:
        return 0.0
    points = [(0, run["first_loss"]), *run["curve"], (run["steps"], run["final_loss"])]
    for (before, high), (after, low) in zip(points, points[1:], strict=False):
        if low <= loss:
            return before + (after - before) * (1.0 if high <= low else (high - loss) / (high - low))
    return float(run["steps"])


def at_step(step: float, clock: Sequence[Sequence[float]]) -> float:
    """The seconds at a step, with its fraction, between the steps whose end is known."""
    points = [(0.0, 0.0), *clock]
    for (before, early), (after, late) in zip(points, points[1:], strict=False):
        if step <= after:
            return early + (late - early) * (step - before) / (after - before)
    return points[-1][1]


def main() -> int:
    """Measures both kinds of data and prints the figures."""
    parser = options(__doc__)
    parser.add_argument("--passes", type=float, help="passes over the data instead of the default ones")
    parser.add_argument("--examples", type=int, help="pairs or texts at most")
    parser.add_argument("--kinds", nargs="+", choices=list(TRAININGS), default=list(TRAININGS))
    arguments = parser.parse_args()
    need("trl", "datasets")
    dtype = arguments.dtype or choose_dtype("cpu")[0]
    peak = matrix_peak(dtype)
    record: dict[str, Any] = {"limit": {"what": f"{dtype} matrix product", "flop_per_s": peak}, "dtype": dtype}
    for kind in arguments.kinds:
        passes = arguments.passes or (QUICK_PASSES if arguments.quick else PASSES)[kind]
        examples = arguments.examples or (QUICK_EXAMPLES[kind] if arguments.quick else None)
        job = Job("kit", kind, "", arguments.model, dtype, passes, examples)
        record[kind] = summary(compare(job, repeats_of(arguments)), peak)
    lowest = min((record[kind]["against_sft"] for kind in arguments.kinds), key=lambda found: found["ratio"])
    shown = {name: lowest[name] for name in ("ratio", "ratio_low", "ratio_high")}
    return finish("training", shown | {"agree": all(record[k]["agree"] for k in arguments.kinds)} | record, arguments)


if __name__ == "__main__":
    sys.exit(main())
