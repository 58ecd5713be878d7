"""Records how many labels triage needs: results/reference/labels.curve.json, which appendix C draws.

    python -m tools.benchmarks.label_curve
    python -m tools.benchmarks.label_curve --adapted  # after continued pretraining: labels_adapted.curve.json

The settings are those of the recipes and the world is that of the training sweep. Fewer labels are shown as often in
all, so that only their number differs from point to point, not the number of steps.
"""

from __future__ import annotations

from helpers.analysis import accuracy
from helpers.data import get_profile, sample
from helpers.experiment import Assistant, Curve, evaluate, write_curve
from helpers.tuning import Progress, recipes, train

from .training_sweep import Bench, options, where_and_when

LABELS = (30, 60, 120, 240)


def main() -> None:
    """Trains and measures each point; finished points are not trained again."""
    parser = options(__doc__, "results/reference", 128)
    parser.add_argument("--adapted", action="store_true", help="begin with weights that have read the domain's text")
    arguments = parser.parse_args()
    training, name = ("domain,triage", "labels_adapted") if arguments.adapted else ("triage", "labels")
    arm = "domain_adaptation+customization" if arguments.adapted else "customization"
    bench = Bench(arguments.work, arguments.questions)
    settings = recipes.settings(training, get_profile("workshop"), seed=7)
    start = bench.start(training)
    asked = sample(bench.dataset.questions("triage"), arguments.questions)
    points: dict[str, list[dict]] = {"": [], "house_words": []}  # of all reports, and of those in house words
    for count in LABELS:
        material = recipes.training_data(f"{training}:{count}", bench.dataset)
        place, bar = arguments.work / f"{name}-{count}", Progress(f"{count} labels")
        tuned = train(bench.fm, material, settings, place, start, callback=bar)
        scores = evaluate(Assistant(bench.fm, tuned.folder), asked).scores
        for part, found in points.items():
            found.append({"x": count} | accuracy([each for each in scores if part in ("", each.question.part)]))
            print(part, found[-1], flush=True)
    for part, found in points.items():
        told = f"accuracy on triage{part and ' in house words'} (share of fields)"
        curve = Curve(f"{name}{part and '_house_words'}", "labelled pairs", told, arm, found, where_and_when())
        print(write_curve(arguments.out, curve))


if __name__ == "__main__":
    main()
