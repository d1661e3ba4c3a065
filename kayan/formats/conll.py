"""CoNLL columns: a token a line with its tag, a blank line after each sentence; IOB1, IOB2, IO and BIOES read, IOB2 written.

Files without the original text are joined into natural text, punctuation attached as in print, and the token offsets are
kept in `Document.meta["tokens"]` (with `meta["tags"]`, their IOB2 tags, `meta["sentences"]`, token ranges, and
`meta["orphans"]`, the tokens whose tag continues nothing, if any; `columns` reads them), so that token-level scoring stays
exact. Files that kayan writes carry the text in `# text =` lines and read back unchanged.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kayan.document import Document, Span, ranges
from kayan.formats import FormatError, read_text, replacing
from kayan.words import sentences, words

_TAG = re.compile(r"O|([BIESLU])-(\S+)")
_COMMENT = re.compile(r"#\s*(newdoc id|id|text)\s*=\s?(.*)")
_TO_BI = {"S": "B", "U": "B", "E": "I", "L": "I"}
_CLOSING = frozenset("،؛:.!؟?,;)]}»”’%٪…") | {"...", ".."}
_OPENING = frozenset("([{«“‘")
_EDGE = " \t«»\"“”‘’'()[]{}،؛:.!؟?,;…"


def read(path: str | Path, token: int = 0, tag: int = -1, group: int = 1) -> list[Document]:
    """The documents of a file.

    token, tag: which columns (0 is the first, −1 the last) hold the word and its tag; columns are split at tabs where
        the line has one, at spaces elsewhere.
    group: sentences that make one document where the file has no document marks (`# id = …`, `# newdoc id = …`,
        `-DOCSTART-`).
    Raises `FormatError` with the line for a missing column, a tag that is no O, B-X, I-X, E-X, S-X, L-X or U-X, or a
    second article of one id, and for a file without a sentence.
    """
    return [document for document, _ in numbered(path, token, tag, group)]


def numbered(path: str | Path, token: int = 0, tag: int = -1, group: int = 1) -> list[tuple[Document, tuple[int, ...]]]:
    """The documents of a file as `read` gives them, each with the line numbers of its tokens."""
    if group < 1:
        raise ValueError(f"group must be at least 1 sentence, not {group}")
    path = Path(path)
    documents: list[Document] = []
    lines: list[tuple[int, ...]] = []
    seen: dict[str, int] = {}
    sentence, identity, marked = _Sentence(), "", False
    pending: list[_Sentence] = []

    def close() -> None:
        nonlocal pending
        if pending:
            name = identity or f"{path.stem}-{len(documents) + 1}"
            if name in seen:
                raise FormatError(path, pending[0].line, f"article {name!r} has the id of the one at line {seen[name]}")
            seen[name] = pending[0].line
            documents.append(_document(pending, name, path))
            lines.append(tuple(part.line + i for part in pending for i in range(len(part.tokens))))
        pending = []

    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        line = line.rstrip("\r")
        comment = _COMMENT.match(line)
        docstart = line.startswith("-DOCSTART-")
        if not line.strip() or comment or docstart:
            if sentence.tokens:
                pending.append(sentence)
                if not marked and len(pending) == group:
                    close()
                sentence = _Sentence()
            if docstart or (comment and comment[1] != "text"):
                close()
                marked, identity = True, comment[2].strip() if comment else ""
            elif comment:
                sentence.text = _unescape(comment[2])
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        try:
            word, label = columns[token].strip(), columns[tag].strip()
        except IndexError:
            word = ""
        if len(columns) < 2 or not word:
            raise FormatError(path, number, f"expected a word and a tag in columns {token} and {tag}, found {line!r}")
        if not _TAG.fullmatch(label):
            raise FormatError(path, number, f"unknown tag {label!r}; accepted are O, B-X, I-X, E-X, S-X, L-X, U-X")
        sentence.tokens.append(word)
        sentence.tags.append(label)
        sentence.line = sentence.line or number
    close()
    if not documents:
        raise FormatError(path, None, "holds no sentence")
    return list(zip(iob2(documents), lines, strict=True))


@dataclass(frozen=True)
class Columns:
    """The tokens of a CoNLL file in a document: half-open character offsets, IOB2 tags, sentences as token ranges, and the
    numbers of the tokens whose I-, E- or L- begins a mention. Behind O or another type it is I- in `tags`, too; behind
    the end of a mention of its type (S-, E-) it is B- there, as that is what IOB2 has."""

    tokens: list[tuple[int, int]]
    tags: list[str]
    sentences: list[tuple[int, int]]
    orphans: frozenset[int] = frozenset()


def columns(document: Document) -> Columns | None:
    """The columns that `read` kept in the document's `meta`; None where it has none, or other things by their names."""
    tokens, tags = ranges(document.meta.get("tokens"), len(document.text)), document.meta.get("tags")
    if not tokens or not isinstance(tags, list | tuple) or len(tags) != len(tokens):
        return None
    sentences = ranges(document.meta.get("sentences"), len(tokens))
    if not sentences or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        return None
    orphans = document.meta.get("orphans", ())
    listed = {i for i in orphans if type(i) is int} if isinstance(orphans, list | tuple) else set()
    marked = frozenset(i for i, tag in enumerate(tags) if tag != "O" and i in listed)
    return Columns(tokens, list(tags), sentences, marked)


def iob2(documents: Sequence[Document]) -> list[Document]:
    """The documents of a corpus with the tags in their `meta` in IOB2, whatever the scheme."""
    return list(documents) if _starts_with_b(documents) else [_as_iob2(document) for document in documents]


def _starts_with_b(documents: Sequence[Document]) -> bool:
    """Whether most mentions begin with B-: then an I- that continues nothing is a slip; otherwise the file is IOB1 or IO,
    where I- is how a mention begins."""
    orphans = sum(len(document.meta.get("orphans", ())) for document in documents)
    return 2 * orphans <= sum(len(document.spans) for document in documents)


def _as_iob2(document: Document) -> Document:
    tags = ["O"] * len(document.meta["tags"])
    for first, last in document.meta["sentences"]:
        for a, b, label in mentions(document.meta["tags"][first:last]):
            tags[first + a : first + b] = [f"B-{label}", *[f"I-{label}"] * (b - a - 1)]
    meta = {key: value for key, value in document.meta.items() if key != "orphans"}
    return Document(document.text, document.spans, document.id, {**meta, "tags": tags})


def write(path: str | Path, documents: Iterable[Document]) -> None:
    """Write the articles as IOB2; the file appears only when it is complete. Raises as `lines` does."""
    with replacing(path) as file:
        file.writelines(lines(documents))


def lines(documents: Iterable[Document]) -> Iterator[str]:
    """The lines of the articles. Raises as `tagged` does."""
    for document in documents:
        if document.id != " ".join(document.id.split()):
            raise ValueError(f"article {document.id!r}: CoNLL cannot hold an id with line breaks or odd white space")
        yield f"# id = {document.id}\n"
        for text, rows in tagged(document):
            yield f"# text = {_escape(text)}\n"
            yield from (f"{token}\t{tag}\n" for token, tag in rows)
            yield "\n"


def tagged(document: Document) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The sentences of the article, which together are its text, each with its tokens and their IOB2 tags. A word is cut
    where a mention begins or ends in it («ب», «مراكش»), so nothing is lost.

    Raises `ValueError` naming the article when two of its spans overlap, when one begins or ends with white space, or
    holds no word: columns cannot say that.
    """
    spans = document.spans
    for span in spans:
        if not _TAG.fullmatch(f"B-{span.label}"):
            raise ValueError(f"article {document.id!r}: the label {span.label!r} of {span.text!r} holds white space")
    for one, other in itertools.pairwise(spans):
        if one.overlaps(other):
            raise ValueError(
                f"article {document.id!r}: {one.text!r} and {other.text!r} overlap; CoNLL cannot hold both"
            )
    cuts = sorted({edge for span in spans for edge in (span.start, span.end)})
    pieces = _stretched([piece for word in words(document.text) for piece in _cut(*word, cuts)], document)
    tags = _piece_tags(pieces, spans)
    starts = [start for start, _ in sentences(document.text)]
    # The spans do not overlap: only the last that begins before may hold the start of a sentence.
    begun = [bisect_left(spans, start, key=lambda span: span.start) - 1 for start in starts]
    starts = [start for start, k in zip(starts, begun, strict=True) if k < 0 or spans[k].end <= start]
    edges, begins = [0], [begin for begin, _ in pieces]
    for start in [*starts[1:], len(document.text)]:
        if bisect_left(begins, start) > bisect_left(begins, edges[-1]):
            edges.append(start)
        elif len(edges) > 1:
            # A stretch without a word has no lines of its own: it goes with the one before, or at first after.
            edges[-1] = start
    k = 0
    for start, end in itertools.pairwise(edges):
        first = k
        while k < len(pieces) and pieces[k][0] < end:
            k += 1
        yield document.text[start:end], [(document.text[slice(*pieces[i])], tags[i]) for i in range(first, k)]


def mentions(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Mentions `(first, end, label)`, half-open in tokens, of a sentence's tags in any of the schemes.

    An I- or E- that continues nothing starts a mention, as in conlleval.

    >>> mentions(["I-PER", "I-PER", "O", "B-LOC", "B-LOC", "E-LOC", "S-PER"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 6, 'LOC'), (6, 7, 'PER')]
    """
    found: list[tuple[int, int, str]] = []
    start, label = -1, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if start >= 0 and (name != label or prefix in "BSU"):
            found.append((start, i, label))
            start, label = -1, ""
        if name and start < 0:
            start, label = i, name
        if prefix in ("E", "S", "L", "U"):
            found.append((start, i + 1, label))
            start, label = -1, ""
    return found


class _Sentence:
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.tags: list[str] = []
        self.text: str | None = None
        self.line = 0


def document(
    rows: Iterable[tuple[Sequence[str], Sequence[str], str | None]], identity: str, path: str | Path
) -> Document:
    """The article whose sentences have these tokens, these tags of any scheme and, where it is known, this text, as `read`
    makes one of a file; `path` is for messages. Raises `FormatError` for another tag or a token that the text lacks."""
    parts = []
    for tokens, tags, text in rows:
        if wrong := next((tag for tag in tags if not _TAG.fullmatch(tag)), None):
            raise FormatError(path, None, f"unknown tag {wrong!r}; accepted are O, B-X, I-X, E-X, S-X, L-X, U-X")
        part = _Sentence()
        part.tokens, part.tags, part.text = list(tokens), list(tags), text
        parts.append(part)
    return _document(parts, identity, Path(path))


def _document(parts: list[_Sentence], identity: str, path: Path) -> Document:
    text = ""
    offsets: list[tuple[int, int]] = []
    tags: list[str] = []
    sentences: list[list[int]] = []
    orphans: list[int] = []
    spans: list[Span] = []
    for part in parts:
        if part.text is None:
            text += " " if text and not text[-1].isspace() else ""
            joined, local = join(part.tokens)
        else:
            joined, local = part.text, _locate(part, path)
        first = len(offsets)
        offsets += [(a + len(text), b + len(text)) for a, b in local]
        tags += [_TO_BI.get(tag[0], tag[0]) + tag[1:] for tag in part.tags]
        sentences.append([first, len(offsets)])
        text += joined
        for a, b, label in mentions(part.tags):
            if part.tags[a][0] in "IEL":
                orphans.append(first + a)
                if a and part.tags[a - 1][2:] == label:
                    tags[first + a] = f"B-{label}"
            start, end = offsets[first + a][0], offsets[first + b - 1][1]
            # Where the text is known the tokens are exact; elsewhere they carry quotation marks («الأهرام» as one token).
            spans.append(Span(*((start, end) if part.text is not None else _trim(text, start, end)), label))
    meta = {"tokens": [list(pair) for pair in offsets], "tags": tags, "sentences": sentences}
    meta |= {"orphans": orphans} if orphans else {}
    return Document(text, spans, identity, meta)


def join(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Natural text for a sentence's tokens, and the half-open offsets of each: closing punctuation attached to the word
    before, opening punctuation to the word after, straight quotation marks by turns."""
    text, offsets, glue, quoted = "", [], True, False
    for token in tokens:
        straight = token in ('"', "''", "``")
        closes = token in _CLOSING or (straight and quoted)
        if not (glue or closes):
            text += " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
        glue = token in _OPENING or (straight and not quoted)
        quoted ^= straight
    return text, offsets


def _locate(part: _Sentence, path: Path) -> list[tuple[int, int]]:
    assert part.text is not None
    offsets, end = [], 0
    for i, token in enumerate(part.tokens):
        start = part.text.find(token, end)
        if start < 0 or (part.text[end:start].strip() and words(part.text[end:start])):
            raise FormatError(
                path, part.line and part.line + i, f"token {token!r} is not the next one of its sentence's text"
            )
        end = start + len(token)
        offsets.append((start, end))
    return offsets


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The mention without the quotation marks and punctuation that its tokens carry, where anything is left."""
    kept = text[start:end].strip(_EDGE)
    if not kept:
        return start, end
    start += text[start:end].index(kept)
    end = start + len(kept)
    # A bracket opened inside the mention closes inside it: «(OCP)» at the end of a name.
    if "(" in kept and text[end : end + 1] == ")" and kept.count("(") > kept.count(")"):
        end += 1
    return start, end


def _cut(start: int, end: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    edges = [start, *cuts[bisect_right(cuts, start) : bisect_left(cuts, end)], end]
    yield from itertools.pairwise(edges)


def _stretched(pieces: list[tuple[int, int]], document: Document) -> list[tuple[int, int]]:
    """The pieces with the first and last of each mention drawn out to its ends, which may be invisible marks."""
    starts, ends = [a for a, _ in pieces], [b for _, b in pieces]
    for span in document.spans:
        first, last = bisect_right(ends, span.start), bisect_left(starts, span.end) - 1
        if first <= last:
            starts[first], ends[last] = span.start, span.end
        edges = (
            ""
            if first > last
            else document.text[starts[first] : ends[first]] + document.text[starts[last] : ends[last]]
        )
        if first > last or re.search(r"\s", edges):
            raise ValueError(
                f"article {document.id!r}: {span.text!r} holds no word or ends in white space; check the data"
            )
    return list(zip(starts, ends, strict=True))


def _piece_tags(pieces: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    tags: list[str] = []
    k = 0
    for start, end in pieces:
        while k < len(spans) and spans[k].end <= start:
            k += 1
        if k < len(spans) and spans[k].start < end:
            first = not tags or spans[k].start >= start or tags[-1] == "O" or pieces[len(tags) - 1][1] <= spans[k].start
            tags.append(f"{'B' if first else 'I'}-{spans[k].label}")
        else:
            tags.append("O")
    return tags


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescape(text: str) -> str:
    return re.sub(r"\\([nr\\])", lambda m: {"n": "\n", "r": "\r", "\\": "\\"}[m[1]], text)
