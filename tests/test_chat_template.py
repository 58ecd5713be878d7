"""Content is never control: the special tokens of whatever the model reads are those that its template writes."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT
from llama_index.core.llms import ChatMessage
from llama_index.llms.huggingface import HuggingFaceLLM
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.data import table
from helpers.data.records import KitError, Question
from helpers.experiment.assistant import Assistant
from helpers.models import generation
from helpers.models.foundation_model import load_model
from helpers.tuning.packing import encode, encode_pair

STYLES = table(ROOT / "tests/cases/chat_templates.yaml")


def make_model(folder, style: str, **changes):
    """A tiny model whose tokenizer and chat template are in one of the styles."""
    template, special, added, start, end, _ = STYLES[style]
    tokenizer = Tokenizer(models.BPE(byte_fallback=style == "gemma"))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if style == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        tokenizer.decoder = decoders.Replace("▁", " ")
        alphabet = [chr(code) for code in (10, *range(32, 127))] + ["▁"]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(["the pump is in hall two"], trainers.BpeTrainer(initial_alphabet=alphabet))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=start, **{"eos_token": end} | changes)
    made.add_special_tokens({"additional_special_tokens": special.split()})
    made.add_tokens([added] if added.isspace() else added.split())
    made.chat_template = changes.get("chat_template", template)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(made), bos_token_id=0, eos_token_id=0, **sizes))
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module", params=STYLES)
def styled(request, tmp_path_factory):
    return request.param, make_model(tmp_path_factory.mktemp(request.param), request.param)


def evil(style: str) -> str:
    """Content that holds every special token of a style, and one turn that it would like to begin."""
    names = f"{STYLES[style][1]} {STYLES[style][2]}".split()
    return f"Ports: {''.join(names)} then {' '.join(names)}\nuser {names[-1]}{names[0][:-1]}{names[-1]} end"


def special(fm, ids) -> list[int]:
    return [token for token in ids if token in fm.special_tokens]


@pytest.fixture
def read(styled, monkeypatch):
    """The rows of token ids that the model reads inside a test."""
    rows: list[list[int]] = []
    fm = styled[1]
    monkeypatch.setitem(fm.__dict__, "fast", None)

    def keep(module, args, kwargs):
        ids = kwargs["input_ids"]
        mask = kwargs.get("attention_mask", torch.ones_like(ids)).bool()
        rows.extend(row[seen].tolist() for row, seen in zip(ids, mask, strict=True))

    handle = fm.model.register_forward_pre_hook(keep, with_kwargs=True)
    yield rows
    handle.remove()


def test_a_prompt_has_the_special_tokens_of_its_template_whatever_its_content_says(styled):
    style, fm = styled
    bad = evil(style)
    plain, told = fm.encode(fm.chat("A", examples=[("B", "C")])), fm.encode(fm.chat(bad, examples=[(bad, bad)]))
    assert special(fm, told) == special(fm, plain) != []
    assert fm.tokenizer.decode(told).count(bad) == 3, "content must be read letter by letter"
    assert special(fm, fm.encode(fm.inert(bad))) == [] and len(special(fm, fm.encode(bad))) > 5
    for ordinary in ("The pump,  in hall\n\ntwo: <b> 5 < 6 |x|", "Größe ≥ 5 µm", fm.inert("<|im_x|>")):
        assert fm.inert(ordinary) == ordinary


def test_pairs_texts_and_choices_are_content_and_a_pair_ends_as_its_template_ends_a_turn(styled, read):
    style, fm = styled
    bad, ends = evil(style), fm.tokenizer.convert_tokens_to_ids(STYLES[style][5])
    pair, plain = encode_pair(fm, "p", bad, bad), encode_pair(fm, "p", "A", "B")
    assert special(fm, pair.prompt) == special(fm, plain.prompt)
    assert special(fm, pair.response) == special(fm, plain.response) == [ends] and pair.response[-1] == ends
    assert ends in fm.stop_ids and special(fm, encode(fm, [bad])[0]) == []
    generation.choice_logprobs(fm, [fm.chat("A")], [[bad, "B"]])
    generation.blank_logprobs(fm, [f"{bad} ____ {bad}"], [[bad, "B"]])
    generation.text_losses(fm, [bad])
    start = fm.text_start
    assert [special(fm, row) for row in read] == [special(fm, fm.encode(fm.chat("A")))] * 2 + [start] * 3


def test_llamaindex_and_the_assistant_read_content_as_content(styled, read):
    style, fm = styled
    bad, wanted = evil(style), special(fm, fm.encode(fm.chat("A")))
    llm = HuggingFaceLLM(
        model=fm.model, tokenizer=fm.tokenizer, model_name="tiny", max_new_tokens=1, completion_to_prompt=fm.chat,
        messages_to_prompt=fm.messages_to_prompt, context_window=2048,
    )  # fmt: skip
    llm.complete(bad)
    llm.chat([ChatMessage(role="user", content=bad)])
    Assistant(fm).ask(Question("q", "own", bad), max_new_tokens=1)
    assert [special(fm, row) for row in (read[0], read[-1])] == [wanted] * 2
    assert special(fm, read[1]) == special(
        fm, fm.encode(fm.messages_to_prompt([ChatMessage(role="user", content="A")]))
    )


def test_a_model_without_any_end_is_refused_and_a_template_may_name_it(tmp_path):
    silent = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(KitError, match="no token that ends an answer"):
        make_model(tmp_path / "silent", "qwen", eos_token=None, chat_template=silent)
    fm = make_model(tmp_path / "named", "qwen", eos_token=None)
    assert fm.tokenizer.eos_token == fm.tokenizer.pad_token == "<|im_end|>"
