"""`token_view`: what each of the two fine-tunings reads, token by token, and which tokens its loss counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets

from ...data import DataError, Example, Question
from ...models import prompts
from ...tuning import encode_pair
from .frame import Panel, escape, labelled

if TYPE_CHECKING:
    from ...models import FoundationModel

COUNTED = "background: #bfe3c6; color: #111; border-bottom: 3px solid #1a7f37"
MASKED = "background: #eeeeee; color: #555; border-bottom: 3px solid transparent"


def token_view(fm: FoundationModel, example: Example, text: str) -> Panel:
    """A labelled pair, as instruction tuning reads it, and a plain text, as continued pretraining does, by tokens.

    They are green and underlined where the loss counts them, else grey.
    """

    def draw(prompt: str, response: str, text: str) -> str:
        pair = pair_mask(fm, Example(example.id, example.task, prompt, response))
        return _drawn(fm, "Instruction tuning", pair) + _drawn(fm, "Continued pretraining", text_mask(fm, text))

    controls = {
        "prompt": labelled(ipywidgets.Textarea, "prompt", "760px", value=example.prompt, rows=3),
        "response": labelled(ipywidgets.Text, "response", "760px", value=example.response),
        "text": labelled(ipywidgets.Textarea, "plain text", "760px", value=text, rows=3),
    }
    panel = Panel("Tokens and the loss mask", controls, draw)
    panel.refresh()
    return panel


def pair_mask(fm: FoundationModel, example: Example) -> list[tuple[int, bool]]:
    """A pair's token ids after the chat template; only those of the response count, the end token included."""
    asked = prompts.ask(Question(example.id, example.task, example.prompt))
    pair = encode_pair(fm, example.id, asked, example.response)
    return [(token, False) for token in pair.prompt] + [(token, True) for token in pair.response]


def text_mask(fm: FoundationModel, text: str) -> list[tuple[int, bool]]:
    """A text's token ids; all count but the first, before which there is nothing to predict it from."""
    if not text.strip():
        raise DataError("Write a text: there is nothing to learn from an empty one.")
    ids = [*fm.encode(fm.inert(text)), fm.tokenizer.eos_token_id]
    return [(token, place > 0) for place, token in enumerate(ids)]


def _drawn(fm: FoundationModel, tuning: str, tokens: Sequence[tuple[int, bool]]) -> str:
    counted, spans = sum(counts for _, counts in tokens), ""
    for token, counts in tokens:
        piece, look = fm.tokenizer.decode([token]), COUNTED if counts else MASKED
        shown = escape(piece.replace(" ", "␣").replace("\n", "⏎"))
        spans += f"<span style='{look}'>{shown}</span>&#8203;{'<br>' * piece.endswith(chr(10))}"
    share = f"{counted} of them ({counted / len(tokens):.0%})"
    return (
        f"<p>{tuning} reads {len(tokens)} tokens here, and its loss counts {share}:"
        f" <span style='{COUNTED}'>counted</span>, <span style='{MASKED}'>masked</span>.</p>"
        f"<div style='line-height: 1.9; max-width: 760px; font-family: monospace'>{spans}</div>"
    )
