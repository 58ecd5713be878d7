"""The one idea that holds the kit together: every arm is weights (what it *is*) and a context (what it *sees*).

    Assistant(fm)                        the foundation model as shipped
    Assistant(fm, retriever=retriever)   RAG: passages lend it knowledge for one answer
    Assistant(fm, adapter=folder)        fine-tuning: the weights themselves are changed

No code after this module asks which arm it holds.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from .. import rag
from ..data import TEXT_SETS, Answer, Example, Passage, Question
from ..models import FoundationModel, generation, prompts

MAX_NEW_TOKENS = {"triage": 48}
SHORT_ANSWER = 20  # tokens that a reply may have in every other set, so that copying a passage is not an answer


class Assistant:
    """Answers questions with one model, optional tuned weights, and an optional retriever or solved examples."""

    def __init__(
        self, model: FoundationModel, adapter: str | Path | None = None, retriever: rag.Retriever | None = None,
        examples: Mapping[str, Sequence[Example]] | None = None,
        rewrite: Callable[[Sequence[str]], list[str]] | None = None,
        order: str = prompts.BEST_FIRST, may_decline: bool = False,
    ):  # fmt: skip
        """Puts an assistant together.

        Args:
            model: The base model, or a wholly tuned checkpoint.
            adapter: A folder with tuned weights made for this model; None takes the model as it is.
            retriever: Finds passages for each question, and each example; None asks the model directly.
            examples: For few-shot prompts: solved examples a task ("answers", "triage").
            rewrite: Puts questions into other words before their passages are retrieved.
            order: In which order passages stand in the prompt.
            may_decline: Whether the prompt permits to say that the passages do not hold the answer.
        """
        if adapter is not None:
            model.check_adapter(adapter)
        self.base, self.adapter, self.retriever, self.examples = model, adapter, retriever, examples or {}
        self.rewrite, self.order, self.may_decline = rewrite, order, may_decline

    @property
    def model(self) -> FoundationModel:
        """The model that answers: where there is an adapter a tuned copy, of which only the latest stay in memory."""
        return self.base if self.adapter is None else self.base.tuned(self.adapter)

    def ask(self, question: str | Question, max_new_tokens: int | None = None, exactly: bool = False) -> Answer:
        """Answers one question alone, which is the way to measure latency; see `ask_all`."""
        return self.ask_all([question], batch_size=1, max_new_tokens=max_new_tokens, exactly=exactly)[0]

    def ask_all(
        self, questions: Sequence[str | Question], batch_size: int = generation.BATCH,
        max_new_tokens: int | None = None, progress: bool = False, exactly: bool = False,
    ) -> list[Answer]:  # fmt: skip
        """Answers questions in batches, which is the way to score many: one answer a question, in their order.

        Args:
            questions: `Question`s or their texts. Those with choices are scored by log-probability.
            batch_size: How many are decoded together.
            max_new_tokens: The longest reply in tokens; None takes each question set's own limit.
            progress: Whether to show a progress bar.
            exactly: Whether each reply goes on to the limit, so that times of equal length can be compared.
        """
        asked = [q if isinstance(q, Question) else Question(f"q{i}", "own", q) for i, q in enumerate(questions)]
        model, (worded, passages, retrieval_s) = self.model, self._retrieve(asked)
        texts = [self.prompt(question, seen) for question, seen in zip(worded, passages, strict=True)]
        for i, question in enumerate(worded):
            texts[i] = texts[i] if question.set in TEXT_SETS else model.chat(texts[i], examples=self.turns(question))
        written = [i for i, question in enumerate(asked) if not question.choices]
        limits = {i: max_new_tokens or MAX_NEW_TOKENS.get(asked[i].set, SHORT_ANSWER) for i in written}
        answers: dict[int, Answer] = {}
        for limit in dict.fromkeys(limits.values()):
            places = [i for i in written if limits[i] == limit]
            replies = generation.generate(model, [texts[i] for i in places], limit, batch_size, progress, exactly)
            for i, reply in zip(places, replies, strict=True):
                answers[i] = Answer(
                    asked[i].id, reply.text, texts[i], tuple(passages[i]), reply.prompt_tokens, reply.new_tokens,
                    retrieval_s, retrieval_s + reply.first_token_s, retrieval_s + reply.total_s, reply.batch_size,
                )  # fmt: skip
        for score, plain in ((generation.choice_logprobs, False), (generation.blank_logprobs, True)):
            places = [i for i, each in enumerate(asked) if each.choices and (each.set in TEXT_SETS) == plain]
            rows = score(model, [texts[i] for i in places], [asked[i].choices for i in places], batch_size)
            for i, logprobs in zip(places, rows, strict=True):
                chosen = asked[i].choices[max(range(len(logprobs)), key=logprobs.__getitem__)]
                answers[i] = Answer(
                    asked[i].id, chosen, texts[i], tuple(passages[i]), model.count_tokens(texts[i]),
                    retrieval_s=retrieval_s, batch_size=batch_size, logprobs=tuple(logprobs),
                )  # fmt: skip
        return [answers[i] for i in range(len(asked))]

    def prompt(self, question: Question, passages: Sequence[Passage] = ()) -> str:
        """What the user's turn holds, or the plain text of a text set: the bare question, or the expanded prompt."""
        if self.retriever is None:
            return prompts.ask(question)
        declinable = self.may_decline and question.set not in prompts.ALONE
        return prompts.expand(question, prompts.in_order(passages, self.order)) + prompts.MAY_DECLINE * declinable

    def turns(self, question: Question) -> list[tuple[str, str]]:
        """The solved examples that come before it, as earlier turns of the chat; none where a choice is scored."""
        task = "triage" if question.set == "triage" else "answers"
        return [] if question.choices else self._shown.get(task, [])

    @cached_property
    def _shown(self) -> dict[str, list[tuple[str, str]]]:
        """By task the prompts of the solved examples, as they would be asked, and their responses."""
        shown = {}
        for task, examples in self.examples.items():
            worded, passages, _ = self._retrieve([Question(e.id, e.task, e.prompt) for e in examples])
            asked = map(self.prompt, worded, passages)
            shown[task] = list(zip(asked, [example.response for example in examples], strict=True))
        return shown

    def worded(self, questions: Sequence[Question]) -> Sequence[Question]:
        """The questions in the words with which their passages are retrieved, and in which they are asked."""
        if self.rewrite is None or not questions:
            return questions
        texts = self.rewrite([question.prompt for question in questions])
        return [replace(question, prompt=text) for question, text in zip(questions, texts, strict=True)]

    def _retrieve(self, questions: Sequence[Question]) -> tuple[Sequence[Question], list[list[Passage]], float]:
        """The questions as they are worded for the search, their passages, and the seconds that each took."""
        if self.retriever is None or not questions:
            return questions, [[] for _ in questions], 0.0
        begun = time.perf_counter()
        worded = self.worded(questions)
        passages = self.retriever.retrieve_all([question.prompt for question in worded])
        return worded, passages, (time.perf_counter() - begun) / len(questions)
