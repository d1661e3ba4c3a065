"""doccano JSONL, one article a line: `"label": [[start, end, type]]`, or `"entities"` and `"relations"` of relation projects.

Its page counts UTF-16 units, or graphemes in a project with "count grapheme clusters as one character"; the server takes
the numbers as they come, and quotes nothing to check them by (checked with 1.8). What else a line holds is metadata of the
article; kayan writes its own under one key, `meta`, because an import fails at keys that some lines lack.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kayan.document import Document, Span
from kayan.formats import SURROGATE, FormatError, halved, merged_meta, parse_json, read_text, reason, replacing
from kayan.formats.offsets import points

_LABELS = ("label", "labels", "entities")


def read(path: str | Path, *, counting: str | None = None) -> list[Document]:
    """The articles of an export, in order.

    counting: how offsets count, "utf-16", "graphemes" (needs the `regex` package) or "code points", as files that other
        programs wrote may. UTF-16 units where None; then an article in which that cuts characters or lays mentions in
        white space, and code points do not, is refused.

    An export has articles that nobody has confirmed, without mentions, unless only approved ones are exported.
    Comments are kept in `meta`; relations are counted in a warning, because a `Document` holds spans alone. Raises
    `FormatError` with file, line, article and the text in question.
    """
    path = Path(path)
    documents: dict[str, Document] = {}
    relations = 0
    # Not splitlines(): it also breaks at U+2028, U+0085 and others that JSON strings may hold.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        record = parse_json(line, path, number)
        if not isinstance(record, dict):
            raise FormatError(path, number, f"expected an object, one article a line, found {type(record).__name__}")
        identity = str(record.get("id", number))
        try:
            if not isinstance(found := record.get("relations") or [], list):
                raise ValueError(f'"relations" must be a list, not {found!r}')
            relations += len(found)
            document = _document(record, identity, counting)
            if wrong := halved(record, line):
                raise ValueError(wrong)
        except ValueError as error:
            raise FormatError(path, number, f"article {identity!r}: {reason(error)}") from None
        if identity in documents:
            raise FormatError(path, number, f"a second article {identity!r}")
        documents[identity] = document
    if relations:
        warnings.warn(f"{path}: {relations} relations are left out", stacklevel=2)
    return list(documents.values())


def write(
    path: str | Path, documents: Iterable[Document], *, relations: bool = False, counting: str = "utf-16"
) -> None:
    """Write the articles to import; the file appears only when it is complete.

    relations: in the shape of projects with relations, with entities that have numbers.
    counting: "utf-16" as doccano shows them, "graphemes" for a project that counts these, or "code points".

    An import drops overlapping mentions, all but the first, unless the project allows them. Scores have no place and are
    counted in a warning. Raises `ValueError` naming article and mention where an edge lies within a grapheme, and for an
    article without text, which doccano refuses.
    """
    scores = 0
    with replacing(path) as file:
        for document in documents:
            if not document.text:
                raise ValueError(f"article {document.id!r} has no text; doccano takes none without")
            at = {point: offset for offset, point in points(document.text, counting).items()}
            for span in document.spans:
                if not {span.start, span.end} <= at.keys():
                    raise ValueError(
                        f"article {document.id!r}: {span.text!r} at {span.start} begins or ends within a grapheme"
                    )
            scores += sum(span.score is not None for span in document.spans)
            entry: dict[str, Any] = {"id": document.id, "text": document.text}
            if relations:
                entry["entities"] = [
                    {"id": i, "start_offset": at[span.start], "end_offset": at[span.end], "label": span.label}
                    for i, span in enumerate(document.spans)
                ]
                entry["relations"] = []
            else:
                entry["label"] = [[at[span.start], at[span.end], span.label] for span in document.spans]
            file.write(json.dumps({**entry, "meta": dict(document.meta)}, ensure_ascii=False) + "\n")
    if scores:
        warnings.warn(f"{path}: doccano has no place for scores, {scores} are left out", stacklevel=2)


def _document(record: dict[str, Any], identity: str, counting: str | None) -> Document:
    text = record.get("text")
    if not isinstance(text, str):
        raise ValueError(f'"text" must be a string; the line has {", ".join(map(repr, record))}')
    if half := SURROGATE.search(text):
        raise ValueError(f'"text" has half a character, {half[0]!r} at {half.start()}')
    keys = [key for key in _LABELS if record.get(key) is not None]
    if len(keys) > 1:
        raise ValueError(f"has mentions in {' and '.join(keys)}; one of them is expected")
    items = record[keys[0]] if keys else []
    if not isinstance(items, list):
        raise ValueError(f'"{keys[0]}" must be a list, not {items!r}')
    mentions = [_mention(item) for item in items]
    edges = _edges(text, [(start, end) for start, end, _ in mentions], counting)
    spans = [Span(start, end, label) for (start, end), (_, _, label) in zip(edges, mentions, strict=True)]
    # An export fills keys that other lines have with null, and has the list of comments without any.
    rest = {k: v for k, v in record.items() if v is not None and (k, v) != ("Comments", [])}
    rest = {k: v for k, v in rest.items() if k not in {"id", "text", "relations", *_LABELS}}
    return Document(text, spans, identity, merged_meta(rest, "line"))


def _mention(item: Any) -> tuple[int, int, str]:
    values = [item.get(key) for key in ("start_offset", "end_offset", "label")] if isinstance(item, dict) else item
    if isinstance(values, list) and len(values) == 3:
        start, end, label = values
        if type(start) is int and type(end) is int and isinstance(label, str):
            return start, end, label
    raise ValueError(f'expected [start, end, type] or "start_offset", "end_offset" and "label", found {item!r}')


def _edges(text: str, offsets: Sequence[tuple[int, int]], counting: str | None) -> list[tuple[int, int]]:
    at = points(text, counting or "utf-16")
    edges = [(at[start], at[end]) for start, end in offsets if start in at and end in at]
    plain = points(text, "code points")
    if (
        counting is None
        and not _sound(text, edges, offsets)
        and _sound(text, other := [(a, b) for a, b in offsets if a in plain and b in plain], offsets)
    ):
        surfaces = ", ".join(repr(text[a:b]) for a, b in other[:3])
        raise ValueError(
            f"offsets do not count UTF-16 units, as doccano does; in code points they mark {surfaces}: "
            "if that is right, say so with `counting`"
        )
    for start, end in offsets:
        if start not in at or end not in at:
            raise ValueError(f"[{start}, {end}) is outside the text or cuts a character in two; it has {max(at)} units")
    return edges


def _sound(text: str, edges: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]) -> bool:
    """Whether all offsets are there, and no mention begins or ends with white space."""
    surfaces = [text[start:end] for start, end in edges]
    return len(edges) == len(offsets) and all(surface == surface.strip() for surface in surfaces)
