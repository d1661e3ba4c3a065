"""Spreadsheets: a table of mentions, one a row, beside a table of the articles; CSV, TSV and XLSX read and written.

`x.xlsx` has the sheets "mentions" and "articles"; `x.csv` (or `.tsv`) has its articles in `x.articles.csv` beside it.
Mentions: article, start, end, label, text, context, name, score; "text" quotes the mention and is checked on reading where
it is not empty, "context" and "name" are for the eye. Articles: article, part, text, meta (JSON); a text too long for a cell
goes on in further parts. Rows may be sorted, and columns put in another order.

A cell that a spreadsheet would take for a formula gets an apostrophe in front, in CSV and TSV also one that it would take
for a number or a date; the apostrophe is taken off on reading. CSV is written as Excel wants it: with a byte order mark.
Scores keep four digits.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from kayan.document import Document, DocumentError, Span
from kayan.formats import SURROGATE, FormatError, halved, parse_json, read_text, replacing, replacing_bytes
from kayan.formats.jsonl import check_quote

MENTIONS = ("article", "start", "end", "label", "text", "context", "name", "score")
ARTICLES = ("article", "part", "text", "meta")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
# A cell of Excel holds 32,767 UTF-16 units, of which a character takes two at most.
_CELL, _PART = 32_767, 16_000
_AROUND = 40
# What Excel, LibreOffice and Google Sheets start a formula with, white space before it and full-width forms included
# (OWASP, "CSV Injection"), and the apostrophe that marks a guarded cell.
_FORMULA = re.compile(r"\s*['=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"\s*\d[\d\s.,:/%eE+-]*")
# Office Open XML writes what XML cannot hold, or changes (a carriage return), as _xHHHH_.
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
# Bytes that a workbook may unpack to, and columns and rows that a sheet may have (rows: as many as Excel can), since a
# small file can claim any number.
_UNPACKED, _COLUMNS, _ROWS = 1_000_000_000, 100, 1_048_576


def read(path: str | Path) -> list[Document]:
    """The articles of a `.csv`, `.tsv` or `.xlsx` file, in the order of the table of articles.

    Columns that are not known are named in a warning and left out. Raises `FormatError` with the row for a missing column
    or part, an unknown article, a number that is none, a span outside the text, and a mention that is not the text at its
    place; ImportError naming the extra where XLSX cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".xlsx":
        mentions, articles = _read_workbook(path)
    else:
        _delimiter(path)
        mentions, articles = _read_csv(path, MENTIONS[:4]), _read_csv(_beside(path), ("article", "text"))
    return _documents(mentions, articles)


def write(path: str | Path, documents: Iterable[Document]) -> None:
    """Write the articles; the files appear only when they are complete.

    Raises `ValueError` naming the article for a second one of its id and for more than a cell holds, and for an ending
    other than `.csv`, `.tsv` and `.xlsx`; ImportError naming the extra where XLSX cannot be written.
    """
    path, documents = Path(path), list(documents)
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise ValueError(f"article {document.id!r} is there twice; a table tells articles apart by their ids")
        seen.add(document.id)
    tables = {"mentions": _rows(documents), "articles": _article_rows(documents)}
    if path.suffix.lower() == ".xlsx":
        _write_workbook(path, tables)
        return
    delimiter = _delimiter(path)
    with replacing(path) as first, replacing(_beside(path)) as second:
        for file, rows in zip((first, second), tables.values(), strict=True):
            file.write("\ufeff")
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
            writer.writerows([_guarded(cell, True) if isinstance(cell, str) else cell for cell in row] for row in rows)


@dataclass(frozen=True)
class _Row:
    """A row by the names of its columns; `table` names its sheet, `line` its place in the sheet or file."""

    path: Path
    table: str
    line: int
    cells: dict[str, str]

    def error(self, message: str) -> FormatError:
        return FormatError(self.path, self.line, self.table + message)

    def number(self, column: str) -> int:
        cell = self.cells[column].strip()
        with contextlib.suppress(ValueError):
            return int(re.sub(r"\.0*$", "", cell))
        raise self.error(f"article {self.cells['article']!r}: {column!r} must be a whole number, not {cell!r}")


def _rows(documents: Iterable[Document]) -> Iterator[Sequence[str | int | float]]:
    yield MENTIONS
    for document in documents:
        for span in document.spans:
            before = document.text[max(0, span.start - _AROUND) : span.start]
            after = document.text[span.end : span.end + _AROUND]
            yield (
                document.id,
                span.start,
                span.end,
                span.label,
                span.text if len(span.text) <= _PART else "",
                " ".join(f"{before}[{span.text[:_PART]}]{after}".split()),
                span.name if len(span.text) <= _PART else "",
                "" if span.score is None else round(span.score, 4),
            )


def _article_rows(documents: Iterable[Document]) -> Iterator[Sequence[str | int | float]]:
    yield ARTICLES
    for document in documents:
        meta = json.dumps(dict(document.meta), ensure_ascii=False) if document.meta else ""
        texts, metas = ([whole[i : i + _PART] for i in range(0, len(whole), _PART)] for whole in (document.text, meta))
        for part, (text, piece) in enumerate(zip_longest(texts or [""], metas, fillvalue=""), 1):
            yield document.id, part, text, piece


def _documents(mentions: Iterable[_Row], articles: Iterable[_Row]) -> list[Document]:
    parts: dict[str, dict[int, _Row]] = {}
    for row in articles:
        identity = row.cells["article"]
        part = row.number("part") if row.cells.get("part") else 1
        if part in parts.setdefault(identity, {}):
            raise row.error(
                f"article {identity!r}: part {part} stands at line {parts[identity][part].line} already; ids must differ"
            )
        parts[identity][part] = row
    texts = {}
    for identity, rows in parts.items():
        # Not a range up to the highest: a file may name any number.
        if wrong := set(range(1, len(rows) + 1)) ^ rows.keys():
            raise next(iter(rows.values())).error(
                f"article {identity!r}: its parts must be 1 to {max(rows)}, part {min(wrong)} is missing or wrong"
            )
        texts[identity] = "".join(rows[i].cells["text"] for i in sorted(rows))
    spans: dict[str, list[Span]] = {identity: [] for identity in parts}
    for row in mentions:
        identity = row.cells["article"]
        if identity not in spans:
            raise row.error(f"the table of articles has no article {identity!r}; a spreadsheet may have changed the id")
        spans[identity].append(_span(row, texts[identity]))
    return [
        Document(texts[identity], spans[identity], identity, _meta([rows[i] for i in sorted(rows)]))
        for identity, rows in parts.items()
    ]


def _span(row: _Row, text: str) -> Span:
    where = f"article {row.cells['article']!r}: "
    written = row.cells.get("score", "").strip()
    try:
        score = float(written) if written else None
    except ValueError:
        raise row.error(f"{where}score must be a number, not {written!r}") from None
    try:
        span = Span(row.number("start"), row.number("end"), row.cells["label"], score)
        if quoted := row.cells.get("text", ""):
            check_quote(span, quoted, text)
    except DocumentError as error:
        raise row.error(f"{where}{error}") from None
    if span.end > len(text):
        raise row.error(f"{where}span [{span.start}, {span.end}) is outside the text, which has {len(text)} characters")
    return span


def _meta(rows: Sequence[_Row]) -> dict[str, Any]:
    written = "".join(row.cells.get("meta", "") for row in rows)
    if not written:
        return {}
    where = f"article {rows[0].cells['article']!r}: meta"
    try:
        meta = parse_json(written, rows[0].path, rows[0].line)
    except FormatError as error:
        raise rows[0].error(f"{where} must be a JSON object, not {written[:60]!r}: {error.message}") from None
    if not isinstance(meta, dict):
        raise rows[0].error(f"{where} must be a JSON object, not {written[:60]!r}")
    if wrong := halved(meta, written):
        raise rows[0].error(f"{where} {wrong}")
    return meta


def _table(
    path: Path, table: str, rows: Iterable[tuple[int, Sequence[str]]], needed: Sequence[str], known: Sequence[str]
) -> list[_Row]:
    (line, header), *rest = [(n, row) for n, row in rows if any(row)] or [(1, ())]
    columns = [cell.strip() for cell in header]
    if missing := [name for name in needed if name not in columns]:
        raise FormatError(
            path, line, f"{table}has no column {missing[0]!r}; found are {columns}, known are {list(known)}"
        )
    if unknown := [name for name in columns if name and name not in known]:
        warnings.warn(f"{path}: {table}the columns {unknown} are not read", stacklevel=2)
    return [
        _Row(path, table, n, {name: _unguarded(cell) for name, cell in zip_longest(columns, row, fillvalue="") if name})
        for n, row in rest
    ]


def _delimiter(path: Path) -> str:
    if path.suffix.lower() not in _DELIMITERS:
        raise FormatError(path, None, "its ending does not tell the format; known are .csv, .tsv, .xlsx")
    return _DELIMITERS[path.suffix.lower()]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.articles{path.suffix}")


def _read_csv(path: Path, needed: Sequence[str]) -> list[_Row]:
    text = read_text(path)
    # Excel writes semicolons where the comma is the decimal mark.
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for row in reader:
            rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise FormatError(path, line, f"is no CSV from here on: {error}") from None
    return _table(path, "", rows, needed, ARTICLES if "start" not in needed else MENTIONS)


def _read_workbook(path: Path) -> tuple[list[_Row], list[_Row]]:
    openpyxl = _openpyxl()
    try:
        with path.open("rb") as file:
            _check_archive(file, path)
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheets = {sheet.title: _sheet_rows(sheet, path) for sheet in book.worksheets}
    except OSError as error:
        raise FormatError(path, None, f"cannot be read: {error.strerror or error}") from None
    except FormatError:
        raise
    except Exception as error:  # A broken archive or broken XML in it: openpyxl lets a dozen kinds of error through.
        raise FormatError(path, None, f"is no intact XLSX workbook: {error}") from None
    tables = []
    for name, needed, known in (("mentions", MENTIONS[:4], MENTIONS), ("articles", ("article", "text"), ARTICLES)):
        if name not in sheets:
            raise FormatError(path, None, f"has no sheet {name!r}; found are {', '.join(map(repr, sheets))}")
        where = f"sheet {name!r}: "
        rows = [(n, [_plain(value, path, n, where) for value in row]) for n, row in sheets[name]]
        tables.append(_table(path, where, rows, needed, known))
    return tables[0], tables[1]


def _check_archive(file: IO[bytes], path: Path) -> None:
    """Refuse a file that unpacks to far more than it is; an archive is read no further than the sizes it declares."""
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _UNPACKED:
        raise FormatError(path, None, f"unpacks to {size / 1e6:,.0f} MB; at most {_UNPACKED / 1e6:,.0f} MB are read")


def _sheet_rows(sheet: Any, path: Path) -> list[tuple[int, Sequence[Any]]]:
    """The rows of a sheet with anything in them, and their numbers. The size that a sheet declares is not believed, and
    a single cell may stand in the last of 16,384 columns and a million rows."""
    sheet.reset_dimensions()
    rows = []
    for n, row in enumerate(sheet.iter_rows(values_only=True, max_row=_ROWS), 1):
        if any(value is not None for value in row[_COLUMNS:]):
            raise FormatError(path, n, f"sheet {sheet.title!r}: a cell in column {len(row)}; {_COLUMNS} are read")
        if any(value is not None for value in row):
            rows.append((n, row[:_COLUMNS]))
    return rows


def _plain(value: Any, path: Path, line: int, where: str) -> str:
    if value is None or isinstance(value, str):
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value or "")
        if half := SURROGATE.search(text):
            raise FormatError(path, line, f"{where}half a character, {half[0]!r}, in {text[:60]!r}")
        return text
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise FormatError(path, line, f"{where}text or a number is expected, the spreadsheet made {value} of it")
    return str(int(value)) if value == int(value) else str(value)


def _write_workbook(path: Path, tables: dict[str, Iterator[Sequence[str | int | float]]]) -> None:
    openpyxl = _openpyxl()
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in tables.items():
        sheet = book.create_sheet(name)
        sheet.sheet_view.rightToLeft = True
        sheet.freeze_panes = "A2"
        for n, row in enumerate(rows, 1):
            for k, value in enumerate(row, 1):
                if not isinstance(value, str):
                    sheet.cell(n, k, value)
                elif value:
                    written = _NOT_XML.sub(lambda match: f"_x{ord(match[0]):04X}_", _guarded(value))
                    if len(written) + sum(char > "\uffff" for char in written) > _CELL:
                        raise ValueError(f"article {row[0]!r}: a cell cannot hold {len(written)} characters")
                    cell = sheet.cell(n, k, written)
                    cell.data_type = "s"
        for column in sheet.iter_cols(max_row=1):
            column[0].font = openpyxl.styles.Font(bold=True)
            wide = column[0].value in ("text", "context", "name")
            sheet.column_dimensions[column[0].column_letter].width = 40 if wide else 12
        sheet.auto_filter.ref = sheet.dimensions
    with replacing_bytes(path) as file:
        book.save(file)


def _openpyxl() -> Any:
    try:
        import openpyxl
        import openpyxl.styles
    except ImportError:
        raise ImportError("XLSX needs the openpyxl package: pip install 'kayan[xlsx]'") from None
    return openpyxl


def _guarded(cell: str, numbers: bool = False) -> str:
    return "'" + cell if _FORMULA.match(cell) or (numbers and _NUMBER.fullmatch(cell)) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell
