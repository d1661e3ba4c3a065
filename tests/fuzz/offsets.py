"""Feed texts to the maps of offsets until one is wrong: `python tests/fuzz/offsets.py NAME [FOLDER]`.

NAME is one of `TARGETS`. Runs until it is stopped, or as long as `-max_total_time=60` says; needs `pip install atheris`.
FOLDER keeps what is found on the way; a file in its place is run once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kayan", "re"]):
    from kayan.document import Document, Span
    from kayan.formats import conll
    from kayan.formats.offsets import COUNTINGS, OffsetError, locate, points
    from kayan.text import PROFILES, AlignmentError, View, normalise
    from kayan.words import (
        MAX_PARTICLES,
        has_particle,
        particle_candidates,
        particle_count,
        particle_end,
        sentences,
        words,
    )

SEEDS = [
    "زار كريم الوزاني مدينة فاس يوم 3 نونبر 2025.\nوالتقى بمراكش وفدا من «الأمم المتحدة».",
    "وللأمم بـ«الربـاط» لـ13 د. أحمد: 3.5 G20 مُحَمَّد ﷲ ﷽ 😀\u200f\u202bParis\u202c Müller <b>x</b> &amp; www.example.com",
    "أإآٱ ا\u0654 ي\u0655 […] ... ـَ ۱۲۳ XIIII @user a@b.com #وسم_هنا http://a.b/c?d=e",
]


def check_view(view: View) -> None:
    text = view.raw
    assert len(view.starts) == len(view.ends) == len(view.text)
    assert (view.starts[:-1] <= view.starts[1:]).all()
    assert (view.ends[:-1] <= view.ends[1:]).all()
    assert (view.starts <= view.ends).all()
    if len(view.text):
        assert view.starts[0] >= 0
        assert view.ends[-1] <= len(text)
    # Ranges are equal or do not overlap.
    fresh = (view.starts[1:] != view.starts[:-1]) | (view.ends[1:] != view.ends[:-1])
    assert (view.ends[:-1][fresh] <= view.starts[1:][fresh]).all()
    for a, b in words(view.text):
        raw = view.to_raw(a, b)
        assert 0 <= raw[0] <= raw[1] <= len(text)
        assert raw[0] == raw[1] or view.to_view(*raw) is not None
    for a, b in words(text):
        seen = view.to_view(a, b)
        if view.survives(a, b) == (True, True):
            assert seen is not None
            assert view.to_raw(*seen) == (a, b)


def profiles(provider: atheris.FuzzedDataProvider) -> None:
    """Every profile; the segments that Farasa would make are cut at letters that the input chooses."""
    step, after, text = provider.ConsumeIntInRange(2, 7), provider.ConsumeIntInRange(0, 3), rest(provider)

    def segmenter(line: str) -> str:
        return " ".join(
            "+".join(word[i : i + step] for i in range(0, len(word), step)) if len(word) > after else word
            for word in line.split()
        )

    for profile in PROFILES:
        try:
            view = normalise(text, profile, segmenter)
        except AlignmentError:
            # A text may itself hold what segments are marked by.
            assert "+" in text or "＋" in text
            continue
        check_view(view)
        if profile == "raw":
            assert view.text == text


def boundaries(provider: atheris.FuzzedDataProvider) -> None:
    """Words, sentences and particles."""
    text = rest(provider)
    pieces = words(text)
    for found in (pieces, sentences(text)):
        assert all(a < b for a, b in found)
        assert all(b <= c for (_, b), (c, _) in pairwise(found))
    assert all(text[a:b] == text[a:b].strip() for a, b in sentences(text))
    inside = {i for a, b in sentences(text) for i in range(a, b)}
    assert all(i in inside for a, b in pieces for i in range(a, b))
    for a, b in pieces:
        word = text[a:b]
        ends = []
        for count in particle_candidates(word):
            assert 0 <= count <= MAX_PARTICLES
            ends.append(particle_end(word, count))
            assert particle_count(word, ends[-1]) == count
        assert ends == sorted(set(ends))
        assert ends[-1] < len(word)
        document = Document(text, [Span(a + ends[-1], b, "LOC")])
        assert document.spans[0].name is not None
        has_particle(document, document.spans[0])


def countings(provider: atheris.FuzzedDataProvider) -> None:
    """Offsets of other programs, of one mention and of several."""
    pairs = [(provider.ConsumeIntInRange(0, 60), provider.ConsumeIntInRange(1, 20)) for _ in range(3)]
    text = rest(provider)
    edges = [(start, start + length) for start, length in pairs if start + length <= len(text)]
    for counting in COUNTINGS:
        table = points(text, counting)
        assert list(table.values()) == sorted(set(table.values()))
        assert table[0] == 0
        assert len(text) in table.values()
        back = {point: offset for offset, point in table.items()}
        whole = [(a, b) for a, b in edges if a in back and b in back]
        mentions = [(back[a], back[b], text[a:b]) for a, b in whole]
        assert locate(text, mentions, counting) == whole
        if counting == "graphemes":
            continue
        try:
            found = locate(text, mentions)
        except OffsetError as error:
            assert 0 <= error.index < len(mentions)
            continue
        for (a, b), (_, _, quote) in zip(found, mentions, strict=True):
            assert "".join(text[a:b].split()) == "".join(quote.split())


def columns(provider: atheris.FuzzedDataProvider) -> None:
    """An article as CoNLL columns, written and read."""
    start, length = provider.ConsumeIntInRange(0, 200), provider.ConsumeIntInRange(1, 60)
    text = rest(provider)
    if start + length > len(text):
        return
    document = Document(text, [Span(start, start + length, "LOC")], "x")
    try:
        found = list(conll.tagged(document))
    except ValueError:
        return
    assert "".join(sentence for sentence, _ in found) == text
    assert sum(tag == "B-LOC" for _, rows in found for _, tag in rows) == 1
    conll.write(FILE, [document])
    [again] = conll.read(FILE)
    assert again == document


def rest(provider: atheris.FuzzedDataProvider) -> str:
    return str(provider.ConsumeBytes(provider.remaining_bytes()).decode("utf-8", errors="ignore"))


FILE = Path(tempfile.mkdtemp()) / "a.conll"
TARGETS: dict[str, Callable[[atheris.FuzzedDataProvider], None]] = {
    "profiles": profiles,
    "boundaries": boundaries,
    "countings": countings,
    "columns": columns,
}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    corpus = Path(tempfile.mkdtemp())
    for i, text in enumerate(SEEDS):
        (corpus / str(i)).write_bytes(text.encode())
    # libFuzzer takes either files or folders.
    arguments = sys.argv if any(Path(name).is_file() for name in sys.argv[1:]) else [*sys.argv, str(corpus)]
    atheris.Setup(arguments, lambda data: target(atheris.FuzzedDataProvider(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
