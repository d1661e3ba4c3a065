from pathlib import Path

import pytest
from hypothesis import assume, given, settings

from kayan.document import Document, Span
from kayan.formats import FormatError, brat
from tests.test_offsets import annotated, javascript

FIXTURES = Path(__file__).parent / "fixtures" / "brat"
TEXT = "زار 😀 وفد مدينة فاس.\r\nثم طنجة."


def pair(tmp_path: Path, *lines: str, text: str = TEXT) -> Path:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8", newline="")
    (tmp_path / "a.ann").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return tmp_path / "a.ann"


def surfaces(document: Document) -> list[tuple[str, str]]:
    return [(span.text, span.label) for span in document.spans]


def test_a_folder_with_everything_brat_writes() -> None:
    with pytest.warns(
        UserWarning, match="only mentions are read; left out are 1 attributes, 1 equivalences, 1 events"
    ) as told:
        empty, health = brat.read(FIXTURES)
    assert "1 normalisations, 1 notes, 1 relations" in str(told[0].message)
    assert (empty.id, empty.spans, health.id) == ("empty", (), "health")
    assert surfaces(health) == [("وزارة\nالصحة", "ORG"), ("الرباط", "LOC"), ("وصل", "EVENT"), ("فاس", "LOC")]


def test_one_pair_by_either_name(tmp_path: Path) -> None:
    path = pair(tmp_path, "T1\tLOC 16 19\tفاس")
    [document] = brat.read(path)
    assert (document.id, surfaces(document), document.text) == ("a", [("فاس", "LOC")], TEXT)
    assert brat.read(tmp_path / "a.txt") == [document] == brat.read(tmp_path)
    with pytest.raises(FormatError, match=r"a.conll: is no folder and no .ann or .txt file"):
        brat.read(tmp_path / "a.conll")


def test_utf_16_is_read_by_what_is_quoted_and_refused_where_nothing_is(tmp_path: Path) -> None:
    start, end = javascript(TEXT, 16, 19)
    assert surfaces(brat.read(pair(tmp_path, f"T1\tLOC {start} {end}\tفاس"))[0]) == [("فاس", "LOC")]
    path = pair(tmp_path, f"T1\tLOC {start} {end}")
    with pytest.raises(FormatError, match=r"a.ann:1: \[17, 20\) may be"):
        brat.read(path)
    assert surfaces(brat.read(path, counting="utf-16")[0]) == [("فاس", "LOC")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tLOC 16 19\tطنجة", r"a.ann:2: \[16, 19\) quotes 'طنجة', but the text there is 'فاس'"),
        ("T1\tLOC 16 99\tفاس", "outside the text"),
        ("T1\tLOC 0 3;16 19\tزار فاس", r"a.ann:2: 'زار فاس' is of several fragments, 0 3;16 19, with words between"),
        ("T1 LOC 16 19 فاس", "expected 'T1<tab>TYPE start end<tab>mention' or .* found 'T1 LOC"),
        ("X1\tLOC 16 19\tفاس", "found 'X1"),
        ("T1\tLOC 3 3\t", "start < end"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        brat.read(pair(tmp_path, "T9\tLOC 16 19\tفاس", line))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"holds no .ann file"):
        brat.read(tmp_path)
    pair(tmp_path)
    (tmp_path / "b.txt").write_text("خبر")
    with pytest.warns(UserWarning, match=r"1 texts have no .ann file and are left out"):
        assert len(brat.read(tmp_path)) == 1
    with pytest.raises(FormatError, match=r"b.ann: cannot be read"):
        brat.read(tmp_path / "b.txt")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(FormatError, match=r"a.txt: cannot be read"):
        brat.read(tmp_path)


def test_a_mention_over_lines_is_written_in_fragments(tmp_path: Path) -> None:
    document = Document("من الدار \r\n البيضاء", [Span(3, 19, "LOC"), Span(3, 8, "MISC")], "2026/x")
    brat.write(tmp_path / "out", [document])
    assert (tmp_path / "out/2026/x.ann").read_text(encoding="utf-8") == (
        "T1\tMISC 3 8\tالدار\nT2\tLOC 3 8;12 19\tالدار البيضاء\n"
    )
    assert (
        (tmp_path / "out/annotation.conf").read_text().startswith("[entities]\nLOC\nMISC\n\n[relations]\n<OVERLAP>\t")
    )
    assert brat.read(tmp_path / "out") == [document]


@pytest.mark.filterwarnings("ignore:.*has no place")
@given(annotated())
@settings(max_examples=200, deadline=None)
def test_any_document_survives_or_is_refused(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    assume(document.text.strip() and document.id)
    folder = tmp_path_factory.mktemp("brat") / "out"
    breaks = ("\t", "\n", "\r", "\x85", "\u2028")
    cut = [
        span.text
        for span in document.spans
        if span.text.strip(" ").startswith(breaks) or span.text.strip(" ").endswith(breaks)
    ]
    if cut:
        with pytest.raises(ValueError, match="begins or ends with a line break"):
            brat.write(folder, [document])
        assert not folder.exists()
    else:
        brat.write(folder, [document])
        assert brat.read(folder) == [document]


def test_a_byte_order_mark_is_a_character(tmp_path: Path) -> None:
    document = Document("\ufeffفاس", [Span(1, 4, "LOC")], "x")
    brat.write(tmp_path, [document])
    assert brat.read(tmp_path) == [document]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("فاس", [], "../x")], r"'\.\./x': its id cannot be the name of a file"),
        ([Document("فاس", [], "/x")], "cannot be the name"),
        ([Document("فاس", [], "")], "cannot be the name"),
        ([Document("فاس", [], "https://example.org/x")], "cannot be the name"),
        ([Document("فاس", [], "x"), Document("طنجة", [], "X")], "articles 'x' and 'X' would share a file"),
        ([Document(" \n", [], "x")], "article 'x' has no text"),
        ([Document("فاس", [Span(0, 3, "a b")], "x")], "article 'x': 'فاس' at 0: brat takes only letters.* not 'a b'"),
    ],
)
def test_what_brat_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path, documents: list[Document], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        brat.write(tmp_path / "out", [Document("طنجة", [], "first"), *documents])
    assert not (tmp_path / "out").exists()


def test_other_articles_in_the_folder_are_not_mixed_in(tmp_path: Path) -> None:
    document = Document("فاس", [Span(0, 3, "LOC")], "x")
    brat.write(tmp_path, [document])
    brat.write(tmp_path, [document])
    with pytest.raises(ValueError, match=r"holds x.ann, which is none of these articles; choose another folder"):
        brat.write(tmp_path, [Document("طنجة", [], "y")])


def test_scores_and_metadata_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"no place for scores \(1\) and metadata \(of 1 articles\)"):
        brat.write(tmp_path, [Document("فاس", [Span(0, 3, "LOC", 0.5)], "x", {"n": 1})])
