"""The widgets, moved in Python: what they show follows their controls, and what goes wrong is a sentence."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import torch
from synthetic import make_results

from helpers import data
from helpers.analysis import Comparison, costs, load_prices, span
from helpers.data.records import Document, Example, KitError, Question
from helpers.experiment.assistant import Assistant
from helpers.lessons import widgets
from helpers.lessons.widgets import frame, retrieval, tokens
from helpers.plots.style import plain_name
from helpers.rag.chunking import RagSettings
from helpers.rag.index import build_index
from helpers.rag.store import open_store

EVIL = "<script>alert('boo')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dataset(small_world):
    return data.open_dataset(small_world)


@pytest.fixture(scope="module")
def documents(dataset):
    return data.read_documents(dataset.documents_folder)[:10]


@pytest.fixture(scope="module")
def index(documents, embedder, tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("widgets"))
    return build_index(documents, store, embedder, RagSettings(), progress=False)[0]


@pytest.fixture(scope="module")
def question(dataset, documents):
    held = {document.id for document in documents}
    asked = [*dataset.questions("facts_heldout"), *dataset.questions("facts_trained")]
    return next(q for q in asked if held & set(q.documents))


@pytest.fixture(scope="module")
def made():
    return Comparison(make_results(sets=("facts_heldout", "updates")))


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path / "own"))
    return tmp_path / "own"


def check_is_text(html):
    assert "&lt;script&gt;" in html and "<script" not in html and "<img src=x" not in html


# What all of them share.


def test_a_panel_works_once_for_its_settings_and_an_error_becomes_a_sentence():
    def twice(number):
        calls.append(panel.button.disabled)
        if number == 7:
            raise KitError("Too much.")
        if number == 8:
            raise KeyError(EVIL)
        return f"<b>{2 * number}</b>"

    calls = []
    panel = frame.Panel("Doubler", {"number": frame.number("number", 1, 9, 1, 3)}, twice, "Go")
    for _ in range(2):
        panel.button.click()
        assert panel.result.value == "<b>6</b>" and calls == [True] and not panel.button.disabled
    panel.controls["number"].value = 4
    assert "have changed" in panel.status.value and panel.result.value == "<b>6</b>"
    panel.controls["number"].value = 3
    assert "have changed" not in panel.status.value
    for number, text in ((7, "Too much."), (8, "KeyError")):
        panel.controls["number"].value = number
        panel.button.click()
        assert text in panel.status.value and "role='alert'" in panel.status.value
        assert "<script" not in panel.status.value and panel.result.value == "" and not panel.button.disabled
        panel.controls["number"].value = 5
        panel.button.click()
        assert panel.result.value == "<b>10</b>" and "role='alert'" not in panel.status.value


def test_a_panel_leaves_its_settings_and_result_for_pages_without_a_kernel(monkeypatch):
    shown = []
    monkeypatch.setattr(frame, "display", shown.append)
    panel = frame.Panel(EVIL, {"number": frame.number("how many", 1, 9, 1, 3)}, lambda number: f"<i>{number}</i>")
    panel.refresh()
    panel._ipython_display_()
    static, live = shown
    check_is_text(static.data)
    assert "how many" in static.data and "Run this cell to use it." in static.data and "<i>3</i>" in static.data
    name = re.search(r"class='(kit-static-\w+)'", static.data)[1]
    assert f".{name} {{display: none}}" in live.children[0].value


# The retrieval explorer.


def test_the_explorer_shows_passages_on_a_map_and_the_prompts_tokens(tiny, index, question):
    panel = widgets.retrieval_explorer(index, question, tiny)
    assert "role='alert'" not in panel.status.value
    settings = RagSettings()
    expanded = Assistant(tiny, retriever=index.retriever(settings.k, settings.mode)).ask(question, 1).prompt
    assert f"The expanded prompt has {tiny.count_tokens(expanded)} tokens" in panel.result.value
    panel.controls["k"].value, panel.controls["mode"].value = 3, "vector"
    panel.button.click()
    for passage in index.retriever(3, "vector").retrieve(question.prompt):
        assert passage.document_id in panel.result.value and f"{passage.score:.3f}" in panel.result.value
    about = f'alt="Map of {len(index.nodes)} chunks and the question, with the 3 that were found ringed'
    assert "<mark>" in panel.result.value and "holds the answer" in panel.static() and about in panel.static()
    panel.controls["mode"].value, panel.controls["question_text"].value = "bm25", "zzyzx"
    panel.controls["question_text"]._handle_custom_msg({"event": "submit"}, [])  # the Enter key
    assert panel.result.value.startswith("<p>Nothing was found") and "Done" in panel.status.value
    panel.controls["question_text"].value = " "
    panel.button.click()
    assert "Type a question first." in panel.status.value and panel.result.value == ""


def test_what_a_document_holds_is_text(embedder, tiny, tmp_path):
    evil = [Document("evil", EVIL, f"The pump is blue. {EVIL}"), Document("good", "Good", "The pump is red.")]
    index, _ = build_index(evil, open_store(tmp_path / "evil"), embedder, RagSettings(), progress=False)
    panel = widgets.retrieval_explorer(index, Question("own", "own", f"Is the pump blue? {EVIL}"), tiny)
    assert "evil" in panel.result.value
    check_is_text(re.sub('<img src="data:image/png;base64[^>]*>', "", panel.result.value))
    shown = retrieval.highlight("The pumps & the pump of Kilpool.", "What is the pump?")
    assert shown == "The pumps &amp; the <mark>pump</mark> of Kilpool."


# The view of tokens.


def test_the_mask_is_that_of_the_training_and_strange_texts_are_text(tiny, dataset):
    pair, text = dataset.examples("answers")[0], dataset.corpus("train")[0]
    _, tuning, pretraining = widgets.token_view(tiny, pair, text).result.value.split("<p>")
    counted, masked = (
        unescape("".join(re.findall(rf"<span style='{look}'>([^<]*)</span>&#8203;", tuning))).replace("␣", " ")
        for look in (tokens.COUNTED, tokens.MASKED)
    )
    assert counted == pair.response + tiny.tokenizer.eos_token and pair.prompt in masked
    read = len(tiny.encode(text)) + 1
    assert f"Continued pretraining reads {read} tokens" in pretraining and f"counts {read - 1} of" in pretraining
    panel = widgets.token_view(tiny, Example("e", "answers", "Which & why?", "<b>bold</b>"), "<i>x</i> & y")
    assert "<b>bold" not in panel.result.value and "&lt;" in panel.result.value and "&amp;" in panel.result.value
    for name, text in (("response", "empty response"), ("text", "Write a text")):
        kept, panel.controls[name].value = panel.controls[name].value, ""
        assert text in panel.status.value and panel.result.value == ""
        panel.controls[name].value = kept
        assert panel.status.value == "" and panel.result.value


# The comparer of answers.


def test_every_arm_answers_with_its_sources_and_verdict(tiny, index, question, dataset):
    arms = {"base": Assistant(tiny), "rag": Assistant(tiny, retriever=index.retriever())}
    panel = widgets.answer_comparer(arms, [question], dataset.values_by_asset)
    shown = panel.result.value
    assert question.answers[0] in shown and frame.escape(question.prompt) in shown
    for assistant in arms.values():
        assert frame.escape(assistant.ask(question).text) in shown
    assert index.retriever().retrieve(question.prompt)[0].document_id in shown and "none" in shown
    assert shown.count("✗") == 2  # random weights know nothing
    panel.controls["asked"].value = " "
    panel.button.click()
    assert "Type a question first." in panel.status.value
    panel.controls["asked"].value = f"What now? {EVIL}"
    panel.button.click()
    assert "not scored" in panel.result.value and "your own question" in panel.result.value
    check_is_text(panel.result.value)


# The cost explorer.


def test_costs_follow_the_prices_at_once(made):
    panel = widgets.cost_explorer(made)
    first = panel.result.value
    found = costs(made, load_prices(label=0.5, engineer_hour=80, own_machine=0))
    known = {arm: each.monthly(10_000, 1) for arm, each in found.items() if each.change is not None}
    assert f">{span(known['rag'])}</td>" in first and 'alt="Cost' in panel.static()
    cheapest = min(known, key=lambda arm: np.median(known[arm]))
    assert re.search(r"<td[^>]*>([^<]+)</td>", first)[1] == plain_name(cheapest)
    panel.controls["label"].value = 9.0
    assert panel.result.value != first
    panel.controls["queries"].value = 200_000
    assert "One month with 200,000 queries" in panel.result.value


def test_an_arm_whose_update_nobody_measured_is_named_and_left_out(made):
    unmeasured = [r for r in made.results if not (r.arm == "rag" and r.question_set == "updates")]
    panel = widgets.cost_explorer(Comparison(unmeasured))
    assert "nobody measured it: Base, Few-shot, RAG" in panel.result.value
    panel.controls["changes"].value = 0
    assert "nobody measured" not in panel.result.value and "<td" in panel.result.value


# The questionnaire.


def test_the_advice_follows_the_answers(made):
    panel = widgets.which_one(made)
    first = panel.result.value
    assert "Take " in first and "Reasons" in first and "Measured here" in first
    panel.controls["documents"].value, panel.controls["form"].value = "no", "no"
    panel.button.click()
    assert panel.result.value != first and "neither" in panel.result.value
    assert all(frame.escape(control.description) in panel.static() for control in panel.controls.values())


# The training panel.


PAIRS = [Example(f"p{i}", "answers", f"What is the colour of machine {i}?", ["red", "blue"][i % 2]) for i in range(48)]


@pytest.fixture
def trainer(tiny):
    panel = widgets.training_panel(tiny, PAIRS, [Question("c", "own", PAIRS[0].prompt, ("red",))])
    panel.controls["epochs"].value, panel.controls["rank"].value = 2, 4
    yield panel
    panel.stop()
    if panel.thread.is_alive():
        panel.thread.join()


def run(panel):
    """Presses the button, and returns when the training has ended."""
    panel.button.click()
    panel.thread.join()


def trainings(own_results):
    return sorted(path.name for path in (own_results / "adapters" / "panel").glob("[!.]*"))


def test_a_training_shows_its_curve_and_the_answers_before_and_after(trainer, tiny, own_results):
    assert "Press “Start”" in trainer.status.value and trainer.stop_button.disabled
    before = tiny.model.get_input_embeddings().weight.clone()
    run(trainer)
    assert "Done" in trainer.status.value and "before" in trainer.result.value
    steps = [entry.step for entry in trainer.history]
    assert steps == sorted(set(steps)) and len(steps) >= 2 and steps[-1] == trainer.history[-1].steps
    assert 'alt="Loss against the step' in trainer.static() and "after" in trainer.result.value
    assert not trainer.button.disabled and trainer.stop_button.disabled
    history, trainer.shown, (folder,) = trainer.history, None, trainings(own_results)
    run(trainer)
    assert trainer.history == history and trainings(own_results) == [folder], "what was finished is read"
    assert torch.equal(before, tiny.model.get_input_embeddings().weight), "the model in memory was left alone"
    trainer.pairs[0] = replace(trainer.pairs[0], response="green")
    trainer.shown = None
    run(trainer)
    assert len(trainings(own_results)) == 2, "other pairs of the same names are another training"


def test_a_stopped_training_resumes_where_it_was(trainer):
    def stop_soon(args, state, control, **rest):
        on_log(args, state, control, **rest)
        trainer.stop()

    on_log, trainer.on_log = trainer.on_log, stop_soon
    run(trainer)
    assert "Stopped" in trainer.status.value and not trainer.button.disabled
    assert "<img" in trainer.result.value and "before" not in trainer.result.value
    begun, trainer.on_log = trainer.history, on_log
    run(trainer)
    assert "Done" in trainer.status.value, trainer.status.value
    losses = [entry.loss for entry in trainer.history]
    assert losses[: len(begun)] == [entry.loss for entry in begun] and 0 < len(begun) < len(losses)


def test_an_error_of_the_trainings_thread_is_a_sentence(tiny):
    few = widgets.training_panel(tiny, PAIRS[:1], [])
    run(few)
    assert "at least two" in few.status.value and not few.button.disabled and few.stop_button.disabled
