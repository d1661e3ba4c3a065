"""spaCy's binary files (`.spacy`, a `DocBin`), read and written, on the tokens of `kayan.words`.

A word is cut where a mention begins or ends in it («ب», «مراكش»), so every mention is a run of tokens. `doc.ents` holds
them, the longer one of two that overlap; the other, and one that begins or ends with white space, which no spaCy model may
predict, stands in the span group "kayan". Id, meta and scores are JSON at `doc.user_data["kayan"]`.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kayan.document import Document, DocumentError, Span
from kayan.formats import FormatError, halved, parse_json, replacing_bytes
from kayan.words import words

GROUP = "kayan"
# Bytes that a file may unpack to; zlib makes a thousand of one.
_UNPACKED = 1_000_000_000


def read(path: str | Path, key: str | None = None) -> list[Document]:
    """The articles of a file, in order.

    key: the span group whose spans are the mentions, "sc" for what spaCy's span categoriser learns from; by default they
        are the entities and what kayan put in the group "kayan".
    An article without kayan's data is named by the file and its number. Other span groups, and links of entities to a
    knowledge base, are left out with a warning. Raises `FormatError` for a file that is no `DocBin`, for one without the
    group, without an entity but with other groups, or with an entity that has no label; ImportError naming the extra.
    """
    path = Path(path)
    spacy = _spacy()
    try:
        data = path.read_bytes()
        _check_size(data, path)
        docs = list(spacy.tokens.DocBin().from_bytes(data).get_docs(spacy.blank("ar").vocab))
        # What is wrong with a mention shows only when it is asked for.
        spans = [[*doc.ents, *(span for group in doc.spans.values() for span in group)] for doc in docs]
        _ = [span.label_ for found in spans for span in found]
    except OSError as error:
        raise FormatError(path, None, f"cannot be read: {error.strerror or error}") from None
    except FormatError:
        raise
    except Exception as error:  # Whatever zlib, msgpack and NumPy say of bytes that are something else.
        raise FormatError(path, None, f"is no file that spaCy {spacy.__version__} wrote with DocBin: {error}") from None
    groups = {name for doc in docs for name, group in doc.spans.items() if len(group)}
    if key is not None and docs and key not in groups:
        raise FormatError(path, None, f"has no span group {key!r}; found are {sorted(groups)}")
    others = sorted(groups - {GROUP, key})
    if key is None and others:
        if not any(doc.ents for doc in docs) and GROUP not in groups:
            raise FormatError(path, None, f"has no entities, but the span groups {others}; choose one: key=…")
        warnings.warn(f"{path}: the span groups {others} are not read", stacklevel=2)
    if key is None and any(ent.kb_id or ent.id for doc in docs for ent in doc.ents):
        warnings.warn(f"{path}: the ids of entities are not read", stacklevel=2)
    return [_document(doc, key, path, f"{path.stem}-{number}") for number, doc in enumerate(docs, 1)]


def write(path: str | Path, documents: Iterable[Document], key: str | None = None) -> None:
    """Write the articles; the file appears only when it is complete.

    key: a span group that takes all mentions, instead of entities. Raises ImportError naming the extra.
    """
    spacy = _spacy()
    vocab = spacy.blank("ar").vocab
    docs = [to_doc(document, vocab, key) for document in documents]
    with replacing_bytes(path) as file:
        file.write(spacy.tokens.DocBin(docs=docs, store_user_data=True).to_bytes())


def to_doc(document: Document, vocab: Any, key: str | None = None) -> Any:
    """The article as a `spacy.tokens.Doc` with the vocabulary of a pipeline (`nlp.vocab`)."""
    spacy = _spacy()
    tokens, spaces = _tokens(document)
    doc = spacy.tokens.Doc(vocab, words=tokens, spaces=spaces)
    spans = [doc.char_span(span.start, span.end, span.label) for span in document.spans]
    sound = [s for s, span in zip(spans, document.spans, strict=True) if key is None and span.text == span.text.strip()]
    entities = spacy.util.filter_spans(sound)
    doc.set_ents(entities, default="missing" if key else "outside")
    chosen = {id(entity) for entity in entities}
    if rest := [span for span in spans if id(span) not in chosen]:
        doc.spans[key or GROUP] = rest
    data: dict[str, Any] = {"id": document.id}
    if document.meta:
        data["meta"] = dict(document.meta)
    if scores := [[s.start, s.end, s.label, s.score] for s in document.spans if s.score is not None]:
        data["scores"] = scores
    doc.user_data[GROUP] = json.dumps(data, ensure_ascii=False)
    return doc


def _tokens(document: Document) -> tuple[list[str], list[bool]]:
    """Token texts, and whether a space that belongs to no token follows; together they are the text."""
    text = document.text
    starts, ends = {span.start for span in document.spans}, {span.end for span in document.spans}
    runs = [edge for match in re.finditer(r"\S+", text) for edge in match.span()]
    edges = sorted({0, len(text), *starts, *ends, *runs, *itertools.chain.from_iterable(words(text))})
    tokens: list[str] = []
    spaces: list[bool] = []
    for start, end in itertools.pairwise(edges):
        # A mention that begins or ends with this very space needs it as a token.
        bound = start in starts or (end == start + 1 and end in ends)
        if text[start] == " " and tokens and not spaces[-1] and not bound:
            spaces[-1] = True
            start += 1
        if start < end:
            tokens.append(text[start:end])
            spaces.append(False)
    return tokens, spaces


def _check_size(data: bytes, path: Path) -> None:
    """Refuse a file that unpacks to far more than it is, before spaCy unpacks it at once."""
    unpacked, inflater = 0, zlib.decompressobj()
    while data and not inflater.eof:
        unpacked += len(inflater.decompress(data, 1 << 20))
        data = inflater.unconsumed_tail
        if unpacked > _UNPACKED:
            raise FormatError(path, None, f"unpacks to more than {_UNPACKED / 1e6:,.0f} MB, which are read at most")


def _document(doc: Any, key: str | None, path: Path, name: str) -> Document:
    try:
        written = doc.user_data.get(GROUP, "{}")
        data = parse_json(written, path)
        if wrong := halved(data, written):
            raise ValueError(wrong)
        scores = {(start, end, label): score for start, end, label, score in data.get("scores", ())}
        name, meta = str(data.get("id", name)), dict(data.get("meta", {}))
    except (TypeError, ValueError, AttributeError):
        raise FormatError(path, None, f'article {name!r}: user_data["kayan"] holds something else') from None
    found = [*doc.ents, *doc.spans.get(GROUP, ())] if key is None else doc.spans.get(key, ())
    try:
        spans = [
            Span(s.start_char, s.end_char, s.label_, scores.get((s.start_char, s.end_char, s.label_))) for s in found
        ]
    except DocumentError as error:
        raise FormatError(path, None, f"article {name!r}: {error}") from None
    return Document(doc.text, spans, name, meta)


def _spacy() -> Any:
    try:
        import spacy
        import spacy.tokens
        import spacy.util
    except ImportError:
        raise ImportError("this needs the spacy package: pip install 'kayan[spacy]'") from None
    return spacy
