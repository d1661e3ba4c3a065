"""Articles at their most awkward, for the property tests of formats."""

from __future__ import annotations

from hypothesis import strategies as st

from kayan.document import Document, Span

PIECES = [
    *[
        "زار",
        "وبمراكش",
        "لـ13",
        "محمَّد",
        "G20",
        "Müller",
        "😀",
        "👩‍👩‍👧",
        "\U0001e900",
        "\u200f",
        "\u202b",
        "\u2069",
        "ـ",
        "َ",
    ],
    *[
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\t",
        "\u00a0",
        "\u2028",
        "\x0b",
        "\x85",
        "\x00",
        "\x1b",
        "\ufeff",
        "\ufffe",
    ],
    *[
        ".",
        "؟ ",
        "،",
        "«",
        "»",
        '"',
        "'",
        "=",
        "+",
        "-",
        "@",
        "|",
        "[",
        "]",
        "_",
        "\\",
        "\\n",
        "*",
        "#",
        ";",
        "_x000D_",
    ],
]


def texts(minimum: int = 0) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PIECES), min_size=minimum, max_size=14).map("".join)


@st.composite
def documents(draw: st.DrawFn, minimum: int = 0, nested: bool = True, visible: bool = False, id: str = "x") -> Document:
    """An article of at least `minimum` pieces; spans may overlap where `nested`, and begin and end with a visible
    character where `visible`."""
    text = draw(texts(minimum))
    spans: list[Span] = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        span = Span(start, end, draw(st.sampled_from(["PER", "LOC", "a|b[1]_*;->\\"])))
        edges = text[start] + text[end - 1]
        if (nested or not any(span.overlaps(other) for other in spans)) and not (visible and edges != edges.strip()):
            spans.append(span)
    return Document(text, spans, id)


SPLICES = [
    *[
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\n",
        b"\t",
        b'"',
        b"'",
        b"\\",
        b"[",
        b"]",
        b"{",
        b"}",
        b"|",
    ],
    *[b"-1", b"0", b"9" * 20, b"9" * 5000, b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'"x"', b"[" * 2000],
    *[
        b"\\ud83d",
        b"\xd8\xb2",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\x1b[2J",
        b"_xD800_",
        b"B-",
        b"T1\t",
    ],
]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with up to three stretches of it replaced by something else, or copied to another place."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 5, 40])))
        other = draw(st.integers(0, len(data)))
        new = draw(st.sampled_from([*SPLICES, data[other : other + 30]]) | st.binary(max_size=3))
        data = data[:start] + new + data[end:]
    return data


ODD_VALUES: list[object] = [
    None,
    True,
    -1,
    0,
    3,
    10**30,
    1.5,
    float("nan"),
    "",
    "x",
    "\ud83d",
    [],
    {},
    [[]],
    [{}],
    {"a": 1},
]


@st.composite
def miscast(draw: st.DrawFn, value: object) -> object:
    """A JSON value in which one value, at any depth, is replaced by one of another kind, or is gone."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        copy = value.copy()
        if draw(st.integers(0, 7)):
            copy[key] = draw(miscast(value[key]))  # type: ignore[call-overload, index]
        else:
            del copy[key]  # type: ignore[arg-type]
        return copy
    return draw(st.sampled_from(ODD_VALUES))
