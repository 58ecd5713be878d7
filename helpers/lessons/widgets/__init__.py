"""Widgets for the notebooks: figures and tables that answer to the hand.

    from helpers import widgets
    widgets.retrieval_explorer(documents, embedder, fm, question)

Each is labelled, works with the keyboard, does slow work on a button only, says when it is busy and what went wrong,
and leaves a static figure or table behind for pages without a kernel. What comes from documents and models is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from ...analysis import Comparison, Prices
    from ...data import Document, Example, Question
    from ...experiment import Assistant
    from ...models import FoundationModel
    from ...rag import Index, RagSettings
    from ..widgets.advice import WhichOne
    from ..widgets.answers import AnswerComparer
    from ..widgets.costs import CostExplorer
    from ..widgets.embedding import EmbeddingMap
    from ..widgets.retrieval import RetrievalExplorer
    from ..widgets.tokens import TokenView
    from ..widgets.training import TrainingPanel


def retrieval_explorer(
    documents: Sequence[Document],
    embedder: BaseEmbedding,
    fm: FoundationModel,
    question: str | Question = "",
    settings: RagSettings | None = None,
    index: Index | None = None,
    folder: Path | None = None,
) -> RetrievalExplorer:
    """Type a question and see which passages are found, with their scores, and where the prompt's tokens go.

    Args:
        documents: The collection; it is cut and embedded again for each new chunk size, and kept in `folder`.
        embedder: LlamaIndex's embedder.
        fm: The model whose tokens are counted.
        question: What to begin with; of a `Question`, the passages that hold its answer are pointed out.
        settings: Where the sliders begin; None takes those of `index`, else the kit's defaults.
        index: One that is there already; it is used for its own chunk settings.
        folder: Where the other indices are kept; None takes a folder beside the learner's results.

    Returns:
        The panel, which a notebook displays; the first search is done.
    """
    from ..widgets.retrieval import RetrievalExplorer

    panel = RetrievalExplorer(documents, embedder, fm, question, settings, index, folder)
    if panel.asked:
        panel.refresh()
    return panel


def embedding_map(index: Index, question: str | Question = "") -> EmbeddingMap:
    """Chunks and the question as points in two dimensions; point at a chunk to read it.

    Args:
        index: Whose chunks are shown.
        question: What to begin with.

    Returns:
        The panel, which a notebook displays.
    """
    from ..widgets.embedding import EmbeddingMap

    panel = EmbeddingMap(index, question)
    if panel.values["question"]:
        panel.refresh()
    return panel


def token_view(fm: FoundationModel, example: Example, text: str) -> TokenView:
    """A training example token by token, with the loss mask in colour; switch between the two fine-tunings.

    Args:
        fm: Whose tokenizer and chat template are used.
        example: A labelled pair, as instruction tuning reads it.
        text: A plain text, as continued pretraining reads it.

    Returns:
        The panel, which a notebook displays.
    """
    from ..widgets.tokens import TokenView

    return TokenView(fm, example, text)


def answer_comparer(
    assistants: Mapping[str, Assistant],
    questions: Sequence[Question],
    values: Mapping[str, Sequence[str]] | None = None,
) -> AnswerComparer:
    """One question to all arms, side by side, with sources, times, and the accepted answer.

    Args:
        assistants: The arms by name; each is asked alone, so that its times are those of one answer.
        questions: What can be chosen; a question of one's own can be typed as well.
        values: For each asset every value that documents give it, as `Dataset.values_by_asset`; see `metrics.score`.

    Returns:
        The panel, which a notebook displays; the first question has been asked.
    """
    from ..widgets.answers import AnswerComparer

    panel = AnswerComparer(assistants, questions, values)
    if questions:
        panel.refresh()
    return panel


def cost_explorer(comparison: Comparison, prices: Prices | None = None) -> CostExplorer:
    """Prices, queries and changes a month; the costs and their break-even points follow as you drag.

    Args:
        comparison: The results; seconds, tokens and labels are theirs.
        prices: Where the sliders begin; None takes those of the kit's data file.

    Returns:
        The panel, which a notebook displays.
    """
    from ..widgets.costs import CostExplorer

    return CostExplorer(comparison, prices)


def training_panel(
    fm: FoundationModel,
    pairs: Sequence[Example],
    questions: Sequence[Question] = (),
    folder: Path | None = None,
    max_length: int = 256,
) -> TrainingPanel:
    """Train an adapter with settings of your own: start, stop and go on, with the live loss and sample answers.

    Args:
        fm: The model to tune; it stays as it is, since the panel trains a copy.
        pairs: Labelled pairs, of which a slider says how many are used.
        questions: A few that are asked before the training and after each epoch.
        folder: Where the adapters are kept; None takes a folder beside the learner's results.
        max_length: Tokens of a training row.

    Returns:
        The panel, which a notebook displays; nothing is trained until its button is pressed.
    """
    from ..widgets.training import TrainingPanel

    return TrainingPanel(fm, pairs, questions, folder, max_length)


def which_one(comparison: Comparison | None = None) -> WhichOne:
    """A short questionnaire that ends in advice, each reason with the figure that was measured for it.

    Args:
        comparison: The results; without them the reasons say that nothing was measured.

    Returns:
        The panel, which a notebook displays; the first answers are filled in and their advice is shown.
    """
    from ..widgets.advice import WhichOne

    panel = WhichOne(comparison)
    panel.refresh()
    return panel
