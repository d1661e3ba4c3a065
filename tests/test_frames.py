"""Columns of texts in pandas and Polars: the same mentions as from the texts, in the library and the rows they came from."""

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kayan import Document, Span, Tagger
from kayan.frames import COLUMNS, tag_column, with_mentions

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

PANDAS_TEXTS = ["object", "str", "string[python]", "string[pyarrow]", "category"]
EACH_LIBRARY = pytest.mark.parametrize("library", [pandas, polars], ids=["pandas", "polars"])


class Cities:
    """Marks every «فاس» and «وجدة», and knows how many texts it held at once."""

    def __init__(self, chunk: int = 2) -> None:
        self.chunk, self.read, self.most_ahead = chunk, 0, 0

    def stream(self, articles: Iterable[Document]) -> Iterator[Document]:
        waiting: list[Document] = []
        given = 0
        for article in articles:
            self.read += 1
            self.most_ahead = max(self.most_ahead, self.read - given)
            waiting.append(article)
            if len(waiting) == self.chunk:
                for one in waiting:
                    yield self.tag(one)
                    given += 1
                waiting = []
        yield from map(self.tag, waiting)

    def tag(self, document: Document) -> Document:
        text = document.text
        found = [Span(i, i + len(city), "LOC", 0.5) for city in ("فاس", "وجدة") for i in places(text, city)]
        return document.with_spans(found)


def places(text: str, city: str) -> Iterator[int]:
    at = text.find(city)
    while at >= 0:
        yield at
        at = text.find(city, at + 1)


TEXTS = ["من فاس إلى وجدة", None, "لا مدن هنا", "", "فاس 🌙 ثم فاس"]
ROWS = [0, 0, 4, 4]
NAMES = ["فاس", "وجدة", "فاس", "فاس"]


@EACH_LIBRARY
def test_a_row_a_mention(library: Any) -> None:
    frame = library.DataFrame({"text": TEXTS, "source": list("abcde")})
    mentions = tag_column(frame, "text", Cities(), id="source")
    assert type(mentions) is type(frame)
    assert list(mentions.columns) == ["row", "source", *COLUMNS[1:]]
    assert list(mentions["row"]) == ROWS
    assert list(mentions["source"]) == ["a", "a", "e", "e"]
    assert list(mentions["text"]) == list(mentions["name"]) == NAMES
    for row, start, end, text in zip(*(list(mentions[name]) for name in ("row", "start", "end", "text")), strict=True):
        assert TEXTS[row][start:end] == text
    assert list(mentions["score"]) == [0.5] * 4
    assert list(frame.columns) == ["text", "source"]


@EACH_LIBRARY
def test_the_same_as_from_the_texts(library: Any, checkpoint: Path, articles: list[Document]) -> None:
    tagger = Tagger.load(checkpoint)
    texts = [document.text for document in articles]
    mentions = tag_column(library.DataFrame({"text": texts}), "text", tagger)
    rows = list(zip(*(list(mentions[name]) for name in COLUMNS), strict=True))
    expected = [
        (i, span.start, span.end, span.text, span.name, span.label, pytest.approx(span.score, abs=1e-4))
        for i, document in enumerate(tagger(texts))
        for span in document.spans
    ]
    assert expected
    assert rows == expected


@pytest.mark.parametrize("kind", PANDAS_TEXTS)
def test_texts_however_pandas_keeps_them(kind: str) -> None:
    frame = pandas.DataFrame({"text": pandas.Series(TEXTS, dtype=kind)})
    mentions = tag_column(frame, "text", Cities())
    assert list(mentions["row"]) == ROWS
    assert list(mentions["text"]) == NAMES


@pytest.mark.parametrize("kind", [polars.String, polars.Categorical], ids=str)
def test_texts_however_polars_keeps_them(kind: Any) -> None:
    frame = polars.DataFrame({"text": polars.Series(TEXTS).cast(kind)})
    assert list(tag_column(frame, "text", Cities())["row"]) == ROWS


@pytest.mark.parametrize("absent", [None, float("nan"), pandas.NA, pandas.NaT], ids=repr)
def test_missing_values_have_no_mentions(absent: Any) -> None:
    frame = pandas.DataFrame({"text": pandas.Series([absent, "فاس", absent], dtype=object)})
    assert list(tag_column(frame, "text", Cities())["row"]) == [1]
    assert list(map(len, with_mentions(frame, "text", Cities())["mentions"])) == [0, 1, 0]
    assert tag_column(pandas.DataFrame({"text": [absent, absent]}), "text", Cities()).empty


def test_missing_values_of_polars() -> None:
    for values in ([None, None], [float("nan"), None]):
        assert tag_column(polars.DataFrame({"text": values}), "text", Cities()).is_empty()


def test_the_index_of_pandas_is_kept() -> None:
    texts = ["فاس", "وجدة ثم فاس", "وجدة"]
    named = tag_column(
        pandas.DataFrame({"text": texts}, index=pandas.Index(["x", "y", "x"], name="key")), "text", Cities()
    )
    assert list(named.index) == ["x", "y", "y", "x"]
    assert named.index.name == "key"
    assert list(named["row"]) == [0, 1, 1, 2]
    levels = pandas.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["part", "number"])
    several = tag_column(pandas.DataFrame({"text": texts, "n": [1, 2, 3]}, index=levels), "text", Cities(), id=["n"])
    assert list(several.index) == [("a", 1), ("a", 1), ("a", 1), ("b", 2)]
    assert several.index.names == ["part", "number"]
    assert list(several["n"]) == [1, 2, 2, 3]
    kept = with_mentions(pandas.DataFrame({"text": texts}, index=[7, 7, 7]), "text", Cities())
    assert list(kept.index) == [7, 7, 7]
    assert [[mention["text"] for mention in row] for row in kept["mentions"]] == [["فاس"], ["وجدة", "فاس"], ["وجدة"]]


@EACH_LIBRARY
def test_types_do_not_depend_on_what_is_found(library: Any) -> None:
    day = datetime.date(2025, 11, 3)
    frames = [library.DataFrame({"text": [text], "day": [day]}) for text in ("فاس", "لا شيء")]
    some, none = (tag_column(frame, "text", Cities(), id="day") for frame in frames)
    assert (len(some), len(none)) == (1, 0)
    assert list(some.dtypes) == list(none.dtypes)
    assert [str(kind).lower() for kind in [some["start"].dtype, some["score"].dtype]] == ["int64", "float64"]
    some, none = (with_mentions(frame, "text", Cities()) for frame in frames)
    assert list(some.dtypes) == list(none.dtypes)
    assert len(tag_column(library.DataFrame({"text": []}), "text", Cities())) == 0


@EACH_LIBRARY
def test_a_list_a_row(library: Any) -> None:
    frame = library.DataFrame({"text": TEXTS, "source": list("abcde")})
    both = with_mentions(frame, "text", Cities(), into="cities")
    assert list(both.columns) == ["text", "source", "cities"]
    assert list(map(len, both["cities"])) == [2, 0, 0, 0, 2]
    mention = {"start": 3, "end": 6, "text": "فاس", "name": "فاس", "label": "LOC", "score": 0.5}
    assert next(iter(both["cities"]))[0] == mention


@EACH_LIBRARY
def test_texts_are_read_as_they_are_tagged(library: Any) -> None:
    tagger = Cities(chunk=3)
    tag_column(library.DataFrame({"text": ["فاس"] * 50}), "text", tagger)
    assert tagger.read == 50
    assert tagger.most_ahead == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, r"column 'text', row 1 \(index 'y'\): a text or a missing value is expected, not 7"),
        (["فاس"], r"row 1 \(index 'y'\).*not \['فاس'\]"),
        (b"x", "row 1 .*not b'x'"),
    ],
)
def test_what_is_no_text_is_named(value: Any, message: str) -> None:
    frame = pandas.DataFrame({"text": pandas.Series(["فاس", value], index=["x", "y"], dtype=object)})
    with pytest.raises(TypeError, match=message):
        tag_column(frame, "text", Cities())


def test_numbers_and_half_characters_are_named() -> None:
    with pytest.raises(TypeError, match="column 'n', row 0: a text or a missing value is expected, not 1"):
        tag_column(polars.DataFrame({"n": [1, 2]}), "n", Cities())
    frame = pandas.DataFrame({"text": pandas.Series(["فاس", "x\ud83d"], dtype=object)})
    with pytest.raises(ValueError, match=r"row 1 \(index 1\): half a character, '\\ud83d', at 1"):
        tag_column(frame, "text", Cities())


@EACH_LIBRARY
def test_columns_that_are_not_there_or_twice(library: Any) -> None:
    frame = library.DataFrame({"text": ["فاس"], "label": ["x"]})
    with pytest.raises(ValueError, match=r"no column 'body'; its columns are \['text', 'label'\]"):
        tag_column(frame, "body", Cities())
    with pytest.raises(ValueError, match="no column 'day'"):
        tag_column(frame, "text", Cities(), id="day")
    with pytest.raises(ValueError, match="id 'label' would be a column of the mentions twice"):
        tag_column(frame, "text", Cities(), id=["label"])
    with pytest.raises(ValueError, match="has a column 'label' already"):
        with_mentions(frame, "text", Cities(), into="label")


def test_two_columns_of_one_name() -> None:
    with pytest.raises(ValueError, match="several columns 'text'"):
        tag_column(pandas.DataFrame([["فاس", "وجدة"]], columns=["text", "text"]), "text", Cities())


def test_what_is_no_frame() -> None:
    with pytest.raises(TypeError, match=r"frame.collect\(\)"):
        tag_column(polars.DataFrame({"text": ["فاس"]}).lazy(), "text", Cities())
    with pytest.raises(TypeError, match=r"pandas or Polars is expected, not builtins\.dict"):
        tag_column({"text": ["فاس"]}, "text", Cities())
    with pytest.raises(TypeError, match=r"not pandas.*Series"):
        tag_column(pandas.Series(["فاس"]), "text", Cities())


@given(st.lists(st.none() | st.lists(st.sampled_from(["فاس", "وجدة", "🌙", "\r\n", "م"])).map("".join), max_size=8))
def test_both_libraries_find_what_the_texts_hold(texts: list[str | None]) -> None:
    expected = [
        (row, span.start, span.end, span.text)
        for row, text in enumerate(texts)
        if text is not None
        for span in Cities().tag(Document(text)).spans
    ]
    frames = [
        pandas.DataFrame({"text": pandas.Series(texts, dtype=object)}),
        polars.DataFrame({"text": texts}, schema={"text": polars.String}),
    ]
    for frame in frames:
        mentions = tag_column(frame, "text", Cities())
        found = list(zip(*(list(mentions[name]) for name in ("row", "start", "end", "text")), strict=True))
        assert found == expected
