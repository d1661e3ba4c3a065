"""Bad input and hostile files: a right answer or one clear message; never a traceback, a hang or a shifted offset."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kayan import Document, DocumentError, FormatError, Span, Tagger, doctor
from kayan.cli import main
from kayan.corpus import Description, read_description, stats
from kayan.decoding import viterbi
from kayan.document import canonical_name
from kayan.entities import group
from kayan.formats import brat, conll, doccano, jsonl, label_studio, parse_json, spacy, tables, webanno
from kayan.schema import Schema
from kayan.terminal import painted
from kayan.text import normalise
from kayan.words import sentences, words
from tests.strategies import documents, miscast, mutated

ARTICLES = {
    "spaces": " \n\u00a0\t  ",
    "without a space": "والرباطلمراكش" * 400,
    "diacritics": "ف" + "َّ" * 2000 + "اس زارها كريم",
    "NUL": "زار\x00 كريم\x00الوزاني\x00فاس",
    "directions": "\u202bزار \u2067كريم\u2069 \u202aParis\u202c\u202c ثم \u200fفاس\u200e \u2068\u2066",
    "emoji": "👩‍👩‍👧😀🇲🇦👍🏽" * 50,
    "Persian": "کریم وزیر آموزش ایران در تهران گفت: «می‌روم»",
    "Urdu": "وزیراعظم نے لاہور میں گفتگو کی۔",
    "Kurdish": "سەرۆک لە هەولێر کۆبووەوە",
    "Tifinagh": "ⴰⵎⵓⵔ ⵏ ⵎⵕⵕⴰⴽⵛ زار فاس",
    "Hebrew": "ביקר בעיר פאס עם כرים",
    "HTML": '<p class="x">زار <b>كريم</b> فاس &amp; &#1575;&#x627;&nbsp;<!-- سر <script>alert("x")</script> --></p>',
    "character references": "&#" + "9" * 6000 + "; &#x" + "f" * 6000 + "; &#0; &#xD800; زار فاس",
    "addresses": "https://example.org/" + "%D8%A7" * 200 + "?a=b&c زار www.example.com @someone فاس",
    "base64": base64.b64encode(bytes(range(256)) * 8).decode(),
    "CRLF": "زار كريم فاس.\r\n\r\nوالتقى وفدا.\rثم عاد.\r\n",
    "special tokens": "[SEP] <s> </s> [CLS] زار [MASK] فاس <pad> <unk>",
    "separators": "زار\u2028كريم\u2029فاس\x85ثم\x0bعاد\x1c",
    "marks": '(((«««"""[[[ زار »»» ))) ' * 20,
}
BYTES = {
    "empty": (b"", "is empty"),
    "broken": ("زار كريم ".encode() + b"\xd8\xff\xfe" + "فاس".encode(), r"is not UTF-8 at byte 16"),
    "half a character": (b"\xed\xa0\xbd\xed\xb8\x80", "is not UTF-8"),
    "UTF-16": ("زار كريم فاس".encode("utf-16"), "is UTF-16, UTF-8 is expected"),
    "UTF-16 without its mark": ("زار كريم مدينة فاس".encode("utf-16-le"), "looks like UTF-16"),
    "the other UTF-16": ("زار كريم مدينة فاس".encode("utf-16-be"), "looks like UTF-16"),
    "UTF-32": ("زار".encode("utf-32"), "UTF-16"),
}


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails where something takes the square of its length: sizes are such that it would take minutes. Processor time, so
    that a busy machine fails nothing."""
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


@pytest.fixture(scope="module")
def tagger(checkpoint: Path) -> Tagger:
    return Tagger.load(checkpoint, threshold=0.0)


def call(*arguments: str, text: bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments), input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


# Articles, through every entrance.


def test_articles_by_the_api(tagger: Tagger) -> None:
    texts = list(ARTICLES.values())
    for text, whole, streamed in zip(texts, tagger(texts), tagger.stream(iter(texts), chunk=3), strict=True):
        assert whole.text == text
        assert [(s.start, s.end, s.label) for s in whole.spans] == [(s.start, s.end, s.label) for s in streamed.spans]
        for span in whole.spans:
            assert span.text == text[span.start : span.end]
            assert span.text.strip()
        assert sum(entity.count for entity in tagger.entities(text)) == len(whole.spans)
    assert any(document.spans for document in tagger(texts))


def test_half_a_character_is_refused_by_its_place(tagger: Tagger) -> None:
    with pytest.raises(ValueError, match=r"article 2: half a character, '\\ud83d', at 4; decode the text"):
        list(tagger.stream(["زار", "زار \ud83d"]))


@pytest.mark.parametrize("profile", ["light", "arabertv02"])
def test_every_view_maps_to_the_raw_text(profile: str) -> None:
    for text in ARTICLES.values():
        view = normalise(text, profile)
        for a, b in words(view.text):
            start, end = view.to_raw(a, b)
            assert 0 <= start <= end <= len(text)
            assert start == end or view.to_view(start, end) is not None


def test_articles_by_the_command(checkpoint: Path, tmp_path: Path) -> None:
    jsonl.write(tmp_path / "in" / "a.jsonl", [Document(text, (), name) for name, text in ARTICLES.items()])
    visible = {name: text for name, text in ARTICLES.items() if text.strip()}
    for name, text in visible.items():
        (tmp_path / "in" / f"{name}.txt").write_bytes(text.encode())
    options = (str(tmp_path / "in"), "--model", str(checkpoint), "--threshold", "0")
    code, shown = call("tag", *options, "--format", "jsonl")
    records = [json.loads(line) for line in shown.split("\n") if line]
    assert (code, len(records)) == (0, len(ARTICLES) + len(visible))
    for record in records:
        assert record["text"] in (ARTICLES[record["id"]], ARTICLES[record["id"]].rstrip("\n"))
        assert all(record["text"][s["start"] : s["end"]] == s["text"] for s in record["spans"])
    for form in ("text", "entities"):
        assert call("tag", *options, "--format", form)[0] == 0
    target = tmp_path / "out.conll"
    assert call("tag", *options, "--format", "conll", "-o", str(target))[0] in (0, 2)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(("data", "message"), BYTES.values(), ids=list(BYTES))
def test_files_that_are_no_text(checkpoint: Path, tmp_path: Path, data: bytes, message: str) -> None:
    for name in ("a.txt", "a.jsonl", "a.conll", "a.csv", "a.json", "a.ann", "doc.tsv"):
        path = tmp_path / name
        path.write_bytes(data)
        for verb in ("check", "stats"):
            code, shown = call("data", verb, str(path))
            assert (code, shown.count("\n")) == (2, 1), shown
        assert call("data", "convert", str(path), str(tmp_path / "out.jsonl"))[0] == 2
        assert call("data", "split", str(path), str(tmp_path / "parts"))[0] == 2
    for source, text in ((str(tmp_path / "a.txt"), None), ("-", data)):
        code, shown = call("tag", source, "--model", str(checkpoint), text=text)
        assert code == 2
        assert re.search(message, shown)
    assert not (tmp_path / "out.jsonl").exists()
    assert not (tmp_path / "parts").exists()


def test_an_article_gives_no_orders_to_the_terminal() -> None:
    document = Document("زار \x1b]0;x\x07فاس\x9b2J\r\nثم \x7fعاد", [Span(4, 13, "LOC", 0.5)])
    for colour in (False, True):
        shown = painted(document, ("LOC",), colour)
        assert not any(order in shown for order in ("\x1b]", "\x07", "\x9b", "\r", "\x7f"))
        assert "␛]0;x␇فاس\ufffd2J\nثم ␡عاد" in shown.replace("\x1b[0m", "").replace(" \u2068LOC\u2069]", "")


@pytest.mark.parametrize("program", ["train", "eval"])
@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "زار فاس", "meta": {"open": "all"}}, "open"),
        ({"text": "زار فاس", "meta": {"open": [[0, 99]]}}, "open"),
        ({"text": "زار \ud83d"}, "half a character"),
        ({"text": "زار", "spans": [{"start": 0, "end": 3, "label": "LOC", "score": "x"}]}, "score"),
        ({"text": "زار", "spans": [{"start": 0, "end": 10**30, "label": "LOC"}]}, "outside the text"),
        ({"text": "زار", "spans": [{"start": 0, "end": 3, "label": "L\nB"}]}, "unknown label"),
    ],
)
def test_training_and_evaluation_say_what_is_wrong(
    program: str, record: dict[str, Any], message: str, checkpoint: Path, run_config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"id": "x", **record}) + "\n", encoding="utf-8")
    if program == "train":
        from train.__main__ import main as command

        arguments = [str(run_config), f"data.train.0.path={file}", f"output={tmp_path / 'run'}"]
    else:
        from eval.__main__ import main as command

        arguments = [str(checkpoint), str(file)]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, SystemExit), (result.exception, result.output)
    if program == "eval" and message in ("open", "unknown label"):
        return  # Evaluation trains nothing, and counts other types apart.
    assert result.exit_code == 2
    assert message in result.output
    assert "x" in result.output


# Time and memory in proportion to the length.

LONG = {
    "dots": "." * 60_000 + "ا",
    "exclamations": "!؟" * 30_000 + "ا",
    "closing marks": "." + ")" * 60_000 + "ا",
    "comments": "<!--" * 30_000,
    "tags": "<a " * 30_000,
    "invisible": ("ل" + "\u200f" * 300) * 200,
    "diacritics": "َ" * 100_000,
    "hamzas": "ا\u0654" * 30_000,
    "references": "&#" * 30_000,
    "spaces": " " * 60_000 + "ا",
}


@pytest.mark.parametrize("text", LONG.values(), ids=list(LONG))
def test_text_is_read_in_linear_time(text: str) -> None:
    with within(2):
        words(text)
        sentences(text)
        normalise(text, "arabertv02")


def many(n: int) -> Document:
    unit = "زار للرباط. "
    return Document(unit * n, [Span(len(unit) * i + 5, len(unit) * i + 10, "LOC") for i in range(n)], "x")


def distinct(n: int) -> Document:
    names = ["".join("بتثجحخدذرز"[int(digit)] for digit in f"{i:05}") for i in range(n)]
    return Document(" ".join("لل" + name for name in names), [Span(8 * i + 1, 8 * i + 7, "LOC") for i in range(n)], "x")


def one(text: str, label: str) -> Document:
    return Document(text, [Span(0, len(text), label)], "x")


@pytest.mark.parametrize(
    "document",
    [
        many(6000),
        distinct(6000),
        one("مولاي " * 6000 + "ا", "PER"),
        one("وزارة الشؤون " * 4000 + "ا", "ORG"),
        one("الدورة للقمة " * 4000 + "2025", "EVENT"),
        one("«" * 12_000, "LOC"),
        one("ا" + " " * 30_000 + "ا", "LOC"),
        one("فاس\n" * 6000 + "فاس", "LOC"),
    ],
    ids=["many", "distinct", "people", "organisations", "events", "marks", "spaces", "lines"],
)
def test_articles_are_worked_in_linear_time(document: Document, tmp_path: Path) -> None:
    with within(6):
        group(document)
        stats([document])
        doctor.check([document])
        for span in document.spans:
            canonical_name(document.text, span.start, span.end)
        for write, read, name in (
            (jsonl.write, jsonl.read, "a.jsonl"),
            (conll.write, conll.read, "a.conll"),
            (webanno.write, webanno.read, "a.tsv"),
            (brat.write, brat.read, "folder"),
            (tables.write, tables.read, "a.csv"),
            (doccano.write, doccano.read, "doccano.jsonl"),
            (label_studio.write, label_studio.read, "a.json"),
        ):
            if name != "a.conll" or document.text[0] not in "«":
                write(tmp_path / name, [document])
                [again] = read(tmp_path / name)
                assert (again.text, again.spans) == (document.text, document.spans)


def test_orphans_of_a_long_file(tmp_path: Path) -> None:
    rows = "كلمة B-PER\nكلمة O\nكلمة I-LOC\nكلمة O\n" * 4000
    (tmp_path / "a.conll").write_text(rows, encoding="utf-8")
    with within(6):
        found = doctor.summary(doctor.check(conll.read(tmp_path / "a.conll")))
    assert found["orphan-tag"] == 4000


def test_windows_of_a_long_article_are_put_together_in_linear_time(tagger: Tagger) -> None:
    encoded = tagger.encoder.encode("فاس " * 60_000)
    rows = [np.zeros((end - start + tagger.encoder.margin, 1), np.float32) for start, end in encoded.windows]
    with within(4):
        assert not np.isnan(tagger.encoder.merge(encoded, rows)).any()
        labels = np.zeros(len(encoded.words), np.int64)
        assert sum(1 for _ in tagger.encoder.examples(encoded, labels, labels)) == len(encoded.windows)


def test_a_long_article_among_short_ones_takes_no_more_memory() -> None:
    import tracemalloc

    schema = Schema(("PER", "LOC"))
    long, short = np.zeros((4_000, 5)), np.zeros((3, 5))
    peaks = []
    for emissions in ([long], [long, *[short] * 63]):
        tracemalloc.start()
        viterbi(emissions, schema)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


# Readers.

READERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "a.jsonl": (jsonl.write, jsonl.read),
    "a.conll": (conll.write, conll.read),
    "a.json": (label_studio.write, label_studio.read),
    "doccano.jsonl": (doccano.write, doccano.read),
    "a.tsv": (webanno.write, webanno.read),
    "brat/x.ann": (lambda path, articles: brat.write(path.parent, articles), brat.read),
    "a.csv": (tables.write, tables.read),
    "a.articles.csv": (tables.write, lambda path: tables.read(path.with_name("a.csv"))),
    "a.xlsx": (tables.write, tables.read),
    "a.spacy": (spacy.write, spacy.read),
}
FUZZED = settings(
    max_examples=int(os.environ.get("KAYAN_FUZZ", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def sound(document: Document) -> bool:
    return all(document.text[span.start : span.end] == span.text != "" for span in document.spans)


def read_quietly(read: Callable[..., Any], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            articles = read(path)
        except ValueError as error:
            assert isinstance(error, FormatError), error  # noqa: PT017 (either way is right)
            assert str(path.parent) in str(error)  # noqa: PT017
            return
        assert all(map(sound, articles))
        for article in articles:
            article.text.encode()


@pytest.mark.parametrize("name", READERS)
@FUZZED
@given(data=st.data())
def test_readers_of_changed_bytes(name: str, data: st.DataObject, tmp_path: Path) -> None:
    if name.endswith((".xlsx", ".spacy")):
        pytest.importorskip("openpyxl" if name.endswith("x") else "spacy")
    write, read = READERS[name]
    path = tmp_path / name
    whole = tmp_path / f"{name}.whole"
    if not whole.exists():
        text = "زار كريم 😀 بفاس.\nثم «عاد» إلى الرباط."
        article = Document(text, [Span(4, 8, "PER"), Span(12, 15, "LOC"), Span(31, 37, "LOC")], "x", {"date": "2025"})
        write(tmp_path / name.replace(".articles", ""), [article])
        path.rename(whole)
    path.write_bytes(data.draw(mutated(whole.read_bytes())))
    read_quietly(read, path)


@pytest.mark.parametrize("name", ["a.jsonl", "doccano.jsonl", "a.json"])
@FUZZED
@given(article=documents(minimum=1), data=st.data())
def test_readers_of_json_with_other_values(name: str, article: Document, data: st.DataObject, tmp_path: Path) -> None:
    write, read = READERS[name]
    write(tmp_path / name, [Document(article.text, article.spans, "x", {"date": "2025"})])
    record = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    (tmp_path / name).write_text(json.dumps(data.draw(miscast(record))), encoding="utf-8")
    read_quietly(read, tmp_path / name)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[" * 100_000, r"x:7: JSON nested deeper than 100 levels"),
        ("[" * 150 + "]" * 150, r"x:7: JSON nested deeper than 100 levels"),
        ('{"start": ' + "9" * 5000 + "}", r"x:7: a number in the JSON is too long"),
        ('{"a": ', r"x:7: broken JSON at column 7"),
        ('[{"meta": {"a": 1, "b": {"c": 1}, "a": 2}}]', r"x:7: JSON with the key 'a' twice in one object"),
    ],
)
def test_json_that_no_article_needs(written: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_json(written, "x", 7)
    assert parse_json("[" * 90 + "]" * 90, "x", 7)


@pytest.mark.parametrize("key", ["id", "meta", "label"])
def test_half_characters_outside_the_text(tmp_path: Path, key: str) -> None:
    span = {"start": 0, "end": 3, "label": "LOC\ud83d" if key == "label" else "LOC"}
    record: dict[str, Any] = {"id": "x", "text": "فاس", "spans": [span], "meta": {}}
    record |= {"id": {"id": "x\ud83d"}, "meta": {"meta": {"\ud83d": 1}}}.get(key, {})
    (tmp_path / "a.jsonl").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(FormatError, match=r"a.jsonl:1: article .* half a character"):
        jsonl.read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("score", ["0.5", True, float("nan"), float("inf"), [1]])
def test_a_score_is_a_number(score: Any) -> None:
    with pytest.raises(DocumentError, match=r"span \[0, 3\) must have a finite number as its score"):
        Span(0, 3, "LOC", score)


def test_labels_and_ids_cannot_forge_lines_of_columns() -> None:
    with pytest.raises(ValueError, match=r"article 'x': the label 'LOC\\nفاس\\tB-PER' of 'فاس' holds white space"):
        list(conll.lines([Document("فاس", [Span(0, 3, "LOC\nفاس\tB-PER")], "x")]))
    with pytest.raises(ValueError, match=r"article 'x\\n# id = y': CoNLL cannot hold an id"):
        list(conll.lines([Document("فاس", [], "x\n# id = y")]))


@pytest.mark.parametrize(
    "identity", ["../x", "/etc/x", "a/../../x", "..", "", "a//b", "C:\\x", "x\x00", "x" * 300, "\ud83d", "~/x/.."]
)
def test_no_id_leads_out_of_the_folder(tmp_path: Path, identity: str) -> None:
    folder = tmp_path / "in" / "folder"
    for module in (brat, webanno):
        try:
            module.write(folder, [Document("فاس", [], "fine"), Document("فاس", [], identity)])
        except ValueError as error:
            assert repr(identity) in str(error)  # noqa: PT017 (either way is right)
            assert not folder.exists()
        else:
            written = {path.resolve() for path in tmp_path.rglob("*") if path.is_file()}
            assert all(path.is_relative_to(folder.resolve()) for path in written)
            assert {document.id for document in module.read(folder)} == {"fine", identity}
        for path in sorted(tmp_path.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


# Archives and tables.


def workbook(path: Path, sheet: str, dimension: str = "A1:H2", shared: str = "") -> None:
    """A minimal workbook whose sheets "mentions" and "articles" both hold these rows."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        )
        for source, target in (
            ("_rels/.rels", "xl/workbook.xml"),
            ("xl/_rels/workbook.xml.rels", "worksheets/sheet1.xml"),
        ):
            what = "officeDocument" if source.startswith("_") else "worksheet"
            archive.writestr(
                source,
                '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
                f'<Relationship Id="r1" Type="{relation}/{what}" Target="{target}"/></Relationships>',
            )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook {space} xmlns:r="{relation}"><sheets><sheet name="mentions" sheetId="1" r:id="r1"/>'
            '<sheet name="articles" sheetId="2" r:id="r1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'{shared}<worksheet {space}><dimension ref="{dimension}"/><sheetData>{sheet}</sheetData></worksheet>',
        )


def cells(row: int, *values: str) -> str:
    inner = "".join(
        f'<c r="{"ABCDEFGH"[i]}{row}" t="inlineStr"><is><t>{value}</t></is></c>' for i, value in enumerate(values)
    )
    return f'<row r="{row}">{inner}</row>'


HEAD = cells(1, "article", "start", "end", "label", "text")


@pytest.mark.parametrize(
    ("sheet", "dimension", "message"),
    [
        (HEAD + '<row r="2"><c r="B2"><v>1e999</v></c></row>', "A1:H2", "a number is expected"),
        (HEAD + '<row r="2"><c r="XFD2"><v>1</v></c></row>', "A1:H2", "a cell in column 16384; 100 are read"),
        (HEAD + cells(2, "x", "0", "3", "LOC", "_xD800_"), "A1:H2", "half a character"),
        (HEAD + cells(2, "x", "0", "3", "LOC", "فاس"), "A1:XFD1048576", "outside|quotes|must|no article|is"),
        (HEAD + '<row r="99999999999"><c r="A9"><v>1</v></c></row>', "A1:H2", None),
    ],
    ids=["infinity", "the last column", "half a character", "a dimension that lies", "a row without end"],
)
def test_workbooks_that_claim_what_they_like(tmp_path: Path, sheet: str, dimension: str, message: str | None) -> None:
    pytest.importorskip("openpyxl")
    workbook(tmp_path / "a.xlsx", sheet, dimension)
    with within(6), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if message is None:
            assert tables.read(tmp_path / "a.xlsx") == []
            return
        try:
            [document] = tables.read(tmp_path / "a.xlsx")
        except FormatError as error:
            assert str(error).startswith(str(tmp_path / "a.xlsx"))  # noqa: PT017 (either way is right)
        else:
            assert document.text == "فاس"


def test_entities_of_xml_are_not_multiplied(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    workbook(tmp_path / "a.xlsx", cells(1, "&e9;"), shared=f'<!DOCTYPE x [<!ENTITY e0 "x">{entities}]>')
    with within(6), pytest.raises(FormatError, match=r"no intact XLSX workbook"):
        tables.read(tmp_path / "a.xlsx")


def test_archives_that_unpack_to_more_than_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openpyxl")
    pytest.importorskip("spacy")
    for module in (tables, spacy):
        monkeypatch.setattr(module, "_UNPACKED", 3_000_000)
    workbook(tmp_path / "a.xlsx", cells(1, "ا" * 2_000_000))
    (tmp_path / "a.spacy").write_bytes(zlib.compress(b"\0" * 10_000_000))
    assert (tmp_path / "a.spacy").stat().st_size < 20_000
    for module, name in ((tables, "a.xlsx"), (spacy, "a.spacy")):
        with pytest.raises(FormatError, match=rf"{name}: unpacks to (more than )?[34] MB"):
            module.read(tmp_path / name)


def test_a_part_of_any_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("article,start,end,label\n", encoding="utf-8")
    (tmp_path / "a.articles.csv").write_text(f"article,part,text\nx,{10**15},فاس\n", encoding="utf-8")
    with within(2), pytest.raises(FormatError, match="its parts must be 1 to 1000000000000000, part 1 is missing"):
        tables.read(tmp_path / "a.csv")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\r=", "＝", "'="])
def test_a_cell_is_no_formula(tmp_path: Path, start: str) -> None:
    text = f'{start}HYPERLINK("http://example.org","فاس")'
    article = Document(text, [Span(0, len(text), "LOC")], start.strip() + "cmd|'/C calc'!A0")
    tables.write(tmp_path / "a.csv", [article])
    for file in tmp_path.glob("*.csv"):
        with file.open(encoding="utf-8-sig", newline="") as lines:
            cells = [cell for row in csv.reader(lines) for cell in row]
        assert not any(re.match(r"\s*[=+\-@＝]|[\t\r]", cell) for cell in cells)
    assert [(document.id, document.text) for document in tables.read(tmp_path / "a.csv")] == [(article.id, text)]


# YAML.

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 20)
)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("!!python/object/apply:os.system ['exit 1']", "broken YAML: could not determine a constructor"),
        ("name: !!python/name:os.system x", "broken YAML"),
        ("labels: " + "[" * 1500, "broken YAML"),
        ("group: " + "9" * 5000, "broken YAML|group"),
        ("name: 2025-13-45", "broken YAML"),
        (BOMB + "labels: *a19", "unknown key 'a0'"),
        ("labels: &a [*a]", "labels has the wrong shape"),
        ("&a name: *a", "name|alias|YAML"),
    ],
)
def test_descriptions_and_configurations_run_nothing(tmp_path: Path, written: str, message: str) -> None:
    from train.config import ConfigError, read

    (tmp_path / "a.yaml").write_text(written, encoding="utf-8")
    with within(4):
        try:
            read_description(tmp_path / "a.yaml")
        except ValueError as error:
            assert re.search(message, str(error)), error  # noqa: PT017 (a name may be anything)
            assert len(str(error)) < 2000  # noqa: PT017
        with pytest.raises(ConfigError, match=r"a\.yaml"):
            read(tmp_path / "a.yaml")


def test_a_message_does_not_unfold_what_refers_to_itself() -> None:
    shape: list[Any] = ["x"] * 8
    for _ in range(20):
        shape = [shape] * 8
    with within(1), pytest.raises(ValueError, match="labels has the wrong shape"):
        Description.from_mapping({"labels": shape}, "a.yaml")
