"""Annotations without their text, and the two put together again: `stage: join` of `python -m train.starter`.

Press text may be read but not redistributed. An annotation file therefore holds, for each article, the SHA-256 of its text
and the spans: `{"sha256", "spans": [{"start", "end", "label"}], "meta"}`, one article a line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from kayan.document import Document, DocumentError, Span
from kayan.formats import FormatError, jsonl, replacing
from train.config import Section
from train.rawtext import read


class Join(Section):
    """`stage: join`."""

    stage: Literal["join"]
    # A file of JSON lines, articles with their spans.
    output: str
    annotations: Annotated[list[str], Field(min_length=1)]
    # Put before relative paths of texts.
    root: str = "."
    # Files in which the articles stand, as in `train.rawtext`.
    texts: Annotated[list[str], Field(min_length=1)]

    def run(self, resume: bool) -> dict[str, Any]:
        texts = [Path(self.root) / path for path in self.texts]
        documents = join(self.annotations, texts)
        Path(self.output).parent.mkdir(parents=True, exist_ok=True)
        jsonl.write(self.output, documents)
        return {"articles": len(documents), "mentions": sum(len(document.spans) for document in documents)}


def digest(text: str) -> str:
    """By which an article is known."""
    return hashlib.sha256(text.encode()).hexdigest()


def detach(path: str | Path, documents: Iterable[Document]) -> None:
    """Write the annotations of the documents, without their text and id."""
    with replacing(path) as file:
        for document in documents:
            spans = [{"start": span.start, "end": span.end, "label": span.label} for span in document.spans]
            line = {"sha256": digest(document.text), "spans": spans, "meta": dict(document.meta)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def join(annotations: Iterable[str | Path], texts: Iterable[str | Path]) -> list[Document]:
    """The annotated articles, in the order of the annotation files; an article's id is the start of its digest.

    Raises `FormatError` naming the line for a broken record, for an article that no file of `texts` has, and for spans
    outside its text.
    """
    known = {digest(text): text for path in texts for text in read(path)}
    return [
        _joined(path, number, line, known)
        for path in annotations
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1)
    ]


def _joined(path: str | Path, number: int, line: str, known: Mapping[str, str]) -> Document:
    try:
        record = json.loads(line)
        mark = record["sha256"]
        spans = [Span(span["start"], span["end"], span["label"]) for span in record["spans"]]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(path, number, f"not an annotation record: {error!r}") from None
    if mark not in known:
        raise FormatError(path, number, f"no text has the SHA-256 {mark}; look for the version annotated")
    try:
        return Document(known[mark], spans, mark[:12], record.get("meta"))
    except DocumentError as error:
        raise FormatError(path, number, str(error)) from None
