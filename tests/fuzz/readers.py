"""Feed bytes to the readers until something other than `FormatError` comes out: `python tests/fuzz/readers.py NAME [FOLDER]`.

NAME is one of jsonl, conll, label_studio, doccano, webanno, brat, csv, description. Runs until it is stopped, or as long as
`-max_total_time=60` says; needs `pip install atheris`. FOLDER keeps what is found on the way.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kayan", "json", "csv", "re"]):
    from kayan.corpus import read_description
    from kayan.document import Document, Span
    from kayan.formats import FormatError, brat, conll, doccano, jsonl, label_studio, tables, webanno

warnings.simplefilter("ignore")
FOLDER = Path(tempfile.mkdtemp())
READERS = {
    "jsonl": ("a.jsonl", jsonl.read),
    "conll": ("a.conll", conll.read),
    "label_studio": ("a.json", label_studio.read),
    "doccano": ("d.jsonl", doccano.read),
    "webanno": ("a.tsv", webanno.read),
    "brat": ("x.ann", brat.read),
    "csv": ("a.csv", tables.read),
    "description": ("a.yaml", read_description),
}
WRITERS = {
    "jsonl": jsonl.write,
    "conll": conll.write,
    "label_studio": label_studio.write,
    "doccano": doccano.write,
    "webanno": webanno.write,
    "brat": lambda path, articles: brat.write(path.parent, articles),
    "csv": tables.write,
}


def main() -> None:
    name = sys.argv.pop(1)
    file, read = READERS[name]
    path = FOLDER / file
    text = "زار كريم 😀 بفاس.\nثم «عاد» إلى الرباط."
    article = Document(text, [Span(4, 8, "PER"), Span(12, 15, "LOC"), Span(31, 37, "LOC")], "x", {"date": "2025"})
    seeds = Path(tempfile.mkdtemp())
    if name in WRITERS:
        WRITERS[name](path, [article])
        (seeds / "whole").write_bytes(path.read_bytes())
    else:
        (seeds / "whole").write_text(
            "name: x\nlabels: {PERS: PER, O: null}\nannotates: [PER]\ngroup: 2\n", encoding="utf-8"
        )

    def once(data: bytes) -> None:
        path.write_bytes(data)
        try:
            found = read(path)
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
            "".join(jsonl.lines([document])).encode()

    atheris.Setup([*sys.argv, str(seeds)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
