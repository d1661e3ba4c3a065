"""Feed bytes to the readers until something other than `FormatError` comes out: `python tests/fuzz/readers.py NAME [FOLDER]`.

NAME is one of `TARGETS`. Runs until it is stopped, or as long as `-max_total_time=60` says; needs `pip install atheris`.
FOLDER keeps what is found on the way; a file in its place is run once. Formats that are packed are fuzzed inside their
packing, since a changed byte of a compressed file says nothing but that it is broken. `CUT` stands between two files,
or sheets, that make one input.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["kayan", "json", "csv", "re"]):
    from kayan.corpus import read_description
    from kayan.document import Document, Span
    from kayan.formats import FormatError, brat, conll, doccano, hf, jsonl, label_studio, spacy, tables, webanno

warnings.simplefilter("ignore")
CUT = b"\n\x1c\n"
FOLDER = Path(tempfile.mkdtemp())
FIXTURES = Path(__file__).parent.parent / "fixtures"
DESCRIPTION = b"name: x\nlabels: {PERS: PER, O: null}\nannotates: [PER]\ngroup: 2\n"
ARTICLE = Document(
    "زار كريم 😀 بفاس.\nثم «عاد» إلى الرباط.",
    [Span(4, 8, "PER"), Span(12, 15, "LOC"), Span(31, 37, "LOC")],
    "x",
    {"date": "2025"},
)


def plain(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def beside(ending: str) -> Callable[[Path, bytes], None]:
    """Two files: `path`, and that of the same name with `ending`, which stays as it is without `CUT`."""

    def put(path: Path, data: bytes) -> None:
        first, cut, second = data.partition(CUT)
        path.write_bytes(first)
        if cut:
            path.with_name(path.stem + ending).write_bytes(second)

    return put


def workbook(path: Path, data: bytes) -> None:
    """The XML of the two sheets, in a workbook that is sound for the rest."""
    sheets = dict(zip(("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"), data.split(CUT), strict=False))
    with zipfile.ZipFile(FOLDER / "sound.xlsx") as sound, zipfile.ZipFile(path, "w") as book:
        for name in sound.namelist():
            book.writestr(name, sheets.get(name, sound.read(name)))


def packed(path: Path, data: bytes) -> None:
    path.write_bytes(zlib.compress(data, 1))


def parquet(path: Path, data: bytes) -> None:
    """JSON with the rows, and what `datasets` notes of their columns, as a Parquet file; other input as an empty one."""
    import pyarrow
    from pyarrow import parquet

    try:
        given = json.loads(data)
        table = pyarrow.Table.from_pylist(given["rows"])
        if "features" in given:
            table = table.replace_schema_metadata(
                {"huggingface": json.dumps({"info": {"features": given["features"]}})}
            )
        parquet.write_table(table, path)
    except Exception:  # Arrow has no type for these values.
        path.write_bytes(b"")


@dataclass(frozen=True)
class Target:
    """`put` writes the bytes of an input as the file `file`, which `read` reads."""

    file: str
    read: Callable[[Path], Any]
    put: Callable[[Path, bytes], None] = plain
    write: Callable[[Path, list[Document]], None] | None = None
    fixtures: str = ""


TARGETS = {
    "jsonl": Target("a.jsonl", jsonl.read, write=jsonl.write),
    "conll": Target("a.conll", conll.read, write=conll.write),
    "label_studio": Target("a.json", label_studio.read, write=label_studio.write, fixtures="label_studio*.json"),
    "doccano": Target("d.jsonl", doccano.read, write=doccano.write, fixtures="doccano*.jsonl"),
    "webanno": Target("a.tsv", webanno.read, write=webanno.write, fixtures="inception.tsv"),
    "brat": Target("x.ann", brat.read, beside(".txt"), lambda path, articles: brat.write(path.parent, articles)),
    "csv": Target("a.csv", tables.read, beside(".articles.csv"), tables.write),
    "xlsx": Target("a.xlsx", tables.read, workbook),
    "spacy": Target("a.spacy", spacy.read, packed),
    "hf": Target("a.parquet", hf.read, parquet),
    "parquet": Target("a.parquet", hf.read, write=hf.write),
    "description": Target("a.yaml", read_description),
}


def seeds(name: str) -> list[bytes]:
    target = TARGETS[name]
    found = [path.read_bytes() for path in sorted(FIXTURES.glob(target.fixtures))] if target.fixtures else []
    path = FOLDER / target.file
    if target.write:
        target.write(path, [ARTICLE])
        found.append(path.read_bytes())
    if name == "csv":
        found.append(found[0] + CUT + (FOLDER / "a.articles.csv").read_bytes())
    elif name == "brat":
        found.append(found[0] + CUT + path.with_suffix(".txt").read_bytes())
    elif name == "xlsx":
        tables.write(FOLDER / "sound.xlsx", [ARTICLE])
        with zipfile.ZipFile(FOLDER / "sound.xlsx") as book:
            found.append(CUT.join(book.read(f"xl/worksheets/sheet{i}.xml") for i in (1, 2)))
    elif name == "spacy":
        spacy.write(path, [ARTICLE])
        found.append(zlib.decompress(path.read_bytes()))
    elif name == "hf":
        found += [json.dumps(value, ensure_ascii=False).encode() for value in _datasets()]
    elif name == "description":
        found.append(DESCRIPTION)
    return found


def _datasets() -> list[dict[str, Any]]:
    """Rows with spans, with tokens and numbered tags, and as kayan writes them."""
    import pyarrow.parquet

    both = []
    for tags in (False, True):
        file = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder:
            hf.write(Path(folder) / "a.parquet", [ARTICLE], tags=tags)
            file.write((Path(folder) / "a.parquet").read_bytes())
        table = pyarrow.parquet.read_table(file)
        info = json.loads(table.schema.metadata[b"huggingface"])["info"]
        both.append({"rows": table.to_pylist(), "features": info["features"]})
    mention = {"start": 4, "end": 8, "label": "PER", "text": "كريم"}
    return [
        *both,
        {"rows": [{"text": ARTICLE.text, "entities": [mention], "id": 3}]},
        {"rows": [{"tokens": ["زار", "كريم"], "tags": ["O", "B-PER"]}]},
    ]


def main() -> None:
    name = sys.argv.pop(1)
    target = TARGETS[name]
    path = FOLDER / target.file
    corpus = Path(tempfile.mkdtemp())
    for i, seed in enumerate(seeds(name)):
        (corpus / str(i)).write_bytes(seed)

    def once(data: bytes) -> None:
        target.put(path, data)
        try:
            found = target.read(path)
        except FormatError as error:
            if str(FOLDER) not in str(error):
                raise
            return
        except ValueError:
            if name == "description":
                return
            raise
        for document in found if isinstance(found, list) else ():
            document.text.encode()
            assert all(document.text[span.start : span.end] == span.text for span in document.spans)
            [line] = jsonl.lines([document])
            line.encode()
            # A label or an id may be anything that is text; scores are rounded when they are written.
            again = jsonl.parse(line, "again", 1)
            assert again.text == document.text
            assert [(s.start, s.end, s.label) for s in again.spans] == [
                (s.start, s.end, s.label) for s in document.spans
            ]

    # libFuzzer takes either files or folders.
    arguments = sys.argv if any(Path(name).is_file() for name in sys.argv[1:]) else [*sys.argv, str(corpus)]
    atheris.Setup(arguments, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
