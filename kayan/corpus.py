"""Corpora: load with a declaration, describe, split; Documents to `datasets.DatasetDict`."""

from __future__ import annotations

import difflib
import hashlib
import json
import random
import reprlib
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kayan.document import Document, Span
from kayan.formats import FormatError, conll, read_text, registry, sha256
from kayan.formats.registry import FORMATS
from kayan.schema import Declaration, Schema, SchemaError
from kayan.text import normalise
from kayan.words import has_particle, words

if TYPE_CHECKING:
    from datasets import DatasetDict

SHINGLE = 8
# Beyond so many articles that hold a run of words, it no longer leads to more pairs: a newspaper's standing last line
# would pair everything with everything.
_HOLDERS = 50


@dataclass(frozen=True)
class Corpus:
    """Annotated documents, where they come from and what their annotators marked."""

    name: str
    documents: tuple[Document, ...]
    declaration: Declaration = field(default_factory=Declaration)
    licence: str = ""
    sha256: str = ""
    # For each document the lines of its tokens in a CoNLL file, or the line of the article; empty for no file.
    lines: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True)
class Description:
    """How to read a corpus and what it annotates; see `Declaration` for the last four.

    format: a name of `kayan.formats.registry.FORMATS`; by the file's ending and first line where None.
    group: sentences that make a document, for CoNLL files without document marks. licence: as its owners state it, for
    model cards.
    """

    name: str | None = None
    format: str | None = None
    group: int = 1
    licence: str = ""
    annotates: tuple[str, ...] | None = None
    proclitics: bool = True
    labels: Mapping[str, str | None] = field(default_factory=dict)
    counts_as: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, data: Any, where: str | Path) -> Description:
        """The description in a mapping; `ValueError` naming `where`, an unknown key with the nearest one, or a value of
        the wrong kind."""
        if not isinstance(data, Mapping):
            raise ValueError(f"{where}: a mapping is expected, found {type(data).__name__}")
        known = [item.name for item in fields(cls)]
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
                raise ValueError(
                    f"{where}: unknown key {reprlib.repr(key)}; "
                    + (f"did you mean {near[0]!r}?" if near else f"known are {known}")
                )
        values = dict(data)
        for key in ("annotates", "counts_as", "labels"):
            if key in values and not _listed_strings(values[key], key):
                # Not repr(): a few lines of YAML whose anchors refer to each other would fill the memory.
                raise ValueError(f"{where}: {key} has the wrong shape: {reprlib.repr(values[key])}")
        if values.get("format") not in (None, *FORMATS):
            raise ValueError(
                f"{where}: format must be one of {', '.join(FORMATS)}, not {reprlib.repr(values['format'])}"
            )
        if not isinstance(values.get("group", 1), int) or values.get("group", 1) < 1:
            raise ValueError(
                f"{where}: group must be a number of sentences, at least 1, not {reprlib.repr(values['group'])}"
            )
        if not isinstance(values.get("proclitics", True), bool):
            raise ValueError(f"{where}: proclitics must be true or false, not {reprlib.repr(values['proclitics'])}")
        if values.get("annotates") is not None:
            values["annotates"] = tuple(values["annotates"])
        return cls(**values)

    @property
    def declaration(self) -> Declaration:
        annotates = None if self.annotates is None else frozenset(self.annotates)
        return Declaration(annotates, self.proclitics, self.labels, self.counts_as)


def _listed_strings(value: Any, key: str) -> bool:
    if key == "annotates":
        return value is None or (isinstance(value, list | tuple) and all(isinstance(item, str) for item in value))
    if not isinstance(value, Mapping) or not all(isinstance(label, str) for label in value):
        return False
    return all(isinstance(to, str) or (to is None and key == "labels") for to in value.values())


def read_description(path: str | Path) -> Description:
    """The description in a YAML file. Raises `FormatError`, `ValueError` as `Description.from_mapping` does, and
    ImportError naming the extra where PyYAML is missing."""
    try:
        import yaml
    except ImportError:
        raise ImportError(
            "reading YAML needs the pyyaml package: pip install 'kayan[train]' or 'kayan[eval]'"
        ) from None
    try:
        data = yaml.safe_load(read_text(path))
    except FormatError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or a number that is none.
        raise FormatError(path, None, f"broken YAML: {getattr(error, 'problem', error)}") from None
    return Description.from_mapping(data, path)


def load(path: str | Path, description: Description | None = None) -> Corpus:
    """Read a corpus file. `description.labels` is applied: renamed labels take their new name in the spans and in
    `meta["tags"]`; labels sent to None keep theirs, and `TagSets.admissible` leaves them open.

    Raises `FormatError` for a file that cannot be read.
    """
    path, description = Path(path), description or Description()
    found = registry.read(path, description.format or registry.guess(path), description.group)
    digest = _digest(path)
    renamed = tuple(rename(document, description.labels) for document, _ in found)
    lines = tuple(numbers for _, numbers in found)
    return Corpus(description.name or path.stem, renamed, description.declaration, description.licence, digest, lines)


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files in a folder."""
    if not path.is_dir():
        return sha256(path)
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def rename(document: Document, labels: Mapping[str, str | None]) -> Document:
    """The document with its labels replaced by what `labels` says; labels not in it, or sent to None, stay."""
    if not labels:
        return document
    spans = [replace(span, label=labels.get(span.label) or span.label) for span in document.spans]
    meta = dict(document.meta)
    if columns := conll.columns(document):
        meta["tags"] = [tag if tag == "O" else f"{tag[:2]}{labels.get(tag[2:]) or tag[2:]}" for tag in columns.tags]
    return Document(document.text, spans, document.id, meta)


def check_labels(corpus: Corpus, schema: Schema) -> None:
    """Raise `SchemaError` naming corpus, article and nearest type for the first label that the schema lacks."""
    try:
        corpus.declaration.check(schema)
    except SchemaError as error:
        raise SchemaError(f"declaration of corpus {corpus.name!r}: {error}") from None
    for document in corpus.documents:
        for span in document.spans:
            if span.label not in corpus.declaration.unread:
                try:
                    schema.check(span.label)
                except SchemaError as error:
                    raise SchemaError(
                        f"corpus {corpus.name!r}, article {document.id!r}, {span.text!r} at {span.start}: {error}"
                    ) from None


def comparable(document: Document, declaration: Declaration, gold: Document) -> Document:
    """A gold or predicted document with labels and edges as the corpus of `gold` draws them, so that the two can be scored.

    A type that the corpus does not annotate takes the name of the one it counts as, or is left out. Where particles stay
    inside mentions, both sides are widened to whole words (tokens of a CoNLL file). What overlaps a label that is not
    read is left out: it is neither right nor wrong.
    """
    unread = [span for span in gold.spans if span.label in declaration.unread]
    columns = None if declaration.proclitics else conll.columns(gold)
    edges = None if declaration.proclitics else columns.tokens if columns else words(document.text)
    spans = []
    for span in document.spans:
        if not any(span.overlaps(other) for other in unread):
            if span.label in declaration.counts_as:
                span = replace(span, label=declaration.counts_as[span.label])
            if declaration.annotates is not None and span.label not in declaration.annotates:
                continue
            spans.append(span if edges is None else _widened(span, edges))
    return document.with_spans(spans)


def _widened(span: Span, edges: Sequence[Sequence[int]]) -> Span:
    first = bisect_right(edges, span.start, key=lambda edge: edge[1])
    last = bisect_left(edges, span.end, key=lambda edge: edge[0]) - 1
    return span if first > last else replace(span, start=edges[first][0], end=edges[last][1])


def shingles(text: str, size: int = SHINGLE) -> set[int]:
    """Hashes of the runs of `size` words of a text, punctuation left out, after light normalisation."""
    plain = normalise(text).text
    tokens = [plain[a:b] for a, b in words(plain) if plain[a].isalnum()]
    return {hash(tuple(tokens[i : i + size])) for i in range(len(tokens) - size + 1)}


def light(text: str) -> str:
    """The text that copies have in common: light normalisation, and single spaces for white space."""
    return " ".join(normalise(text).text.split())


def near_duplicates(documents: Sequence[Document]) -> list[tuple[int, int, float]]:
    """Pairs of article numbers (the later first) that share at least half of the shorter one's eight-word runs, and the
    share; in order of the later article, for each the largest share first.

    Of many copies of one text, each is paired with the first `_HOLDERS` of them. Every run is compared: MinHash (128
    permutations, LSH) took twice the time on a million words of news and found 6 of the 14 pairs, since an excerpt
    resembles its article little. Memory is 24 bytes a word.
    """
    runs = [np.fromiter(shingles(document.text), np.int64) for document in documents]
    if not runs:
        return []
    sizes = np.array([len(own) for own in runs])
    hashes, owners = np.concatenate(runs), np.repeat(np.arange(len(runs)), sizes)
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    # The articles of one run stand together, in order; a run's place among them says how many hold it before.
    first = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
    start = np.repeat(first, np.diff(np.r_[first, len(hashes)]))
    place = np.arange(len(hashes)) - start
    pairs = [owners[place > k] * len(runs) + owners[start[place > k] + k] for k in range(_HOLDERS)]
    keys, shared = np.unique(np.concatenate(pairs), return_counts=True)
    later, earlier = np.divmod(keys, len(runs))
    shares = shared / np.minimum(sizes[later], sizes[earlier])
    found = [(int(i), int(j), float(s)) for i, j, s in zip(later, earlier, shares, strict=True) if s >= 0.5]
    return sorted(found, key=lambda pair: (pair[0], -pair[2], pair[1]))


def stats(documents: Sequence[Document]) -> dict[str, Any]:
    """Counts of a corpus: articles, words (white-space separated), mentions by type, share behind a particle, distinct
    surfaces, longest mention in words, and articles by the values of `meta` fields with few of them."""
    labels: dict[str, Counter[str]] = {}
    behind: Counter[str] = Counter()
    longest = 0
    for document in documents:
        for span in document.spans:
            labels.setdefault(span.label, Counter())[span.name] += 1
            behind[span.label] += has_particle(document, span)
            longest = max(longest, len(span.text.split()))
    mentions = sum(counter.total() for counter in labels.values())
    meta: dict[str, Counter[str]] = {}
    for document in documents:
        for key, value in document.meta.items():
            if isinstance(value, str):
                meta.setdefault(key, Counter())[value] += 1
    return {
        "articles": len(documents),
        "words": sum(len(document.text.split()) for document in documents),
        "characters": sum(len(document.text) for document in documents),
        "mentions": mentions,
        "behind_a_particle": behind.total(),
        "share_behind_a_particle": round(behind.total() / mentions, 4) if mentions else 0.0,
        "longest_mention_words": longest,
        "types": {
            label: {
                "mentions": counter.total(),
                "distinct_names": len(counter),
                "behind_a_particle": behind[label],
                "most_frequent": [list(pair) for pair in counter.most_common(5)],
            }
            for label, counter in sorted(labels.items(), key=lambda item: -item[1].total())
        },
        "meta": {key: dict(counter.most_common()) for key, counter in meta.items() if len(counter) <= 20},
    }


def split(
    documents: Sequence[Document],
    shares: Mapping[str, float],
    seed: int = 0,
    by: str | None = None,
    after: str | None = None,
) -> dict[str, list[Document]]:
    """Divide articles into parts, whole articles only, at random and stratified: each part gets its share of the articles
    and of the mentions of every type, as nearly as whole articles allow.

    shares: part → share of the articles; they must sum to 1.
    by: a key of `meta` whose equal values must stay in one part (source, date, event …). Near-duplicates (see
        `near_duplicates`) stay together always, so that no part holds a copy of another's text.
    after: a key of `meta` by whose values, compared as text (ISO 8601 dates), the articles are divided in order instead:
        the earliest to the first part, the latest to the last. Near-duplicates and what `by` keeps together go with the
        earliest of them; a day may be cut in two unless `by` keeps it together.
    Parts keep the order of the input. Raises `ValueError` for shares that do not sum to 1, articles without the key, and
    a part that no article is left for.
    """
    # Comparisons that no NaN passes.
    if not shares or not all(share > 0 for share in shares.values()) or not abs(sum(shares.values()) - 1) <= 1e-6:
        raise ValueError(f"shares must be positive and sum to 1, not {dict(shares)}")
    groups = _groups(documents, by)
    if after is not None:
        filled = _in_order(documents, groups, shares, after)
    else:
        random.Random(seed).shuffle(groups)
        filled = _stratified(documents, groups, shares)
    for part, members in filled.items():
        if not members:
            raise ValueError(
                f"no article is left for {part!r}: there are {len(documents)}, in {len(groups)} groups of copies"
            )
    return {part: [documents[i] for i in sorted(members)] for part, members in filled.items()}


def _in_order(
    documents: Sequence[Document], groups: Sequence[list[int]], shares: Mapping[str, float], key: str
) -> dict[str, list[int]]:
    for document in documents:
        if key not in document.meta:
            raise ValueError(f"article {document.id!r} has no meta[{key!r}] to order by")
        if not isinstance(document.meta[key], str):
            raise ValueError(
                f"article {document.id!r}: meta[{key!r}] must be text to order by, like '2025-01-31', "
                f"not {document.meta[key]!r}"
            )
    filled: dict[str, list[int]] = {part: [] for part in shares}
    parts, done, until = iter(shares.items()), 0, 0.0
    part, share = next(parts)
    until += share * len(documents)
    for group in sorted(groups, key=lambda group: min(documents[i].meta[key] for i in group)):
        while done + len(group) / 2 > until and (following := next(parts, None)):
            part, share = following
            until += share * len(documents)
        filled[part] += group
        done += len(group)
    return filled


def _stratified(
    documents: Sequence[Document], groups: Sequence[list[int]], shares: Mapping[str, float]
) -> dict[str, list[int]]:
    """Iterative stratification (Sechidis et al. 2011): the groups that hold the rarest type left, most mentions of it first,
    each to the part that lacks most of that type, or else most articles, for its share."""
    counts = [Counter(span.label for i in group for span in documents[i].spans) for group in groups]
    total = sum(counts, Counter[str]())
    lacking = {part: {label: share * n for label, n in total.items()} for part, share in shares.items()}
    articles = {part: share * len(documents) for part, share in shares.items()}
    filled: dict[str, list[int]] = {part: [] for part in shares}
    left = list(range(len(groups)))
    while left:
        remaining = sum((counts[k] for k in left), Counter[str]())
        rarest = min(remaining, key=lambda label: (remaining[label], label), default=None)
        chosen = sorted(
            (k for k in left if rarest is None or counts[k][rarest]), key=lambda k: -counts[k][rarest or ""]
        )
        for k in chosen:
            part = max(
                shares,
                key=lambda name: (
                    round(lacking[name].get(rarest or "", 0) / shares[name], 6),
                    articles[name] / shares[name],
                ),
            )
            filled[part] += groups[k]
            articles[part] -= len(groups[k])
            for label, n in counts[k].items():
                lacking[part][label] -= n
        left = sorted(set(left) - set(chosen))
    return filled


def _groups(documents: Sequence[Document], by: str | None) -> list[list[int]]:
    parent = list(range(len(documents)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Any, int] = {}
    for i, document in enumerate(documents):
        text = light(document.text)
        keys: list[Any] = [("text", text)] if text else []
        if by is not None:
            if by not in document.meta:
                raise ValueError(f"article {document.id!r} has no meta[{by!r}] to split by")
            keys.append(("by", json.dumps(document.meta[by], sort_keys=True)))
        for key in keys:
            parent[root(i)] = root(first.setdefault(key, i))
    for i, j, _ in near_duplicates(documents):
        parent[root(i)] = root(j)
    groups: dict[int, list[int]] = {}
    for i in range(len(documents)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def to_datasets(parts: Mapping[str, Iterable[Corpus]]) -> DatasetDict:
    """The corpora as `datasets.DatasetDict`, one row an article: id, corpus, text, spans and meta (JSON).

    Raises ImportError naming the extra where `datasets` is missing.
    """
    try:
        from datasets import Dataset, DatasetDict, Features, Value
    except ImportError:
        raise ImportError("this needs the datasets package: pip install 'kayan[train]'") from None
    features = Features(
        {
            "id": Value("string"),
            "corpus": Value("string"),
            "text": Value("string"),
            "spans": [{"start": Value("int64"), "end": Value("int64"), "label": Value("string")}],
            "meta": Value("string"),
        }
    )
    rows = {
        part: [
            {
                "id": document.id,
                "corpus": corpus.name,
                "text": document.text,
                "spans": [{"start": s.start, "end": s.end, "label": s.label} for s in document.spans],
                "meta": json.dumps(dict(document.meta), ensure_ascii=False),
            }
            for corpus in corpora
            for document in corpus.documents
        ]
        for part, corpora in parts.items()
    }
    return DatasetDict({part: Dataset.from_list(items, features=features) for part, items in rows.items()})


def from_row(row: Mapping[str, Any]) -> Document:
    """The document of a row of `to_datasets`."""
    spans = [Span(s["start"], s["end"], s["label"]) for s in row["spans"]]
    return Document(row["text"], spans, row["id"], json.loads(row["meta"]))
