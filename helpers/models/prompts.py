"""The texts that a model reads: one template for each kind of question, the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence

from ..data import CHOICE_SETS, TEXT_SETS, Example, Passage, Question

SYSTEM = "You answer questions about an organisation from its papers. Copy the answer exactly from the text."

DIRECT = "{question}\nReply with the answer only, in a few words."

EXPANDED = (
    "Use the passages to answer the question.\n\n"
    "{passages}\n\n"
    "Question: {question}\n"
    "Reply with the answer only, in a few words."
)

ALONE = ("triage", *CHOICE_SETS, *TEXT_SETS)  # sets whose prompts need no instruction beside them
ABSTAIN = "The passages do not say."  # the response that a training teaches where no passage holds the answer


def ask(question: Question) -> str:
    """The question as the model meets it without passages or examples.

    A triage prompt carries its own instructions, and a choice is scored, not written: such prompts stand alone.
    """
    if question.set in ALONE:
        return question.prompt
    return DIRECT.format(question=question.prompt)


def passages_text(passages: Sequence[Passage]) -> str:
    """The passages as they stand in the expanded prompt, best first."""
    return "\n\n".join(passage.text for passage in passages)


def expand(question: Question, passages: Sequence[Passage]) -> str:
    """The expanded prompt of RAG: the passages, then the question."""
    if question.set in ALONE:
        return f"{passages_text(passages)}\n\n{question.prompt}" if passages else question.prompt
    return EXPANDED.format(passages=passages_text(passages), question=question.prompt)


def turns(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Solved examples as earlier turns of the chat, prompt and response: the cheap rival of every tuning."""
    return [(ask(Question(e.id, e.task, e.prompt)), e.response) for e in examples]
