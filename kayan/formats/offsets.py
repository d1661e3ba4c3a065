"""Offsets that other programs count in UTF-16 units or graphemes, turned into code points; the quoted mention decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

COUNTINGS = ("code points", "utf-16", "graphemes")
# Label Studio shows a line break in a quotation as a backslash and an n, and collapses white space; brat puts a space.
_UNQUOTED = re.compile(r"\\n|\s+")


class OffsetError(ValueError):
    """Offsets that fit no mention, or several; `index` is the place of the mention among those that were asked for."""

    def __init__(self, index: int, message: str):
        self.index = index
        super().__init__(message)


def points(text: str, counting: str) -> dict[int, int]:
    """For each offset of `counting` that stands between two of its units, the offset in code points.

    counting: "code points", "utf-16" (as JavaScript and Java count) or "graphemes" (extended grapheme clusters; a letter
    with its diacritics is one). Raises `ValueError` for another one, and ImportError where graphemes are asked for and the
    `regex` package is missing.

    >>> points("😀 a", "utf-16")
    {0: 0, 2: 1, 3: 2, 4: 3}
    """
    if counting not in COUNTINGS:
        raise ValueError(f"counting must be one of {', '.join(COUNTINGS)}, not {counting!r}")
    pieces: Iterable[str] = text
    if counting == "graphemes":
        try:
            import regex  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise ImportError("counting graphemes needs the regex package: pip install regex") from None
        pieces = regex.findall(r"\X", text)
    elif counting == "utf-16" and not text.isascii():
        # A character beyond the Basic Multilingual Plane, such as an emoji, is two units.
        units = accumulate((1 + (char > "\uffff") for char in text), initial=0)
        return dict(zip(units, range(len(text) + 1), strict=True))
    return dict(enumerate(accumulate(map(len, pieces), initial=0)))


def locate(text: str, mentions: Sequence[tuple[Any, Any, Any]], counting: str | None = None) -> list[tuple[int, int]]:
    """The half-open offsets in code points of `mentions`: their start and end as counted by another program, and their
    surface as it quotes it (white space may differ), or None; other values are refused.

    Where `counting` is None, offsets are code points where these fit what is quoted, else UTF-16 units. What fits both
    ways, as a mention without a quotation does, goes with those that fit one way only.

    Raises `OffsetError` for a mention that is malformed or fits neither way, or is not quoted, fits both and nothing decides.

    >>> locate("😀 زار فاس", [(7, 10, "فاس")])
    [(6, 9)]
    """
    maps = {name: points(text, name) for name in ([counting] if counting else COUNTINGS[:2])}
    fits = []
    for index, (start, end, quote) in enumerate(mentions):
        if any(type(offset) is not int for offset in (start, end)):
            raise OffsetError(index, f"start and end must be integers, not {start!r} and {end!r}")
        if not isinstance(quote, str | None):
            raise OffsetError(index, f"[{start}, {end}) must quote a string, not {quote!r}")
        found = {name: (at[start], at[end]) for name, at in maps.items() if start in at and end in at}
        if quote is not None:
            exact = {name: edges for name, edges in found.items() if text[slice(*edges)] == quote}
            bare = _UNQUOTED.sub("", quote)
            found = exact or {n: edges for n, edges in found.items() if _UNQUOTED.sub("", text[slice(*edges)]) == bare}
        if not found:
            raise OffsetError(index, _misfit(text, start, end, quote, maps))
        fits.append(found)
    sole = {next(iter(found)) for found in fits if len(found) < len(maps)}
    edges = []
    for index, ((start, end, quote), found) in enumerate(zip(mentions, fits, strict=True)):
        if len(set(found.values())) > 1 and (len(sole) > 1 or (not sole and quote is None)):
            readings = " or ".join(f"{text[slice(*edge)]!r} ({name})" for name, edge in found.items())
            raise OffsetError(index, f"[{start}, {end}) may be {readings}; say how it is counted, with `counting`")
        [name] = sole & found.keys() if len(sole) == 1 and sole & found.keys() else [next(iter(found))]
        edges.append(found[name])
    return edges


def _misfit(text: str, start: int, end: int, quote: str | None, maps: dict[str, dict[int, int]]) -> str:
    there = {name: text[at[start] : at[end]] for name, at in maps.items() if start in at and end in at}
    claim = f"[{start}, {end})" + ("" if quote is None else f" quotes {quote!r}, but")
    if not there:
        return f"{claim} is outside the text, which has {len(text)} code points, or cuts a character in two"
    surfaces = " or ".join(dict.fromkeys(map(repr, there.values())))
    return f"{claim} the text there is {surfaces}, counted in {' or '.join(there)}"
