"""`embedding_map`: every chunk and the question as points in two dimensions, with each chunk's text at hand."""

from __future__ import annotations

from functools import cached_property

import ipywidgets
import numpy as np

from ... import plots
from ...data import KitError, Question
from ...plots import OKABE_ITO, new_axes
from ...rag import Index, embed_questions
from ..widgets.frame import NumberSlider, Panel, escape, labelled, table

WIDTH, HEIGHT, MARGIN = 760, 440, 24
SHAPES = ("circle", "square", "diamond", "triangle")
LONGEST = 400  # characters of a chunk that are shown on hovering


class EmbeddingMap(Panel):
    """Chunks of an index, projected on the two directions in which they differ most."""

    def __init__(self, index: Index, question: str | Question = ""):
        """See `helpers.widgets.embedding_map`."""
        self.index = index
        asked = question.prompt if isinstance(question, Question) else question
        super().__init__(
            "Map of the embeddings",
            {
                "question": labelled(ipywidgets.Text, "question", "760px", value=asked),
                "nearest": NumberSlider("nearest chunks", 1, 10, 1, min(5, len(index.nodes))),
            },
            self._draw,
            "Show",
        )

    @cached_property
    def vectors(self) -> np.ndarray:
        """The chunks' vectors, of length 1, in the order of `index.nodes`: (chunks, dimensions)."""
        found = self.index.store.client.get(include=["embeddings"])
        by_id = dict(zip(found["ids"], found["embeddings"], strict=True))
        return _unit(np.array([by_id[node.node_id] for node in self.index.nodes], dtype=np.float32))

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The centre of all chunks, the two directions of largest variance (2, dimensions), and their share of it.

        Principal components by singular value decomposition (Jolliffe 2002, section 3.5).
        """
        centre = self.vectors.mean(0)
        _, sizes, directions = np.linalg.svd(self.vectors - centre, full_matrices=False)
        total = float((sizes**2).sum())
        return centre, directions[:2], float((sizes[:2] ** 2).sum()) / total if total else 0.0

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Where vectors lie on the map: (vectors, 2)."""
        centre, directions, _ = self.axes
        return (vectors - centre) @ directions.T

    def _draw(self, question: str, nearest: int) -> str:
        if not question.strip():
            raise KitError("Type a question first.")
        asked = _unit(np.array(embed_questions(self.index.embed_model, [question]), dtype=np.float32))
        cosines = self.vectors @ asked[0]
        best = np.argsort(-cosines)[:nearest]
        share = self.axes[2]
        drawn = self._svg(self.place(self.vectors), self.place(asked)[0], best)
        rows = [
            (str(rank), f"{cosines[i]:.2f}", escape(self.index.nodes[i].ref_doc_id), escape(self._text(i)))
            for rank, i in enumerate(best, 1)
        ]
        found = table("The nearest chunks in all dimensions", ["rank", "cosine", "document", "text"], rows)
        note = (
            f"Two dimensions of {self.vectors.shape[1]} show {share:.0%} of the chunks' variance, so chunks that lie "
            "close on the map may still be far apart."
        )
        return f"{drawn}<p>{note}</p>{found}"

    def _text(self, i: int) -> str:
        text = self.index.nodes[i].get_content()
        heading = self.index.nodes[i].metadata.get("heading", "")
        text = f"{heading}: {text}" if heading else text
        return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."

    def _svg(self, points: np.ndarray, asked: np.ndarray, best: np.ndarray) -> str:
        """The map as SVG: a mark a chunk, with its text as its title, and a star for the question."""
        everything = np.vstack([points, asked])
        low, high = everything.min(0), everything.max(0)
        span = np.maximum(high - low, 1e-9)
        room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 3 * MARGIN])
        at = MARGIN + (everything - low) / span * room
        kinds = sorted({str(node.metadata.get("type", "")) for node in self.index.nodes})
        marks = []
        for i, node in enumerate(self.index.nodes):
            kind = kinds.index(str(node.metadata.get("type", "")))
            title = f"<title>{escape(f'{node.ref_doc_id}: {self._text(i)}')}</title>"
            marks.append(_mark(kind, *at[i], title))
        lines = [
            f"<line x1='{at[-1][0]:.1f}' y1='{at[-1][1]:.1f}' x2='{at[i][0]:.1f}' y2='{at[i][1]:.1f}' stroke='#555'/>"
            f"<circle cx='{at[i][0]:.1f}' cy='{at[i][1]:.1f}' r='9' fill='none' stroke='#111' stroke-width='1.5'/>"
            for i in best
        ]
        star = f"<text x='{at[-1][0]:.1f}' y='{at[-1][1] + 8:.1f}' font-size='26' text-anchor='middle'>★</text>"
        step = (WIDTH - 2 * MARGIN) / (len(kinds) + 1)
        places = [MARGIN + n * step for n in range(len(kinds) + 1)]
        legend = "".join(
            f"<text x='{x + 12:.0f}' y='{HEIGHT - 11}' font-size='13'>{escape(name or 'document')}</text>"
            for x, name in zip(places, kinds, strict=False)
        )
        legend += "".join(_mark(n, places[n], HEIGHT - 16, "") for n in range(len(kinds)))
        legend += f"<text x='{places[-1]:.0f}' y='{HEIGHT - 11}' font-size='13'>★ question</text>"
        told = f"Map of {len(points)} chunks and the question, which is joined to its {len(best)} nearest chunks"
        return (
            f"<svg role='img' aria-label='{told}' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}'"
            f" style='background: white; max-width: 100%'>{''.join(lines)}{''.join(marks)}{star}{legend}</svg>"
        )

    def static(self) -> str:
        """The map as a picture, since pages without a kernel seldom show SVG, and the table of nearest chunks."""
        if self.shown is None:
            return super().static()
        points, kinds = self.place(self.vectors), [str(n.metadata.get("type", "")) for n in self.index.nodes]
        ax = new_axes(None, 7.2, 4.2)
        for n, kind in enumerate(sorted(set(kinds))):
            chosen = np.array([other == kind for other in kinds])
            ax.scatter(*points[chosen].T, s=16, marker="osD^"[n % 4], color=OKABE_ITO[n % len(OKABE_ITO)], label=kind)
        asked = _unit(np.array(embed_questions(self.index.embed_model, [self.shown["question"]]), dtype=np.float32))
        ax.scatter(*self.place(asked)[0], s=160, marker="*", color="black", label="question")
        ax.set(xticks=[], yticks=[])
        ax.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0))
        drawn = plots.image(ax, f"Map of {len(points)} chunks by kind of document, with the question as a star").data
        told = self.result.value
        return f"<b>{escape(self.title)}</b>{drawn}{told[told.index('<p>') :]}"


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _mark(kind: int, x: float, y: float, title: str) -> str:
    """One mark; kinds of documents differ in colour and shape."""
    colour = OKABE_ITO[kind % len(OKABE_ITO)]
    colour = colour if isinstance(colour, str) else "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
    paint = f"fill='{colour}' stroke='white' stroke-width='0.6'"
    shape = SHAPES[kind % len(SHAPES)]
    if shape == "circle":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' {paint}>{title}</circle>"
    corners = {
        "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0)),
        "triangle": ((0, -6), (6, 5), (-6, 5)),
    }[shape]
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f"<polygon points='{path}' {paint}>{title}</polygon>"
