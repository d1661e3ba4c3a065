"""How far two annotations of the same articles agree, and where they do not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kayan.corpus import comparable
from kayan.doctor import quoted
from kayan.document import Document, Span
from kayan.schema import Declaration
from kayan.scoring import Match, SpanScorer, bootstrap, match_boundary, match_strict, match_type
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
        sides = (
            f"{s.label} {quoted(s.text)} [{s.start}, {s.end})" if s else "nothing" for s in (self.first, self.second)
        )
        return f"article {quoted(self.article)}: {self.kind}: {' / '.join(sides)}"

    def to_dict(self) -> dict[str, Any]:
        first, second = (span and span.to_dict() for span in (self.first, self.second))
        return {"article": self.article, "kind": self.kind, "first": first, "second": second}


@dataclass(frozen=True)
class Agreement:
    """Figures of two annotations.

    scorer: the first annotation as gold, the second as prediction; F1 is the same the other way round
    kappa: Cohen's kappa (1960) of the types of words and punctuation marks, O among them; of overlapping mentions the
        last one gives a word its type
    kappa_marked: the same on the words that at least one of the two marks, where O does not flatter it
    Where neither marks anything they agree: F1 and kappa are 1.
    """

    scorer: SpanScorer
    kappa: float
    kappa_marked: float
    disagreements: tuple[Disagreement, ...]

    def to_dict(self) -> dict[str, Any]:
        micro, nothing = self.scorer.micro("strict"), not self.scorer.types
        low, high = (1.0, 1.0) if nothing else bootstrap(self.scorer)
        strict, lenient = (self.scorer.per_type(name) for name in ("strict", "type"))
        return {
            "articles": len(self.scorer.articles),
            "span_f1": 1.0 if nothing else micro.f1,
            "interval_95_by_article": [low, high],
            "boundary_lenient_f1": 1.0 if nothing else self.scorer.micro("type").f1,
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


def agree(first: Sequence[Document], second: Sequence[Document], declaration: Declaration | None = None) -> Agreement:
    """Compare two annotations, article by article: in order where both hold the same texts in one order, else by id.

    declaration: what the corpus annotates; labels that it leaves unread are neither agreed upon nor not.
    Raises `ValueError` for no articles, an article that only one of them has or one has twice, or whose text differs.
    """
    scorer, pairs, found = SpanScorer(), Counter[tuple[str, str]](), list[Disagreement]()
    for one, two in _paired(first, second):
        both = one.with_spans([*one.spans, *two.spans])
        document, other = (comparable(side, declaration or Declaration(), both) for side in (one, two))
        scorer.add(document, other)
        found += disagreements(document, other)
        pieces = words(document.text)
        pairs.update(zip(_types(document, pieces), _types(other, pieces), strict=True))
    marked = Counter({pair: n for pair, n in pairs.items() if pair != ("O", "O")})
    return Agreement(scorer, kappa(pairs), kappa(marked), tuple(found))


def _paired(first: Sequence[Document], second: Sequence[Document]) -> list[tuple[Document, Document]]:
    if not first and not second:
        raise ValueError("there is no article to compare")
    # Ids that count the articles of a file («name-1») name its articles alone, but their order tells which is which.
    if [document.text for document in first] == [document.text for document in second]:
        return list(zip(first, second, strict=True))
    for name, side in (("first", first), ("second", second)):
        if twice := [one for one, n in Counter(document.id for document in side).items() if n > 1]:
            raise ValueError(
                f"each article must be there once; the {name} annotation has several {', '.join(twice[:5])}"
            )
    others = {document.id: document for document in second}
    if apart := sorted({document.id for document in first} ^ others.keys()):
        raise ValueError(f"the two must hold the same articles; only one has {', '.join(apart[:5])}")
    for document in first:
        if document.text != others[document.id].text:
            raise ValueError(f"article {document.id!r}: the two texts differ; offsets into another text mean nothing")
    return [(document, others[document.id]) for document in first]


def disagreements(first: Document, second: Document) -> list[Disagreement]:
    """Where the two differ, in reading order, each mention of either in at most one line; a repeated one counts once."""
    ours, theirs = ([*dict.fromkeys(replace(s, score=None) for s in one.spans)] for one in (first, second))
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
        paired = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
        ours = [span for i, span in enumerate(ours) if i not in paired[0]]
        theirs = [span for j, span in enumerate(theirs) if j not in paired[1]]
    found += [Disagreement(first.id, "only-first", span, None) for span in ours]
    found += [Disagreement(first.id, "only-second", None, span) for span in theirs]
    return sorted(found, key=lambda one: (one.first or one.second or Span(0, 1, "O")).start)


def _any(first: Sequence[Span], second: Sequence[Span]) -> list[Match]:
    """Pairs that share a character, whatever their types."""
    plain = ([Span(span.start, span.end, "any") for span in spans] for spans in (first, second))
    return match_type(*plain)


def kappa(pairs: Counter[tuple[str, str]]) -> float:
    """Cohen's kappa of counted pairs of labels: (observed − expected) / (1 − expected) agreement; 1.0 where the two always
    have the same single label, and for no pairs.

    >>> round(kappa(Counter({("PER", "PER"): 20, ("PER", "O"): 5, ("O", "PER"): 10, ("O", "O"): 15})), 3)
    0.4
    """
    total = pairs.total()
    if not total:
        return 1.0
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
