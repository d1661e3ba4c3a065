from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan.document import Document, Span
from kayan.formats.offsets import OffsetError, locate, points

PIECES = [
    "زار",
    " ",
    "ب",
    "فاس",
    "\n",
    "\r\n",
    "\t",
    "😀",
    "🇲🇦",
    "👩‍👧",
    "\u200f",
    "\u2067",
    "َّ",
    "ـ",
    "\\n",
    "<b>",
    "\u2028",
    "\x85",
]


@st.composite
def annotated(draw: st.DrawFn) -> Document:
    """Any article: emoji, diacritics, invisible marks, line breaks; spans nested, crossing and equal."""
    text = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=20).map("".join))
    edges = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True).map(sorted)
    spans = [Span(a, b, draw(st.sampled_from(["PER", "LOC"]))) for a, b in draw(st.lists(edges, max_size=5))]
    meta = draw(
        st.dictionaries(
            st.sampled_from(["id", "text", "label", "meta", "تاريخ"]), st.integers() | st.none(), max_size=2
        )
    )
    return Document(text, spans, draw(st.sampled_from(["x", "1", "خبر-2", ""])), meta)


def javascript(text: str, start: int, end: int) -> tuple[int, int]:
    """The offsets in UTF-16 units, by way of the bytes."""
    return tuple(len(text[:offset].encode("utf-16-le")) // 2 for offset in (start, end))  # type: ignore[return-value]


def test_units_of_each_counting() -> None:
    text = "َ😀\r\n👩‍👧"
    assert points(text, "code points") == {i: i for i in range(8)}
    assert points(text, "utf-16") == {0: 0, 1: 1, 3: 2, 4: 3, 5: 4, 7: 5, 8: 6, 10: 7}
    pytest.importorskip("regex")
    assert points(text, "graphemes") == {0: 0, 1: 1, 2: 2, 3: 4, 4: 7}
    with pytest.raises(ValueError, match="counting must be one of code points, utf-16, graphemes, not 'bytes'"):
        points(text, "bytes")


@given(annotated())
@settings(max_examples=200, deadline=None)
def test_utf_16_is_what_javascript_counts(document: Document) -> None:
    at = points(document.text, "utf-16")
    for span in document.spans:
        start, end = javascript(document.text, span.start, span.end)
        assert (at[start], at[end]) == (span.start, span.end)


TEXT = "😀 زار وفد فاس 😀 والرباط"


@pytest.mark.parametrize(("word", "quote"), [("فاس", "فاس"), ("وفد فاس 😀", "وفد  فاس\\n😀")])
def test_the_quoted_mention_decides(word: str, quote: str) -> None:
    start = TEXT.index(word)
    edges = (start, start + len(word))
    assert locate(TEXT, [(*edges, quote)]) == [edges]
    assert locate(TEXT, [(*javascript(TEXT, *edges), quote)]) == [edges]


def test_an_exact_quotation_outweighs_one_with_other_spaces() -> None:
    assert locate("😀 ا ", [(2, 4, " ا")]) == [(1, 3)]
    assert locate("😀 ا ", [(2, 4, "ا")]) == [(2, 4)]


def test_mentions_that_fit_both_ways_go_with_the_others() -> None:
    text = "😀ااا فاس"
    unquoted = (2, 3, None)
    assert locate(text, [(2, 3, "ا")]) == [(2, 3)]
    assert locate(text, [(2, 3, "ا"), (6, 9, "فاس")]) == [(1, 2), (5, 8)]
    assert locate(text, [unquoted, (6, 9, "فاس")]) == [(1, 2), (5, 8)]
    assert locate(text, [unquoted, (5, 8, "فاس")]) == [(2, 3), (5, 8)]
    assert locate(text, [unquoted], "utf-16") == [(1, 2)]
    assert locate("ااا فاس", [unquoted]) == [(2, 3)]


@pytest.mark.parametrize(
    ("mentions", "index", "message"),
    [
        ([(0, 1, "😀"), (11, 14, "مراكش")], 1, r"\[11, 14\) quotes 'مراكش', but the text there is 'اس ' or 'فاس'"),
        ([(2, 5, None)], 0, r"\[2, 5\) may be 'زار' \(code points\) or ' زا' \(utf-16\); say how it is counted"),
        ([(10, 13, "فاس"), (11, 14, "فاس"), (2, 5, None)], 2, "may be"),
        ([(0, 99, "فاس")], 0, "outside the text, which has 23 code points"),
        ([(0.0, 3, "x")], 0, "must be integers, not 0.0 and 3"),
        ([(True, 3, "x")], 0, "must be integers"),
        ([(0, 3, 5)], 0, "must quote a string, not 5"),
    ],
)
def test_what_cannot_be_decided_is_refused(mentions: list[tuple[Any, Any, Any]], index: int, message: str) -> None:
    with pytest.raises(OffsetError, match=message) as caught:
        locate(TEXT, mentions)
    assert caught.value.index == index
