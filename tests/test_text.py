"""Views: every rule, every profile, the map in both directions, and AraBERT's own preprocessor as a yardstick.

`fixtures/arabertv02.jsonl` holds sentences written for this test and what `ArabertPreprocessor("bert-base-arabertv02")`
of the package `arabert` 1.0.1 makes of them.
"""

import json
import re
import shutil
import sys
import time
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kayan import text as text_module
from kayan.text import (
    ARABERT,
    DEPARTURES,
    LIGHT,
    PROFILES,
    AlignmentError,
    MissingDependency,
    Rule,
    View,
    align,
    farasa,
    normalise,
)

FIXTURE = Path(__file__).parent / "fixtures" / "arabertv02.jsonl"
ROWS = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]

# Pieces on which rules meet: marks, ligatures, runs, addresses, digits beside letters, things that vanish at the ends.
PIECES = [
    *"ابلهوىي أإٱپگڤچﷲﻻﷺﻝ\u064b\u0651\u0653\u0654\u0655\u0670\u06daـ\u200c\u200f\ufeff\u00ad\u00a0\u2009 \n",
    *"،؛؟.!?()[]«»\"'<>/\\_-@#%٪٫&•€½😀✌\ufe0faIXéßıﬁ012٣٤۵",
    *["محمد", "مُحَمَّد", "جداااا", "اااا", "...", "XIII", "G20", "2022م", "لـ13", "e\u0301", "ا\u0654", "ـ\u0654"],
    *[
        "https://x.ma/a",
        "www.x.ma",
        "@user",
        "a@b.ma",
        "Booking.com",
        "<br />",
        "<أ ف ب>",
        "&quot;",
        "&#1575;",
        "[رابط]",
    ],
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join)
NAMES = st.sampled_from(["raw", "light", "arabertv02"])


def spaced(text: str) -> str:
    return " ".join(text.split())


def check_map(view: View) -> None:
    assert len(view.starts) == len(view.ends) == len(view.text)
    assert (view.starts >= 0).all()
    assert (view.starts <= view.ends).all()
    assert (view.ends <= len(view.raw)).all()
    assert (np.diff(view.starts) >= 0).all()
    assert (np.diff(view.ends) >= 0).all()
    pairs = zip(view.starts[:-1], view.ends[:-1], view.starts[1:], view.ends[1:], strict=True)
    assert all((a, b) == (c, d) or b <= c for a, b, c, d in pairs)


@settings(max_examples=300, deadline=None)
@given(TEXTS, NAMES)
def test_the_map_is_monotone_and_its_ranges_are_equal_or_apart(raw, profile):
    view = normalise(raw, profile)
    assert view.raw == raw
    check_map(view)


@settings(max_examples=300, deadline=None)
@given(TEXTS, NAMES, st.data())
def test_view_to_raw_to_view(raw, profile, data):
    view = normalise(raw, profile)
    n = len(view.text)
    start = data.draw(st.integers(0, n))
    end = data.draw(st.integers(start, n))
    low, high = view.to_raw(start, end)
    assert 0 <= low <= high <= len(raw)
    back = view.to_view(low, high)
    own = [i for i in range(start, end) if view.starts[i] < view.ends[i]]
    if not own:
        assert low == high
        assert back is None
        return
    # Insertions at the ends come from nowhere; expansions («ﷲ») come back whole. Else it is the same span.
    first = min(i for i in range(n) if view.starts[i] == low < view.ends[i])
    last = max(i for i in range(n) if view.ends[i] == high > view.starts[i])
    assert back == (first, last + 1)
    whole = (own[0] == 0 or view.ends[own[0] - 1] <= low) and (own[-1] == n - 1 or view.starts[own[-1] + 1] >= high)
    if whole:
        assert back == (own[0], own[-1] + 1)


@settings(max_examples=300, deadline=None)
@given(TEXTS, NAMES, st.data())
def test_raw_to_view_to_raw_where_both_ends_survive(raw, profile, data):
    view = normalise(raw, profile)
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    found = view.to_view(start, end)
    survives = view.survives(start, end)
    if all(survives):
        assert found is not None
        assert view.to_raw(*found) == (start, end)
    if found is None:
        assert survives == (False, False)
        touched = (view.starts < end) & (view.ends > start) & (view.starts < view.ends)
        assert start == end or not touched.any()
    else:
        assert found[0] < found[1]


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, len(ARABERT)))
def test_composition_is_sequential_application(raw, cut):
    whole = normalise(raw, "arabertv02")
    text = raw
    for rule in ARABERT:
        text, starts, ends = rule.apply(text)
        assert len(starts) == len(ends) == len(text)
    assert whole.text == text

    first = normalise(raw, "raw").then(ARABERT[:cut])
    second = normalise(first.text, "raw").then(ARABERT[cut:])
    parts = first.then(ARABERT[cut:])
    assert parts.text == second.text == whole.text
    assert parts.starts.tolist() == whole.starts.tolist()
    assert parts.ends.tolist() == whole.ends.tolist()
    for i in range(len(text)):
        low, high = first.to_raw(*second.to_raw(i, i + 1))
        if second.starts[i] < second.ends[i]:
            # Wider only where a later rule cut through an expansion.
            assert whole.starts[i] <= low <= high <= whole.ends[i]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_light_is_idempotent(raw):
    once = normalise(raw, "light").text
    assert normalise(once, "light").text == once


def test_an_insertion_has_an_empty_range():
    view = normalise("2022م", "arabertv02")
    assert view.text == "2022 م"
    assert (view.starts[4], view.ends[4]) == (4, 4)
    assert view.to_raw(4, 5) == (4, 4)
    assert view.to_raw(4, 6) == (4, 5)
    assert view.to_raw(0, 5) == (0, 4)
    assert view.to_view(0, 4) == (0, 4)
    assert view.to_view(4, 5) == (5, 6)
    assert view.to_view(0, 5) == (0, 6)


def test_ends_that_vanish_are_reported():
    view = normalise("مُحَمَّدٌ", "light")
    assert view.text == "محمد"
    assert view.survives(0, 8) == (True, True)
    assert view.survives(0, 9) == (True, False)
    assert view.survives(1, 8) == (False, True)
    assert view.survives(1, 2) == (False, False)
    assert view.to_view(1, 2) is None
    assert view.to_view(0, 9) == (0, 4)
    assert view.to_raw(0, 4) == (0, 8)


def test_an_expansion_comes_back_whole():
    view = normalise("عبد ﷲ", "light")
    assert view.text == "عبد الله"
    assert view.to_raw(5, 6) == (4, 5)
    assert view.to_view(4, 5) == (4, 8)
    assert view.survives(4, 5) == (True, True)


def test_ranges_that_a_later_rule_joins_become_one():
    # The third lam comes from the ligature: it can't be joined to the second without the ligature's alef.
    view = normalise("للﻻ", "arabertv02")
    assert view.text == "للا"
    assert view.starts.tolist() == [0, 1, 1]
    assert view.ends.tolist() == [1, 3, 3]


def test_an_elongation_belongs_to_its_word():
    view = normalise("جداااا!", "arabertv02")
    assert view.text == "جداا !"
    assert view.to_raw(0, 4) == (0, 6)
    assert view.survives(0, 6) == (True, True)
    assert view.survives(0, 5) == (True, False)


def test_a_placeholder_covers_its_address():
    raw = "انظر(https://x.ma/1)"
    view = normalise(raw, "arabertv02")
    assert view.text == "انظر ( [رابط] )"
    assert view.to_raw(7, 13) == (5, 19)
    assert view.to_view(10, 12) == (7, 13)
    assert view.survives(10, 12) == (False, False)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 6)])
def test_ranges_outside_are_refused(start, end):
    view = normalise("محمد", "light")
    for method in (view.to_raw, view.to_view, view.survives):
        with pytest.raises(ValueError, match=r"which has 4 characters"):
            method(start, end)


@pytest.mark.parametrize("profile", ["raw", "light", "arabertv02"])
def test_nothing_is_left_of_nothing(profile):
    for raw in ("", "\u200f", "\u064b"):
        view = normalise(raw, profile)
        assert len(view.text) == (len(raw) if profile == "raw" else 0)
        assert view.to_view(0, 0) is None
        check_map(view)
    assert normalise("\u200f", "light").to_view(0, 1) is None
    assert normalise("\u200f", "light").to_raw(0, 0) == (1, 1)


def test_a_rule_is_a_table_or_a_pattern():
    doubled = Rule("double", "for the test", table={"a": "bb", "c": ""})
    text, starts, ends = doubled.apply("xac")
    assert (text, starts.tolist(), ends.tolist()) == ("xbb", [0, 1, 1], [1, 2, 2])
    assert doubled.edit("xyz") is None
    assert doubled.apply("xyz")[1].tolist() == [0, 1, 2]
    same = Rule("same", "for the test", pattern=re.compile("y"), replacement=lambda m: m.group())
    assert same.edit("xyz") is None
    with pytest.raises(ValueError, match="'none' needs either a table, or a pattern and a replacement"):
        Rule("none", "for the test")
    with pytest.raises(ValueError, match="'both' needs"):
        Rule("both", "for the test", table={"a": "b"}, pattern=re.compile("a"), replacement=lambda m: "b")


def test_every_rule_and_departure_has_a_name_and_a_reason():
    for profile in PROFILES.values():
        for items in (profile.rules, profile.departures):
            assert all(item.name.isidentifier() and item.why and "\n" not in item.why for item in items)
            assert len({item.name for item in items}) == len(items)
    for departure in DEPARTURES:
        assert departure.name.replace("_", " ").rstrip("s") in (text_module.__doc__ or "").lower().replace("\n", " ")


def test_an_unknown_profile_is_named_with_its_nearest():
    with pytest.raises(ValueError, match="raw, light, arabertv02, arabertv2; did you mean 'arabertv02'"):
        normalise("نص", "arabert02")
    with pytest.raises(ValueError, match=r"'zzz': known are raw, light, arabertv02, arabertv2$"):
        normalise("نص", "zzz")


@pytest.mark.parametrize(
    ("raw", "light"),
    [
        ("الْقِمَّةُ الْعَرَبِيَّةُ", "القمة العربية"),
        ("مبـــروك لـ13", "مبروك ل13"),
        ("هٰذا الرحمٰن", "هذا الرحمن"),
        ("قُلۡ هُوَ ٱللَّهُ أَحَدٌ ۚ", "قل هو ٱلله أحد "),
        ("ﷲ ﻻ ﻷ ﷺ", "الله لا لأ صلى الله عليه وسلم"),
        ("ﺍﻟﻤﻐﺮﺏ ﭘﻮﺗﻴﻦ", "المغرب پوتين"),
        ("50 ﷼", "50 ريال"),
        ("ﹰ\ufe71ﱞ", ""),
        ("\ufeff\u200fم\u200cح\u00adمد\u202c", "محمد"),
        ("100\u00a0000\u2009درهم\u3000", "100 000 درهم "),
        ("ا\u0654حمد ا\u0655لى ا\u0653ل مو\u0654من هيي\u0654ة", "أحمد إلى آل مؤمن هيئة"),
        ("ا\u064e\u0654 شي\u0640\u0654ا \u0654", "أ شئا "),
    ],
)
def test_light_removes_what_no_reader_sees(raw, light):
    assert normalise(raw).text == light


@pytest.mark.parametrize(
    "raw", ["سطر\n\nسطر\r\n\tسطر  سطر", "أحمد إلى آل ٱ ى ة ه", "پ گ ڤ چ ک ی", "٢٠٢٥ ۲۰ 2025", "OCP é"]
)
def test_light_leaves_the_rest(raw):
    view = normalise(raw, "light")
    assert view.text == raw
    assert view.starts.tolist() == list(range(len(raw)))


def test_arabertv02_is_the_package_except_for_the_named_departures():
    assert len(ROWS) >= 300
    outcome: Counter[str] = Counter()
    for row in ROWS:
        ours = spaced(normalise(row["raw"], "arabertv02").text)
        names = [departure.name for departure in DEPARTURES if departure.pattern.search(row["raw"])]
        if ours == row["arabert"]:
            outcome["equal"] += 1
        else:
            assert names, f"{row['raw']!r}: {ours!r} instead of {row['arabert']!r}, and no departure says why"
            outcome[" ".join(names) if len(names) == 1 else "several"] += 1
    assert outcome == {
        "equal": 351,
        "foreign_letters": 13,
        "wasla": 3,
        "addresses": 12,
        "angle_brackets": 6,
        "capitals": 6,
        "latin_codes": 5,
        "presentation_forms": 6,
        "marks": 7,
        "invisible": 5,
        "persian_digits": 3,
        "several": 2,
    }


@pytest.mark.parametrize(
    ("name", "raw", "ours"),
    [
        ("foreign_letters", "التقى پوتين نظيره في موسكو.", "التقى بوتين نظيره في موسكو ."),
        ("foreign_letters", "قال ڤيكتور إن الأگرجو حاضر.", "قال فيكتور إن الأكرجو حاضر ."),
        ("foreign_letters", "زار تشيلسي و«چيتو» مدينة گلميم.", "زار تشيلسي و « جيتو » مدينة كلميم ."),
        ("foreign_letters", "فاز Thomas Müller بالكرة.", "فاز Thomas Muller بالكرة ."),
        ("foreign_letters", "Łódź وSão Paulo مدينتان", "Lodz وSao Paulo مدينتان"),
        ("wasla", "بسم ٱلله نبدأ.", "بسم الله نبدأ ."),
        ("addresses", "حجزت عبر Booking.com غرفة.", "حجزت عبر Booking . com غرفة ."),
        ("addresses", "راسلونا على info@example.org للمزيد.", "راسلونا على info @ example . org للمزيد ."),
        ("addresses", "العنوان (@user1) والموقع", "العنوان ( [مستخدم] ) والموقع"),
        ("addresses", "ملف ftp://example.org/a متاح", "ملف [رابط] متاح"),
        ("angle_brackets", "<أ ف ب> أعلنت الشرطة اعتقال المشتبه به.", "< أ ف ب > أعلنت الشرطة اعتقال المشتبه به ."),
        ("capitals", "يوحنا بولس XXIII", "يوحنا بولس XXIII"),
        ("latin_codes", "قمة الG20في الرياض.", "قمة الG20 في الرياض ."),
        ("presentation_forms", "ﷲ أكبر", "الله أكبر"),
        ("presentation_forms", "ﺍﻟﻤﻐﺮﺏ ﻳﻔﻮﺯ", "المغرب يفوز"),
        ("marks", "هٰذا قرار مهم.", "هذا قرار مهم ."),
        ("marks", "ا\u0654حمد بن علي", "أحمد بن علي"),
        ("invisible", "مح\u200cمد العلوي", "محمد العلوي"),
        ("persian_digits", "رقم ۷ في القائمة", "رقم 7 في القائمة"),
    ],
)
def test_departures(name, raw, ours):
    """Each is one the fixture has, so that what the package does with it is on record too."""
    packaged = {row["raw"]: row["arabert"] for row in ROWS}[raw]
    assert [departure.name for departure in DEPARTURES if departure.pattern.search(raw)] == [name]
    assert spaced(normalise(raw, "arabertv02").text) == ours
    assert packaged != ours


def test_every_departure_is_tested():
    marker = next(mark for mark in test_departures.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in marker.args[1]} == {departure.name for departure in DEPARTURES}


def test_full_addresses_become_placeholders():
    assert normalise("راجع http://x.ma/a?b=1 و@user", "arabertv02").text == "راجع [رابط] و [مستخدم]"
    assert normalise("<p>نص</p><br/>«نص»", "arabertv02").text.split() == ["نص", "«", "نص", "»"]


def test_line_breaks_stay():
    assert normalise("عنوان\n\nمتن  الخبر", "arabertv02").text == "عنوان\n\nمتن  الخبر"


def test_a_long_article_takes_well_under_a_second():
    raw = "قال مُحَمَّد (الوزير) لـ«رويترز» يوم ٢٢ نونبر 2025، إن 3.5% من پوتين جداااا. \n" * 1700
    assert len(raw.split()) > 20_000
    started = time.thread_time()
    normalise(raw, "arabertv02")
    assert time.thread_time() - started < 0.8


def fake_farasa(line: str) -> str:
    """What Farasa answers to the lines of these tests."""
    words = {
        "والكتاب": "و+ال+كتاب",
        "للكتاب": "ل+ال+كتاب",
        "المدرسة": "ال+مدرس+ه",
        "كتابك": "كتاب+ك",
        "كالكتاب": "ك+ال+كتاب",
        "على": "علي",
        "[رابط]": "[ رابط ]",
        "لعب": "لعب",
    }
    return " ".join(words.get(word, word) for word in line.split())


def test_arabertv2_maps_segments_to_the_raw_letters():
    raw = "والكِتاب"
    view = normalise(raw, "arabertv2", segmenter=fake_farasa)
    assert view.text == "و+ ال+ كتاب"
    assert view.starts.tolist() == [0, 1, 1, 1, 2, 3, 3, 3, 5, 6, 7]
    assert view.ends.tolist() == [1, 1, 1, 2, 3, 3, 3, 4, 6, 7, 8]
    assert view.to_raw(3, 11) == (1, 8)
    assert view.to_view(1, 8) == (3, 11)
    check_map(view)


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        ("للكتاب", "ل+ ال+ كتاب"),
        ("المدرسة", "ال+ مدرس +ه"),
        ("كتابك كالكتاب", "كتاب +ك ك+ ال+ كتاب"),
        ("على المدرسة", "علي ال+ مدرس +ه"),
        ("زوروا https://x.ma الآن", "زوروا [رابط] الآن"),
        ("5 + 7", "5 + 7"),
        ("سطر\n\nلعب", "سطر\nلعب"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_arabertv2_writes_segments_as_the_vocabulary_has_them(raw, segments):
    view = normalise(raw, "arabertv2", segmenter=fake_farasa)
    assert view.text == segments
    check_map(view)
    if raw.strip():
        assert view.to_raw(0, len(view.text)) == (0, len(raw))


def test_a_restored_letter_comes_from_nowhere():
    view = normalise("للكتاب", "arabertv2", segmenter=fake_farasa)
    assert view.to_raw(3, 4) == (1, 1)
    assert view.to_raw(4, 5) == (1, 2)


def test_exchanged_and_dropped_letters():
    starts, ends = align("قال المستشفى؛ ثم مضى", "قال ال+مستشفي ثم مضي")
    assert (starts[12], ends[12]) == (11, 12)
    assert (starts[-1], ends[-1]) == (19, 20)
    assert 12 not in starts.tolist() or ends[starts.tolist().index(12)] == 12


@pytest.mark.parametrize("answer", ["", "نص آخر تماما", "قال الوزير", "قال الوزير كلمة طويلة جدا لم تكن في الأصل"])
def test_segments_of_another_text_are_refused(answer):
    with pytest.raises(AlignmentError, match="the segmented text does not follow its source") as caught:
        normalise("قال الوزير إن المشروع جاهز", "arabertv2", segmenter=lambda line: answer)
    assert "expected " in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 4), min_size=1, max_size=10))
def test_any_segmentation_can_be_laid_over_its_text(raw, cuts):
    def segmenter(line: str) -> str:
        words = line.split()
        for i, word in enumerate(words):
            cut = cuts[i % len(cuts)]
            if cut < len(word) and word.isalpha():
                words[i] = word[:cut] + "+" + word[cut:]
        return " ".join(words)

    view = normalise(raw, "arabertv2", segmenter=segmenter)
    check_map(view)
    plain = normalise(raw, "arabertv02")
    assert re.sub(r"[\s+]", "", view.text) == re.sub(r"[\s+]", "", plain.text)
    for start, end in ((m.start(), m.end()) for m in re.finditer(r"[^\W\d_]+", view.text)):
        assert spaced(plain.text[slice(*(plain.to_view(*view.to_raw(start, end)) or (0, 0)))])


@pytest.fixture
def no_segmenter_yet():
    farasa.cache_clear()
    yield
    farasa.cache_clear()


def test_without_farasa_the_extra_is_named(monkeypatch, no_segmenter_yet):
    monkeypatch.setitem(sys.modules, "farasa", None)
    monkeypatch.setitem(sys.modules, "farasa.segmenter", None)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/java")
    with pytest.raises(MissingDependency, match=r"pip install kayan\[farasa\]$"):
        normalise("نص", "arabertv2")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install kayan\[farasa\], and install Java"):
        normalise("نص", "arabertv2")


def test_without_java_java_is_named(monkeypatch, no_segmenter_yet):
    module = types.ModuleType("farasa.segmenter")
    module.FarasaSegmenter = None
    monkeypatch.setitem(sys.modules, "farasa", types.ModuleType("farasa"))
    monkeypatch.setitem(sys.modules, "farasa.segmenter", module)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingDependency, match="install Java 7 or newer"):
        normalise("نص", "arabertv2")


def test_farasa_is_started_once(monkeypatch, no_segmenter_yet):
    started = []

    class FarasaSegmenter:
        def __init__(self, **options):
            started.append(options)

        def segment(self, line):
            return fake_farasa(line)

    module = types.ModuleType("farasa.segmenter")
    module.FarasaSegmenter = FarasaSegmenter
    monkeypatch.setitem(sys.modules, "farasa", types.ModuleType("farasa"))
    monkeypatch.setitem(sys.modules, "farasa.segmenter", module)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/java")
    assert normalise("والكتاب", "arabertv2").text == "و+ ال+ كتاب"
    assert normalise("للكتاب", "arabertv2").text == "ل+ ال+ كتاب"
    assert started == [{"interactive": True, "logging_level": "ERROR", "cache": False}]


def test_light_rules_are_part_of_arabert():
    assert set(LIGHT) <= set(ARABERT)
