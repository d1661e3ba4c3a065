"""Errors an editor can act on: every gold and every predicted mention in exactly one class, and the confusion of types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kayan.document import Document, Span
from kayan.scoring import assign, iou
from kayan.words import particle_count, words

NONE = "none"
# In the order of a report: what is right first, then from the slightest to the gravest.
CLASSES = {
    "correct": "same characters, same type",
    "wrong type": "same characters, another type",
    "particle": "right type, off by attached particles at the start",
    "too short": "right type, inside the gold mention",
    "too long": "right type, around the gold mention",
    "shifted": "right type, crossing the gold mention",
    "split": "one gold mention, several predictions of its type",
    "merged": "several gold mentions of a type, one prediction",
    "type and boundary": "shares characters with the other side, neither edges nor type agree",
    "missed": "gold without any prediction",
    "spurious": "prediction without any gold",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One class of `CLASSES` with the mentions that fall in it; the first of each side are the pair that the confusion of
    types counts."""

    kind: str
    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]

    @property
    def start(self) -> int:
        return min(span.start for span in (*self.gold, *self.predicted))

    @property
    def end(self) -> int:
        return max(span.end for span in (*self.gold, *self.predicted))


def classify(gold: Document, predicted: Document) -> list[Case]:
    """The cases of an article, in reading order; each mention of either side stands in exactly one.

    Equal characters are paired first, the same type before another. The rest are paired one to one by the largest sum of
    intersection over union, the same type before another; a mention that then is left over joins the case of the pair it
    shares most characters with, which becomes `split` or `merged`; alone, it is `missed` or `spurious`.
    Raises `ValueError` when the two texts differ.
    """
    if gold.text != predicted.text:
        raise ValueError(f"document {gold.id!r}: gold and predicted text differ; compare spans of the same raw text")
    ours, theirs = list(gold.spans), list(predicted.spans)
    cases = []
    for same_type in (True, False):
        waiting: dict[tuple[int, int, str], list[Span]] = {}
        for span in theirs:
            waiting.setdefault((span.start, span.end, span.label if same_type else ""), []).append(span)
        left = []
        for span in ours:
            found = waiting.get((span.start, span.end, span.label if same_type else ""))
            if found:
                cases.append(Case("correct" if same_type else "wrong type", (span,), (found.pop(0),)))
            else:
                left.append(span)
        ours, theirs = left, [span for spans in waiting.values() for span in spans]
    for some_gold, some_predicted in components(ours, theirs):
        cases += _component(gold.text, some_gold, some_predicted)
    return sorted(cases, key=lambda case: (case.start, case.end, case.kind))


def components(*sides: Sequence[Span]) -> list[tuple[list[Span], ...]]:
    """Groups of mentions that no gap separates, each with a list a side."""
    groups: list[tuple[list[Span], ...]] = []
    reach = -1
    for _, _, side, span in sorted(
        ((span.start, span.end, side, span) for side, spans in enumerate(sides) for span in spans),
        key=lambda entry: entry[:3],
    ):
        if span.start >= reach:
            groups.append(tuple([] for _ in sides))
        groups[-1][side].append(span)
        reach = max(reach, span.end)
    return groups


def _component(text: str, gold: list[Span], predicted: list[Span]) -> list[Case]:
    overlap = np.array([[iou(a, b) for b in predicted] for a in gold]).reshape(len(gold), len(predicted))
    same = np.array([[a.label == b.label for b in predicted] for a in gold]).reshape(overlap.shape)
    # One pair more outweighs a right type more, and that any gain in overlap.
    size = min(overlap.shape) + 1
    weights = np.where(overlap > 0, overlap + size * same + size * size, 0)
    groups: list[tuple[list[int], list[int]]] = []
    if weights.size:
        groups = [([i], [j]) for i, j in assign(weights) if overlap[i, j] > 0]
    held = [{pair[side][0]: number for number, pair in enumerate(groups)} for side in (0, 1)]
    alone: list[Case] = []
    for side, spans in enumerate((gold, predicted)):
        for k, span in enumerate(spans):
            if k in held[side]:
                continue
            row = overlap[k] if side == 0 else overlap[:, k]
            if row.size and row.max() > 0:
                groups[held[1 - side][int(row.argmax())]][side].append(k)
            else:
                alone.append(Case("missed", (span,), ()) if side == 0 else Case("spurious", (), (span,)))
    return alone + [
        _named(text, tuple(gold[i] for i in ours), tuple(predicted[j] for j in theirs)) for ours, theirs in groups
    ]


def _named(text: str, gold: tuple[Span, ...], predicted: tuple[Span, ...]) -> Case:
    a, b = gold[0], predicted[0]
    if len({span.label for span in (*gold, *predicted)}) > 1:
        kind = "type and boundary"
    elif len(predicted) > 1:
        kind = "split"
    elif len(gold) > 1:
        kind = "merged"
    elif a.end == b.end and _within_particles(text, a, b):
        kind = "particle"
    elif a.start <= b.start and b.end <= a.end:
        kind = "too short"
    elif b.start <= a.start and a.end <= b.end:
        kind = "too long"
    else:
        kind = "shifted"
    return Case(kind, gold, predicted)


def _within_particles(text: str, a: Span, b: Span) -> bool:
    """Whether both start behind particles of one word."""
    first, second = sorted((a.start, b.start))
    low = max(0, first - 40)
    for start, end in words(text[low : second + 40]):
        if low + start <= first and second < low + end:
            word = text[low + start : low + end]
            return all(particle_count(word, at - low - start) is not None for at in (first, second))
    return False


def confusion(cases: Iterable[Case], labels: Sequence[str]) -> np.ndarray:
    """Counts of shape (types + 1, types + 1), gold down and predicted across, the last of each being `NONE`.

    A row sums to the gold mentions of its type and a column to the predictions of its type: of a case with more than one
    mention on a side the first pair counts as a pair, the others as found or predicted by nobody.
    """
    index = {label: k for k, label in enumerate((*labels, NONE))}
    matrix = np.zeros((len(index), len(index)), dtype=np.int64)
    for case in cases:
        for gold, predicted in _pairs(case):
            matrix[index[gold.label if gold else NONE], index[predicted.label if predicted else NONE]] += 1
    return matrix


def _pairs(case: Case) -> list[tuple[Span | None, Span | None]]:
    first = [(case.gold[0], case.predicted[0])] if case.gold and case.predicted else []
    used = len(first)
    return [*first, *((span, None) for span in case.gold[used:]), *((None, span) for span in case.predicted[used:])]


def tally(cases: Iterable[Case]) -> dict[str, Counter[str]]:
    """For every class, in order: how many cases, gold mentions and predictions fall in it."""
    counts = {name: Counter(cases=0, gold=0, predicted=0) for name in CLASSES}
    for case in cases:
        counts[case.kind].update(cases=1, gold=len(case.gold), predicted=len(case.predicted))
    return counts
