"""Records of an archive, read one at a time: JSON lines, CSV, Parquet and texts, compressed, local or by URL.

`Input` lists the files of an archive and knows whether they are still the same; `Reader` goes through their records and
gives an `Article`, or a `Rejected` that says why a record is none. Nothing larger than a record, or a row group of
Parquet, is held in memory.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import errno
import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from kayan.document import Document
from kayan.formats import SURROGATE, FormatError, decode, parse_json, reason

KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".txt": "text"}
PACKED = (".gz", ".zst")
# Bytes of a line, characters of a cell: what is longer is no article, and would not leave memory bounded.
MAX_RECORD = 16 * 2**20
_EDGE = 64 * 2**10
_START = 200
# What storage says of a file's content, by the names that the file systems of fsspec have for it.
_MARKS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "checksum", "crc32c")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where an article's text and id stand, and which other columns go along with it.

    id: None takes "id" where a file has it. An article without an id is named by its file and line.
    """

    text: str = "text"
    id: str | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """name: relative to the archive, with slashes. mark: changes with the content."""

    name: str
    path: str
    size: int
    mark: str

    @property
    def packed(self) -> str:
        return Path(self.name.lower()).suffix if self.name.lower().endswith(PACKED) else ""

    @property
    def kind(self) -> str | None:
        """ "jsonl", "csv", "parquet", "text", or None for another ending."""
        kind = KINDS.get(Path(self.name.lower().removesuffix(self.packed)).suffix)
        return None if kind == "parquet" and self.packed else kind


@dataclass(frozen=True, slots=True)
class Article:
    """An article, with the file and line (of JSONL and CSV), row (of Parquet) it begins at, from 1; `kept` holds the
    values of `Columns.keep`, in order."""

    file: str
    line: int
    document: Document
    kept: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is no article; `start` is how it begins."""

    file: str
    line: int
    reason: str
    start: str = ""


class _Bad(NamedTuple):
    reason: str
    start: str = ""


class Input:
    """The files of an archive: a file, a folder with everything below it, or an fsspec URL of either, by name.

    `left_out` names the files of other kinds. Raises `FormatError` where nothing can be read, ImportError naming the
    extra where a URL needs fsspec.
    """

    def __init__(self, source: str):
        self.source = source
        self._storage: Any = None
        found = self._remote() if "://" in source else self._local()
        self.files: list[File] = sorted((f for f in found if f.kind), key=lambda file: file.name)
        self.left_out = sorted(file.name for file in found if not file.kind)
        if not self.files:
            endings = f"{', '.join(KINDS)}, and all but .parquet also with {' or '.join(PACKED)}"
            raise FormatError(source, None, f"holds no file that can be read; accepted are the endings {endings}")
        self.bytes = sum(file.size for file in self.files)

    def open(self, file: File) -> IO[bytes]:
        if self._storage is None:
            return Path(file.path).open("rb")
        return io.BufferedReader(_Stored(self._storage.open(file.path, "rb")), 2**20)

    def check(self, columns: Columns) -> None:
        """Raise `FormatError` for the first file that cannot be opened, or has no such columns."""
        for file in self.files:
            try:
                with self.open(file) as raw:
                    if file.kind == "parquet":
                        _parquet(raw, file, columns)
                    elif file.kind == "csv":
                        _Table(_unpacked(raw, file), file, columns)
                    elif file.packed:
                        _unpacked(raw, file).read(1)
            except FormatError:
                raise
            except Exception as error:
                if not _is_broken(error):
                    raise
                raise FormatError(file.path, None, f"cannot be read: {error}") from None

    def _local(self) -> list[File]:
        root = Path(self.source)
        if root.is_file():
            return [_local_file(root.name, root)]
        if not root.is_dir():
            raise FormatError(self.source, None, "is no file or folder")
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = [Path(folder, name) for name in names if not name.startswith(".")]
            found += [_local_file(path.relative_to(root).as_posix(), path) for path in paths]
        return found

    def _remote(self) -> list[File]:
        try:
            import fsspec
        except ImportError:
            raise ImportError("fsspec is not installed: install it with: pip install 'kayan[archive]'") from None
        self._storage, root = fsspec.core.url_to_fs(self.source)
        listed = self._storage.find(root, detail=True)
        if not listed:
            raise FormatError(self.source, None, "is no file or folder")
        found = []
        for path, info in listed.items():
            name = path.removeprefix(root).strip("/") or path.rsplit("/", 1)[-1]
            mark = next((f"{key}:{info[key]}" for key in _MARKS if info.get(key)), "")
            found.append(File(name, path, int(info.get("size") or 0), mark))
        return [file for file in found if not any(part.startswith(".") for part in file.name.split("/"))]


class _Stored(io.RawIOBase):
    """A file of a remote storage, whose errors all are OSErrors with a number: none of them is the content's fault."""

    def __init__(self, file: IO[bytes]):
        self.file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.file.read(len(buffer))
        except Exception as error:
            raise OSError(getattr(error, "errno", None) or errno.EIO, f"{error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def _local_file(name: str, path: Path) -> File:
    """Marked by its first and last 64 KiB: an archive is too large to be read whole before the work begins."""
    file = File(name, str(path), path.stat().st_size, "")
    if not file.kind:
        return file
    edges = hashlib.sha256()
    with path.open("rb") as raw:
        edges.update(raw.read(_EDGE))
        raw.seek(max(_EDGE, file.size - _EDGE))
        edges.update(raw.read(_EDGE))
    return File(name, str(path), file.size, f"sha256-edges:{edges.hexdigest()}")


class Reader:
    """Goes through the records of an archive in order, after those up to `after` (file name, line) if it is given.

    `bytes` is how much of the files lies behind it, as they are stored. What breaks a whole file (an end that is missing
    from a compressed one) is a `Rejected` too; an error of the storage is an OSError, since it may pass.
    """

    def __init__(self, files: Input, columns: Columns, after: tuple[str, int] | None = None):
        self.input, self.columns, self.after = files, columns, after
        self.bytes = 0

    def __iter__(self) -> Iterator[Article | Rejected]:
        behind = 0
        for file in self.input.files:
            name, line = self.after or ("", 0)
            if file.name >= name:
                yield from self._articles(file, line if file.name == name else 0, behind)
            behind += file.size
            self.bytes = behind

    def _articles(self, file: File, skip: int, behind: int) -> Iterator[Article | Rejected]:
        line = 0
        with contextlib.ExitStack() as stack:
            try:
                raw = stack.enter_context(self.input.open(file))
                for line, share, values in _records(raw, file, self.columns, skip):
                    self.bytes = behind + min(file.size, int(file.size * share) if share else _position(raw))
                    if line <= skip:
                        continue
                    if isinstance(values, _Bad):
                        yield Rejected(file.name, line, *values)
                    else:
                        yield _article(values, file.name, line, self.columns)
            except Exception as error:
                if not _is_broken(error):
                    raise
                # Said already, where it was the last that came before.
                if line + 1 > skip:
                    yield Rejected(file.name, line + 1, f"the file cannot be read from here on: {reason(error)}")


_PASSED: Mapping[str, Any] = {}
_Records = Iterator[tuple[int, float, "Mapping[str, Any] | _Bad"]]


def _records(raw: IO[bytes], file: File, columns: Columns, skip: int) -> _Records:
    """Line, share of the file (0 where its position says it) and values of each record; `_PASSED` for those
    up to line `skip`, or for the last of several such."""
    if file.kind == "parquet":
        yield from _rows(raw, file, columns, skip)
        return
    read = {"jsonl": _lines, "csv": _cells, "text": _whole}[str(file.kind)]
    for line, values in read(_unpacked(raw, file), file, columns, skip):
        yield line, 0.0, values


def _lines(stream: IO[bytes], file: File, columns: Columns, skip: int) -> Iterator[tuple[int, Any]]:
    number = 0
    while raw := stream.readline(MAX_RECORD + 1):
        number += 1
        rest = raw
        while len(rest) > MAX_RECORD and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_RECORD + 1)
        if not raw.strip():
            continue
        if number <= skip:
            yield number, _PASSED
            continue
        start = raw[: 4 * _START].decode("utf-8", "replace")[:_START].rstrip("\r\n")
        if len(raw) > MAX_RECORD:
            yield number, _Bad(f"is longer than {MAX_RECORD} bytes", start)
            continue
        try:
            values = parse_json(decode(raw, file.name, number).rstrip("\r\n"), file.name, number)
        except FormatError as error:
            yield number, _Bad(error.message, start)
        else:
            found = type(values).__name__
            yield number, values if isinstance(values, dict) else _Bad(f"expected an object, found {found}", start)


def _whole(stream: IO[bytes], file: File, columns: Columns, skip: int) -> Iterator[tuple[int, Any]]:
    if skip:
        return
    data = stream.read(MAX_RECORD + 1)
    start = data[: 4 * _START].decode("utf-8", "replace")[:_START]
    try:
        text = decode(data, file.name).rstrip("\r\n")
    except FormatError as error:
        yield 1, _Bad(error.message, start)
        return
    too_long = len(data) > MAX_RECORD
    yield 1, _Bad(f"is longer than {MAX_RECORD} bytes", start) if too_long else {columns.text: text, "id": file.name}


class _Lines:
    """Lines of text, with how the record that is being read begins."""

    def __init__(self, stream: IO[bytes]):
        # What is no UTF-8 becomes half a character, which the record is rejected for.
        self.text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        self.start = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.text.readline(MAX_RECORD)
        if not line:
            raise StopIteration
        self.start = (self.start + line)[:_START]
        return line


class _Table:
    """The rows of a CSV file with a header; strict, so that a stray quotation mark never moves text between cells."""

    def __init__(self, stream: IO[bytes], file: File, columns: Columns):
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))
        self.lines = _Lines(stream)
        head = next(self.lines, "")
        comma = "\t" if ".tsv" in file.name.lower() else ";" if head.count(";") > head.count(",") else ","
        self.header = next(csv.reader([head], delimiter=comma), [])
        self.rows = csv.reader(self.lines, delimiter=comma, strict=True)
        _require(columns, self.header, file)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        while True:
            # The header's line is not counted by the reader.
            first, self.lines.start = self.rows.line_num + 2, ""
            try:
                row = next(self.rows, None)
            except csv.Error as error:
                last = self.rows.line_num + 1
                through = f" (lines {first} to {last})" if last > first else ""
                yield first, _Bad(f"broken CSV: {error}{through}", _printable(self.lines.start))
                continue
            if row is None:
                return
            if row and len(row) != len(self.header):
                reason = f"has {len(row)} cells, the header {len(self.header)}"
                yield first, _Bad(reason, _printable(self.lines.start))
            elif row:
                yield first, dict(zip(self.header, row, strict=True))


def _cells(stream: IO[bytes], file: File, columns: Columns, skip: int) -> Iterator[tuple[int, Any]]:
    return iter(_Table(stream, file, columns))


def _parquet(raw: IO[bytes], file: File, columns: Columns) -> Any:
    arrow()
    from pyarrow import parquet

    opened = parquet.ParquetFile(raw)
    _require(columns, opened.schema_arrow.names, file)
    return opened


def _rows(raw: IO[bytes], file: File, columns: Columns, skip: int) -> _Records:
    table = _parquet(raw, file, columns)
    names = [n for n in table.schema_arrow.names if n in (columns.text, columns.id or "id", *columns.keep)]
    number, total = 0, max(1, table.metadata.num_rows)
    for group in range(table.num_row_groups):
        if number + table.metadata.row_group(group).num_rows <= skip:
            number += table.metadata.row_group(group).num_rows
            yield number, number / total, _PASSED
            continue
        for batch in table.iter_batches(64, row_groups=[group], columns=names, use_threads=False):
            for i in range(batch.num_rows):
                number += 1
                if number <= skip:
                    yield number, number / total, _PASSED
                    continue
                try:
                    yield number, number / total, {name: batch[name][i].as_py() for name in names}
                except (UnicodeDecodeError, OverflowError) as error:
                    yield number, number / total, _Bad(str(error))


def _require(columns: Columns, found: Sequence[str], file: File) -> None:
    for name in (columns.text, *([columns.id] if columns.id else []), *columns.keep):
        if found.count(name) != 1:
            problem = f"has no column {name!r}" if name not in found else f"has the column {name!r} twice"
            raise FormatError(file.path, None, f"{problem}; its columns are {_listed(found)}")


def _article(values: Mapping[str, Any], file: str, line: int, columns: Columns) -> Article | Rejected:
    def rejected(reason: str) -> Rejected:
        start = json.dumps(values, ensure_ascii=False, default=str)[: 4 * _START]
        return Rejected(file, line, reason, _printable(start)[:_START])

    text, name = values.get(columns.text), values.get(columns.id or "id")
    if columns.text not in values:
        return rejected(f"has no {columns.text!r}; it has {_listed(values)}")
    if not isinstance(text, str):
        return rejected(f"{columns.text!r} must be a string, not {text!r:.40}")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if name is not None and not isinstance(name, str):
        return rejected(f"{columns.id or 'id'!r} must be a string or a whole number, not {name!r:.40}")
    meta = values.get("meta")
    fields = {**meta, **values} if isinstance(meta, dict) else values
    kept = tuple(_plain(fields.get(column)) for column in columns.keep)
    for value in (text, name, *kept):
        if value and (half := SURROGATE.search(value)):
            what = "is not UTF-8" if "\udc80" <= half[0] <= "\udcff" else f"has half a character, {half[0]!r}"
            return rejected(
                f"{what} at character {half.start()} of {_printable(value[max(0, half.start() - 8) :])[:20]!r}"
            )
    return Article(file, line, Document(text, id=name or f"{file}:{line}"), kept)


def _plain(value: Any) -> str | None:
    """A value of another column as text: dates as ISO 8601 has them, what is no scalar as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def _unpacked(raw: IO[bytes], file: File) -> IO[bytes]:
    if file.packed == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if file.packed == ".zst":
        # zstandard's own reader takes a missing end for the end.
        stream = arrow().CompressedInputStream(arrow().PythonFile(raw, mode="r"), "zstd")
        return io.BufferedReader(stream, 2**20)
    return raw


def arrow() -> Any:
    """The pyarrow module; ImportError naming the extra where it is missing."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError("pyarrow is not installed: install it with: pip install 'kayan[archive]'") from None
    return pyarrow


def _is_broken(error: Exception) -> bool:
    """Whether the content of a file is at fault; pyarrow says so by an OSError without a number, or a ValueError."""
    if isinstance(error, OSError):
        return isinstance(error, gzip.BadGzipFile) or error.errno is None
    return isinstance(error, ValueError | EOFError | zlib.error | NotImplementedError)


def _position(raw: IO[bytes]) -> int:
    try:
        return raw.tell()
    except (OSError, ValueError, AttributeError):
        return 0


def _printable(text: str) -> str:
    return SURROGATE.sub("\ufffd", text)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
