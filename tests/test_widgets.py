"""The widgets, moved in Python: what they show follows their controls, and what goes wrong is told as a sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_results

from helpers import data
from helpers.analysis import cost
from helpers.data.records import DataError, Document, Example, KitError, Question
from helpers.experiment.assistant import Assistant
from helpers.lessons import exercises, widgets
from helpers.lessons.widgets import frame
from helpers.lessons.widgets.charts import line_chart
from helpers.lessons.widgets.retrieval import highlight, meter
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
    return make_results(sets=("facts_heldout", "updates"))


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_RESULTS", str(tmp_path / "own"))


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def displayed(panel):
    """What displaying a panel leaves on the page: the static part, then the live one."""
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame, "display", shown.append)
        panel._ipython_display_()
    return shown


def check_is_text(html):
    assert "&lt;script&gt;" in html and "<script" not in html and "<img src=x" not in html


# What all of them share.


def test_a_panel_says_when_its_result_belongs_to_other_settings_and_does_nothing_twice():
    calls = []

    def twice(number):
        calls.append(number)
        return f"<b>{2 * number}</b>"

    number = frame.NumberSlider("number", 1, 9, 1, 3)
    panel = frame.Panel("Doubler", {"number": number}, twice, "Go")
    panel.button.click()
    assert panel.result.value == "<b>6</b>" and "Done in" in panel.status.value
    panel.button.click()
    assert calls == [3] and "already" in panel.status.value
    number.slider.value = 4
    assert "have changed since" in panel.status.value and panel.result.value == "<b>6</b>" and calls == [3]
    number.field.value = 3
    assert panel.status.value == ""
    number.field.value = 5
    panel.button.click()
    assert panel.result.value == "<b>10</b>" and not panel.button.disabled


@pytest.mark.parametrize(("error", "told"), [(KitError("Type more."), "Type more."), (KeyError(EVIL), "KeyError")])
def test_an_error_becomes_a_sentence_and_takes_the_old_result_away(error, told):
    def work(number):
        if number == 2:
            raise error
        return "fine"

    panel = frame.Panel("Fails", {"number": frame.NumberSlider("number", 1, 9, 1, 1)}, work, "Go")
    panel.refresh()
    panel.controls["number"].value = 2
    panel.refresh()
    assert told in panel.status.value and "role='alert'" in panel.status.value
    assert "<script" not in panel.status.value and panel.result.value == "" and not panel.button.disabled


def test_the_button_is_locked_while_work_goes_on_and_says_how_long_it_took():
    seen = []
    panel = frame.Panel("Busy", {}, lambda: seen.append((panel.button.disabled, panel.status.value)) or "", "Go")
    panel.refresh()
    panel.shown = None
    panel.refresh()
    assert [locked for locked, _ in seen] == [True, True]
    assert "Working" in seen[0][1] and "The last time it took" in seen[1][1]


def test_a_slider_follows_its_field_and_the_field_its_slider():
    plain, powers = frame.NumberSlider("k", 1, 8, 1, 2), frame.NumberSlider("queries", 10, 10_000, 10, 100, True)
    plain.field.value = 7
    assert (plain.slider.value, plain.value) == (7, 7)
    plain.value = 3
    assert (plain.field.value, plain.slider.value) == (3, 3)
    powers.slider.value = 3
    assert powers.field.value == powers.value == 1000
    powers.field.value = 2500
    assert powers.value == 2500 and powers.slider.value == pytest.approx(np.log10(2500), abs=0.01)
    powers.field.value = 5
    assert powers.value == 10


def test_a_panel_leaves_its_settings_and_result_for_pages_without_a_kernel():
    number = frame.NumberSlider("number", 1, 9, 1, 3)
    panel = frame.Panel(EVIL, {"number": number}, lambda number: f"<i>{number}</i>", "Go")
    panel.refresh()
    static, live = displayed(panel)
    check_is_text(static.data)
    assert f"class='{panel.static_name}'" in static.data and "<i>3</i>" in static.data
    assert f".{panel.static_name} {{display: none}}" in live.children[0].value


def test_a_chart_has_its_lines_names_and_rings():
    lines = {"rag": [(1, 1), (10, 5)], EVIL: [(1, 2), (10, 4)]}
    chart = line_chart(lines, "queries", "cost", True, [(4, 3, "four")], 2.0)
    check_is_text(chart)
    assert chart.count("<polyline") == 2 and chart.count("<circle") == 1 and ">rag<" in chart and ">four<" in chart
    (low, high), _ = (re.findall(r",([\d.]+)", points) for points in re.findall(r"points='([^']+)'", chart))
    assert float(low) > float(high)  # up the page is more
    assert line_chart({"loss": []}, "x", "y") == ""


# The retrieval explorer.


def test_the_explorer_shows_passages_and_the_prompts_tokens(documents, embedder, tiny, index, question, tmp_path):
    panel = widgets.retrieval_explorer(documents, embedder, tiny, question, index=index, folder=tmp_path)
    assert "Done in" in panel.status.value
    found = index.retriever(1, "hybrid").retrieve(question.prompt)
    assert found[0].document_id in panel.result.value
    assert "<mark>" in panel.result.value and not list(tmp_path.iterdir())
    expanded = Assistant(tiny, retriever=index.retriever()).ask(question, 1).prompt
    assert f"The prompt has {tiny.count_tokens(expanded)} tokens" in panel.result.value
    panel.controls["k"].value, panel.controls["mode"].value = 3, "vector"
    panel.button.click()
    for passage in index.retriever(3, "vector").retrieve(question.prompt):
        assert passage.document_id in panel.result.value and f"{passage.score:.3f}" in panel.result.value
    assert "holds the answer" in panel.static() and ("yes" in panel.result.value or "no" in panel.result.value)


def test_a_new_chunk_size_is_indexed_once_and_kept(documents, embedder, tiny, index, question, tmp_path):
    panel = widgets.retrieval_explorer(documents, embedder, tiny, question, index=index, folder=tmp_path)
    panel.controls["chunk_size"].value = 64
    panel.button.click()
    assert len(panel.indices) == 2 and len(panel.index(64, 16).nodes) > len(index.nodes)
    assert f"of {len(panel.index(64, 16).nodes)} chunks" in panel.result.value
    assert [place.name for place in tmp_path.iterdir()] == ["64x16-section"]


def test_an_empty_question_is_refused_in_words(documents, embedder, tiny, index, question, tmp_path):
    panel = widgets.retrieval_explorer(documents, embedder, tiny, "", index=index, folder=tmp_path)
    assert panel.result.value == ""
    panel.button.click()
    assert "Type a question first." in panel.status.value


def test_what_a_document_holds_is_text(embedder, tiny, tmp_path):
    evil = [Document("evil", EVIL, f"The pump is blue. {EVIL}"), Document("good", "Good", "The pump is red.")]
    panel = widgets.retrieval_explorer(evil, embedder, tiny, f"Is the pump blue? {EVIL}", folder=tmp_path)
    assert "evil" in panel.result.value
    check_is_text(panel.result.value)
    check_is_text(panel.static())


def test_words_are_marked_whole_and_common_ones_are_not(tiny):
    shown = highlight("The pumps & the pump of Kilpool.", "What is the pump?")
    assert shown == "The pumps &amp; the <mark>pump</mark> of Kilpool."
    told = words(meter(tiny, "a b c", [], "a b c and more"))
    assert "has 5 tokens" in told and "passages 0 (0%)" in told and "question 3 (60%)" in told


# The map of the embeddings.


def test_the_map_has_a_mark_a_chunk_and_names_the_nearest(index, question):
    panel = widgets.embedding_map(index, question)
    assert panel.result.value.count("<title>") == len(index.nodes)
    nearest = index.retriever(5, "vector").retrieve(question.prompt)
    rows = re.findall(r"<td[^>]*>([^<]+)</td><td[^>]*>(-?[\d.]+)</td><td[^>]*>([^<]+)</td>", panel.result.value)
    assert [row[2] for row in rows] == [passage.document_id for passage in nearest]
    assert [row[1] for row in rows] == [f"{1 + np.log(passage.score):.2f}" for passage in nearest]
    panel.controls["nearest"].value = 2
    panel.button.click()
    assert panel.result.value.count("<line ") == 2
    assert 'alt="Map of' in panel.static() and "nearest chunks" in panel.static()


def test_the_maps_axes_are_those_of_largest_variance(index):
    panel = widgets.embedding_map(index)
    spread = panel.place(panel.vectors).var(0)
    assert spread[0] >= spread[1] > 0
    others = np.random.default_rng(0).normal(size=(panel.vectors.shape[1], 20))
    others /= np.linalg.norm(others, axis=0)
    assert (panel.vectors @ others).var(0).max() <= spread[0]
    assert spread.sum() / panel.vectors.var(0).sum() == pytest.approx(panel.axes[2], rel=1e-4)


# The view of tokens.


def test_the_mask_is_that_of_the_training(tiny, dataset):
    pair, text = dataset.examples("answers")[0], dataset.corpus("train")[0]
    panel = widgets.token_view(tiny, pair, text)
    masked = panel.masked(**panel.values)
    told = tiny.tokenizer.decode([token for token, counts in masked if counts])
    assert told == pair.response + tiny.tokenizer.eos_token
    assert pair.prompt in tiny.tokenizer.decode([token for token, counts in masked if not counts])
    assert f"reads {len(masked)} tokens" in words(panel.result.value)
    panel.controls["tuning"].value = "continued pretraining"
    masked = panel.masked(**panel.values)
    assert [counts for _, counts in masked] == [False] + [True] * (len(masked) - 1)
    assert f"counts {len(masked) - 1} of them" in words(panel.result.value)
    assert panel.controls["prompt"].layout.display == "none" and panel.controls["text"].layout.display == ""
    assert panel.static().count("the model reads") == 2


def test_tokens_of_strange_texts_are_text_and_an_empty_response_is_refused(tiny):
    panel = widgets.token_view(tiny, Example("e", "answers", "Which & why?", "<b>bold</b>"), "<i>x</i> & y")
    assert "<b>bold" not in panel.result.value and "&lt;" in panel.result.value and "&amp;" in panel.result.value
    panel.controls["response"].value = ""
    assert "empty response" in panel.status.value and panel.result.value == ""
    panel.controls["response"].value = "blue"
    assert panel.status.value == "" and "blue" in words(panel.result.value)
    panel.controls["tuning"].value, panel.controls["text"].value = "continued pretraining", " "
    assert "Write a text" in panel.status.value


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


def test_questions_that_begin_alike_are_all_in_the_list(tiny):
    alike = [Question(f"q{n}", "facts_heldout", "word " * 40 + str(n), ("x",)) for n in range(3)]
    panel = widgets.answer_comparer({"base": Assistant(tiny)}, alike)
    assert len(panel.controls["chosen"].options) == 4 and list(panel.questions.values()) == alike


def test_a_question_of_ones_own_is_answered_and_not_scored(tiny, question):
    panel = widgets.answer_comparer({"base": Assistant(tiny)}, [question])
    panel.controls["chosen"].value = panel.controls["chosen"].options[-1]
    panel.button.click()
    assert "Type a question of your own" in panel.status.value
    panel.controls["own"].value = f"What now? {EVIL}"
    panel.button.click()
    assert "not scored" in panel.result.value and "your own question" in panel.result.value
    check_is_text(panel.result.value)
    with pytest.raises(KitError, match="no assistant"):
        widgets.answer_comparer({}, [question])


# The cost explorer.


def test_costs_and_break_even_follow_the_sliders(made):
    panel = widgets.cost_explorer(made)
    now = panel.values
    found = panel.costs(now["label"], now["machine"])
    known = [arm for arm, each in found.items() if each.change is not None]  # base takes no change in
    cheapest = min(known, key=lambda arm: found[arm].monthly(now["queries"], now["changes"], now["months"]))
    assert re.search(r"<td[^>]*>([^<]+)</td>", panel.result.value)[1] == cheapest
    before = panel.result.value
    panel.controls["label"].slider.value = 9.0
    dearer = panel.costs(9.0, now["machine"])
    assert panel.result.value != before and dearer["customization"].labels > found["customization"].labels
    panel.controls["queries"].field.value = 200_000
    assert "One month with 200,000 queries" in panel.result.value


def test_a_ring_marks_where_the_cheapest_arm_changes(made):
    panel = widgets.cost_explorer(made)
    for machine in (0.05, 0.5, 2.0, 5.0):
        found = panel.costs(0.5, machine)
        del found["base"]  # which takes no part in the contest
        _, here = panel._lines(found, 0, 12, False)
        for queries, price, told in here:
            at = sorted(c.monthly(queries, 0, 12) for c in found.values())
            assert at[0] == pytest.approx(price) == pytest.approx(at[1]) and told == f"{queries:,.0f}"
            around = [min(found, key=lambda a: found[a].monthly(n, 0, 12)) for n in (0.99 * queries, 1.01 * queries)]
            assert around[0] != around[1]
    dear, cheap = cost.Cost("a", 0, 0, 0, 0.01, 0.01, 0, True, 0), cost.Cost("b", 120, 0, 0, 0.001, 0.001, 0, True, 0)
    _, crossing = panel._lines({"a": dear, "b": cheap}, 0, 12, False)
    assert [told for _, _, told in crossing] == ["1,111"]


def test_an_arm_whose_change_nobody_measured_is_named_and_left_out(made):
    unmeasured = [r for r in made if not (r.arm == "rag" and r.question_set == "updates")]
    panel = widgets.cost_explorer(unmeasured)
    assert "they take no change in, or nobody measured it: base, base:few_shot, rag" in panel.result.value
    panel.controls["changes"].value = 0
    assert "nobody measured" not in panel.result.value and "rag" in panel.result.value
    assert 'alt="Monthly cost' in panel.static()
    nothing = widgets.cost_explorer([r for r in made if r.question_set == "facts_heldout"])
    assert (
        "they take no change in, or nobody measured it" in nothing.result.value
        and "cheapest" not in nothing.result.value
    )
    assert "nobody measured" in nothing.static()
    untimed = [replace(r, metrics={}) for r in made]
    with pytest.raises(DataError, match="no arm was timed"):
        widgets.cost_explorer(untimed)


# The questionnaire.


def test_the_advice_follows_the_answers(made):
    panel = widgets.which_one(made)
    assert "Take " in words(panel.result.value) and "Reasons" in panel.result.value
    first = panel.result.value
    panel.controls["documents"].value, panel.controls["form"].value = "no", "no"
    assert "have changed since" in panel.status.value
    panel.button.click()
    assert panel.result.value != first and "neither" in words(panel.result.value)
    assert "Do the answers stand in documents?" in panel.static()


# The training panel.


PAIRS = [Example(f"p{i}", "answers", f"What is the colour of machine {i}?", ["red", "blue"][i % 2]) for i in range(48)]


@pytest.fixture
def trainer(tiny, tmp_path):
    panel = widgets.training_panel(tiny, PAIRS, [Question("c", "own", PAIRS[0].prompt, ("red",))], tmp_path, 128)
    panel.controls["epochs"].value, panel.controls["rank"].value = 2, 4
    yield panel
    panel.stop()
    panel.wait(300)


def test_a_training_shows_its_curve_and_answers_after_each_epoch(trainer, tiny):
    assert "Press “Start”" in trainer.status.value and trainer.stop_button.disabled
    before = tiny.model.get_input_embeddings().weight.clone()
    trainer.button.click()
    assert trainer.wait(300)
    assert "Done: 2 epochs on 48 pairs" in trainer.status.value, trainer.status.value
    assert [epoch for epoch, _ in trainer.answers] == [0, 1, 2]
    steps = [step for step, _ in trainer.curve]
    assert steps == sorted(set(steps)) and len(steps) >= 2
    assert "<polyline" in trainer.result.value and "epoch 2" in trainer.result.value
    assert 'alt="Loss over' in trainer.static()
    assert not trainer.button.disabled and trainer.stop_button.disabled and trainer.resume_button.disabled
    curve = list(trainer.curve)
    trainer.button.click()
    assert trainer.wait(300) and trainer.curve == curve  # what was finished is read, not trained again
    assert torch.equal(before, tiny.model.get_input_embeddings().weight)  # the model in memory was left alone
    assert not any("lora" in name for name, _ in tiny.model.named_parameters())


def test_a_stopped_training_goes_on_and_ends_as_an_unbroken_one(trainer, tiny, tmp_path):
    trainer.controls["epochs"].value = 3
    follower = trainer._follower

    def stop_in_the_second_epoch(epoch, epochs, done):
        follow = follower(epoch, epochs, done)

        def followed(moment):
            follow(moment)
            if epoch == 2:
                trainer.stop()

        return followed

    trainer._follower = stop_in_the_second_epoch
    trainer.button.click()
    assert trainer.wait(300)
    assert "Stopped" in trainer.status.value and not trainer.resume_button.disabled
    assert len(trainer.answers) == 2  # before, and after the first epoch: it stopped inside the second
    steps_stopped = len(trainer.curve)
    trainer._follower = follower
    trainer.resume_button.click()
    assert trainer.wait(300) and "Done: 3 epochs" in trainer.status.value, trainer.status.value
    other = widgets.training_panel(tiny, PAIRS, trainer.questions, tmp_path / "unbroken", 128)
    for name, value in trainer.values.items():
        other.controls[name].value = value
    other.button.click()
    assert other.wait(300)
    assert steps_stopped < len(other.curve)
    assert [loss for _, loss in other.curve] == pytest.approx([loss for _, loss in trainer.curve])
    assert other.answers == trainer.answers


def test_what_goes_wrong_in_the_thread_is_told(trainer):
    trainer.place = lambda wanted: (_ for _ in ()).throw(KitError("the disk is full <b>"))
    trainer.button.click()
    assert trainer.wait(300)
    assert "the disk is full &lt;b&gt;" in trainer.status.value and not trainer.button.disabled


# The quiz on the page.


def test_the_quiz_on_the_page_gives_the_verdict_of_the_quiz():
    from helpers.lessons.widgets.quiz import panel, static

    quiz = exercises.load("02").quiz
    boxes = panel(quiz).children
    assert len(boxes) == len(quiz.questions)
    _, choices, button, verdict = boxes[0].children
    button.click()
    assert "Not attempted" in verdict.value
    wrong = next(choice for choice in choices.options if choice != quiz.questions[0].right)
    choices.value = wrong
    assert verdict.value == ""
    button.click()
    assert "Not yet" in verdict.value and frame.marked(quiz.questions[0].says[wrong]) in verdict.value
    choices.value = quiz.questions[0].right
    button.click()
    assert "Right" in verdict.value and exercises.load("02").done() == (0, 1)
    page = static(quiz)
    assert all(frame.escape(choice) in page for question in quiz.questions for choice in question.choices)
    assert not any(frame.escape(question.because) in page for question in quiz.questions)


def test_a_panel_that_is_made_anew_ends_the_training_of_the_one_before(trainer, tiny, tmp_path):
    trainer.button.click()
    widgets.training_panel(tiny, PAIRS, (), tmp_path / "second", 128)
    assert trainer.wait(300) and trainer.halt.is_set()
    assert "Stopped" in trainer.status.value


def test_only_the_training_that_was_stopped_goes_on(trainer):
    trainer.stopped = trainer.values
    trainer._settle()
    assert not trainer.resume_button.disabled
    trainer.controls["rank"].value = 8
    assert trainer.resume_button.disabled, "other settings are another training"
    trainer.controls["rank"].value = 4
    assert not trainer.resume_button.disabled


def test_other_pairs_of_the_same_names_are_another_training(trainer, tiny, tmp_path):
    other = [Example(pair.id, pair.task, pair.prompt, pair.response + "!") for pair in PAIRS]
    panels = [
        widgets.training_panel(tiny, pairs, [], tmp_path, length) for pairs, length in ((other, 128), (PAIRS, 64))
    ]
    assert len({str(panel.place(trainer.values)) for panel in [trainer, *panels]}) == 3


def test_too_few_pairs_are_told_in_words(tiny, tmp_path):
    for pairs in ([], PAIRS[:1]):
        panel = widgets.training_panel(tiny, pairs, [], tmp_path, 128)
        panel.button.click()
        assert "hand over at least two" in panel.status.value


def test_a_value_beyond_an_end_moves_the_end_and_an_empty_pair_is_told_of(tiny):
    slider = frame.NumberSlider("price of a label", 0.0, 10.0, 0.1, 25.0)
    assert slider.value == slider.field.value == slider.slider.value == 25
    panel = widgets.token_view(tiny, Example("e", "answers", "Which?", ""), "The tide.")
    displayed(panel)
    assert "empty response" in panel.static() and "the model reads" in panel.static()
