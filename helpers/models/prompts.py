"""The texts that a model reads: a template for each kind of question, the same for every arm, in a chat template.

Content is never control: a document or a pair is plain text. It may hold `<|im_end|>` or `<start_of_turn>`, by accident
or on purpose. A mark is put into each such name, which the tokenizer drops after it has looked for special tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..data import CHOICE_SETS, TEXT_SETS, Passage, Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM = "You answer questions about an organisation from its papers. Copy the answer exactly from the text."
DIRECT = "{question}\nReply with the answer only, in a few words."
EXPANDED = (
    "Use the passages to answer the question.\n\n{passages}\n\n"
    "Question: {question}\nReply with the answer only, in a few words."
)

ALONE = "triage", *CHOICE_SETS, *TEXT_SETS  # asked without more: triage says how itself, a choice is not written
ABSTAIN = "The passages do not say."  # the response that a training teaches where no passage holds the answer
MAY_DECLINE = f"\nIf the passages do not hold the answer, reply: {ABSTAIN}"  # the line that permits it
BEST_FIRST, BEST_LAST = "best first", "best last"  # the order of the passages in a prompt
DATE = "26 Jul 2024"  # what a template that tells the date is given: prompts must be the same every day
MARK = "\ufdd0"  # a noncharacter of Unicode: no text holds it
PLAIN_CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def ask(question: Question) -> str:
    """The question as the model meets it without passages or examples."""
    return question.prompt if question.set in ALONE else DIRECT.format(question=question.prompt)


def expand(question: Question, passages: Sequence[Passage]) -> str:
    """The expanded prompt of RAG: the passages in their order, then the question."""
    if question.set in ALONE:
        return "\n\n".join([*(passage.text for passage in passages), question.prompt])
    return EXPANDED.format(passages="\n\n".join(passage.text for passage in passages), question=question.prompt)


def in_order(passages: Sequence[Passage], order: str) -> Sequence[Passage]:
    """Passages that come best first, in the order of a prompt."""
    return passages[::-1] if order == BEST_LAST else passages


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
