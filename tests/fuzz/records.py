"""Feed bytes to the readers of archives until one fails or loses a record: `python tests/fuzz/records.py NAME [FOLDER]`.

NAME is one of `TARGETS`. Runs until it is stopped, or as long as `-max_total_time=60` says; needs `pip install atheris`.
FOLDER keeps what is found on the way; a file in its place is run once.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kayan", "json", "csv", "re", "gzip"]):
    from kayan.formats import FormatError
    from kayan.records import Article, Columns, Input, Reader, Rejected

JSONL = '{"id": "a", "text": "زار كريم فاس.", "date": 3}\n\n{"text": "😀 عاد", "meta": {"date": "x"}}\n[1]\n'.encode()
CSV = '\ufeffid,text,date\na,"زار ""كريم"" فاس.\nثم عاد",3\nb,الرباط,\n'.encode()
# Name → the file, and what to begin with.
TARGETS = {
    "jsonl": ("a.jsonl", [JSONL]),
    "csv": ("a.csv", [CSV, CSV.replace(b",", b";")]),
    "text": ("a.txt", ["زار كريم فاس.\nثم عاد.\n".encode()]),
    "gz": ("a.jsonl.gz", [gzip.compress(JSONL), gzip.compress(JSONL[:60]) + gzip.compress(JSONL[60:])]),
}
COLUMNS = Columns(keep=("date",))


def check(files: Input) -> None:
    columns = COLUMNS if files.files[0].kind == "csv" else Columns()
    try:
        files.check(columns)
    except FormatError as error:
        assert str(files.source) in str(error)
        return
    items = list(Reader(files, columns))
    for item in items:
        assert isinstance(item, Article | Rejected)
        if isinstance(item, Article):
            "".join((item.document.text, item.document.id, *(value or "" for value in item.kept))).encode()
        else:
            (item.reason + item.start).encode()
    lines = [item.line for item in items]
    assert lines == sorted(lines)
    # A run that was cut off goes on behind any record, and gets the same ones.
    for k in {0, len(items) // 2, len(items) - 1} if items else ():
        behind = list(Reader(files, columns, (files.files[0].name, items[k].line)))
        assert behind == [item for item in items if item.line > items[k].line]


def main() -> None:
    name = sys.argv.pop(1)
    file, seeds = TARGETS[name]
    folder, corpus = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    for i, seed in enumerate(seeds):
        (corpus / str(i)).write_bytes(seed)
    path = folder / file

    def once(data: bytes) -> None:
        path.write_bytes(data)
        files = Input(str(path))
        if name == "jsonl":
            lines = sum(bool(line.strip()) for line in data.split(b"\n"))
            assert sum(1 for _ in Reader(files, Columns())) == lines
        check(files)

    # libFuzzer takes either files or folders.
    arguments = sys.argv if any(Path(name).is_file() for name in sys.argv[1:]) else [*sys.argv, str(corpus)]
    atheris.Setup(arguments, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
