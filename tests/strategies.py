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
