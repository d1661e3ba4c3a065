"""Hugging Face datasets: a folder that `save_to_disk` wrote, or Parquet; columns of text and spans, or of tokens and tags.

Rows of "text" and "spans" (or "entities"), lists of `{start, end, label}`, are articles. Rows of "tokens" and "ner_tags",
class labels or strings, are joined into natural text as CoNLL columns are. Other columns become `Document.meta`. Rows that
kayan wrote read back unchanged, but for the scores, which have no place.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from kayan.document import Document, DocumentError, Span
from kayan.formats import FormatError, conll, halved, jsonl, parse_json, reason, replacing_bytes

SPANS, TAGS = ("spans", "entities"), ("ner_tags", "tags", "labels")
_OWN = {"id", "corpus", "text", "spans", "meta"}
_OWN_TAGS = {"document", "text", "tokens", "ner_tags", "meta"}
_FILES = ("dataset_dict.json", "dataset_info.json")


def read(
    path: str | Path,
    split: str | None = None,
    source: str | None = None,
    labels: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Document]:
    """The articles of a saved `Dataset` or of one split of a `DatasetDict`; of a `.parquet` file or of those in a folder,
    whose names tell the splits (`train-00000-of-00002.parquet`).

    split: may be left out where there is only one. source, labels: the columns of texts and spans, or of tokens and tags;
        by default the first of "spans", "entities", "ner_tags", "tags", "labels", and "text" or "tokens".
    names: the labels or tags by their numbers, where the file has numbers without names.
    An article without an "id" is named by the file and the number of its row, from 1.
    Raises `FormatError` with the row (from 0) and the article, ImportError naming the extra.
    """
    path = Path(path)
    parts = _parts(path)
    if split is None and len(parts) > 1:
        raise FormatError(path, None, f"has the splits {', '.join(parts)}; choose one: split=…")
    if split is not None and split not in parts:
        raise FormatError(path, None, f"has no split {split!r}; found are {', '.join(parts)}")
    chosen = parts[split] if split is not None else next(iter(parts.values()))
    reader = _Reader(path, chosen[0].features, source, labels, names)
    documents = reader.documents(row for dataset in chosen for row in _rows(dataset))
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise FormatError(path, None, f"article {document.id!r} is there twice; ids must differ")
        seen.add(document.id)
    return documents


def write(
    path: str | Path, documents: Iterable[Document] | Mapping[str, Iterable[Document]], tags: bool = False
) -> None:
    """Write the articles: to one file if the path ends in `.parquet`, else as a folder for `datasets.load_from_disk`, a
    `DatasetDict` where `documents` maps the names of splits to articles.

    tags: a row a sentence with "tokens" and "ner_tags", instead of a row an article with "text" and "spans".
    File or folder appear only when complete. Scores are left out with a warning. Raises `ValueError` for splits in one
    file, a split without an article, a folder that holds something else, and with `tags` as `conll.tagged` does;
    ImportError naming the extra.
    """
    from kayan.corpus import Corpus, to_datasets

    path = Path(path)
    several = isinstance(documents, Mapping)
    single = path.suffix.lower() == ".parquet"
    if several and single:
        raise ValueError(f"{path}: a Parquet file holds one split; name a folder")
    if not single and path.exists() and not _is_ours(path):
        raise ValueError(f"{path} is there and no dataset; name another folder")
    parts = {
        name: list(items)
        for name, items in (documents.items() if isinstance(documents, Mapping) else [("", documents)])
    }
    if scored := sum(
        span.score is not None for items in parts.values() for document in items for span in document.spans
    ):
        warnings.warn(f"{path}: a dataset has no place for scores; {scored} are left out", stacklevel=2)
    if empty := [name for name, items in parts.items() if not items]:
        raise ValueError(f"{path}: there is no article to write" + (f" in split {empty[0]!r}" if several else ""))
    corpora = {name: [Corpus(path.stem, tuple(items))] for name, items in parts.items()}
    data = _tagged(parts) if tags else to_datasets(corpora)
    if not several:
        data = data[""]
    with _quiet():
        if single:
            with replacing_bytes(path) as file:
                data.to_parquet(file)
        else:
            _save(data, path)


class _Reader:
    """What the columns of a dataset mean."""

    def __init__(
        self, path: Path, features: Any, source: str | None, labels: str | None, names: Sequence[str] | None
    ) -> None:
        self.path = path
        self.own, self.own_tags = (
            set(features) == _OWN and source is None,
            set(features) == _OWN_TAGS and source is None,
        )
        labels = labels or next((name for name in (*SPANS, *TAGS) if name in features), None)
        source = source or ("tokens" if labels not in SPANS and "tokens" in features else "text")
        if labels is None or labels not in features or source not in features:
            raise FormatError(
                path,
                None,
                f"has the columns {', '.join(features)}; expected are text and one of {', '.join(SPANS)}, or tokens and one "
                f"of {', '.join(TAGS)}; others can be named: source=…, labels=…",
            )
        self.source, self.labels = source, labels
        inner = _inner(features[labels])
        self.tokens = _inner(features[source]) is not None
        if isinstance(inner, dict):
            inner = next((_inner(inner[key]) or inner[key] for key in ("label", "type") if key in inner), None)
        self.names = list(names) if names is not None else getattr(inner, "names", None)

    def documents(self, rows: Iterable[Mapping[str, Any]]) -> list[Document]:
        numbered = list(enumerate(rows))
        if self.own_tags:
            groups = [list(group) for _, group in groupby(numbered, lambda item: item[1]["document"])]
            return conll.iob2([self._from_sentences(group) for group in groups])
        found = [self._from_row(number, row) for number, row in numbered]
        documents = [document for document, _ in found]
        if self.tokens:
            documents = conll.iob2(documents)
        return [
            Document(document.text, document.spans, document.id, {**document.meta, **meta})
            for document, (_, meta) in zip(documents, found, strict=True)
        ]

    def _from_row(self, number: int, row: Mapping[str, Any]) -> tuple[Document, dict[str, Any]]:
        """The document, and what else is in the row."""
        from kayan.corpus import from_row

        identity = row.get("id")
        name = f"{self.path.stem}-{number + 1}" if identity is None else str(identity)
        with self._telling(number, name):
            if self.own:
                document = from_row(row)
                if wrong := halved(document.meta, row["meta"]):
                    raise DocumentError(f"meta {wrong}")
                return document, {}
            meta = {key: value for key, value in row.items() if key not in (self.source, self.labels, "id")}
            # What JSON has no word for, a date for one, is kept as it is printed.
            meta = json.loads(json.dumps(meta, default=str))
            values = row[self.labels]
            if self.tokens:
                return conll.document([self._sentence(row[self.source], values, None)], name, self.path), meta
            text = row[self.source]
            if not isinstance(text, str):
                raise DocumentError(f"{self.source!r} must be a string, not {text!r}")
            if isinstance(values, Mapping):  # A sequence of structs, as older versions stored it.
                values = [dict(zip(values, item, strict=True)) for item in zip(*values.values(), strict=True)]
            return Document(text, [self._span(item, text) for item in values or ()], name), meta

    def _from_sentences(self, group: Sequence[tuple[int, Mapping[str, Any]]]) -> Document:
        number, first = group[0]
        with self._telling(number, first["document"]):
            meta = parse_json(first["meta"], self.path)
            if wrong := halved(meta, first["meta"]):
                raise DocumentError(f"meta {wrong}")
            rows = [self._sentence(row["tokens"], row["ner_tags"], row["text"]) for _, row in group]
            document = conll.document(rows, first["document"], self.path)
        return Document(document.text, document.spans, document.id, {**document.meta, **meta})

    def _sentence(self, tokens: Any, tags: Any, text: str | None) -> tuple[list[str], list[str], str | None]:
        if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags):
            raise DocumentError(f"as many tags as tokens are expected, found {tags!r} for {tokens!r}")
        if text is None and not all(isinstance(token, str) and token.strip() for token in tokens):
            raise DocumentError(f"tokens must be words, found {tokens!r}")
        return tokens, [self._label(tag) for tag in tags], text

    def _span(self, item: Any, text: str) -> Span:
        label = (
            next((item[key] for key in ("label", "type") if key in item), None) if isinstance(item, Mapping) else None
        )
        if label is None or item.get("start") is None or item.get("end") is None:
            raise DocumentError(f'a span must have "start", "end" and "label", found {item!r}')
        span = Span(item["start"], item["end"], self._label(label), item.get("score"))
        if item.get("text") is not None:
            jsonl.check_quote(span, item["text"], text)
        return span

    def _label(self, label: Any) -> str:
        if isinstance(label, str):
            return label
        if self.names is None:
            raise DocumentError(f"{self.labels!r} has the number {label!r} without a name; give the names: names=[…]")
        if not isinstance(label, int) or not 0 <= label < len(self.names):
            raise DocumentError(f"{self.labels!r} has {label!r}; there are names for 0 to {len(self.names) - 1}")
        return self.names[label]

    @contextlib.contextmanager
    def _telling(self, number: int, name: Any) -> Iterator[None]:
        """Say in which row and article something is wrong."""
        try:
            yield
        except RecursionError:
            raise FormatError(self.path, None, f"row {number}: article {name!r}: nested too deeply") from None
        except (TypeError, KeyError, ValueError) as error:
            raise FormatError(self.path, None, f"row {number}: article {name!r}: {reason(error)}") from None


def _tagged(parts: Mapping[str, Sequence[Document]]) -> Any:
    datasets = _datasets()
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, documents in parts.items():
        rows[name] = []
        for document in documents:
            meta = json.dumps(dict(document.meta), ensure_ascii=False)
            for text, pairs in list(conll.tagged(document)) or [(document.text, [])]:
                tokens, tags = [token for token, _ in pairs], [tag for _, tag in pairs]
                rows[name].append(
                    {"document": document.id, "text": text, "tokens": tokens, "ner_tags": tags, "meta": meta}
                )
    labels = sorted({span.label for documents in parts.values() for document in documents for span in document.spans})
    string, names = datasets.Value("string"), ["O", *(f"{prefix}-{label}" for label in labels for prefix in "BI")]
    features = datasets.Features(
        {
            "document": string,
            "text": string,
            "tokens": [string],
            "ner_tags": [datasets.ClassLabel(names=names)],
            "meta": string,
        }
    )
    return datasets.DatasetDict({name: datasets.Dataset.from_list(items, features) for name, items in rows.items()})


def _parts(path: Path) -> dict[str, list[Any]]:
    """The splits of what is at `path`, each as datasets one after the other."""
    datasets = _datasets()
    try:
        if any((path / name).exists() for name in _FILES):
            found = datasets.load_from_disk(str(path))
            return (
                {k: [v] for k, v in found.items()}
                if isinstance(found, datasets.DatasetDict)
                else {str(found.split or "train"): [found]}
            )
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        parts: dict[str, list[Any]] = {}
        for file in files:
            from pyarrow import parquet

            name = re.sub(r"-\d+-of-\d+$", "", file.stem)
            # Not Dataset.from_parquet(), which leaves a copy in a cache.
            parts.setdefault(name, []).append(datasets.Dataset(parquet.read_table(file)))
    except OSError as error:
        raise FormatError(path, None, f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # Of what Arrow and datasets say there is no end.
        raise FormatError(path, None, f"is no dataset that can be read: {error}") from None
    if not parts:
        raise FormatError(path, None, "holds no dataset; expected are the files of save_to_disk, or Parquet")
    return parts


def _rows(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows as Arrow has them: an image or a sound beside the text is not decoded."""
    for table in dataset.with_format("arrow").iter(batch_size=1000):
        yield from table.to_pylist()


def _inner(feature: Any) -> Any:
    """What a list of features holds; None for what is no list. A struct of lists stands for a list of structs."""
    if isinstance(feature, list):
        return feature[0]
    return feature if isinstance(feature, dict) else getattr(feature, "feature", None)


def _is_ours(path: Path) -> bool:
    return path.is_dir() and (not any(path.iterdir()) or any((path / name).exists() for name in _FILES))


def _save(data: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".part") as temporary:
        data.save_to_disk(str(Path(temporary) / "new"))
        if path.exists():
            path.rename(Path(temporary) / "old")
        shutil.move(Path(temporary) / "new", path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of datasets, which were asked for by no one."""
    datasets = _datasets()
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise ImportError("this needs the datasets package: pip install 'kayan[train]'") from None
    return datasets
