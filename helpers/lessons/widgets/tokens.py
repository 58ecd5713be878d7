"""`token_view`: what each of the two fine-tunings reads, token by token, and which tokens its loss counts."""

from collections.abc import Sequence

import ipywidgets

from ...data import DataError, Example, Question
from ...models import FoundationModel, prompts
from ...tuning import encode_pair
from .frame import Panel, escape, labelled

COUNTED = "background: #bfe3c6; color: #111; border-bottom: 3px solid #1a7f37"
MASKED = "background: #eeeeee; color: #555; border-bottom: 3px solid transparent"


def token_view(fm: FoundationModel, example: Example, text: str) -> Panel:
    """A labelled pair, as instruction tuning reads it, and a plain text, as continued pretraining does, by tokens.

    They are green and underlined where the loss counts them, else grey.
    """

    def draw(prompt: str, response: str, text: str) -> str:
        pair = encode_pair(fm, example.id, prompts.ask(Question(example.id, example.task, prompt)), response)
        if not text.strip():
            raise DataError("Write a text: there is nothing to learn from an empty one.")
        read = [*fm.encode(fm.inert(text)), fm.tokenizer.eos_token_id]  # nothing stands before the first to predict it
        tuning = _drawn(fm, "Instruction tuning", [*pair.prompt, *pair.response], len(pair.prompt))
        return tuning + _drawn(fm, "Continued pretraining", read, 1)

    controls = {
        "prompt": labelled(ipywidgets.Textarea, "prompt", "760px", value=example.prompt, rows=3),
        "response": labelled(ipywidgets.Text, "response", "760px", value=example.response),
        "text": labelled(ipywidgets.Textarea, "plain text", "760px", value=text, rows=3),
    }
    return Panel("Tokens and the loss mask", controls, draw).refresh()


def _drawn(fm: FoundationModel, tuning: str, tokens: Sequence[int], masked: int) -> str:
    counted, spans = len(tokens) - masked, ""
    for place, token in enumerate(tokens):
        piece, look = fm.tokenizer.decode([token]), COUNTED if place >= masked else MASKED
        shown = escape(piece.replace(" ", "␣").replace("\n", "⏎"))
        spans += f"<span style='{look}'>{shown}</span>&#8203;{'<br>' * piece.endswith(chr(10))}"
    share = f"{counted} of them ({counted / len(tokens):.0%})"
    return (
        f"<p>{tuning} reads {len(tokens)} tokens here, and its loss counts {share}:"
        f" <span style='{COUNTED}'>counted</span>, <span style='{MASKED}'>masked</span>.</p>"
        f"<div style='line-height: 1.9; max-width: 760px; font-family: monospace'>{spans}</div>"
    )
