"""A column of texts in a pandas or Polars frame: `tag_column` for a frame of mentions, `with_mentions` for a list a row."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from kayan.document import Document
from kayan.formats import SURROGATE

Frame = TypeVar("Frame")
COLUMNS = ("row", "start", "end", "text", "name", "label", "score")


class Streaming(Protocol):
    """A `kayan.Tagger`, or what else tags articles as they come, in order."""

    def stream(self, articles: Iterable[Document]) -> Iterable[Document]: ...


def tag_column(frame: Frame, column: Any, tagger: Streaming, *, id: Any = ()) -> Frame:
    """The mentions in a column of texts: a frame of the same library, a row a mention, in the order of rows and texts.

    Columns: `row` (position in `frame`, from 0), those of `id` (a name or a list of them) as they are in `frame`, `start`
    and `end` (half-open, Unicode code points of the text), `text`, `name` (canonical form), `label`, `score`. In pandas the
    index is that of `frame`, each label as often as its row has mentions. Missing texts (None, NaN, NA, null) have none.
    The texts are read and tagged as a stream: beside the mentions no more than a chunk of them is held.
    Raises `TypeError` for anything but an eager frame and, naming its row, for a value that is no text; `ValueError` for
    columns that are not there, or that would stand twice.

    >>> import pandas
    >>> from kayan import Tagger
    >>> news = pandas.DataFrame({
    ...     "day": ["2025-11-03", "2025-11-03", "2025-11-04"],
    ...     "text": ["زار وفد من الأمم المتحدة مدينة فاس.", None, "افتتح المعرض بفاس، وحضرته الأمم المتحدة."],
    ... })
    >>> mentions = tag_column(news, "text", Tagger.load(), id="day")
    >>> mentions[mentions.label == "LOC"].groupby("day").name.value_counts().to_dict()
    {('2025-11-03', 'فاس'): 1, ('2025-11-04', 'فاس'): 1}
    """
    library, series = _column(frame, column)
    ids = list(id) if isinstance(id, list | tuple) else [id]
    for name in ids:
        _column(frame, name)
        if name in COLUMNS or ids.count(name) > 1:
            raise ValueError(f"id {name!r} would be a column of the mentions twice; rename it in the frame")
    cells: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for document in tagger.stream(_articles(library, frame, column, series)):
        for span in document.spans:
            found = (document.meta["row"], span.start, span.end, span.text, span.name, span.label, span.score)
            for name, cell in zip(COLUMNS, found, strict=True):
                cells[name].append(cell)
    return _pandas(frame, cells, ids) if library == "pandas" else _polars(frame, cells, ids)


def with_mentions(frame: Frame, column: Any, tagger: Streaming, *, into: str = "mentions") -> Frame:
    """The same frame with a further column, `into`: the list of the mentions in each row's text, each a dictionary (in
    Polars a struct) of start, end, text, name, label and score; empty for a missing text.

    Raises as `tag_column` does, and `ValueError` for a column `into` that is there already.
    """
    library, series = _column(frame, column)
    given: Any = frame
    if into in given.columns:
        raise ValueError(f"the frame has a column {into!r} already; name another with into=")
    lists: list[list[dict[str, Any]]] = [[] for _ in range(len(given))]
    for document in tagger.stream(_articles(library, frame, column, series)):
        lists[document.meta["row"]] = [
            {name: getattr(span, name) for name in COLUMNS if name != "row"} for span in document.spans
        ]
    if library == "pandas":
        import pandas

        return given.assign(**{into: pandas.Series(lists, index=given.index, dtype=object)})
    import polars

    kind = polars.List(polars.Struct({name: kind for name, kind in _polars_schema().items() if name != "row"}))
    return given.with_columns(polars.Series(into, lists, dtype=kind))


def _column(frame: Any, column: Any) -> tuple[str, Any]:
    """The frame's library and its column, without importing either."""
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in type(frame).__mro__}
    if ("polars", "LazyFrame") in bases:
        raise TypeError("a LazyFrame has no rows yet; give frame.collect(), or its batches one by one")
    library = next((name for name in ("pandas", "polars") if (name, "DataFrame") in bases), None)
    if library is None:
        found = f"{type(frame).__module__}.{type(frame).__qualname__}"
        raise TypeError(f"a DataFrame of pandas or Polars is expected, not {found}")
    names = list(frame.columns)
    if names.count(column) != 1:
        there = "has no column" if column not in names else "has several columns"
        raise ValueError(f"the frame {there} {column!r}; its columns are {reprlib.repr(names)}")
    return library, frame[column]


def _articles(library: str, frame: Any, column: Any, series: Any) -> Iterator[Document]:
    """The texts that are not missing, each with its row in its metadata."""
    missing = series.isna() if library == "pandas" else series.is_null()
    for row, (value, absent) in enumerate(zip(series, missing, strict=True)):
        if absent or _is_nan(value):
            continue
        where = f"column {column!r}, row {row}"
        if library == "pandas":
            where += f" (index {frame.index[row]!r})"
        if not isinstance(value, str):
            raise TypeError(f"{where}: a text or a missing value is expected, not {reprlib.repr(value)}")
        if half := SURROGATE.search(value):
            raise ValueError(
                f"{where}: half a character, {half[0]!r}, at {half.start()}; decode the text as UTF-8 or UTF-16"
            )
        yield Document(value, meta={"row": row})


def _is_nan(value: Any) -> bool:
    """Whether it is a NaN that the library does not take for missing."""
    return isinstance(value, float) and value != value


def _pandas(frame: Any, cells: dict[str, list[Any]], ids: Sequence[Any]) -> Any:
    import pandas

    kinds = {"row": "int64", "start": "int64", "end": "int64", "score": "float64"}
    # By position, since an index may name several rows alike.
    mentions = frame[list(ids)].iloc[cells["row"]].copy()
    for name in COLUMNS:
        mentions[name] = pandas.Series(cells[name], dtype=kinds.get(name, "str")).array
    return mentions[["row", *ids, *COLUMNS[1:]]]


def _polars(frame: Any, cells: dict[str, list[Any]], ids: Sequence[Any]) -> Any:
    import polars

    mentions = polars.DataFrame(cells, schema=_polars_schema())
    if not ids:
        return mentions
    kept = frame.select(ids)[cells["row"]]
    return polars.concat([mentions.select("row"), kept, mentions.drop("row")], how="horizontal")


def _polars_schema() -> dict[str, Any]:
    import polars

    kinds = {"row": polars.Int64, "start": polars.Int64, "end": polars.Int64, "score": polars.Float64}
    return {name: kinds.get(name, polars.String) for name in COLUMNS}
