"""The texts that a model reads: one template for each kind of question, the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence

from .records import CHOICE_SETS, Example, Passage, Question

DIRECT = "{question}\nReply with the answer only, in a few words."

EXPANDED = (
    "Use the passages to answer the question.\n\n"
    "{passages}\n\n"
    "Question: {question}\n"
    "Reply with the answer only, in a few words."
)

EXAMPLE = "Question: {prompt}\nAnswer: {response}"


def ask(question: Question) -> str:
    """The question as the model meets it without passages or examples.

    A triage prompt carries its own instructions, and a choice is scored, not written: both stand alone.
    """
    if question.set == "triage" or question.set in CHOICE_SETS:
        return question.prompt
    return DIRECT.format(question=question.prompt)


def passages_text(passages: Sequence[Passage]) -> str:
    """The passages as they stand in the expanded prompt, best first."""
    return "\n\n".join(passage.text for passage in passages)


def expand(question: Question, passages: Sequence[Passage]) -> str:
    """The expanded prompt of RAG: the passages, then the question."""
    if question.set == "triage" or question.set in CHOICE_SETS:
        return f"{passages_text(passages)}\n\n{question.prompt}" if passages else question.prompt
    return EXPANDED.format(passages=passages_text(passages), question=question.prompt)


def few_shot(question: Question, examples: Sequence[Example]) -> str:
    """The question after a few solved examples of the same task: the cheap rival of every tuning."""
    shown = "\n\n".join(EXAMPLE.format(prompt=e.prompt, response=e.response) for e in examples)
    return f"{shown}\n\n{ask(question)}" if shown else ask(question)
