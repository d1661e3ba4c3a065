"""Text normalisation: rules as data, profiles made of them, and views that map every character back to the raw text.

A `View` is a normalised text and, for each of its characters, the half-open raw range (code points) it comes from. So
a model may read clean text while every span is reported on the text as it was printed:

>>> view = normalise("قال مُحَمَّـــد أمس")
>>> view.text
'قال محمد أمس'
>>> view.to_raw(4, 8)
(4, 15)
>>> view.to_view(4, 15)
(4, 8)

Profiles
--------
`raw`         the text itself.
`light`       without what no reader sees: diacritics, tatweel, presentation forms and ligatures, invisible marks, odd
              spaces, decomposed hamzas. Letters, digits, case and line breaks stay.
`arabertv02`  what `aubmindlab/bert-base-arabertv02` read in pre-training, as `arabert` 1.0.1 makes it, except where
              that destroys a name. `DEPARTURES` says where: foreign letters, wasla, addresses, angle brackets, runs of
              capitals, Latin codes, presentation forms, marks, invisible marks, Persian digits. White space is the one
              thing not imitated: runs and line breaks stay as printed, since the tokenizer does not see them.
`arabertv2`   `arabertv02`, then Farasa segmentation («و+ ال+ كتاب»), for the AraBERT models trained on segments.
"""

from __future__ import annotations

import difflib
import functools
import html
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]
Segmenter = Callable[[str], str]


class MissingDependency(ImportError):
    """Something the profile needs is not installed; the message says what to install."""


class AlignmentError(ValueError):
    """A segmenter returned text that cannot be laid over its input; the message quotes both."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A normalised `text` over a `raw` one.

    Character `text[i]` comes from `raw[starts[i]:ends[i]]` (code points). Both arrays have the length of `text` and
    never decrease. An inserted character has an empty range `[p, p)`; raw characters in no range have vanished; the
    characters of an expansion («ﷲ» → «الله») share one range. Two ranges are equal or do not overlap.
    """

    raw: str
    text: str
    starts: Offsets
    ends: Offsets

    def to_raw(self, start: int, end: int) -> tuple[int, int]:
        """Raw range of the view span `[start, end)`: from the start of its first to the end of its last character.

        Insertions at its ends do not count; an empty span, or one of insertions alone, gives an empty range. Raises
        `ValueError` for a span outside the view.
        """
        _check(start, end, len(self.text), "view")
        first, last = self._trimmed(start, end)
        if first < last:
            return int(self.starts[first]), int(self.ends[last - 1])
        point = int(self.starts[start]) if start < len(self.text) else len(self.raw)
        return point, point

    def to_view(self, start: int, end: int) -> tuple[int, int] | None:
        """The view span of all characters that come from the raw range `[start, end)`, whole expansions included.

        None when the whole range vanished (or is empty). Raises `ValueError` for a range outside the raw text.
        """
        _check(start, end, len(self.raw), "raw text")
        first, last = self._trimmed(
            int(np.searchsorted(self.ends, start, side="right")), int(np.searchsorted(self.starts, end, side="left"))
        )
        return (first, last) if first < last and start < end else None

    def survives(self, start: int, end: int) -> tuple[bool, bool]:
        """Whether the first and the last raw character of `[start, end)` have their own characters in the view.

        Where both hold, `to_raw(*to_view(start, end))` is `(start, end)` again. An empty range has no such characters.
        Raises `ValueError` for a range outside the raw text.
        """
        _check(start, end, len(self.raw), "raw text")
        if start == end:
            return False, False
        opening = int(np.searchsorted(self.starts, start, side="right")) - 1
        closing = int(np.searchsorted(self.ends, end, side="left"))
        return (
            opening >= 0 and bool(self.starts[opening] == start < self.ends[opening]),
            closing < len(self.text) and bool(self.ends[closing] == end > self.starts[closing]),
        )

    def then(self, rules: Iterable[Rule]) -> View:
        """The view after further rules, still mapped to the same raw text."""
        view = self
        for rule in rules:
            edited = rule.edit(view.text)
            if edited is not None:
                view = view._over(*edited)
        return view

    def _trimmed(self, first: int, last: int) -> tuple[int, int]:
        """The view span without the insertions at its ends."""
        while first < last and self.starts[first] == self.ends[first]:
            first += 1
        while first < last and self.starts[last - 1] == self.ends[last - 1]:
            last -= 1
        return first, last

    def _over(self, text: str, starts: Offsets, ends: Offsets) -> View:
        """Put a text whose map leads into this view's text on top of it."""
        if not self.text:
            point = np.zeros(len(text), np.int64)
            return View(self.raw, text, point, point)
        last = len(self.text) - 1
        empty = starts == ends
        # An insertion between two characters stands behind the first, unless both come from one raw range: then it is
        # part of that range, since nothing can stand inside it.
        behind = np.where(starts > 0, self.ends[np.maximum(starts, 1) - 1], 0)
        ahead = np.where(starts <= last, self.starts[np.minimum(starts, last)], len(self.raw))
        low = np.where(empty, np.minimum(behind, ahead), self.starts[np.minimum(starts, last)])
        high = np.where(empty, behind, self.ends[np.maximum(ends, 1) - 1])
        return View(self.raw, text, *_settled(low, high))


def _settled(starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    """Widen ranges that overlap in part to their union, so that two ranges are equal or do not overlap."""
    if not len(starts):
        return starts, ends
    fresh = np.ones(len(starts), bool)
    fresh[1:] = starts[1:] >= ends[:-1]
    heads = np.flatnonzero(fresh)
    sizes = np.diff(np.append(heads, len(starts)))
    return np.repeat(starts[heads], sizes), np.repeat(ends[heads + sizes - 1], sizes)


def _check(start: int, end: int, length: int, what: str) -> None:
    if not 0 <= start <= end <= length:
        raise ValueError(f"[{start}, {end}) is not a range of the {what}, which has {length} characters")


@dataclass(frozen=True, eq=False)
class Rule:
    """One small normalisation: either `table`, a character → string map, or `pattern` with a `replacement`.

    Each match is replaced as a whole: all characters of its replacement come from all characters of the match, and what
    replaces a match of no width is an insertion. A replacement equal to the match leaves it untouched.
    """

    name: str
    why: str
    table: Mapping[str, str] | None = None
    pattern: re.Pattern[str] | None = None
    replacement: Callable[[re.Match[str]], str] | None = None
    _find: re.Pattern[str] = field(init=False, repr=False)
    _replace: Callable[[re.Match[str]], str] = field(init=False, repr=False)
    _translate: dict[int, str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        find, replace, table = self.pattern, self.replacement, self.table
        if table is not None and find is None and replace is None:
            find = re.compile("[" + "".join(map(re.escape, sorted(table))) + "]")
            replace = lambda match: table[match.group()]  # noqa: E731
            # One character for one: the map is the identity, and str.translate does the work.
            if all(len(value) == 1 for value in table.values()):
                object.__setattr__(self, "_translate", str.maketrans(dict(table)))
        elif table is not None or find is None or replace is None:
            raise ValueError(f"rule {self.name!r} needs either a table, or a pattern and a replacement")
        object.__setattr__(self, "_find", find)
        object.__setattr__(self, "_replace", replace)

    def apply(self, text: str) -> tuple[str, Offsets, Offsets]:
        """The text after this rule, and the starts and ends (code points of `text`) its characters come from."""
        edited = self.edit(text)
        if edited is not None:
            return edited
        starts = np.arange(len(text), dtype=np.int64)
        return text, starts, starts + 1

    def edit(self, text: str) -> tuple[str, Offsets, Offsets] | None:
        """Like `apply`, but None, at the price of one search, when there is nothing to do."""
        if self._find.search(text) is None:
            return None
        if self._translate is not None:
            starts = np.arange(len(text), dtype=np.int64)
            return text.translate(self._translate), starts, starts + 1
        # Pieces of the new text alternate: kept, replaced, kept, …, kept.
        pieces: list[str] = []
        bounds: list[int] = [0]
        for match in self._find.finditer(text):
            new = self._replace(match)
            begin, end = match.span()
            if new != match.group():
                pieces += (text[bounds[-1] : begin], new)
                bounds += (begin, end)
        if not pieces:
            return None
        pieces.append(text[bounds[-1] :])
        bounds.append(len(text))
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
        edges = np.array(bounds, np.int64)
        kept = np.repeat(np.arange(len(pieces)) % 2 == 0, sizes)
        starts = np.repeat(edges[:-1], sizes)
        within = np.arange(len(starts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        starts = np.where(kept, starts + within, starts)
        ends = np.where(kept, starts + 1, np.repeat(edges[1:], sizes))
        return "".join(pieces), starts, ends


@dataclass(frozen=True)
class Departure:
    """A place where a profile leaves the tool it imitates on purpose; `pattern` finds the raw texts it concerns."""

    name: str
    why: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Profile:
    """A named list of rules, applied in order; `segmented` says that Farasa comes after them."""

    name: str
    why: str
    rules: tuple[Rule, ...] = ()
    departures: tuple[Departure, ...] = ()
    segmented: bool = False


def normalise(text: str, profile: str = "light", segmenter: Segmenter | None = None) -> View:
    """The view of `text` through a profile of `PROFILES`.

    `segmenter` is used by segmented profiles alone: a callable that takes a line of text and returns it with `+`
    between the segments of a word («و+ال+كتاب»); by default Farasa. Raises `ValueError` for an unknown profile,
    `MissingDependency` where Farasa or Java is not there, `AlignmentError` where the segments are not the text's.
    """
    chosen = PROFILES.get(profile) if isinstance(profile, str) else None
    if chosen is None:
        near = difflib.get_close_matches(str(profile), PROFILES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown text profile {profile!r}: known are {', '.join(PROFILES)}{hint}")
    starts = np.arange(len(text), dtype=np.int64)
    view = View(text, text, starts, starts + 1).then(chosen.rules)
    return _segmented(view, segmenter or farasa()) if chosen.segmented else view


def _characters(ranges: str) -> str:
    """The characters of «0610-061A 0670», a space between the ranges."""
    found = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        found += [chr(code) for code in range(int(first, 16), int(last or first, 16) + 1)]
    return "".join(found)


def _unfolded(ranges: str) -> dict[str, str]:
    """Presentation form → letters; forms of lone marks, which Unicode spells with a space or tatweel, give nothing."""
    table = {}
    for char in _characters(ranges):
        plain = unicodedata.normalize("NFKC", char)
        if plain != char:
            lone = all(c in " ـ" or unicodedata.combining(c) for c in plain)
            table[char] = "" if lone else plain
    return table


LIGHT: tuple[Rule, ...] = (
    Rule(
        "presentation_forms",
        "letters drawn in one position and ligatures, left by old typesetting, are the letters they show",
        # Unicode gives the rial sign a Persian yeh, and the basmala no letters at all.
        table=_unfolded("FB50-FDFF FE70-FEFC") | {"﷼": "ريال", "﷽": "بسم الله الرحمن الرحيم"},
    ),
    Rule(
        "marks",
        "harakat, shadda, superscript alef, Quranic marks and tatweel are optional in print",
        # 0653-0655 wait for the next rules: they make letters.
        table=dict.fromkeys(
            _characters(
                "0610-061A 0640 064B-0652 0656-065F 0670 06D6-06DC 06DF-06E8 06EA-06ED 0898-089F 08CA-08E1 08E3-08FF"
            ),
            "",
        ),
    ),
    Rule(
        "invisible",
        "bidi and zero-width marks, soft hyphens, variation selectors and byte-order marks are not seen",
        table=dict.fromkeys(_characters("00AD 061C 180E 200B-200F 202A-202E 2060-2064 2066-206F FE00-FE0F FEFF"), ""),
    ),
    Rule(
        "hamza",
        "a letter and a combining hamza or madda are one letter",
        pattern=re.compile("[اويىەہے][\u0653-\u0655]"),
        replacement=lambda m: unicodedata.normalize("NFC", m.group().replace("ى\u0654", "ي\u0654")),
    ),
    Rule(
        "loose_hamza",
        "a combining hamza or madda on no letter of its own is a mark",
        table=dict.fromkeys("\u0653\u0654\u0655", ""),
    ),
    Rule(
        "spaces",
        "no-break, thin, wide and other typographic spaces are spaces",
        table=dict.fromkeys(_characters("00A0 1680 2000-200A 202F 205F 3000"), " "),
    ),
)


def _latin_letters() -> dict[str, str]:
    """Accented Latin letter → plain letters; a combining accent, as in a decomposed «é», gives nothing."""
    table = dict.fromkeys(_characters("0300-036F"), "")
    for char in _characters("00C0-024F 1E00-1EFF"):
        plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
        if plain != char and plain.isascii() and plain.isalpha():
            table[char] = plain
    pairs = "ß=ss ẞ=SS æ=ae Æ=AE œ=oe Œ=OE ø=o Ø=O ł=l Ł=L đ=d Đ=D ð=d Ð=D þ=th Þ=Th ħ=h Ħ=H ı=i ŋ=n Ŋ=N ə=e Ə=E"
    return table | dict(pair.split("=") for pair in pairs.split())


# The letters of other Arabic-script alphabets, behind the one of AraBERT's vocabulary that they are most like.
_NEAREST = {
    "ب": "پٻڀ", "ت": "ٹٺټ", "ث": "ٿ", "ج": "چڃڄڇ", "ح": "څځ", "د": "ڈډڊڌ", "ر": "ڑړڕ", "ز": "ژ",
    "س": "ښ", "ش": "ڜۺ", "ض": "ڞ", "ظ": "ڟ", "غ": "ۼڠ", "ف": "ڢڤڥڦ", "ق": "ڧڨ", "ك": "کڪګڬڭڮگڰڱڲڳڴ",
    "ل": "ڵڶڷ", "ن": "ںڻڼڽ", "ه": "ھہۀۂە", "ة": "ۃ", "و": "ۆۇۈۉۊۋ", "ي": "یۍێېۑے", "ئ": "ۓ",
}  # fmt: skip
_ARABIC_LETTERS = {letter: nearest for nearest, letters in _NEAREST.items() for letter in letters}
_WASLA = {"ٱ": "ا", "ٲ": "أ", "ٳ": "إ"}
_LATIN_LETTERS = _latin_letters()
_DIGITS = dict(zip("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789", strict=True))

_HTML_TAGS = (
    "a|abbr|article|aside|audio|b|blockquote|body|br|button|caption|center|cite|code|col|div|dl|dt|dd|em|embed|"
    "figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|link|main|mark|"
    "meta|nav|object|ol|option|p|picture|pre|q|s|script|section|select|small|source|span|strike|strong|style|sub|sup|"
    "svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|tt|u|ul|video"
)
_TAG = rf"</?(?:{_HTML_TAGS})(?:[\s/][^<>]*)?>|<!--(?:(?!<!--|-->).)*+-->"
_ADDRESS = "[-A-Za-z0-9@:%_+.~#?&/=]"
_PLACEHOLDERS = ("رابط", "مستخدم")
# AraBERT's letters, and the other characters of its vocabulary, which stand alone between spaces.
_LETTER = "\u0621-\u063a\u0641-\u064a"
_KNOWN = rf"0-9A-Za-z{_LETTER}\[\]"
_SYMBOLS = re.escape("!\"#$%'()*+,-.:;<=>?@\\^_`{|}~·«»،؛؟٪٫٬ٴ–—‘’“”…\u0b4d")


def _constant(value: str) -> Callable[[re.Match[str]], str]:
    return lambda match: value


ARABERT: tuple[Rule, ...] = (
    Rule(
        "html_entities",
        "«&quot;» and its like are what they stand for",
        pattern=re.compile(
            r"&(?:#[0-9]{1,16}(?![0-9]);?|#[xX][0-9a-fA-F]{1,16}(?![0-9a-fA-F]);?|[A-Za-z][A-Za-z0-9]{1,31};?)"
        ),
        replacement=lambda m: html.unescape(m.group()),
    ),
    *LIGHT,
    Rule(
        "urls",
        "AraBERT has one token for an address of the web",
        pattern=re.compile(rf"(?:https?|ftp)://{_ADDRESS}*|(?<![A-Za-z0-9@.])www\.{_ADDRESS}+"),
        replacement=_constant("[رابط]"),
    ),
    Rule(
        "mentions",
        "AraBERT has one token for a user of a social network",
        pattern=re.compile(r"(?<![A-Za-z0-9_.+-])@\w+"),
        replacement=_constant("[مستخدم]"),
    ),
    Rule(
        "placeholders",
        "the tokens for addresses and users are words",
        pattern=re.compile("|".join(rf"(?<=\S)(?=\[{word}\])|(?<=\[{word}\])(?=\S)" for word in _PLACEHOLDERS)),
        replacement=_constant(" "),
    ),
    Rule(
        "html_tags",
        "the mark-up of a page is none of its words",
        pattern=re.compile(_TAG, re.IGNORECASE | re.DOTALL),
        replacement=_constant(" "),
    ),
    Rule("digits", "AraBERT read European digits", table=_DIGITS),
    Rule(
        "repetitions",
        "AraBERT read no character more than twice in a row",
        # Behind the first of a run: what is left of the rest covers all of the rest.
        pattern=re.compile(r"(?<=([^\d\sA-Z]))\1{2,}", re.DOTALL),
        replacement=lambda m: m.group(1),
    ),
    Rule(
        "foreign_letters",
        "a letter that AraBERT's vocabulary lacks makes its whole word unknown, so the nearest letter stands for it",
        table=_ARABIC_LETTERS | _WASLA | _LATIN_LETTERS,
    ),
    Rule("slash", "AraBERT's vocabulary has no slash", table={"/": "-"}),
    Rule(
        "unknown",
        "AraBERT read a space for each character that its vocabulary lacks",
        pattern=re.compile(rf"[^{_KNOWN}{_SYMBOLS}\s]"),
        replacement=_constant(" "),
    ),
    Rule(
        "symbols",
        "AraBERT read punctuation between spaces",
        pattern=re.compile(rf"(?<=\S)(?=[{_SYMBOLS}])|(?<=[{_SYMBOLS}])(?=\S)"),
        replacement=_constant(" "),
    ),
    Rule(
        "numbers",
        "AraBERT read a space between digits and Arabic letters",
        pattern=re.compile(rf"(?<=[0-9])(?=[{_LETTER}])|(?<=[{_LETTER}])(?=[0-9])"),
        replacement=_constant(" "),
    ),
)


def _any_of(characters: Iterable[str]) -> re.Pattern[str]:
    return re.compile("[" + "".join(map(re.escape, characters)) + "]")


DEPARTURES: tuple[Departure, ...] = (
    Departure(
        "foreign_letters",
        "the package turns پ گ ڤ چ and accented Latin letters into spaces («پوتين» → «وتين», «Müller» → «M ller»); here "
        "the nearest letter of its vocabulary stands in their place («بوتين», «Muller»)",
        _any_of([*_ARABIC_LETTERS, *_LATIN_LETTERS]),
    ),
    Departure(
        "wasla",
        "the package splits «ٱلله» in two words; here it is «الله»",
        _any_of(_WASLA),
    ),
    Departure(
        "addresses",
        "the package hides every domain and e-mail («Booking.com» → «[رابط]»), in news often the name of a company, "
        "and what is glued to it; here only full addresses (http://…, www.…) and @users become placeholders",
        re.compile(
            rf"(?<!{_ADDRESS})(?!https?://|www\.){_ADDRESS}*[A-Za-z0-9]\.[a-z]{{2}}"
            r"|[^\s@]@\S|://\S*[^\s\x00-\x7f]|://\S*[,;!()'*$]\S|ftp:|http(?!s?://)|www(?!\.)"
        ),
    ),
    Departure(
        "angle_brackets",
        "the package deletes whatever stands between < and >, such as the agency in «<أ ف ب>»; here only HTML tags go",
        re.compile(rf"<(?!(?:{_TAG[1:]}))[^>]+>|&lt;", re.IGNORECASE | re.DOTALL),
    ),
    Departure(
        "capitals",
        "the package cuts «XIII» to «XII»; here runs of Latin capitals, numerals and acronyms, keep their length",
        re.compile(r"([A-Z])\1{2}"),
    ),
    Departure(
        "latin_codes",
        "the package puts a space inside «G20» when an Arabic letter touches it; here only between the two scripts",
        re.compile(rf"[A-Za-z]\d+[{_LETTER}]|[{_LETTER}]\d+[A-Za-z]"),
    ),
    Departure(
        "presentation_forms",
        "the package deletes presentation forms and ligatures, in old archives whole words; here they are letters",
        re.compile("[\ufb50-\ufdff\ufe70-\ufefc]"),
    ),
    Departure(
        "marks",
        "the package splits a word at a superscript alef or a Quranic mark («هٰذا» → «ه ذا»); here all marks vanish",
        re.compile("[\u0610-\u061a\u0653-\u065f\u0670\u06d6-\u06ed]"),
    ),
    Departure(
        "invisible",
        "the package splits a word at an invisible mark inside it; here those marks vanish",
        re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"),
    ),
    Departure(
        "persian_digits",
        "the package deletes ۱۲۳; here they are digits like ١٢٣",
        re.compile("[۰-۹]"),
    ),
)

PROFILES: dict[str, Profile] = {
    "raw": Profile("raw", "the text as it stands"),
    "light": Profile("light", "differences that no reader sees are removed", LIGHT),
    "arabertv02": Profile("arabertv02", "what AraBERT v0.2 read in pre-training, names kept", ARABERT, DEPARTURES),
    "arabertv2": Profile("arabertv2", "what AraBERT v2 read: the same, segmented", ARABERT, DEPARTURES, segmented=True),
}

# The segments that AraBERT's vocabulary writes with a plus on the side of the stem («ال+», «+ات»).
PREFIXES = frozenset(["ال", "و", "ف", "ب", "ك", "ل", "لل", "س"])
SUFFIXES = frozenset(
    ["ه", "ها", "ك", "ي", "هما", "كما", "نا", "كم", "هم", "هن", "كن", "ا", "ان", "ين", "ون", "وا", "ات", "ت", "ن", "ة"]
)


@functools.cache
def farasa() -> Segmenter:
    """Farasa's segmenter, one Java process kept for the life of this one; farasapy fetches its models on first use.

    Raises `MissingDependency` where farasapy is not installed or `java` not on the PATH.
    """
    try:
        from farasa.segmenter import FarasaSegmenter
    except ImportError as error:
        raise MissingDependency(
            "the profile arabertv2 segments words with Farasa, which is not installed: pip install kayan[farasa]"
            + ("" if shutil.which("java") else ", and install Java 7 or newer: there is no `java` on the PATH")
        ) from error
    if shutil.which("java") is None:
        raise MissingDependency(
            "Farasa (kayan[farasa]), which the profile arabertv2 needs, runs on Java: install Java 7 or newer; there "
            "is no `java` on the PATH"
        )
    engine: Any = FarasaSegmenter(interactive=True, logging_level="ERROR", cache=False)
    return lambda line: str(engine.segment(line))


def _segmented(view: View, segmenter: Segmenter) -> View:
    # Farasa reads and writes one line at a time.
    lines = (" ".join(line.split()) for line in view.text.splitlines())
    text = "\n".join(_marked(segmenter(line)) for line in lines if line)
    return view._over(text, *align(view.text, text))


def _marked(line: str) -> str:
    """Farasa's «و+ال+كتاب» as AraBERT's «و+ ال+ كتاب», and the placeholders, which Farasa takes apart, whole again."""
    words = (piece for word in line.split() for piece in _pieces(word))
    return re.sub(rf"\[ ?({'|'.join(_PLACEHOLDERS)}) ?\]", r"[\1]", " ".join(words))


def _pieces(word: str) -> list[str]:
    if word == "+" or "+" not in word:
        return [word]
    segments = [segment for segment in word.split("+") if segment]
    pieces: list[str] = []
    for position, segment in enumerate(segments):
        if position == len(segments) - 1:
            prefix = False
        elif segment == "ك":
            # «ك» is "like" before a stem and "your" behind it.
            prefix = not pieces or pieces[-1].endswith("+")
        else:
            prefix = segment in PREFIXES
        if prefix:
            pieces.append(segment + "+")
        else:
            pieces.append("+" + segment if segment in SUFFIXES else segment)
    return pieces


# Letters that a segmenter may exchange, and how far out of step it may get before its text counts as another one.
_LOOSE = str.maketrans("أإآٱىةؤئ", "اااايهوي")
_DRIFT, _CONTEXT = 4, 3


def align(source: str, target: str) -> tuple[Offsets, Offsets]:
    """Starts and ends (code points of `source`) for each character of `target`, its segmentation.

    White space in `target` comes from white space or is inserted; a `+` glued to something is inserted. The others come
    one by one from those of `source`, in order; here and there one may be exchanged, and up to four in a row dropped or
    restored («للكتاب» → «ل+ال+كتاب»). Raises `AlignmentError` beyond that, or where a fifth of the text would slip.

    >>> align("وبه", "و+ ب +ه")[0].tolist()
    [0, 1, 1, 1, 2, 2, 2]
    """
    inserted = {m.start() for m in re.finditer(r"(?<=\S)\+|\+(?=\S)", target)}
    ours = [i for i, char in enumerate(source) if not char.isspace()]
    theirs = [k for k, char in enumerate(target) if not char.isspace() and k not in inserted]
    a = "".join(source[i] for i in ours).translate(_LOOSE)
    b = "".join(target[k] for k in theirs).translate(_LOOSE)
    origin: dict[int, int] = {}
    i = k = slips = 0
    while i < len(a) or k < len(b):
        if a[i : i + 1] == b[k : k + 1]:
            origin[theirs[k]] = ours[i]
            i, k = i + 1, k + 1
            continue
        step = _resume(a[i : i + _DRIFT + _CONTEXT], b[k : k + _DRIFT + _CONTEXT])
        slips += 1
        if step is None or slips > 2 + len(a) // 5:
            at, to = ours[i] if i < len(a) else len(source), theirs[k] if k < len(b) else len(target)
            raise AlignmentError(
                f"the segmented text does not follow its source: expected {source[at : at + 30]!r} (character {at}), "
                f"found {target[to : to + 30]!r}; a segmenter may only put + and spaces between letters"
            )
        if step == (1, 1):
            origin[theirs[k]] = ours[i]
        i, k = i + step[0], k + step[1]
    starts, ends = np.empty(len(target), np.int64), np.empty(len(target), np.int64)
    here = 0
    for k, char in enumerate(target):
        begin = origin.get(k, here)
        here = begin
        if k in origin:
            here = begin + 1
        elif char.isspace():
            while here < len(source) and source[here].isspace():
                here += 1
        starts[k], ends[k] = begin, here
    return starts, ends


def _resume(a: str, b: str) -> tuple[int, int] | None:
    """How many characters of either text to pass, the fewest, until they agree again."""
    for total in range(1, 2 * _DRIFT + 1):
        for skip in range(max(0, total - _DRIFT), min(total, _DRIFT) + 1):
            if a[skip : skip + _CONTEXT] == b[total - skip : total - skip + _CONTEXT]:
                return skip, total - skip
    return None
