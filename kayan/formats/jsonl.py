"""JSON lines: `{"id", "text", "spans": [{"start", "end", "label"}], "meta"}`, one article a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kayan.document import Document, DocumentError, Span
from kayan.formats import SURROGATE, FormatError, halved, parse_json, read_text, reason, replacing

_KEYS = {"id", "text", "spans", "meta"}
_SPAN_KEYS = {"start", "end", "label", "score", "text"}


def read(path: str | Path) -> list[Document]:
    """The articles of a file, in order.

    A missing "id" becomes the line number, missing "spans" and "meta" are empty; a span may carry "score" and the
    quoted "text", which must then equal `text[start:end]`. Raises `FormatError` with the file, line and article.
    """
    return [document for document, _ in numbered(path)]


def numbered(path: str | Path) -> list[tuple[Document, tuple[int]]]:
    """The articles of a file as `read` gives them, each with the number of its line."""
    documents = []
    seen: dict[str, int] = {}
    # Not splitlines(): it also breaks at U+2028, U+0085 and others that JSON strings may hold.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        document = parse(line, path, number)
        if document.id in seen:
            raise FormatError(path, number, f"article {document.id!r} has the id of line {seen[document.id]}")
        seen[document.id] = number
        documents.append((document, (number,)))
    return documents


def parse(line: str, path: str | Path, number: int) -> Document:
    """The article on one line; `path` and `number` are for messages and a missing id."""
    record = parse_json(line, path, number)
    if not isinstance(record, dict):
        raise FormatError(path, number, f"expected an object with {_listed(_KEYS)}, found {type(record).__name__}")
    identity = record.get("id", str(number))
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if not isinstance(identity, str):
        raise FormatError(path, number, f'"id" must be a string, not {identity!r}')
    where = f"article {identity!r}"
    if unknown := record.keys() - _KEYS:
        raise FormatError(path, number, f"{where}: unknown key {_listed(unknown)}; accepted are {_listed(_KEYS)}")
    if not isinstance(record.get("text"), str):
        raise FormatError(path, number, f'{where}: "text" must be a string')
    if half := SURROGATE.search(record["text"]):
        # No encoding can write it, so everything after this point would fail without a place to name.
        raise FormatError(path, number, f'{where}: "text" has half a character, {half[0]!r} at {half.start()}')
    if wrong := halved(record, line):
        raise FormatError(path, number, f"{where}: {wrong}")
    if not isinstance(spans := record.get("spans", []), list) or not isinstance(meta := record.get("meta", {}), dict):
        raise FormatError(path, number, f'{where}: "spans" must be a list and "meta" an object')
    try:
        return Document(record["text"], [_span(item, record["text"]) for item in spans], identity, meta)
    except (DocumentError, TypeError) as error:
        raise FormatError(path, number, f"{where}: {reason(error)}") from None


def write(path: str | Path, documents: Iterable[Document]) -> None:
    """Write the articles, one a line; the file appears only when it is complete."""
    with replacing(path) as file:
        file.writelines(lines(documents))


def lines(documents: Iterable[Document]) -> Iterator[str]:
    """One line for each article, with its line feed."""
    for document in documents:
        yield json.dumps(record(document), ensure_ascii=False) + "\n"


def record(document: Document, text: bool = False) -> dict[str, Any]:
    """The article as a JSON object; with `text`, each span quotes its surface."""
    spans = []
    for span in document.spans:
        item: dict[str, Any] = {"start": span.start, "end": span.end, "label": span.label}
        if span.score is not None:
            item["score"] = round(span.score, 4)
        if text:
            item["text"] = span.text
        spans.append(item)
    entry: dict[str, Any] = {"id": document.id, "text": document.text, "spans": spans}
    if document.meta:
        entry["meta"] = dict(document.meta)
    return entry


def _span(item: Any, text: str) -> Span:
    if not isinstance(item, dict) or not {"start", "end", "label"} <= item.keys():
        raise DocumentError(f'a span must be an object with "start", "end" and "label", not {item!r}')
    if unknown := item.keys() - _SPAN_KEYS:
        raise DocumentError(f"span {item!r}: unknown key {_listed(unknown)}; accepted are {_listed(_SPAN_KEYS)}")
    span = Span(item["start"], item["end"], item["label"], item.get("score"), text)
    if "text" in item:
        check_quote(span, item["text"], text)
    return span


def check_quote(span: Span, quoted: Any, text: str) -> None:
    """Raise `DocumentError` for a span within the text that quotes something else than it holds there."""
    if span.end <= len(text) and quoted != text[span.start : span.end]:
        raise DocumentError(
            f"span [{span.start}, {span.end}) quotes {quoted!r} but the text there is {text[span.start : span.end]!r}; "
            "offsets count Unicode code points from 0, the end is exclusive"
        )


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f'"{key}"' for key in sorted(keys))
