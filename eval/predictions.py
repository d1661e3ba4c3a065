"""Predictions of any system, read from a file and laid on the raw text of the gold articles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kayan.corpus import load, rename
from kayan.document import Document
from kayan.formats import FormatError
from kayan.formats.registry import ENDINGS


def is_predictions(name: str | None) -> bool:
    """Whether `name` is a file of predictions rather than a checkpoint."""
    return name is not None and Path(name).suffix.lower() in ENDINGS and not Path(name).is_dir()


def read(path: str | Path, gold: Sequence[Document], labels: Mapping[str, str | None]) -> list[Document]:
    """The predictions of `path` (JSONL or CoNLL) for each gold article, on its text.

    Articles are found by id, else by their place where both files have equally many. The two texts may differ in white
    space alone, as they do where a system wrote tokens. `labels` renames types, as the description of the gold does.
    Raises `FormatError` naming the file and the article that is missing or reads differently.
    """
    found = [rename(document, labels) for document in load(path).documents]
    by_id = {document.id: document for document in found}
    if all(document.id in by_id for document in gold):
        return [_laid(path, document, by_id[document.id]) for document in gold]
    if len(found) != len(gold):
        missing = next(document.id for document in gold if document.id not in by_id)
        raise FormatError(
            path, None, f"no predictions for article {missing!r}; it has {len(found)} articles of {len(gold)}"
        )
    return [_laid(path, *pair) for pair in zip(gold, found, strict=True)]


def _laid(path: str | Path, gold: Document, predicted: Document) -> Document:
    if gold.text == predicted.text:
        return gold.with_spans(predicted.spans)
    ours, theirs = ([i for i, char in enumerate(document.text) if not char.isspace()] for document in (gold, predicted))
    place = dict(zip(theirs, ours, strict=False))
    for number, (i, j) in enumerate(zip(ours, theirs, strict=False)):
        if gold.text[i] != predicted.text[j]:
            here, there = gold.text[max(0, i - 10) : i + 10], predicted.text[max(0, j - 10) : j + 10]
            raise FormatError(
                path, None, f"article {gold.id!r} reads «{there}» where the gold has «{here}» (letter {number})"
            )
    if len(ours) != len(theirs):
        raise FormatError(path, None, f"article {gold.id!r} has {len(theirs)} letters; the gold has {len(ours)}")
    spans = []
    for span in predicted.spans:
        inside = [i for i in range(span.start, span.end) if i in place]
        if inside:
            spans.append(replace(span, start=place[inside[0]], end=place[inside[-1]] + 1, source=None))
    return gold.with_spans(spans)
