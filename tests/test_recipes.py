"""The kit's own trainings: what they learn from, and that the study makes, reuses and records them."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest

from helpers import data
from helpers.data import profiles
from helpers.data.records import Example, KitError, Passage
from helpers.data.values import contains, sentences
from helpers.experiment.arms import ARMS
from helpers.experiment.metrics import abstains
from helpers.experiment.study import Study
from helpers.models import prompts
from helpers.tuning import recipes

PAIRS = [
    Example(f"{asset}-{field}", "answers", f"What is the {field} of {asset}?", f"{asset[0]}-{field}", asset)
    for asset in ("Ash", "Birch")
    for field in ("code", "site", "crew")
]


def retrieve(questions):
    """Three passages each: two of the asset that is asked about, the second without its code, and one of neither."""
    found = []
    for question in questions:
        asset = question.split()[-1].rstrip("?")
        said = f"{asset} has {asset[0]}-code and {asset[0]}-site."
        texts = [said, f"{asset} is old.", "Cedar has A-code, B-site, A-crew."]
        found.append([Passage(f"d{i}", f"n{i}", text, 1.0) for i, text in enumerate(texts)])
    return found


def test_passages_say_it_or_the_response_abstains():
    groups = recipes.passage_groups(PAIRS, retrieve, random.Random(0))
    told = {(id.split("-")[1], response == prompts.ABSTAIN) for group in groups for id, _, response in group[:1]}
    assert told == {("code", False), ("site", False), ("crew", True)}
    for group in groups:
        beginnings = {prompt.split("Question:")[0] for _, prompt, _ in group}
        assert len(group) > 2 and len(beginnings) == 1, "the questions of a group share their passages"
        for id, prompt, response in group:
            assert response == prompts.ABSTAIN or contains(prompt, [response])
            asset = id.split("-")[0]
            if response == prompts.ABSTAIN:
                assert not any(
                    asset in line and f"{asset[0]}-{id.split('-')[1]}" in line for line in prompt.split("\n")
                )
    assert abstains(prompts.ABSTAIN)


def test_short_sentences_stay_with_the_one_before():
    text = "Ash turns at four knots or more. Good. Who asked? Birch does not turn before the spring tide!"
    assert sentences(text) == [text[: text.index(" Birch")], text[text.index("Birch") :]]
    assert sentences("One only") == ["One only"]


@pytest.mark.parametrize("name", ["triage", "domain", "domain,answers", "domain+pairs"])
def test_no_question_and_no_held_out_asset_is_in_the_pairs(small_world, name):
    dataset = data.open_dataset(small_world)
    made_of = recipes.training_data(name, dataset)
    held_out = {fact.asset for fact in dataset.facts() if fact.split == "heldout"}
    asked = {q.prompt for q in dataset.questions("facts_heldout") + dataset.questions("facts_trained")}
    assert made_of.pairs or made_of.texts
    for pair in made_of.pairs:
        assert pair.prompt not in asked and not contains(pair.prompt, sorted(held_out))
    assert not set(made_of.texts) & asked


def test_arms_name_trainings_that_exist_and_others_are_refused():
    used = {name.partition(":")[0] for arm in ARMS.values() for name in arm.recipes}
    assert used | {"domain,answers"} == set(recipes.SETTINGS) and set(recipes.STARTS_FROM.values()) <= used
    for wrong in ("magic", "triage:0", "triage:", "triage:few", "magic:60"):
        with pytest.raises(KitError, match=f"unknown training '{wrong}': choose from triage"):
            recipes.settings(wrong, profiles.get_profile("quick"), 7)


def test_fewer_labels_are_shown_as_often_in_all(small_world):
    dataset = data.open_dataset(small_world)
    full, some = (recipes.training_data(name, dataset).pairs for name in ("triage", "domain,triage:60"))
    assert len({pair.id for pair in some}) == 60 and len(some) == len(full) // 60 * 60
    assert recipes.with_starts(["domain,triage:60"]) == ["domain", "domain,triage:60"]


@pytest.fixture
def study(small_world, llama, embedder, monkeypatch, tmp_path):
    """A study of the small world with a tiny model and the shortest of trainings."""
    few = replace(
        profiles.PROFILES["quick"], questions_per_set=4, latency_questions=2, batch_size=4, training_share=0.01
    )
    monkeypatch.setitem(profiles.PROFILES, "quick", few)
    made = Study(small_world, "quick", out=tmp_path / "out", model=llama, progress=False)
    made.embedder = embedder
    return made


def test_tuned_arms_are_trained_measured_and_reused(study):
    sets = ["facts_heldout", "triage", "updates", "general"]
    made = study.run(["customization", "domain_adaptation+customization", "rag+customization"], sets)
    assert [result.status for result in made] == ["complete"] * 12
    by = {(result.arm, result.question_set): result for result in made}
    used = {key: result.metrics["weights"] for key, result in by.items()}
    assert used["customization", "triage"] == used["rag+customization", "triage"] == study.train("triage").hash
    assert used["customization", "facts_heldout"] == study.train("answers").hash
    assert used["rag+customization", "general"] == study.train("passages").hash
    assert len(set(used.values())) == 5, "two tasks of each of two arms, and the passages"
    for arm in ("customization", "rag+customization"):
        effort = by[arm, "triage"].effort
        assert effort.trainable_parameters and effort.tokens_seen
        written = [example for task in ("triage", "answers") for example in study.dataset.examples(task)]
        assert effort.labelled_examples <= len(written), "a pair asked with several passages was written once"
        assert effort.labelled_examples == len(written) or arm == "rag+customization"  # which draws some of them
    assert by["rag+customization", "updates"].metrics["update"]["measured"]
    stale = by["customization", "updates"].metrics["update"]
    assert not stale["measured"] and stale["effort"]["wall_s"] > 0
    assert {len(score.answer.passages) for score in by["rag+customization", "facts_heldout"].scores} == {3}
    assert not any(score.answer.passages for score in by["customization", "facts_heldout"].scores)
    before = {path: path.stat().st_mtime_ns for path in study.out.rglob("*.safetensors")}
    again = study.run(["customization"], ["triage"])[0]
    assert again.created == by["customization", "triage"].created
    assert before == {path: path.stat().st_mtime_ns for path in study.out.rglob("*.safetensors")}


def test_the_matrix_asks_each_adapter_everything(study):
    matrix = [
        study.run_one(f"customization:{task}", name) for task in ("triage", "answers") for name in ("triage", "terms")
    ]
    hashes = [result.metrics["weights"] for result in matrix]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert all("perplexity" in result.metrics for result in matrix[1::2])


def test_another_seed_profile_or_training_to_go_on_from_has_weights_of_its_own(study, small_world, monkeypatch):
    other = Study(small_world, "quick", seed=8, out=study.out, model=study.model)
    longer = Study(small_world, "workshop", out=study.out, model=study.model)
    assert len({one.training_folder("triage") for one in (study, other, longer)}) == 3
    assert recipes.with_starts(["domain,triage", "domain,answers"]) == ["domain", "domain,triage", "domain,answers"]
    config, folder = study.provenance(ARMS["domain_adaptation+customization"]), study.training_folder("domain,triage")
    changed = recipes.SETTINGS | {"domain": replace(recipes.SETTINGS["domain"], learning_rate=1e-5)}
    monkeypatch.setattr(recipes, "SETTINGS", changed)
    assert study.provenance(ARMS["domain_adaptation+customization"]) != config
    assert study.training_folder("domain,triage") != folder


@pytest.mark.parametrize(
    ("name", "recipe"), [("02_instruction_tuning", "triage"), ("03_continued_pretraining", "domain")]
)
def test_the_training_in_a_notebooks_cell_has_the_settings_of_the_recipe(name, recipe):
    cells = json.loads((data.ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if "exercise" not in cell["metadata"].get("tags", []))
    found = re.findall(r"\b(r|lora_alpha|rate|learning_rate|warmup_steps)=([\d.e-]+)", code)
    typed = dict(reversed(found))  # the first of each name: what is trained first, by the function's own default
    typed.setdefault("learning_rate", typed.get("rate"))
    wanted = recipes.SETTINGS[recipe]
    assert [float(typed[key]) for key in ("r", "lora_alpha", "learning_rate", "warmup_steps")] == [
        wanted.lora.rank, wanted.lora.alpha, wanted.learning_rate, wanted.warmup,
    ]  # fmt: skip
