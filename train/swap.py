"""Training articles with other names in them: mention replacement (Dai & Adel 2020, COLING), particles left in place."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kayan.corpus import Corpus
from kayan.document import Document, Span
from kayan.formats import read_text
from kayan.words import particle_candidates

# Of the names in an article that is changed, the part that is replaced.
REPLACED = 0.5
# Their place in a sentence says little of what they are called; dates and titles it does.
SWAPPED = ("PER", "LOC", "ORG")


def mention_pool(corpora: Iterable[Corpus]) -> dict[str, list[str]]:
    """Distinct mentions by type. Where a corpus leaves particles in its mentions, those that may begin with one are not
    taken."""
    found: dict[str, set[str]] = {name: set() for name in SWAPPED}
    for corpus in corpora:
        exact = corpus.declaration.proclitics
        for document in corpus.documents:
            # What taggers labelled («open» says where they did not) may be no name.
            for span in document.spans if "open" not in document.meta else ():
                if span.label in found and "\n" not in span.text and (exact or not _may_bear(span.text)):
                    found[span.label].add(span.text)
    return {name: sorted(texts) for name, texts in found.items() if texts}


def with_names(pool: Mapping[str, Sequence[str]], names: Mapping[Any, Sequence[Path]]) -> dict[str, list[str]]:
    """The pool with the lines of files for a type, whole, and for people of several words the last one too: the press says
    the surname alone after the first mention."""
    grown = {name: list(texts) for name, texts in pool.items()}
    for label, paths in names.items():
        read = (line for path in paths for line in read_text(path).splitlines())
        lines = dict.fromkeys(" ".join(line.split()) for line in read)
        last = [line.split()[-1] for line in lines if " " in line] if label == "PER" else []
        listed = [name for name in (*lines, *last) if len(name) > 2]
        grown[label] = sorted({*grown.get(label, ()), *listed})
    return grown


def swap(document: Document, pool: Mapping[str, Sequence[str]], draw: random.Random, exact: bool = True) -> Document:
    """The document with about `REPLACED` of its names exchanged for others of their type, the same one everywhere.

    exact: whether particles stand outside the mentions; where they do not, mentions that may begin with one stay. So do
    those behind ل, whose spelling depends on the name («للأمم»), overlapping ones, and the part before a mention that is
    a letter takes no name that begins with none. What `meta` says of tokens would no longer hold and is left out.
    """
    text, pieces, spans = document.text, [], []
    chosen: dict[tuple[str, str], str | None] = {}
    end = length = 0
    for i, span in enumerate(document.spans):
        before = text[span.start - 1 : span.start]
        crowded = any(span.overlaps(other) for other in document.spans[max(0, i - 1) : i + 2] if other is not span)
        fixed = span.label not in pool or crowded or before == "ل" or not (exact or not _may_bear(span.text))
        key = (span.label, span.text)
        if not fixed and key not in chosen:
            chosen[key] = draw.choice(pool[span.label]) if draw.random() < REPLACED else None
        other = None if fixed else chosen[key]
        if other is None or (before.isalpha() and not other[0].isalpha()):
            other = span.text
        if crowded:
            # Overlapping spans keep their distance to what stands before them.
            spans.append(Span(span.start - end + length, span.end - end + length, span.label))
            continue
        pieces += [text[end : span.start], other]
        length += span.start - end
        spans.append(Span(length, length + len(other), span.label))
        length += len(other)
        end = span.end
    meta = {key: value for key, value in document.meta.items() if key not in ("tokens", "tags", "sentences")}
    return Document("".join([*pieces, text[end:]]), spans, document.id, meta)


def _may_bear(mention: str) -> bool:
    return len(particle_candidates(mention.split()[0])) > 1
