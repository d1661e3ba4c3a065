"""Scores on parts of the mentions: seen in training or not, long or short, in the headline, behind a particle, by source."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kayan.document import Document, Span
from kayan.scoring import match_strict
from kayan.words import has_particle

# A dimension says for a mention of an article in which part it falls; None leaves it out.
Key = Callable[[Document, Span], str | None]
MOST_VALUES = 20
_LATIN, _ARABIC, _DIGIT = re.compile(r"[A-Za-z\u00c0-\u024f]"), re.compile(r"[\u0620-\u06ff]"), re.compile(r"\d")
_DATE = re.compile(r"\d{4}-\d\d(-\d\d)?")


def _length(document: Document, span: Span) -> str:
    words = len(span.text.split())
    return (
        "1 word"
        if words == 1
        else f"{words} words"
        if words < 4
        else "4 to 6 words"
        if words < 7
        else "7 words or more"
    )


def _repeats(document: Document, span: Span) -> str:
    count = document.text.count(span.text)
    return "once" if count == 1 else "2 or 3 times" if count < 4 else "4 times or more"


def _position(document: Document, span: Span) -> str:
    quarter = min(3, 4 * span.start // max(1, len(document.text)))
    return ("first quarter", "second quarter", "third quarter", "last quarter")[quarter]


def _headline(document: Document, span: Span) -> str | None:
    end = document.text.find("\n")
    return None if end < 0 else "headline" if span.start < end else "body"


def _script(document: Document, span: Span) -> str:
    latin, arabic = _LATIN.search(span.text), _ARABIC.search(span.text)
    return (
        "Latin letters" if latin and not arabic else "both scripts" if latin else "Arabic letters" if arabic else "none"
    )


DIMENSIONS: dict[str, Key] = {
    "length": _length,
    "how often the words stand in the article": _repeats,
    "place in the article": _position,
    "headline or body": _headline,
    "particle": lambda document, span: "behind a particle" if has_particle(document, span) else "no particle",
    "script": _script,
    "digits": lambda document, span: "with digits" if _DIGIT.search(span.text) else "without",
}


def seen(training: Iterable[Document]) -> dict[str, Key]:
    """Two dimensions: whether the words of a mention, and its canonical name, were annotated in training."""
    surfaces: dict[str, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    for document in training:
        for span in document.spans:
            surfaces[span.text].add(span.label)
            names[span.name].add(span.label)

    def place(known: dict[str, set[str]], key: str, label: str) -> str:
        return "unseen" if key not in known else "seen" if label in known[key] else "seen with another type only"

    return {
        "seen in training, as written": lambda document, span: place(surfaces, span.text, span.label),
        "seen in training, by name": lambda document, span: place(names, span.name, span.label),
    }


def from_meta(documents: Sequence[Document]) -> dict[str, Key]:
    """A dimension for each key of `meta` that has between two and `MOST_VALUES` different strings; dates (2025-11-04) are
    taken by day, by month, or by year, whichever is the first with so few values."""
    values: dict[str, set[str]] = defaultdict(set)
    for document in documents:
        for key, value in document.meta.items():
            if isinstance(value, str):
                values[key].add(value)

    def part(key: str, width: int | None) -> Key:
        return lambda document, span: str(document.meta[key])[:width] if key in document.meta else None

    found = {}
    for key, held in sorted(values.items()):
        for width in (None, 7, 4) if all(map(_DATE.match, held)) else (None,):
            if 2 <= len({value[:width] for value in held}) <= MOST_VALUES:
                found[key] = part(key, width)
                break
    return found


def slices(
    gold: Sequence[Document], predicted: Sequence[Document], training: Iterable[Document] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """For every dimension its parts, largest first: part, gold, predicted, precision, recall, F1 (exact, all types).

    A part's recall is over the gold mentions in it and its precision over the predictions in it; what is right on one side
    is the same mention on the other, so it falls in the same part. Dimensions with a single part are left out.
    """
    dimensions = {**DIMENSIONS, **from_meta(gold), **(seen(training) if training is not None else {})}
    counts: dict[str, dict[str, list[int]]] = {name: defaultdict(lambda: [0, 0, 0]) for name in dimensions}
    for one, found in zip(gold, predicted, strict=True):
        pairs = match_strict(one.spans, found.spans)
        right, same = {pair.gold for pair in pairs}, {pair.predicted for pair in pairs}
        mentions = [(span, (1, int(i in right), int(i in right))) for i, span in enumerate(one.spans)]
        mentions += [(span, (0, 1, 0)) for j, span in enumerate(found.spans) if j not in same]
        for name, key in dimensions.items():
            for span, more in mentions:
                part = key(one, span)
                if part is not None:
                    count = counts[name][part]
                    for column, number in enumerate(more):
                        count[column] += number
    return {name: [_row(*item) for item in _largest(parts)] for name, parts in counts.items() if len(parts) > 1}


def _largest(parts: dict[str, list[int]]) -> list[tuple[str, list[int]]]:
    return sorted(parts.items(), key=lambda item: (-item[1][0], item[0]))


def _row(part: str, count: Sequence[int]) -> dict[str, Any]:
    gold, predicted, right = count
    return {
        "part": part,
        "gold": gold,
        "predicted": predicted,
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        "f1": 2 * right / (gold + predicted) if gold + predicted else 0.0,
    }
