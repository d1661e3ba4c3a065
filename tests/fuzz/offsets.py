"""Feed texts to the maps of offsets until one is wrong: `python tests/fuzz/offsets.py`; needs `pip install atheris`.

Runs until it is stopped, or as long as `-max_total_time=60` says.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import atheris

with atheris.instrument_imports(include=["kayan", "re"]):
    from kayan.document import Document, Span
    from kayan.formats import conll
    from kayan.formats.offsets import COUNTINGS, locate, points
    from kayan.text import normalise
    from kayan.words import sentences, words


def once(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    start, length = provider.ConsumeIntInRange(0, 200), provider.ConsumeIntInRange(1, 60)
    text = data[len(data) - provider.remaining_bytes() :].decode("utf-8", errors="ignore")
    for profile in ("light", "arabertv02"):
        view = normalise(text, profile)
        assert len(view.starts) == len(view.ends) == len(view.text)
        assert (view.starts[:-1] <= view.starts[1:]).all()
        assert (view.ends[:-1] <= view.ends[1:]).all()
        for a, b in words(view.text):
            raw = view.to_raw(a, b)
            assert 0 <= raw[0] <= raw[1] <= len(text)
            assert raw[0] == raw[1] or view.to_view(*raw) is not None
    for pieces in (words(text), sentences(text)):
        assert all(a < b for a, b in pieces)
        assert all(b <= c for (_, b), (c, _) in pairwise(pieces))
    end = start + length
    if end > len(text):
        return
    for counting in COUNTINGS[:2]:
        back = {point: offset for offset, point in points(text, counting).items()}
        mention = (back[start], back[end], text[start:end])
        assert locate(text, [mention], counting) == [(start, end)]
    document = Document(text, [Span(start, end, "LOC")], "x")
    try:
        sentences_ = list(conll.tagged(document))
    except ValueError:
        return
    assert "".join(sentence for sentence, _ in sentences_) == text
    assert sum(tag == "B-LOC" for _, rows in sentences_ for _, tag in rows) == 1


if __name__ == "__main__":
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
