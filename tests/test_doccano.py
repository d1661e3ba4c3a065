import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.document import Document, Span
from kayan.formats import FormatError, doccano
from kayan.formats.offsets import points
from tests.test_offsets import annotated, javascript

FIXTURES = Path(__file__).parent / "fixtures"
TEXT = "زار 😀 وفد مدينة فاس"


def surfaces(document: Document) -> list[tuple[str, str]]:
    return [(span.text, span.label) for span in document.spans]


def line(tmp_path: Path, **record: Any) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "x", "label": []}\n' + json.dumps({"id": "ع", "text": TEXT, **record}) + "\n")
    return path


def test_exports_of_both_shapes() -> None:
    """Made with doccano 1.8."""
    emoji, crlf, empty = doccano.read(FIXTURES / "doccano.jsonl")
    assert surfaces(emoji) == [("جامعة القاضي عياض", "ORG"), ("مراكش", "LOC"), ("3 نونبر", "DATE")]
    assert emoji.meta == {"source": "وكالة", "n": 3, "tags": ["أ"]}
    assert surfaces(crlf)[2:] == [("الدار\r\nالبيضاء", "LOC"), ("وجدة", "LOC")]
    assert empty.meta == {"Comments": ["ملاحظة"]}
    with pytest.warns(UserWarning, match=r"doccano_relations.jsonl: 1 relations are left out"):
        again, nested = doccano.read(FIXTURES / "doccano_relations.jsonl")
    assert again == emoji
    assert surfaces(nested) == [("بنك المغرب", "ORG"), ("المغرب", "LOC"), ("الرباط", "LOC"), ("آخر", "MISC")]


@pytest.mark.filterwarnings("error")
@given(annotated(), st.booleans(), st.sampled_from(["utf-16", "code points"]))
@settings(max_examples=200, deadline=None)
def test_any_document_survives(
    tmp_path_factory: pytest.TempPathFactory, document: Document, relations: bool, counting: str
) -> None:
    path = tmp_path_factory.mktemp("doccano") / "a.jsonl"
    doccano.write(path, [document], relations=relations, counting=counting)
    [again] = doccano.read(path, counting=counting)
    assert (again, again.meta) == (document, document.meta)


@given(annotated())
@settings(max_examples=200, deadline=None)
def test_graphemes_survive_or_the_mention_is_named(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    pytest.importorskip("regex")
    path = tmp_path_factory.mktemp("doccano") / "a.jsonl"
    whole = set(points(document.text, "graphemes").values())
    if all({span.start, span.end} <= whole for span in document.spans):
        doccano.write(path, [document], counting="graphemes")
        assert doccano.read(path, counting="graphemes") == [document]
    else:
        with pytest.raises(ValueError, match="begins or ends within a grapheme"):
            doccano.write(path, [document], counting="graphemes")


def test_offsets_are_those_of_a_browser(tmp_path: Path) -> None:
    document = Document(TEXT, [Span(16, 19, "LOC")], "x", {"n": 1})
    doccano.write(tmp_path / "a.jsonl", [document])
    record = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))
    assert record == {"id": "x", "text": TEXT, "label": [[*javascript(TEXT, 16, 19), "LOC"]], "meta": {"n": 1}}
    assert doccano.read(tmp_path / "a.jsonl") == [document]


def test_code_points_are_refused_where_it_shows_and_read_when_asked_for(tmp_path: Path) -> None:
    path = line(tmp_path, label=[[16, 19, "LOC"]])
    with pytest.raises(FormatError, match=r"a.jsonl:2: article 'ع': offsets do not count UTF-16.*they mark 'فاس': if"):
        doccano.read(path)
    assert surfaces(doccano.read(path, counting="code points")[1]) == [("فاس", "LOC")]
    # Half of an emoji.
    with pytest.raises(FormatError, match="do not count UTF-16"):
        doccano.read(line(tmp_path, label=[[4, 5, "MISC"]]))


@pytest.mark.parametrize("shape", [{"entities": [[17, 20, "LOC"]]}, {"labels": [[17, 20, "LOC"]]}])
def test_other_names_of_the_list(tmp_path: Path, shape: dict[str, Any]) -> None:
    assert surfaces(doccano.read(line(tmp_path, **shape, source=None, cats=["رياضة"]))[1]) == [("فاس", "LOC")]
    assert doccano.read(line(tmp_path, **shape, source=None, cats=["رياضة"]))[1].meta == {"cats": ["رياضة"]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": None}, r"a.jsonl:2: article 'ع': \"text\" must be a string; the line has 'id', 'text'"),
        ({"text": "س \ud83d"}, "half a character"),
        ({"label": ["LOC"]}, r"expected \[start, end, type\] or .* found 'LOC'"),
        ({"label": [[0, 3]]}, "expected"),
        ({"label": [[0, 3, None]]}, "expected"),
        ({"label": {"a": 1}}, '"label" must be a list'),
        ({"entities": [{"id": 1, "start_offset": 0, "label": "LOC"}]}, "expected"),
        ({"label": [[0, 99, "LOC"]]}, r"\[0, 99\) is outside the text .* it has 20 units"),
        ({"label": [[3, 3, "LOC"]]}, "start < end"),
        ({"label": [], "entities": []}, "has mentions in label and entities; one of them is expected"),
        ({"n": 1, "meta": {"n": 2}}, "n is in the line and in its meta"),
        ({"id": 1}, "a second article '1'"),
    ],
)
def test_errors_name_file_line_and_article(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        doccano.read(line(tmp_path, **record))


def test_lines_that_are_no_objects(tmp_path: Path) -> None:
    for content, message in (
        ('{"id": 1', r"a.jsonl:1: broken JSON at column"),
        ('\n["x"]', r"a.jsonl:2: expected an object"),
    ):
        (tmp_path / "a.jsonl").write_text(content)
        with pytest.raises(FormatError, match=message):
            doccano.read(tmp_path / "a.jsonl")


def test_what_doccano_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no place for scores, 1 are left out"):
        doccano.write(tmp_path / "a.jsonl", [Document("فاس", [Span(0, 3, "LOC", 0.5)], "x")])
    with pytest.raises(ValueError, match="article 'y' has no text"):
        doccano.write(tmp_path / "b.jsonl", [Document("", [], "y")])
    assert not (tmp_path / "b.jsonl").exists()
