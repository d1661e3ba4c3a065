import csv
import io
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.document import Document, Span
from kayan.formats import FormatError, tables
from tests.conftest import marked
from tests.strategies import documents

ENDINGS = ["csv", "tsv", "xlsx"]
ARTICLE = marked("زار [PER كريم الوزاني] ب[LOC فاس] يوم [DATE 3/11/2025].", "أخبار-1")


@pytest.fixture(autouse=True)
def spreadsheets() -> None:
    pytest.importorskip("openpyxl")


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def save(path: Path, table: list[list[str]], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(table)


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(tmp_path: Path, articles: list[Document], ending: str) -> None:
    meta = {"date": "2025-11-03", "n": [1, {"ع": None}]}
    scored = Document(ARTICLE.text, [Span(4, 16, "PER", 0.9876)], "007", meta)
    several = [*articles, scored, Document("", (), ""), Document(" \r\n", (), "=1+1")]
    tables.write(tmp_path / f"a.{ending}", several)
    again = tables.read(tmp_path / f"a.{ending}")
    assert again == several
    assert again[-3].meta == meta


@given(st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("ending", ENDINGS)
def test_any_articles_survive(tmp_path_factory: pytest.TempPathFactory, ending: str, data: st.DataObject) -> None:
    several = [data.draw(documents(id=name)) for name in ("a", "'=b", "2025-01-01")]
    path = tmp_path_factory.mktemp("tables") / f"a.{ending}"
    tables.write(path, several)
    assert tables.read(path) == several


def test_a_mention_a_row_for_the_eye(tmp_path: Path) -> None:
    tables.write(tmp_path / "a.csv", [ARTICLE])
    assert (
        (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbfarticle,start,end,label,text,context,name,score\r\n")
    )
    context = "زار كريم الوزاني ب[فاس] يوم 3/11/2025."
    assert rows(tmp_path / "a.csv")[2] == ["أخبار-1", "18", "21", "LOC", "فاس", context, "فاس", ""]
    # Else Excel would make a date of it and write it another way.
    assert rows(tmp_path / "a.csv")[3][4] == "'3/11/2025"
    assert rows(tmp_path / "a.articles.csv") == [
        ["article", "part", "text", "meta"],
        ["أخبار-1", "1", ARTICLE.text, ""],
    ]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "'", "''=1"])
def test_no_cell_becomes_a_formula(tmp_path: Path, cell: str) -> None:
    document = Document(f"قال {cell}", [Span(4, 4 + len(cell), cell if cell.strip() else "X")], cell, {cell: cell})
    tables.write(tmp_path / "a.csv", [document])
    for table in (rows(tmp_path / "a.csv"), rows(tmp_path / "a.articles.csv")):
        assert not [value for row in table for value in row if re.match(r"\s*[=+\-@＝]|[\t\r\n]", value)]
    tables.write(tmp_path / "a.xlsx", [document])
    sheet = zipfile.ZipFile(tmp_path / "a.xlsx").read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert tables.read(tmp_path / "a.csv") == tables.read(tmp_path / "a.xlsx") == [document]


def test_the_workbook_runs_from_right_to_left(tmp_path: Path) -> None:
    import openpyxl

    tables.write(tmp_path / "a.xlsx", [ARTICLE])
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["mentions", "articles"]
    assert all(sheet.sheet_view.rightToLeft for sheet in book.worksheets)
    assert [cell.value for cell in book["mentions"][3]][1:5] == [18, 21, "LOC", "فاس"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_long_article_goes_on_in_further_parts(tmp_path: Path, ending: str) -> None:
    long = Document("😀 فاس " * 8_000, [Span(0, 40_000, "X"), Span(39_999, 40_004, "LOC")], "x", {"k": "ع" * 40_000})
    tables.write(tmp_path / f"a.{ending}", [long, ARTICLE])
    again = tables.read(tmp_path / f"a.{ending}")
    assert again == [long, ARTICLE]
    assert again[0].meta == long.meta


def test_what_no_cell_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="article 'x': a cell cannot hold 40000 characters"):
        tables.write(tmp_path / "a.xlsx", [Document("فاس", [Span(0, 3, "L" * 40_000)], "x")])
    assert not list(tmp_path.iterdir())


def test_a_table_that_a_spreadsheet_saved_again(tmp_path: Path) -> None:
    """Semicolons, other columns in another order, an added one, sorted rows, an emptied quotation, a decimal point."""
    tables.write(tmp_path / "a.csv", [ARTICLE])
    table = [[*row[3::-1], row[4], "ملاحظة"] for row in rows(tmp_path / "a.csv")]
    table[1][4], table[1][1] = "", "16.0"
    save(tmp_path / "a.csv", [table[0], [""] * 6, *table[:0:-1]], ";")
    with pytest.warns(UserWarning, match=r"a.csv: the columns \['ملاحظة'\] are not read"):
        assert tables.read(tmp_path / "a.csv") == [ARTICLE]


def test_the_workbook_with_numbers_and_dates_typed_by_hand(tmp_path: Path) -> None:
    import datetime

    import openpyxl

    tables.write(tmp_path / "a.xlsx", [Document("سنة 2025", [Span(4, 8, "DATE")], "7")])
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    book["mentions"]["A2"], book["mentions"]["E2"] = 7, 2025
    book.save(tmp_path / "a.xlsx")
    assert tables.read(tmp_path / "a.xlsx") == [Document("سنة 2025", [Span(4, 8, "DATE")], "7")]
    book["mentions"]["E2"] = datetime.date(2025, 1, 1)
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(FormatError, match=r"a.xlsx:2: sheet 'mentions': text or a number is expected.*2025-01-01"):
        tables.read(tmp_path / "a.xlsx")
    del book["mentions"]
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(FormatError, match="has no sheet 'mentions'; found are 'articles'"):
        tables.read(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("row", "column", "cell", "message"),
    [
        (0, 1, "begin", "a.csv:1: has no column 'start'; found are .*'begin'"),
        (2, 0, "y", "a.csv:3: the table of articles has no article 'y'"),
        (2, 1, "x", "a.csv:3: article 'أخبار-1': 'start' must be a whole number, not 'x'"),
        (2, 1, "17", "a.csv:3: article 'أخبار-1': span .17, 21. quotes 'فاس' but the text there is 'بفاس'"),
        (2, 1, "21", "a.csv:3: .*start < end"),
        (2, 2, "99", "a.csv:3: .*outside the text, which has 36 characters"),
        (2, 3, "", "a.csv:3: .*needs a label"),
        (2, 7, "high", "a.csv:3: .*score must be a number, not 'high'"),
    ],
)
def test_mentions_that_are_wrong(tmp_path: Path, row: int, column: int, cell: str, message: str) -> None:
    tables.write(tmp_path / "a.csv", [ARTICLE])
    table = rows(tmp_path / "a.csv")
    table[row][column] = cell
    save(tmp_path / "a.csv", table)
    with pytest.raises(FormatError, match=message):
        tables.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([["x", "1", "أ", ""], ["x", "1", "ب", ""]], "a.articles.csv:3: article 'x': part 1 stands at line 2 already"),
        ([["x", "1", "أ", ""], ["x", "3", "ب", ""]], "its parts must be 1 to 3, part 2 is missing"),
        ([["x", "0", "أ", ""]], "part 0 is missing or wrong"),
        ([["x", "1", "أ", "[1]"]], r"meta must be a JSON object, not '\[1\]'"),
    ],
)
def test_articles_that_are_wrong(tmp_path: Path, table: list[list[str]], message: str) -> None:
    tables.write(tmp_path / "a.csv", [])
    save(tmp_path / "a.articles.csv", [list(tables.ARTICLES), *table])
    with pytest.raises(FormatError, match=message):
        tables.read(tmp_path / "a.csv")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, data, message in [
        ("a.txt", b"x", "a.txt: its ending does not tell the format"),
        ("a.xlsx", b"PK\x03\x04 no", "is no intact XLSX workbook"),
        ("none.xlsx", None, "none.xlsx: cannot be read"),
        ("a.csv", b'article,start\n"x', "a.csv:2: is no CSV"),
        ("b.csv", b"article,start,end,label\n", "b.articles.csv: cannot be read"),
    ]:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=message):
            tables.read(tmp_path / name)
    with pytest.raises(ValueError, match="article 'x' is there twice"):
        tables.write(tmp_path / "c.csv", [Document("أ", (), "x")] * 2)
    with pytest.raises(FormatError, match=r"known are \.csv, \.tsv, \.xlsx"):
        tables.write(tmp_path / "c.ods", [])
    assert not list(tmp_path.glob("c*"))


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(ImportError, match=r"pip install 'kayan\[xlsx\]'"):
        tables.write(tmp_path / "a.xlsx", [])
