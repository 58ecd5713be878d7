"""Records what restatements of each fact do: results/reference/restatements.curve.json, which appendix C draws.

    python -m tools.benchmarks.restatement_curve

Worlds of one seed that differ in nothing but how often their corpus tells each fact; the training is `domain+pairs`.
"""

from __future__ import annotations

from helpers import data, models
from helpers.analysis import accuracy
from helpers.data import get_profile, sample
from helpers.experiment import Assistant, Curve, evaluate, write_curve
from helpers.tuning import Progress, recipes, train
from tools.world import generate

from .training_sweep import WORLD_SEED, options, where_and_when

RESTATEMENTS = (1, 3, 8)


def main() -> None:
    """Trains and measures each point; finished points are not trained again."""
    arguments = options(__doc__, "results/reference", 80).parse_args()
    fm, points = models.load_model(), []
    settings = recipes.settings("domain+pairs", get_profile("workshop"), seed=7)
    for count in RESTATEMENTS:
        folder = arguments.work / f"world-{WORLD_SEED}-{count}"
        if not (folder / "README.md").exists():
            generate(folder, seed=WORLD_SEED, restatements=count)
        dataset = data.open_dataset(folder)
        material = recipes.training_data("domain+pairs", dataset)
        title = f"restatements-{count}"
        tuned = train(fm, material, settings, arguments.work / title, callback=Progress(title))
        asked = sample(dataset.questions("facts_heldout"), arguments.questions)
        scores = evaluate(Assistant(fm, tuned.folder), asked, dataset.values_by_asset).scores
        points.append({"x": count} | accuracy(scores))
        print(points[-1], flush=True)
    about = where_and_when()
    arm, title = "domain_adaptation+customization", "restatements of each fact"
    print(write_curve(arguments.out, Curve("restatements", title, "accuracy on facts_heldout", arm, points, about)))


if __name__ == "__main__":
    main()
