import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kayan.words import around, has_particle, particle_candidates, particle_count, particle_end, sentences, words
from tests.conftest import marked


def cut(text: str) -> list[str]:
    return [text[a:b] for a, b in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("«الأهرام»،", ["«", "الأهرام", "»", "،"]),
        ("لـ13 يناير", ["لـ", "13", "يناير"]),
        ('بـ"الفيكام"', ["بـ", '"', "الفيكام", '"']),
        ("مُحَمَّد", ["مُحَمَّد"]),
        ("محمد\u200f زار", ["محمد", "زار"]),
        ("محـ\u200cمد", ["محـ\u200cمد"]),
        ("ﻻعب", ["ﻻعب"]),
        ("G20 في MÜLLER", ["G", "20", "في", "MÜLLER"]),
        ("٢٠٢٥م", ["٢٠٢٥", "م"]),
        ("3.5%", ["3", ".", "5", "%"]),
        ("👍🏽 نعم", ["👍", "🏽", "نعم"]),
        ("", []),
        (" \u200f\n", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@given(st.text(max_size=60))
def test_words_cover_every_visible_character_once(text: str) -> None:
    found = words(text)
    assert all(a < b for a, b in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    rest = set(range(len(text))) - {i for a, b in found for i in range(a, b)}
    assert not any(text[i].isalnum() for i in rest)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("بلغ العجز 3.5 في المائة. وقال الوزير: لا! فهل نعم؟ ربما", 4),
        ("استقبل د. أحمد م. العلوي ضيفه. ثم غادر.", 2),
        ("شمل السياحة والصناعة... وغيرها. انتهى", 2),
        ("عنوان بلا نقطة\nوجسم الخبر", 2),
        ("قال: «نعم.» ثم صمت.", 2),
        ("زار U.S. Steel المصنع.", 1),
        ("", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@given(st.text(alphabet="اب .\n؟!…«»د3،", max_size=60))
def test_sentences_cut_no_text_away(text: str) -> None:
    assert (
        "".join(text[a:b] for a, b in sentences(text)).split() == "".join(text[a:b] for a, b in sentences(text)).split()
    )
    kept = {i for a, b in sentences(text) for i in range(a, b)}
    assert all(text[i].isspace() for i in set(range(len(text))) - kept)


@pytest.mark.parametrize(
    ("word", "counts"),
    [
        ("بمراكش", [0, 1]),
        ("وبالرباط", [0, 1, 2]),
        ("فلل", [0, 1]),
        ("وكبلندن", [0, 1, 2, 3]),
        ("مراكش", [0]),
        ("وزارة", [0, 1]),
        ("ووزارة", [0, 1]),
        ("بـمراكش", [0, 1]),
        ("ب", [0]),
        ("بن", [0]),
        ("13", [0]),
    ],
)
def test_particle_candidates(word: str, counts: list[int]) -> None:
    assert particle_candidates(word) == counts


@pytest.mark.parametrize(
    ("word", "count", "rest"), [("بـمراكش", 1, "مراكش"), ("وَبِالرباط", 2, "الرباط"), ("للأمم", 1, "لأمم")]
)
def test_particles_end_behind_their_marks(word: str, count: int, rest: str) -> None:
    assert word[particle_end(word, count) :] == rest
    assert particle_count(word, particle_end(word, count)) == count


def test_an_offset_that_no_particles_explain() -> None:
    assert particle_count("مراكش", 1) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ب[LOC مراكش]", True),
        ("ول[ORG لأمم المتحدة]", True),
        ('بـ"[EVENT الفيكام]"', True),
        ("لـ[DATE 13 يناير]", True),
        ("في [LOC مراكش]", False),
        ("قال «[PER محمد]»", False),
        ("[LOC مراكش]", False),
        ("غير[LOC مراكش]", False),
    ],
)
def test_has_particle(text: str, expected: bool) -> None:
    document = marked(text)
    assert has_particle(document, document.spans[0]) is expected


MOST = 90
words_and_spaces = st.lists(
    st.sampled_from(["زار", "فاس،", "«الأهرام»", " ", " ", " ", "\n", "\u200f", "ك" * 60]), max_size=60
).map("".join)


@given(words_and_spaces, words_and_spaces.filter(bool), words_and_spaces)
@example("ك" * MOST + " ", " ", " " + "ك" * MOST)
def test_an_excerpt_cuts_no_word_but_one_longer_than_itself(before: str, name: str, after: str) -> None:
    text, start, end = before + name + after, len(before), len(before + name)
    first, last = around(text, start, end, MOST)
    assert max(0, start - MOST) <= first <= start < end <= last <= end + MOST
    assert not re.search(r"\S", text[first - 1 : first]) or not re.search(r"\s", text[first:start])
    assert not re.search(r"\S", text[last : last + 1]) or not re.search(r"\s", text[end:last])
    # What could be shown besides is the rest of one word.
    assert len(text[max(0, start - MOST) : first].split()) <= 1
    assert len(text[last : end + MOST].split()) <= 1
