"""Words, sentences and attached particles of Arabic news text, as offsets into the raw text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kayan.document import Document, Span

# Letters, with the presentation forms that old systems print; marks ride on letters; invisible marks may stand inside.
_LETTERS = (
    "\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06ff"
    "\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc"
)
_MARKS = "\u0640\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
_INVISIBLE = "\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_WORD = re.compile(
    f"[{_LETTERS}{_MARKS}](?:[{_LETTERS}{_MARKS}{_INVISIBLE}]*[{_LETTERS}{_MARKS}])?"
    f"|(?:(?![{_LETTERS}{_MARKS}])[^\\W\\d_])(?:(?![{_LETTERS}{_MARKS}])[^\\W\\d_]|[\u0300-\u036f])*"
    r"|\d+"
    f"|[^\\s{_INVISIBLE}]"
)
_LETTER = re.compile(f"[{_LETTERS}]")
_SKIPPED = f"{_MARKS}{_INVISIBLE}"
# A conjunction, then at most two of the one-letter prepositions: «و», «ب», «ول», «فلل…» (ف + ل + «لأمم»), «وكب».
_PARTICLES = re.compile("[وف]?[بلك]{0,2}")
MAX_PARTICLES = 3
# Words that govern the next one as ب and ل do, so that none of those can be attached to it, nor a conjunction: of 900
# mentions after them in the annotated articles, none stands behind a particle.
_PREPOSITIONS = frozenset(
    "في من إلى عن على مع منذ حتى بين قبل بعد خلال عبر حول لدى عند نحو أمام وراء ضد ضمن تجاه فوق تحت وسط".split()
)
# One- and two-letter abbreviations that a full stop does not end: «د. أحمد», «ص.ب», «م. ع».
_ABBREVIATION = re.compile(
    f'(?:^|[\\s(«"{_INVISIBLE}])(?:[{_LETTERS}]|أ\\.?د|ص\\.?ب|[A-Za-z]|(?:[A-Za-z]\\.)+[A-Za-z])$'
)
# Marks that open a quotation or a bracket, and the one that closes it.
PAIRS = {"«": "»", "“": "”", '"': '"', "(": ")", "[": "]"}
# Nothing is given back, and no search begins within a run: a line of dots would take the square of its length.
_BREAK = re.compile(r"\n+|(?<![.!?؟…])[.!?؟…]++[\"'»”’)\]]*+(?=\s|$)")


def words(text: str) -> list[tuple[int, int]]:
    """Half-open offsets (code points) of the words, in order: runs of Arabic letters with their marks, runs of other
    letters, runs of digits, and every other visible character by itself. White space and invisible marks are in none.

    >>> [text[a:b] for text in ["لـ13 يناير، G20"] for a, b in words(text)]
    ['لـ', '13', 'يناير', '،', 'G', '20']
    """
    return [match.span() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[tuple[int, int]]:
    """Half-open offsets of the sentences; the white space between two belongs to neither.

    A line break always ends one. A full stop does unless it closes an abbreviation («د.») or stands in a number; «...»
    ends one only at the end of a line, since the press writes it inside sentences.

    >>> [text[a:b] for text in ["بلغ 3.5 في المائة. وقال د. أحمد: نعم!"] for a, b in sentences(text)]
    ['بلغ 3.5 في المائة.', 'وقال د. أحمد: نعم!']
    """
    found, start = [], 0
    for match in _BREAK.finditer(text):
        mark = match[0].rstrip("\"'»”’)]")
        if mark == "." and _ABBREVIATION.search(text, max(start, match.start() - 8), match.start()):
            continue
        if (mark == "…" or (len(mark) > 1 and set(mark) == {"."})) and text[match.end() : match.end() + 1] not in (
            "\n",
            "",
        ):
            continue
        found.append((start, match.start() if "\n" in mark else match.end()))
        start = match.end()
    found.append((start, len(text)))
    stripped = []
    for a, b in found:
        piece = text[a:b]
        if kept := piece.strip():
            a += len(piece) - len(piece.lstrip())
            stripped.append((a, a + len(kept)))
    return stripped


def around(text: str, start: int, end: int, most: int) -> tuple[int, int]:
    """Where the excerpt around the non-empty `[start, end)` begins and ends (code points): `most` characters away at most,
    between words, unless one word fills all of that.

    >>> text = "وصل الوفد إلى مدينة فاس مساء أمس"
    >>> first, last = around(text, 20, 23, 8)
    >>> text[first:last]
    'مدينة فاس مساء'
    """
    first, last = max(0, start - most), min(len(text), end + most)
    if first and (space := re.compile(r"(?<=\s)\s*").search(text, first, start)):
        first = space.end()
    if last < len(text) and (whole := re.compile(r".*(?=\s)", re.DOTALL).match(text, end, last + 1)):
        last = end + len(whole[0].rstrip())
    return first, last


def ellipses(text: str, first: int, last: int) -> tuple[str, str]:
    """What stands before and behind the excerpt `text[first:last]`: «…» where more than white space was left out."""
    before, behind = ("…" if cut.strip() else "" for cut in (text[:first], text[last:]))
    return before, behind


def particle_candidates(word: str) -> list[int]:
    """How many leading letters of `word` could be attached particles; 0 always can, `MAX_PARTICLES` at most.

    At least two letters must be left for the name.

    >>> particle_candidates("وبالرباط"), particle_candidates("لندن"), particle_candidates("مراكش")
    ([0, 1, 2], [0, 1], [0])
    """
    letters = "".join(_LETTER.findall(word[:16]))
    match = _PARTICLES.match(letters)
    longest = min(match.end() if match else 0, MAX_PARTICLES, max(0, len(_LETTER.findall(word)) - 2))
    return list(range(longest + 1))


def governs(word: str) -> bool:
    """Whether `word` is a free preposition or works as one, maybe behind «و» or «ف»: the next word bears no particle.

    >>> governs("من"), governs("وفي"), governs("قال")
    (True, True, False)
    """
    letters = "".join(_LETTER.findall(word[:16]))
    return letters in _PREPOSITIONS or (letters[:1] in ("و", "ف") and letters[1:] in _PREPOSITIONS)


def is_open(text: str, mark: str) -> bool:
    """Whether a quotation or bracket that `mark` of `PAIRS` begins is open at the end of `text`.

    >>> is_open("بيت «الحكمة", "«"), is_open("بيت «الحكمة»", "«"), is_open('مؤسسة "بيت', '"')
    (True, False, True)
    """
    return opens({char: text.count(char) for char in (mark, PAIRS[mark])}, mark)


def opens(counts: Mapping[str, int], mark: str) -> bool:
    """`is_open` by how often the marks stand in the text."""
    close = PAIRS[mark]
    return counts[mark] % 2 == 1 if close == mark else counts[mark] > counts[close]


def particle_end(word: str, count: int) -> int:
    """Offset in `word` behind its first `count` letters and the marks and tatweels that ride on them.

    >>> particle_end("بـالرباط", 1)
    2
    """
    if count == 0:
        return 0
    seen = 0
    for i, char in enumerate(word):
        if seen == count and char not in _SKIPPED_SET:
            return i
        seen += bool(_LETTER.match(char))
    return len(word)


def particle_count(word: str, offset: int) -> int | None:
    """The number of particles that a mention starting at `offset` in `word` leaves outside; None if no candidate fits."""
    for count in particle_candidates(word):
        if particle_end(word, count) == offset:
            return count
    return None


def has_particle(document: Document, span: Span) -> bool:
    """Whether letters of the same written word stand before the mention, as in «بمراكش»; a quotation mark or a tatweel
    may stand between, as in «بـ"الفيكام"»."""
    if not span.start or document.text[span.start - 1].isspace():
        return False  # nearly all mentions, and this is asked of millions
    before = document.text[max(0, span.start - 40) : span.start].rstrip("\"'«“”‘’" + _INVISIBLE_CHARS)
    run = re.search(f"(?<![{_LETTERS}])([{_LETTERS}{_MARKS}]+)$", before)
    if not run:
        return False
    letters = "".join(_LETTER.findall(run[1]))
    return len(letters) <= MAX_PARTICLES and _PARTICLES.fullmatch(letters) is not None


def _expand(ranges: str) -> str:
    return "".join(char for char in map(chr, range(0x10000)) if re.match(f"[{ranges}]", char))


_INVISIBLE_CHARS = _expand(_INVISIBLE)
_SKIPPED_SET = frozenset(_expand(_SKIPPED))
