"""WebAnno TSV 3.3, as INCEpTION imports and exports it: a file an article, a token a line, a mention its layer's feature.

The offsets in such a file count UTF-16 units. Mentions that begin or end inside a written word («بمراكش») stand at
sub-tokens (`1-2.1`), those of several tokens share a number (`LOC[3]`). The format has no place for scores, nor for white
space at the edge of a mention. A line `#kayan={…}`, which INCEpTION passes over, holds id and meta of the article.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from kayan.document import Document, DocumentError, Span
from kayan.formats import SURROGATE, FormatError, halved, parse_json, read_text, replacing
from kayan.words import sentences, words

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_FORMAT = re.compile(r"#FORMAT=WebAnno TSV 3\.[23]")
_LAYER = re.compile(r"#T_(SP|CH|RL)=([^|]+)(?:\|(.*))?")
_UNIT = re.compile(r"\d+-\d+(?:\.\d+)?\t(\d+)-(\d+)")
# One of the values that stand on a token, apart from the number that tells which mention it is.
_VALUE = re.compile(r"((?:\\.|[^\\|\[])+)(?:\[(\d+)\])?(?:\||$)", re.DOTALL)
_RESERVED = re.compile(r"->|[\\\[\]|_;*\t\n]")
_CONTROL = re.compile(r"[\x00-\x08\x09\x0a\x0c-\x1f\\]")
_NAMED = {"\t": "t", "\n": "n", "\f": "f", "\r": "r", "\b": "b"}
_MEANT = {name: char for char, name in _NAMED.items()}
_NO_NAME = re.compile(r'^\.|[%/\\:*?"<>|\x00-\x1f\x7f]')


def read(path: str | Path, layer: str | None = None, feature: str | None = None) -> list[Document]:
    """The article of a `.tsv` file, or those of all such files in a folder, by the names of the files.

    layer: the span layer whose annotations are the mentions, by its full name or the last part of it ("NamedEntity"); it
        may be left out where a file has only one. feature: the one that holds the label; it may be left out where it is
        "value" or the only one. In a layer without features each annotation has the layer's name for its label.
    Without a `#kayan=` line an article's id is the name of its file. Values of other features are named in a warning.
    Raises `FormatError` with the line for a file of several layers, tokens that are not the text at their offsets, a
    mention without a label or without a character.
    """
    path = Path(path)
    paths = sorted(path.glob("*.tsv")) if path.is_dir() else [path]
    if not paths:
        raise FormatError(path, None, "is a folder without .tsv files; one for each article is expected")
    files = [_File.parse(path) for path in paths]
    if layer is not None and any(file.layers for file in files) and not any(map(_chooses(layer), files)):
        found = sorted({item.name for file in files for item in file.layers})
        raise FormatError(path, None, f"has no layer {layer!r}; found are {', '.join(found)}")
    seen: dict[str, Path] = {}
    documents = []
    for file in files:
        document = file.document(layer, feature)
        if document.id in seen:
            raise FormatError(file.path, None, f"article {document.id!r} has the id of the one in {seen[document.id]}")
        seen[document.id] = file.path
        documents.append(document)
    return documents


def write(path: str | Path, documents: Iterable[Document], layer: str = NAMED_ENTITY, feature: str = "value") -> None:
    """Write the only article to a `.tsv` file, or any number to a folder, each to a file of its own by its id.

    Scores are left out with a warning. Raises `ValueError` naming the article for a mention that begins or ends with
    white space, a text without a visible character, an id that is too long for a file, a second article of one id, several
    for one file, and a folder that holds other `.tsv` files. Nothing is written before all is known to be sound.
    """
    path, documents = Path(path), list(documents)
    single = path.suffix.lower() == ".tsv"
    if single and len(documents) != 1:
        raise ValueError(f"{path}: a file of WebAnno TSV holds one article, not {len(documents)}; name a folder")
    targets: dict[Path, str] = {}
    names: set[str] = set()
    for document in documents:
        target = path if single else path / f"{_file_name(document.id)}.tsv"
        if SURROGATE.search(document.id) or len(target.name.encode()) > 200:
            raise ValueError(f"article {document.id!r}: its id cannot be the name of a file")
        # Some file systems take a.tsv and A.tsv for one.
        if target.name.casefold() in names:
            raise ValueError(
                f"article {document.id!r} is there twice; the files are named by the ids, whatever their case"
            )
        names.add(target.name.casefold())
        targets[target] = "".join(lines(document, layer, feature))
    if not single and (others := sorted(set(path.glob("*.tsv")) - targets.keys())):
        raise ValueError(f"{path} holds other articles, {others[0].name} for one; name an empty folder")
    if scored := sum(span.score is not None for document in documents for span in document.spans):
        warnings.warn(f"{path}: WebAnno TSV has no place for scores; {scored} are left out", stacklevel=2)
    for target, text in targets.items():
        with replacing(target) as file:
            file.write(text)


def lines(document: Document, layer: str = NAMED_ENTITY, feature: str = "value") -> Iterator[str]:
    """The lines of the article's file; raises as `write` does."""
    text, tokens = document.text, _tokens(document.text)
    if not tokens:
        raise ValueError(f"article {document.id!r} has no visible character; WebAnno TSV needs a token")
    units = _utf16(text)
    values = _values(document, tokens)
    head: dict[str, Any] = {"id": document.id}
    # INCEpTION puts spaces before the first token whatever stood there.
    if text[: tokens[0][0]].strip(" "):
        head["before"] = text[: tokens[0][0]]
    if document.meta:
        head["meta"] = dict(document.meta)
    yield f"#FORMAT=WebAnno TSV 3.3\n#T_SP={layer}|{feature}\n\n"
    rest = iter(tokens)
    token = next(rest, None)
    for number, (start, end) in enumerate(_tiles(text), 1):
        yield "\n"
        if number == 1:
            yield f"#kayan={json.dumps(head, ensure_ascii=False)}\n"
        yield from (f"#Text={_CONTROL.sub(_escaped, line)}\n" for line in text[start:end].split("\n"))
        for place in itertools.count(1):
            if token is None or token[0] >= end:
                break
            parts = sorted(part for part in values.get(token, {}) if part != token)
            for k, (a, b) in enumerate([token, *parts]):
                value = "|".join(values.get(token, {}).get((a, b), ["_"]))
                yield f"{number}-{place}{f'.{k}' if k else ''}\t{units[a]}-{units[b]}\t{text[a:b]}\t{value}\t\n"
            token = next(rest, None)


def _tokens(text: str) -> list[tuple[int, int]]:
    """The words, and what is neither in a word nor white space between them: a mention may begin at an invisible mark."""
    edges = [edge for word in words(text) for edge in word]
    tokens = []
    for run in re.finditer(r"\S+", text):
        first, last = bisect_right(edges, run.start()), bisect_right(edges, run.end() - 1)
        cuts = sorted({run.start(), *edges[first:last], run.end()})
        tokens += list(itertools.pairwise(cuts))
    return tokens


def _tiles(text: str) -> Iterator[tuple[int, int]]:
    """The sentences, each with the white space after it, but for a line feed and spaces: these are what a reader puts
    between two sentences that do not touch."""
    found = [*sentences(text), (len(text), len(text))]
    for (start, end), (following, _) in itertools.pairwise(found):
        gap = text[end:following]
        between = re.search(r"\n *\Z", gap) if following < len(text) else None
        yield start, end + (between.start() if between else len(gap))


def _values(document: Document, tokens: Sequence[tuple[int, int]]) -> dict[tuple[int, int], dict[Any, list[str]]]:
    """For each token with mentions the values at the token itself and at parts of it."""
    starts = [start for start, _ in tokens]
    places: list[list[tuple[tuple[int, int], tuple[int, int]]]] = []
    for span in document.spans:
        if span.text != span.text.strip() or "\r" in span.label:
            raise ValueError(
                f"article {document.id!r}: {span.text!r} at {span.start}, {span.label!r}, begins or ends with white space "
                "or has a carriage return in its label; WebAnno TSV cannot hold it"
            )
        first, last = bisect_right(starts, span.start) - 1, bisect_right(starts, span.end - 1)
        places.append([(token, (max(span.start, token[0]), min(span.end, token[1]))) for token in tokens[first:last]])
    crowds: dict[tuple[int, int], int] = {}
    for _, part in itertools.chain.from_iterable(places):
        crowds[part] = crowds.get(part, 0) + 1
    numbers = itertools.count(1)
    values: dict[tuple[int, int], dict[Any, list[str]]] = {}
    for span, units in zip(document.spans, places, strict=True):
        value = _RESERVED.sub(_escaped, span.label)
        if len(units) > 1 or crowds[units[0][1]] > 1:
            value += f"[{next(numbers)}]"
        for token, part in units:
            values.setdefault(token, {}).setdefault(part, []).append(value)
    return values


@dataclass(frozen=True)
class _Layer:
    kind: str
    name: str
    features: tuple[str, ...]
    column: int

    def is_called(self, name: str) -> bool:
        return name in (self.name, self.name.rpartition(".")[2])


@dataclass
class _File:
    """What stands in a file: text, units as (line, start, end, values) in code points, and what its columns are."""

    path: Path
    layers: list[_Layer] = field(default_factory=list)
    text: str = ""
    head: dict[str, Any] = field(default_factory=dict)
    units: list[tuple[int, int, int, list[str]]] = field(default_factory=list)

    @classmethod
    def parse(cls, path: Path) -> _File:
        self = cls(path)
        # Not splitlines(): it also breaks at U+2028, U+0085 and others.
        rows = [(n, line.rstrip("\r")) for n, line in enumerate(read_text(path).split("\n"), 1)]
        if not _FORMAT.fullmatch(rows[0][1]):
            raise FormatError(path, 1, f"expected '#FORMAT=WebAnno TSV 3.3' or 3.2, found {rows[0][1][:60]!r}")
        body = next((i for i, (_, line) in enumerate(rows) if not line), len(rows))
        for number, line in rows[1:body]:
            if not (match := _LAYER.fullmatch(line)):
                raise FormatError(
                    path, number, f"expected a layer, '#T_SP=', '#T_RL=' or '#T_CH=', found {line[:60]!r}"
                )
            features = tuple(filter(None, (match[3] or "").split("|")))
            self.layers.append(_Layer(match[1], match[2], features, 3 + self.columns))
        self._parse_body(rows[body:])
        return self

    @property
    def columns(self) -> int:
        return sum(max(1, len(layer.features)) for layer in self.layers)

    def error(self, line: int, message: str) -> FormatError:
        return FormatError(self.path, line, f"article {self.id!r}: {message}")

    @property
    def id(self) -> str:
        return str(self.head["id"]) if "id" in self.head else unquote(self.path.stem)

    def _parse_body(self, rows: Iterable[tuple[int, str]]) -> None:
        pending: list[str] = []
        pieces: list[str] = []
        found: list[tuple[int, int, int, list[str]]] = []
        length, number = 0, 0
        for number, line in rows:
            if line.startswith("#Text="):
                pending.append(re.sub(r"\\(.)", _unescaped, line[6:], flags=re.DOTALL))
            elif line.startswith("#kayan="):
                self._parse_head(number, line[7:])
            elif line.startswith("#"):
                continue  # "#Sentence.id=" and what later versions may add.
            elif line:
                fields = line.split("\t")
                if not (match := _UNIT.match(line)) or len(fields) < 3 + self.columns:
                    raise self.error(
                        number,
                        f"expected a token: number, start-end, text, a value in each of {self.columns} columns; found {line!r}",
                    )
                start, end = int(match[1]), int(match[2])
                if pending:
                    sentence = "\n".join(pending)
                    pieces += [self._gap(number, start - length, not pieces), sentence]
                    length, pending = start + _utf16(sentence)[-1], []
                found.append((number, start, end, fields))
            elif pending:
                raise self.error(number, f"the sentence {pending[0][:60]!r} has no tokens, so its place is not known")
        if pending or not found:
            raise self.error(number, "expected a token, found the end of the file")
        self.text = "".join(pieces)
        places = {unit: i for i, unit in enumerate(_utf16(self.text))}
        for number, start, end, fields in found:
            a, b = places.get(start, -1), places.get(end, -1)
            if not 0 <= a <= b or fields[2] not in (token := self.text[a:b], re.sub(r"[\\]", r"\\\\", token)):
                there = repr(self.text[a:b]) if 0 <= a <= b else "no character"
                raise self.error(
                    number,
                    f"token {start}-{end} is {fields[2]!r} but the text there is {there}; offsets count UTF-16 units",
                )
            self.units.append((number, a, b, fields))

    def _gap(self, number: int, units: int, first: bool) -> str:
        """What stands before a sentence, in front of which `units` have no text."""
        if units < 0:
            raise self.error(number, f"the sentence begins {-units} UTF-16 units before the end of the one before it")
        before = self.head.get("before", "")
        if first and before and _utf16(before)[-1] == units:
            return str(before)
        return " " * units if first or not units else "\n" + " " * (units - 1)

    def _parse_head(self, number: int, written: str) -> None:
        head = parse_json(written, self.path, number, 7)
        if wrong := halved(head, written):
            raise self.error(number, wrong)
        if not isinstance(head, dict) or not isinstance(head.get("meta", {}), dict):
            raise self.error(number, f'expected an object with "id" and "meta", found {written[:60]!r}')
        self.head = head

    def _layer(self, name: str | None) -> _Layer | None:
        chosen = [layer for layer in self.layers if name is None or (layer.kind == "SP" and layer.is_called(name))]
        if len(chosen) > 1 or (chosen and chosen[0].kind != "SP"):
            found = ", ".join(layer.name for layer in self.layers)
            raise FormatError(self.path, 2, f"has the layers {found}; choose the one with the mentions: layer=…")
        # INCEpTION leaves out the header of a layer without an annotation.
        return chosen[0] if chosen else None

    def _column(self, layer: _Layer, feature: str | None) -> int | None:
        """The column of the label; None in a layer without features."""
        plain = [name for name in layer.features if not name.startswith("ROLE_") and "." not in name]
        if feature is None and (not layer.features or "value" in plain or len(plain) == 1):
            feature = "value" if "value" in plain else next(iter(plain), None)
            if feature is None:
                return None
        if feature not in plain:
            raise FormatError(
                self.path,
                2,
                f"layer {layer.name} has the features {plain}, not {feature!r}; choose the label: feature=…",
            )
        return layer.column + layer.features.index(feature)

    def document(self, name: str | None, feature: str | None) -> Document:
        layer = self._layer(name)
        spans = self._spans(layer, self._column(layer, feature)) if layer else []
        return Document(self.text, spans, self.id, self.head.get("meta", {}))

    def _spans(self, layer: _Layer, column: int | None) -> list[Span]:
        found: list[tuple[int, int, str]] = []
        numbered: dict[str, int] = {}
        others = {layer.column + i: name for i, name in enumerate(layer.features) if layer.column + i != column}
        left_out = set()
        for line, start, end, fields in self.units:
            left_out |= {
                name for i, name in others.items() if not re.fullmatch(r"_|\*(\[\d+\])?(\|\*(\[\d+\])?)*", fields[i])
            }
            written = fields[layer.column if column is None else column]
            if written == "_":
                continue
            matches = list(_VALUE.finditer(written))
            if not matches or "".join(match[0] for match in matches) != written:
                raise self.error(line, f"expected values like LOC or LOC[1]|PER[2], found {written!r}")
            for value, identity in (match.groups() for match in matches):
                quoted = self.text[start:end]
                if column is not None and value == "*":
                    raise self.error(line, f"the annotation {quoted!r} has no {layer.features[column - layer.column]}")
                label = re.sub(r"\\(.)", _unescaped, value, flags=re.DOTALL)
                label = layer.name.rpartition(".")[2] if column is None else label
                if identity in numbered:
                    k = numbered[identity]
                    if found[k][2] != label:
                        raise self.error(
                            line, f"annotation [{identity}] is {label!r} at {quoted!r}, {found[k][2]!r} before"
                        )
                    found[k] = (min(start, found[k][0]), max(end, found[k][1]), label)
                    continue
                if identity:
                    numbered[identity] = len(found)
                if start == end:
                    raise self.error(line, f"the annotation {label!r} at {fields[1]} has no character")
                found.append((start, end, label))
        if left_out:
            warnings.warn(f"{self.path}: the values of {', '.join(sorted(left_out))} are not read", stacklevel=2)
        try:
            return [Span(*item) for item in found]
        except DocumentError as error:
            raise FormatError(self.path, None, f"article {self.id!r}: {error}") from None


def _chooses(layer: str) -> Any:
    return lambda file: any(item.kind == "SP" and item.is_called(layer) for item in file.layers)


def _utf16(text: str) -> list[int]:
    """For each offset in code points, the end included, the one in UTF-16 units."""
    return list(itertools.accumulate((2 if char > "\uffff" else 1 for char in text), initial=0))


def _escaped(match: re.Match[str]) -> str:
    return "\\" + _NAMED.get(match[0], match[0])


def _unescaped(match: re.Match[str]) -> str:
    return _MEANT.get(match[1], match[1])


def _file_name(identity: str) -> str:
    # An empty name would be no name; a bare per cent sign stands for no other id.
    return _NO_NAME.sub(lambda match: quote(match[0], safe="").replace(".", "%2E"), identity) or "%"
