"""How far two annotations of the same articles agree, and where they do not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kayan.document import Document, Span
from kayan.scoring import SpanScorer, bootstrap, match_boundary, match_strict, match_type
from kayan.words import words


@dataclass(frozen=True)
class Disagreement:
    """A mention of the first annotation and what the second has there: kind is type, boundary, type+boundary, only-first or
    only-second."""

    article: str
    kind: str
    first: Span | None
    second: Span | None

    def __str__(self) -> str:
        sides = (f"{s.label} {s.text!r} [{s.start}, {s.end})" if s else "nothing" for s in (self.first, self.second))
        return f"article {self.article!r}: {self.kind}: {' / '.join(sides)}"

    def to_dict(self) -> dict[str, Any]:
        def shown(span: Span | None) -> dict[str, Any] | None:
            return {"start": span.start, "end": span.end, "label": span.label, "text": span.text} if span else None

        return {"article": self.article, "kind": self.kind, "first": shown(self.first), "second": shown(self.second)}


@dataclass(frozen=True)
class Agreement:
    """Figures of two annotations.

    scorer: the first annotation as gold, the second as prediction; F1 is the same the other way round
    kappa: Cohen's kappa (1960) of the types of words, O among them
    kappa_marked: the same on the words that at least one of the two marks, where O does not flatter it
    """

    scorer: SpanScorer
    kappa: float
    kappa_marked: float
    disagreements: tuple[Disagreement, ...]

    def to_dict(self) -> dict[str, Any]:
        low, high = bootstrap(self.scorer)
        strict, lenient = (self.scorer.per_type(name) for name in ("strict", "type"))
        return {
            "articles": len(self.scorer.articles),
            "span_f1": self.scorer.micro("strict").f1,
            "interval_95_by_article": [low, high],
            "boundary_lenient_f1": self.scorer.micro("type").f1,
            "token_kappa": self.kappa,
            "token_kappa_where_either_marks": self.kappa_marked,
            "types": {
                name: {
                    "first": strict[name].gold,
                    "second": strict[name].predicted,
                    "span_f1": strict[name].f1,
                    "boundary_lenient_f1": lenient[name].f1,
                }
                for name in self.scorer.types
            },
            "disagreements": [one.to_dict() for one in self.disagreements],
        }


def agree(first: Sequence[Document], second: Sequence[Document]) -> Agreement:
    """Compare two annotations, article by article, found by id.

    Raises `ValueError` for an article that only one of them has, or whose text differs.
    """
    others = {document.id: document for document in second}
    if len(others) != len(second) or {document.id for document in first} != others.keys():
        apart = sorted({document.id for document in first} ^ others.keys())
        raise ValueError(
            f"the two must hold the same articles, each once; only one has {', '.join(apart[:5]) or 'copies'}"
        )
    scorer, pairs, found = SpanScorer(), Counter[tuple[str, str]](), list[Disagreement]()
    for document in first:
        other = others[document.id]
        if document.text != other.text:
            raise ValueError(f"article {document.id!r}: the two texts differ; offsets into another text mean nothing")
        scorer.add(document, other)
        found += disagreements(document, other)
        pieces = words(document.text)
        pairs.update(zip(_types(document, pieces), _types(other, pieces), strict=True))
    marked = Counter({pair: n for pair, n in pairs.items() if pair != ("O", "O")})
    return Agreement(scorer, kappa(pairs), kappa(marked), tuple(found))


def disagreements(first: Document, second: Document) -> list[Disagreement]:
    """Where the two differ, in reading order, each mention of either in at most one line."""
    ours, theirs = list(first.spans), list(second.spans)
    found: list[Disagreement] = []
    for kind, match in (
        ("", match_strict),
        ("type", match_boundary),
        ("boundary", match_type),
        ("type+boundary", _any),
    ):
        pairs = match(ours, theirs)
        if kind:
            found += [Disagreement(first.id, kind, ours[i], theirs[j]) for i, j, _ in pairs]
        ours = [span for i, span in enumerate(ours) if i not in {pair[0] for pair in pairs}]
        theirs = [span for j, span in enumerate(theirs) if j not in {pair[1] for pair in pairs}]
    found += [Disagreement(first.id, "only-first", span, None) for span in ours]
    found += [Disagreement(first.id, "only-second", None, span) for span in theirs]
    return sorted(found, key=lambda one: (one.first or one.second or Span(0, 1, "O")).start)


def _any(first: Sequence[Span], second: Sequence[Span]) -> list[tuple[int, int, float]]:
    """Pairs that share a character, whatever their types."""
    plain = ([Span(span.start, span.end, "any") for span in spans] for spans in (first, second))
    return [(i, j, credit) for i, j, credit in match_type(*plain)]


def kappa(pairs: Counter[tuple[str, str]]) -> float:
    """Cohen's kappa of counted pairs of labels: (observed − expected) / (1 − expected) agreement; 1.0 where the two always
    have the same single label, 0.0 for no pairs.

    >>> round(kappa(Counter({("PER", "PER"): 20, ("PER", "O"): 5, ("O", "PER"): 10, ("O", "O"): 15})), 3)
    0.4
    """
    total = pairs.total()
    if not total:
        return 0.0
    one, two = Counter[str](), Counter[str]()
    for (a, b), n in pairs.items():
        one[a] += n
        two[b] += n
    observed = sum(n for (a, b), n in pairs.items() if a == b) / total
    expected = sum(one[label] * two[label] for label in one) / total**2
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def _types(document: Document, pieces: Sequence[tuple[int, int]]) -> list[str]:
    types = ["O"] * len(pieces)
    for span in document.spans:
        first = bisect_right(pieces, span.start, key=lambda piece: piece[1])
        last = bisect_left(pieces, span.end, key=lambda piece: piece[0])
        types[first:last] = [span.label] * (last - first)
    return types
