"""The texts that a model reads: one template for each kind of question, the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence

from ..data import CHOICE_SETS, TEXT_SETS, Passage, Question

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
MAY_DECLINE = f"\nIf the passages do not hold the answer, reply: {ABSTAIN}"  # the line that permits it
BEST_FIRST, BEST_LAST = "best first", "best last"  # the order of the passages in a prompt


def ask(question: Question) -> str:
    """The question as the model meets it without passages or examples.

    A triage prompt carries its own instructions, and a choice is scored, not written: such prompts stand alone.
    """
    if question.set in ALONE:
        return question.prompt
    return DIRECT.format(question=question.prompt)


def expand(question: Question, passages: Sequence[Passage]) -> str:
    """The expanded prompt of RAG: the passages in their order, then the question."""
    if question.set in ALONE:
        return "\n\n".join([*(passage.text for passage in passages), question.prompt])
    return EXPANDED.format(passages="\n\n".join(passage.text for passage in passages), question=question.prompt)


def in_order(passages: Sequence[Passage], order: str) -> Sequence[Passage]:
    """Passages that come best first, in the order of a prompt."""
    return passages[::-1] if order == BEST_LAST else passages
