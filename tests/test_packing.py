"""Packed rows: what is learned from a row is what would be learned from each of its examples alone."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch.nn.functional import cross_entropy

from helpers.tuning import packing
from helpers.tuning.packing import Collator

PASSAGES = "Use these passages. The pump of machine seven is green and hums. The valve of machine nine is red."
ASKED = [("What is green?", "the pump"), ("What is red?", "the valve of nine"), ("Who hums?", "it")]


def pairs_of(fm):
    return [packing.encode_pair(fm, f"p{i}", f"{PASSAGES} {q}", a) for i, (q, a) in enumerate(ASKED)]


def alone(fm, pair):
    """The summed loss of one pair by the model's own forward pass."""
    ids = torch.tensor([pair.prompt + pair.response])
    logits = fm.model(ids).logits[0, len(pair.prompt) - 1 : -1]
    return cross_entropy(logits, torch.tensor(pair.response), reduction="sum")


def gradients(fm, loss):
    """Of all weights, which then have none again."""
    fm.model.zero_grad()
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in fm.model.named_parameters()}
    fm.model.zero_grad()
    return found


def test_pairs_that_share_their_beginning_have_the_loss_and_gradient_of_each_alone(tiny):
    pairs = pairs_of(tiny)
    rows = packing.pair_rows([pairs], 160, 2)
    assert len(rows) == 1 and rows[0].segments.count(0) > 20
    assert rows[0].tokens < 0.6 * sum(map(len, pairs))
    expected = sum(alone(tiny, pair) for pair in pairs) / sum(len(pair.response) for pair in pairs)
    found = tiny.model(**Collator()([*rows, rows[-1].blank()])).loss
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    ours, wanted = gradients(tiny, found), gradients(tiny, expected)
    for name, gradient in wanted.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-5)


def test_padding_at_the_end_of_all_rows_is_cut_off(tiny):
    rows = packing.pair_rows([pairs_of(tiny)], 160, 2)
    short = Collator()(rows)
    length = short["input_ids"].shape[1]
    assert rows[0].tokens <= length < rows[0].tokens + packing.STEP and length % packing.STEP == 0
    assert Collator()([rows[0].blank()])["input_ids"].shape == (1, packing.STEP)
    assert torch.equal(short["labels"][:, 1:], short["shift_labels"][:, :-1])


def test_windows_of_text_have_the_loss_of_the_model_itself(tiny):
    texts = [tiny.tokenizer(PASSAGES)["input_ids"], tiny.tokenizer("A second text, shorter.")["input_ids"]]
    rows = packing.text_rows(texts, 16, 2)
    flat = [token for text in texts for token in (*text, 2)]
    assert [t for row in rows for t in row.ids][: len(flat)] == flat
    total = count = 0
    for start in range(0, len(flat), 16):
        ids = torch.tensor([flat[start : start + 16]])
        if ids.shape[1] > 1:
            total += cross_entropy(tiny.model(ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
            count += ids.shape[1] - 1
    assert tiny.model(**Collator()(rows)).loss.item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize(("left", "rows"), [(0, 2), (1, 2), (2, 3)])
def test_an_end_token_alone_makes_no_window(left, rows):
    found = packing.text_rows([list(range(10, 25)), list(range(30, 45 + left))], 16, 2)
    assert len(found) == rows and all(any(label != packing.IGNORED for label in row.labels) for row in found)
    assert not packing.text_rows([[]], 16, 2)


def test_every_pair_is_in_a_row_once_and_whole(tiny):
    pairs = pairs_of(tiny) * 7
    rows = packing.pair_rows([pairs], 96, 2, Random(1))
    labels = sorted(label for row in rows for label in row.labels if label != packing.IGNORED)
    assert labels == sorted(token for pair in pairs for token in pair.response)
    assert all(len(row.ids) == len(row.labels) == len(row.segments) == len(row.positions) == 96 for row in rows)


def test_the_mask_hides_neighbours_and_what_comes_later():
    seen = packing.visible(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0]
    assert seen[3].tolist() == [True, True, True, True, False, False]
    assert seen[4].tolist() == [True, True, False, False, True, False]
    assert seen[1].tolist() == [True, True, False, False, False, False]
