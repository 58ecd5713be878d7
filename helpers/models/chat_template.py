"""The chat template of a tokenizer; and content is never control: what a document or a pair says is plain text.

A text may hold `<|im_end|>` or `<start_of_turn>`, by accident or on purpose. A mark is put into each such name in it,
which the tokenizer drops after it has looked for special tokens: only the template writes those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DATE = "26 Jul 2024"  # what a template that tells the date is given: prompts must be the same every day
MARK = "\ufdd0"  # a noncharacter of Unicode: no text holds it
PLAIN_CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's chat template, with one fixed day in it; a plain one where it has none."""
    own = tokenizer.chat_template
    if own is None:
        begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        return ("{{ bos_token }}" if begins else "") + PLAIN_CHAT
    if isinstance(own, str) and "strftime_now" in own:
        return "{%- macro strftime_now(format) -%}" + DATE + "{%- endmacro -%}" + own
    return own


def beginnings(names: Iterable[str]) -> re.Pattern[str]:
    """Matches the first character of each of the names, wherever one begins: names may overlap."""
    longer = [name for name in names if len(name) > 1]
    first, whole = ("|".join(sorted({re.escape(part) for part in parts})) for parts in ({n[0] for n in longer}, longer))
    return re.compile(f"(?=(?:{first}))(?=(?:{whole}))(.)" if longer else "(?!)()", re.DOTALL)


def drop_marks(tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes a tokenizer drop the marks of `FoundationModel.inert`; all other texts keep their tokens."""
    from tokenizers.pre_tokenizers import Sequence, Split

    backend = getattr(tokenizer, "backend_tokenizer", None)  # one without it reads the mark as an unknown character
    if backend is not None:
        own = [backend.pre_tokenizer] if backend.pre_tokenizer is not None else []
        backend.pre_tokenizer = Sequence([Split(MARK, "removed"), *own])
