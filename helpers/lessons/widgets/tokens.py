"""`token_view`: what each of the two fine-tunings reads, token by token, and which tokens its loss counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from ...data import DataError, Example, KitError, Question
from ...models import prompts
from ...tuning import encode_pair
from ..widgets.frame import Panel, escape, labelled

if TYPE_CHECKING:
    from ...models import FoundationModel

TUNINGS = ("instruction tuning", "continued pretraining")
COUNTED = "background: #bfe3c6; color: #111; border-bottom: 3px solid #1a7f37"
HIDDEN = "background: #eeeeee; color: #555; border-bottom: 3px solid transparent"
LONGEST = 400  # tokens that are drawn


class TokenView(Panel):
    """Tokens in colour: green and underlined where the loss counts them, grey where it does not."""

    def __init__(self, fm: FoundationModel, example: Example, text: str):
        """See `helpers.widgets.token_view`."""
        self.fm, self.example, self.text = fm, example, text
        super().__init__(
            "Tokens and the loss mask",
            {
                "tuning": labelled(ipywidgets.RadioButtons, "fine-tuning", options=TUNINGS, value=TUNINGS[0]),
                "prompt": labelled(ipywidgets.Textarea, "prompt", "760px", value=example.prompt, rows=3),
                "response": labelled(ipywidgets.Text, "response", "760px", value=example.response),
                "text": labelled(ipywidgets.Textarea, "plain text", "760px", value=text, rows=3),
            },
            self._draw,
        )
        self._hide_unused()
        self.controls["tuning"].observe(lambda _: self._hide_unused(), "value")
        self.refresh()

    def masked(self, tuning: str, prompt: str, response: str, text: str) -> list[tuple[int, bool]]:
        """The token ids that a fine-tuning reads, each with whether its loss counts it.

        A pair goes through the chat template and only its response counts, the end token included. Of a plain text
        every token counts but the first, before which there is nothing to predict it from.

        Raises:
            DataError: There is no response, or no text, to learn from.
        """
        if tuning == TUNINGS[0]:
            asked = prompts.ask(Question(self.example.id, self.example.task, prompt))
            pair = encode_pair(self.fm, self.example.id, asked, response)
            return [(token, False) for token in pair.prompt] + [(token, True) for token in pair.response]
        if not text.strip():
            raise DataError("Write a text: there is nothing to learn from an empty one.")
        ids = self.fm.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [(token, place > 0) for place, token in enumerate([*ids, self.fm.tokenizer.eos_token_id])]

    def _draw(self, tuning: str, prompt: str, response: str, text: str) -> str:
        tokens = self.masked(tuning, prompt, response, text)
        counted = sum(counts for _, counts in tokens)
        spans = "".join(self._span(token, counts) for token, counts in tokens[:LONGEST])
        more = f"<p>... and {len(tokens) - LONGEST} more</p>" if len(tokens) > LONGEST else ""
        told = (
            f"In {escape(tuning)} the model reads {len(tokens)} tokens; the loss counts {counted} of them "
            f"({counted / len(tokens):.0%}): <span style='{COUNTED}'>counted</span> and "
            f"<span style='{HIDDEN}'>not counted</span>."
        )
        return (
            f"<p>{told}</p><div style='line-height: 1.9; max-width: 760px; font-family: monospace'>{spans}</div>{more}"
        )

    def _span(self, token: int, counts: bool) -> str:
        piece = self.fm.tokenizer.decode([token])
        shown = escape(piece.replace(" ", "␣").replace("\n", "⏎"))
        line = "<br>" if piece.endswith("\n") else ""
        told = "counted" if counts else "not counted"
        return (
            f"<span title='token {token}, {told}' style='{COUNTED if counts else HIDDEN}'>{shown}</span>&#8203;{line}"
        )

    def _hide_unused(self) -> None:
        pairs = self.controls["tuning"].value == TUNINGS[0]
        for name in ("prompt", "response"):
            self.controls[name].layout.display = "" if pairs else "none"
        self.controls["text"].layout.display = "none" if pairs else ""

    def static(self) -> str:
        """Both views, one below the other."""
        rest = {name: value for name, value in self.values.items() if name != "tuning"}
        return f"<b>{escape(self.title)}</b>" + "".join(self._shown(tuning, rest) for tuning in TUNINGS)

    def _shown(self, tuning: str, rest: dict[str, str]) -> str:
        try:
            return self._draw(tuning, **rest)
        except KitError as error:
            return f"<p>{escape(str(error))}</p>"
