"""The formats by name: which one a file is in, and how to read and write it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kayan.document import Document
from kayan.formats import FormatError, conll, jsonl


@dataclass(frozen=True)
class Format:
    """A format: the module that reads and writes it, the endings of its files, and what it is in words."""

    module: str
    endings: tuple[str, ...]
    what: str


FORMATS = {
    "jsonl": Format("jsonl", (".jsonl",), "kayan's JSON lines"),
    "conll": Format("conll", (".conll", ".txt", ".bio", ".iob", ".tsv"), "CoNLL columns"),
    "label_studio": Format("label_studio", (".json",), "Label Studio's JSON or JSON_MIN"),
    "doccano": Format("doccano", (), "doccano's JSONL"),
    "brat": Format("brat", (".ann",), "brat's .txt and .ann, a folder or a pair"),
    "webanno": Format("webanno", (), "WebAnno TSV 3 (INCEpTION), a .tsv or a folder of them"),
    "spacy": Format("spacy", (".spacy",), "spaCy's DocBin"),
    "hf": Format("hf", (".parquet",), "a saved Hugging Face dataset, or Parquet"),
    "tables": Format("tables", (".csv", ".xlsx"), "spreadsheets of mentions and of articles"),
}
ENDINGS = {ending: name for name, format in FORMATS.items() for ending in format.endings}


def guess(path: Path) -> str:
    """The format of a file or folder, by its ending and its first line, or by what lies in the folder. Raises
    `FormatError` naming the formats where that does not tell."""
    if path.is_dir():
        if any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
            return "hf"
        for pattern, name in (("*.ann", "brat"), ("*.parquet", "hf"), ("*.tsv", "webanno")):
            if any(path.glob(pattern)):
                return name
    name = ENDINGS.get(path.suffix.lower(), "")
    if name in ("jsonl", "conll") and path.is_file():
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            name = _by_line(name, path.suffix.lower(), file.readline(100_000))
    if not name:
        raise FormatError(
            path,
            None,
            f"its ending does not tell the format; endings are {', '.join(ENDINGS)}, formats {', '.join(FORMATS)}",
        )
    return name


def _by_line(name: str, ending: str, line: str) -> str:
    if ending == ".tsv":
        if line.startswith("#FORMAT=WebAnno"):
            return "webanno"
        return "tables" if {"article", "start", "end", "label"} <= set(line.strip().split("\t")) else name
    if name == "jsonl":
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return name
        if isinstance(record, dict) and "spans" not in record and ("label" in record or "entities" in record):
            return "doccano"
    return name


def read(path: Path, format: str, group: int = 1) -> Sequence[tuple[Document, tuple[int, ...]]]:
    """The articles of a file, each with the numbers of its lines where the format has an article or a token a line; `group`
    as in `conll.read`. Raises `FormatError`, and ImportError naming the extra."""
    if format == "jsonl":
        return jsonl.numbered(path)
    if format == "conll":
        return conll.numbered(path, group=group)
    return [(document, ()) for document in _module(format).read(path)]


def write(path: Path, documents: Iterable[Document], format: str | None = None) -> None:
    """Write articles in a format, by the ending of the file where it is not named; what the format has no place for is
    told as a warning. Raises `ValueError` for articles that it cannot hold, and for an ending that says nothing."""
    format = format or ENDINGS.get(path.suffix.lower())
    if format is None:
        raise ValueError(
            f"{path}: the ending does not tell the format; endings are {', '.join(ENDINGS)}, formats {', '.join(FORMATS)}"
        )
    _module(format).write(path, documents)


def _module(format: str) -> Any:
    return importlib.import_module(f"kayan.formats.{FORMATS[format].module}")
