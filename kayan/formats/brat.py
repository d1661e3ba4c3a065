"""brat standoff: a folder of texts (.txt) with their annotations (.ann), or one such pair; the file's name is the id.

Offsets are code points; in files of other programs they may be UTF-16 units, which the quoted mention decides. A mention
across a line break is stored as fragments, one a line, and is one span here.
"""

from __future__ import annotations

import codecs
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from kayan.document import Document, DocumentError, Span
from kayan.formats import FormatError, decode, read_text, replacing
from kayan.formats.offsets import COUNTINGS, OffsetError, locate, points

_MENTION = re.compile(r"T\S*\t(\S+) (\d{1,18} \d{1,18}(?:;\d{1,18} \d{1,18})*)(?:\t(.*))?")
_KINDS = {
    "R": "relations",
    "*": "equivalences",
    "E": "events",
    "A": "attributes",
    "M": "modifications",
    "N": "normalisations",
    "#": "notes",
}
# Without this brat marks nested mentions as errors.
_OVERLAP = "<OVERLAP>\tArg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>"
# What would end a line or a column of an .ann file: brat cuts a mention there.
_BREAK = re.compile(r"(?<!\s)\s++")
_ENDS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

_NO_NAME = re.compile(r'[\\:*?"<>|\x00-\x1f\ud800-\udfff]')


def read(path: str | Path, *, counting: str | None = None) -> list[Document]:
    """The annotated articles of a folder and the folders in it, in the order of their ids, or the one of a pair.

    counting: "code points" or "utf-16", where what is quoted does not decide it.

    An id is the file's path in the folder, without its ending. Lines that are no mentions (relations, events, attributes,
    notes; an event's trigger is a mention) are counted in a warning, and so are texts without an .ann file. Raises
    `FormatError` with file, line and the mention in question, also for one of several fragments with words between.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob("*.ann"))
        texts = {text.with_suffix(".ann") for text in path.rglob("*.txt")}
        root = path
    else:
        if path.suffix not in (".ann", ".txt"):
            raise FormatError(path, None, "is no folder and no .ann or .txt file")
        files, texts, root = [path.with_suffix(".ann")], set[Path](), path.parent
    if not files:
        raise FormatError(path, None, "holds no .ann file")
    unread: Counter[str] = Counter()
    documents = [_article(file, file.relative_to(root).with_suffix("").as_posix(), counting, unread) for file in files]
    if unread:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(unread.items()))
        warnings.warn(f"{path}: only mentions are read; left out are {listed}", stacklevel=2)
    if bare := texts - set(files):
        warnings.warn(f"{path}: {len(bare)} texts have no .ann file and are left out", stacklevel=2)
    return sorted(documents, key=lambda document: document.id)


def write(path: str | Path, documents: Iterable[Document]) -> None:
    """Write a folder: a .txt and an .ann file for each article, named by its id, and annotation.conf with the types.

    Metadata and scores have no place and are counted in a warning. Raises `ValueError`, before anything is written, for
    an article whose id is no file name or that has no text, a type that is more than letters, digits, - and _, a mention
    that begins or ends with a line break, two ids that differ in case alone, and a folder that holds other articles.
    """
    path, documents = Path(path), list(documents)
    contents: dict[Path, str] = {}
    seen: dict[str, str] = {}
    for document in documents:
        name = path / f"{document.id}.txt"
        parts = document.id.split("/")
        if any(not part.strip(". ") or _NO_NAME.search(part) or len(part.encode()) > 200 for part in parts):
            raise ValueError(f"article {document.id!r}: its id cannot be the name of a file")
        if document.id.casefold() in seen:
            raise ValueError(f"articles {seen[document.id.casefold()]!r} and {document.id!r} would share a file")
        seen[document.id.casefold()] = document.id
        if not document.text.removeprefix("\ufeff").strip():
            raise ValueError(f"article {document.id!r} has no text")
        contents[name] = document.text
        contents[name.with_suffix(".ann")] = "".join(
            _line(i, span, document) for i, span in enumerate(document.spans, 1)
        )
    if other := sorted({*path.rglob("*.ann"), *path.rglob("*.txt")} - contents.keys()):
        raise ValueError(
            f"{path} holds {other[0].relative_to(path)}, which is none of these articles; choose another folder"
        )
    types = sorted({span.label for document in documents for span in document.spans})
    contents[path / "annotation.conf"] = "\n".join(
        ["[entities]", *types, "", "[relations]", _OVERLAP, "", "[events]", "", "[attributes]", ""]
    )
    for name, content in contents.items():
        with replacing(name) as file:
            file.write(content)
    scores = sum(span.score is not None for document in documents for span in document.spans)
    metas = sum(bool(document.meta) for document in documents)
    if scores or metas:
        warnings.warn(
            f"{path}: brat has no place for scores ({scores}) and metadata (of {metas} articles), which are left out",
            stacklevel=2,
        )


def _line(number: int, span: Span, document: Document) -> str:
    where = f"article {document.id!r}: {span.text!r} at {span.start}"
    if not re.fullmatch(r"\w[\w-]*", span.label):
        raise ValueError(f"{where}: brat takes only letters, digits, - and _ in a type, not {span.label!r}")
    cuts = [match.span() for match in _BREAK.finditer(span.text) if _ENDS.search(match[0])]
    if any(start == 0 or end == len(span.text) for start, end in cuts):
        raise ValueError(f"{where}: it begins or ends with a line break or a tab, which brat cannot hold")
    edges = [0, *(edge for cut in cuts for edge in cut), len(span.text)]
    fragments = list(zip(edges[::2], edges[1::2], strict=True))
    offsets = ";".join(f"{span.start + start} {span.start + end}" for start, end in fragments)
    surface = " ".join(span.text[start:end] for start, end in fragments)
    return f"T{number}\t{span.label} {offsets}\t{surface}\n"


def _article(file: Path, identity: str, counting: str | None, unread: Counter[str]) -> Document:
    source = file.with_suffix(".txt")
    text = read_text(source)
    if source.read_bytes().startswith(codecs.BOM_UTF8):
        # brat counts the mark as a character.
        text = "\ufeff" + text
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FormatError(file, None, f"cannot be read: {error.strerror}") from None
    maps: dict[str, dict[int, int]] = {}
    rows = []
    for number, line in enumerate(decode(data, file).split("\n") if data.strip() else [], 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        if line[0] in _KINDS:
            unread[_KINDS[line[0]]] += 1
        elif match := _MENTION.fullmatch(line):
            fragments = [(int(a), int(b)) for a, b in (pair.split() for pair in match[2].split(";"))]
            if len(fragments) > 1 and not maps:
                maps = {way: points(text, way) for way in ([counting] if counting else COUNTINGS[:2])}
            if len(fragments) > 1 and not any(_joined(text, fragments, at) for at in maps.values()):
                raise FormatError(
                    file,
                    number,
                    f"{match[3]!r} is of several fragments, {match[2]}, with words between; "
                    "only one that line breaks divide can be read",
                )
            rows.append((number, match[1], (fragments[0][0], fragments[-1][1], match[3])))
        else:
            raise FormatError(
                file,
                number,
                f"expected 'T1<tab>TYPE start end<tab>mention' or a line that begins with "
                f"{', '.join(_KINDS)}, found {line!r}",
            )
    try:
        edges = locate(text, [mention for _, _, mention in rows], counting)
    except OffsetError as error:
        raise FormatError(file, rows[error.index][0], str(error)) from None
    try:
        spans = [Span(start, end, label) for (start, end), (_, label, _) in zip(edges, rows, strict=True)]
    except DocumentError as error:
        raise FormatError(file, None, str(error)) from None
    return Document(text, spans, identity)


def _joined(text: str, fragments: Sequence[tuple[int, int]], at: dict[int, int]) -> bool:
    """Whether only white space lies between the fragments; `at` maps their offsets to code points."""
    gaps = [(end, start) for (_, end), (start, _) in itertools.pairwise(fragments)]
    return all(end in at and start in at and text[at[end] : at[start]].isspace() for end, start in gaps)
