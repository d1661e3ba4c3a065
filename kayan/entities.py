"""The mentions of an article grouped by what they name: `Entity`, `group`.

A name is folded (spelling of hamza, alef maksura, ta marbuta and marks; spaces; titles), so that its spellings are one.
Then each folded name gives the shorter forms by which an article may call it again, type by type, and a form joins the one
fuller name of its type that gives it. Where two names give it, or none, it stays an entity of its own: «الماحي» beside
«سعاد الماحي» and «عمر الماحي» is neither.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from kayan.document import Document, Span
from kayan.text import normalise

_FOLD = str.maketrans("ٱىة٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "ايه01234567890123456789", "ء'’‘`")
_WORD = re.compile(r"[^\W_]+\+*")  # «أوبك+» is not «أوبك»
_LAM = re.compile("[\\s\u0640\u064b-\u0652\u0670]*ل")


@dataclass(frozen=True, slots=True)
class Entity:
    """The mentions of an article, in reading order, that name one thing; all are of one type.

    name: the canonical form (`Span.name`) of the fullest, then most frequent, then first of them
    """

    label: str
    name: str
    mentions: tuple[Span, ...]

    @property
    def count(self) -> int:
        return len(self.mentions)

    @property
    def first(self) -> Span:
        return self.mentions[0]

    @property
    def forms(self) -> tuple[str, ...]:
        """The different canonical forms of the mentions, in the order in which they appear."""
        return tuple(dict.fromkeys(span.name for span in self.mentions))

    @property
    def score(self) -> float | None:
        """The highest score of a mention; None where none has a score, as in gold."""
        return max((span.score for span in self.mentions if span.score is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Name, label, count, half-open offsets (code points) and forms, ready for JSON."""
        record: dict[str, Any] = {"name": self.name, "label": self.label, "count": self.count}
        record |= {"first": [self.first.start, self.first.end]}
        record |= {"mentions": [[span.start, span.end] for span in self.mentions], "forms": list(self.forms)}
        return record if self.score is None else record | {"score": round(self.score, 4)}


def fold(name: str) -> list[str]:
    """The words of a name as they are compared: without marks, hamza, accents, case and punctuation, digits as ASCII, «ابن»
    as «بن».

    >>> fold("إملشيل، الدّائرة ١٢"), fold("ابن رشد"), fold("Médi-Est")
    (['املشيل', 'الدايره', '12'], ['بن', 'رشد'], ['medi', 'est'])
    """
    # Decomposed, a letter with hamza or madda is the letter and a combining mark.
    letters = unicodedata.normalize("NFKD", normalise(name).text)
    plain = "".join(char for char in letters if not unicodedata.combining(char))
    words = _WORD.findall(plain.translate(_FOLD).lower())
    return ["بن" if word == "ابن" else word for word in words] or [name]


def _words(text: str) -> frozenset[str]:
    return frozenset(word for name in text.split() for word in fold(name))


def _names(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(fold(name)) for name in text.split("،"))


# People. Titles stand outside a mention by the rules of annotation; a tagger may leave one in.
_TITLES = _words(
    "الملك الأمير الأميرة الرئيس الرئيسة الوزير الوزيرة النائب النائبة الدكتور الدكتورة الأستاذ الأستاذة السيدة "
    "الجنرال العقيد القاضي القاضية المحامي المحامية المدرب اللاعب الفنان الفنانة البروفيسور المهندس المهندسة د ذ"
)
# Part of the name, or a given name («السيد»), but left out where enough remains: «مولاي الحسن» is not «الحسن الثاني».
_HONORIFICS = _words("مولاي سيدي للا الحاج الحاجة السيد الشيخ")
# Words that make one part of a name with the next word, and with the word before.
_OPENING = _words("عبد بن ابن بنت ولد آيت أبو أبي أبا أم بو آل ذو أولاد دي دو دا دوس فان فون لو ماك سان")
_CLOSING = _words("الدين الله الزهراء الهدى العابدين الإسلام")

# Places. What the rules of annotation leave outside the name; other kinds («إقليم») are other places.
_PLACE_KINDS = _words("مدينة العاصمة حاضرة دولة جمهورية مملكة منطقة بلدة قرية دوار")
_CAPITALS = _words("الكويت الجزائر تونس المكسيك بنما غواتيمالا لوكسمبورغ")
_FORMAL = {
    tuple(fold(formal)): fold(name)
    for pair in (
        "المملكة المغربية=المغرب، المملكة العربية السعودية=السعودية، الجمهورية التونسية=تونس، الجمهورية اللبنانية=لبنان، "
        "الجمهورية الجزائرية الديمقراطية الشعبية=الجزائر، الجمهورية الإسلامية الموريتانية=موريتانيا، "
        "جمهورية مصر العربية=مصر، الجمهورية العربية السورية=سوريا، المملكة الأردنية الهاشمية=الأردن، الجمهورية اليمنية=اليمن، "
        "الإمارات العربية المتحدة=الإمارات، دولة الإمارات العربية المتحدة=الإمارات، جمهورية الصين الشعبية=الصين، "
        "الولايات المتحدة الأمريكية=الولايات المتحدة، روسيا الاتحادية=روسيا، الجمهورية الفرنسية=فرنسا، المملكة الإسبانية=إسبانيا"
    ).split("،")
    for formal, name in [pair.split("=")]
}

_CASABLANCA = tuple(fold("الدار البيضاء"))

# Institutions. The kinds alone («الجمعية») name nothing; the first row may be left out of a name.
_DROPPED = _words(
    "حزب نادي شركة مجموعة جمعية مؤسسة منظمة جامعة تعاونية حركة فريق جريدة صحيفة قناة إذاعة مجلة موقع نقابة"
)
_KINDS = _DROPPED | _words(
    "وزارة مكتب وكالة اتحاد مجلس لجنة هيئة محكمة كلية معهد مدرسة مركز مستشفى بنك صندوق مديرية إدارة أكاديمية مندوبية فرقة "
    "قيادة منتخب مصلحة جبهة تنسيقية كونفدرالية فيدرالية فدرالية رابطة عصبة غرفة برلمان حكومة شرطة نيابة رئاسة ولاية "
    "جماعة تحالف ائتلاف شبكة مرصد مختبر مكتبة متحف ثانوية استئنافية بورصة مجمع برنامج مدينة محيط جهة إقليم عمالة "
    "مهرجان ملتقى مؤتمر دورة نسخة بطولة كأس معرض قمة منتدى"
)
# Well-known institutions that longer names of others begin with («الاتحاد الأوروبي لكرة القدم»).
_ALONE = _names("الأمم المتحدة، منظمة الأمم المتحدة، الاتحاد الأوروبي، الاتحاد الإفريقي، الاتحاد العربي، البنك الدولي")

# Parts of a name that still has shorter forms: they are as many as the parts, and each as long as the name.
_LONGEST = 40
_EDITION = _words("الدورة دورة النسخة نسخة الطبعة طبعة")
_DAYS = _words("يوم يومي شهر سنة عام")


@dataclass(frozen=True, slots=True)
class _Form:
    """What the rules make of a name: its parts, those joined as a key, whether it lost no title or kind on the way, and the
    shorter forms by which it may be called again."""

    parts: tuple[str, ...]
    key: str
    whole: bool
    shorter: tuple[str, ...]


@dataclass(eq=False)
class _Node:
    """The mentions of one type whose names fold to the same letters."""

    form: _Form
    mentions: list[int]
    plain: set[str]  # names that lost no title or kind on the way
    parent: _Node | None = None

    def root(self) -> _Node:
        node = self
        while node.parent is not None:
            node = node.parent
        return node


def group(document: Document) -> list[Entity]:
    """The entities of an article, in the order of their first mentions; each span of the document is in exactly one.

    >>> text = "استقبل ناصر الوردي سفير مالي. وقال الوردي إن مالي بلد شقيق."
    >>> at = [(7, 18, "PER"), (24, 28, "LOC"), (35, 41, "PER"), (45, 49, "LOC")]
    >>> [(entity.name, entity.count) for entity in group(Document(text, [Span(*one) for one in at]))]
    [('ناصر الوردي', 2), ('مالي', 2)]
    """
    spans = document.spans
    names = canonical(document)
    nodes: dict[tuple[str, str], _Node] = {}
    at: list[_Node] = []
    for i, (span, name) in enumerate(zip(spans, names, strict=True)):
        form = (_form if len(name) > _SHORT_NAME else _known_form)(span.label, name)
        node = nodes.get((span.label, form.key))
        if node is None:
            node = nodes[span.label, form.key] = _Node(form, [], set())
        node.mentions.append(i)
        if form.whole:
            node.plain.add(name)
        at.append(node)
    fuller: dict[tuple[str, str], list[_Node]] = defaultdict(list)
    for (label, _), node in nodes.items():
        for short in node.form.shorter:
            fuller[label, short].append(node)
    for i, k in _bracketed(document):
        full, acronym = sorted((at[i], at[k]), key=lambda node: -len(node.form.parts))
        for short in _definites(acronym.form.parts):
            fuller[spans[i].label, short].append(full)

    def fullest(item: tuple[tuple[str, str], _Node]) -> tuple[int, int, tuple[str, str]]:
        return -len(item[1].form.parts), -len(item[0][1]), item[0]

    # The longest first, so that what a fuller name belongs to is settled when a shorter one asks.
    for at_key, node in sorted(nodes.items(), key=fullest):
        roots = {id(root): root for other in fuller.get(at_key, ()) if (root := other.root()) is not node}
        if len(roots) == 1:
            node.parent = next(iter(roots.values()))
    found: dict[int, list[int]] = defaultdict(list)
    for i, node in enumerate(at):
        found[id(node.root())].append(i)
    return [
        Entity(spans[own[0]].label, _best(at[own[0]].root(), names), tuple(spans[i] for i in own))
        for own in found.values()
    ]


def canonical(document: Document) -> list[str]:
    """`Span.name` of every span; it reads the whole article behind ل, so once for each surface."""
    seen: dict[tuple[str, str], str] = {}
    names = []
    for span in document.spans:
        surface = document.text[span.start : span.end]
        # What stands before matters to a name in ل alone.
        key = surface, document.text[max(0, span.start - 4) : span.start] if _LAM.match(surface) else ""
        if (name := seen.get(key)) is None:
            name = seen[key] = span.name
        names.append(name)
    return names


def _best(node: _Node, names: Sequence[str]) -> str:
    if len(node.mentions) == 1:
        return names[node.mentions[0]]
    counts = Counter(names[i] for i in node.mentions)
    return min(counts, key=lambda name: (name not in node.plain, -counts[name]))


def _form(label: str, name: str) -> _Form:
    words = fold(name)
    parts = _parts(label, words)
    shorter = _SHORT.get(label, _nothing)(parts) if len(parts) <= _LONGEST else ()
    key = (" " if label == "DATE" else "").join(parts)
    return _Form(parts, key, sum(map(len, parts)) == sum(map(len, words)), tuple(dict.fromkeys(shorter)))


# The press writes of the same things again and again. Long names are left out: their forms take the square of their length.
_SHORT_NAME = 64
_known_form = lru_cache(8192)(_form)


def _parts(label: str, words: list[str]) -> tuple[str, ...]:
    """The parts of a folded name that is compared: without titles and kinds, compound parts of a person's name together."""
    if label == "PER":
        while len(words) > 1 and words[0] in _TITLES:
            words = words[1:]
        return tuple(_compounds(words))
    if label == "LOC":
        if len(words) > 1 and words[0] in _PLACE_KINDS and not (words[0] == "مدينه" and words[1] in _CAPITALS):
            words = _FORMAL.get(tuple(words), words[1:])
        return tuple(_FORMAL.get(tuple(words), words))
    if label == "DATE" and len(words) > 1 and words[0] in _DAYS:
        return tuple(words[1:])
    return tuple(words)


def _compounds(words: Sequence[str]) -> list[str]:
    """«عبد الرحيم», «نور الدين», «بن الطاهر» each as one part."""
    parts: list[str] = []
    opened = False
    for word in words:
        if opened or (parts and word in _CLOSING):
            parts[-1] += word
        else:
            parts.append(word)
        opened = word in _OPENING
    return parts


def _bare(word: str) -> str:
    return word[2:] if word.startswith("ال") and len(word) > 4 else word


def _definites(words: Sequence[str]) -> Iterator[str]:
    """The name with and without «ال» before its first word; a kind alone has no other form."""
    bare = _bare(words[0])
    if len(words) > 1 or bare not in _KINDS:
        yield from ("".join([first, *words[1:]]) for first in (bare, "ال" + bare))


def _indefinite(words: Sequence[str]) -> Iterator[str]:
    """The name without «ال» before its first word, and «البيضاء» for «الدار البيضاء»."""
    yield from list(_definites(words))[:1]
    for k, pair in enumerate(pairwise(words)):
        if pair == _CASABLANCA:
            yield "".join([*words[:k], *words[k + 1 :]])


def _nothing(parts: tuple[str, ...]) -> Iterator[str]:
    return iter(())


def _short_people(parts: tuple[str, ...]) -> Iterator[str]:
    """The first parts, the last parts, the first with the last («نادية الرامي» of «نادية بن الحسين الرامي»)."""
    for k in range(1, len(parts)):
        yield "".join(parts[:k])
        yield "".join(parts[k:])
        if k > 1:
            yield "".join([parts[0], *parts[k:]])
    if len(parts) > 1:
        # «لحسن أوتيزي» of «الحسن أوتيزي», «محمد علوي» of «محمد العلوي».
        if parts[0].startswith("ال"):
            yield "".join(parts)[1:]
        yield "".join([*parts[:-1], _bare(parts[-1])])
    if len(parts) > 2 and parts[0] in _HONORIFICS:
        yield from _short_people(parts[1:])


def _short_places(parts: tuple[str, ...]) -> Iterator[str]:
    yield from _indefinite(parts)
    yield "".join(word for word in parts if word != "رقم")
    if parts[0] == "المحيط":
        yield "".join(parts[1:])


def _short_organisations(parts: tuple[str, ...]) -> Iterator[str]:
    yield from _indefinite(parts)
    yield from _construct(parts)
    name = parts[1:] if parts[0] in _DROPPED and len(parts) > 1 else ()
    if name:
        yield from _definites(name)
    for words in (parts, name):
        for k in range(1, len(words)):
            # «وزارة الصحة» of «وزارة الصحة والحماية الاجتماعية», not of «وزارة الصحة الإسبانية»; «الوداد» of «الوداد الرياضي».
            if (k == 1 or words[k][0] in "ولب") and words[:k] not in _ALONE:
                yield from _definites(words[:k])
    if parts[0] == "وزاره":
        if parts[1:2] == ("الشوون",):
            yield from _short_organisations((parts[0], *parts[2:]))
        starts = [k for k in range(2, len(parts)) if parts[k].startswith("وال")] + [len(parts)]
        for a, b in pairwise(starts):
            yield "".join([parts[0], parts[a][1:], *parts[a + 1 : b]])


def _construct(parts: tuple[str, ...]) -> Iterator[str]:
    """«مهرجان الحكاية» of «المهرجان الوطني للحكاية», «الأمن الوطني» of «المديرية العامة للأمن الوطني»."""
    k = next((k for k, word in enumerate(parts) if not word.startswith("ال")), len(parts))
    if 1 <= k < len(parts) and parts[k].startswith("ل"):
        rest = ["ال" + parts[k][2:] if parts[k].startswith("لل") else parts[k][1:], *parts[k + 1 :]]
        yield "".join([_bare(parts[0]), *rest])
        if parts[:2] == ("المديريه", "العامه"):
            yield "".join(rest)


def _short_events(parts: tuple[str, ...]) -> Iterator[str]:
    """Without the edition («الدورة الخامسة لمهرجان …»), the year or the host and the year."""
    if parts[0] in _EDITION:
        for k in range(1, min(len(parts), 5)):
            if parts[k].startswith("ل"):
                rest = ("ال" + parts[k][2:] if parts[k].startswith("لل") else parts[k][1:], *parts[k + 1 :])
            elif parts[k - 1] == "من":
                rest = parts[k:]
            else:
                continue
            yield "".join(rest)
            yield from _construct(rest)
            return
    yield from _construct(parts)
    if parts[-1].isdigit():
        for k in range(2, len(parts)):
            if not parts[k].startswith("ل"):
                yield "".join(parts[:k])


_SHORT: dict[str, Callable[[tuple[str, ...]], Iterator[str]]] = {
    "PER": _short_people,
    "LOC": _short_places,
    "ORG": _short_organisations,
    "EVENT": _short_events,
}


def _bracketed(document: Document) -> Iterator[tuple[int, int]]:
    """Pairs of neighbouring mentions of one type where the second fills brackets behind the first, and one is an acronym:
    a single word, or Latin, beside several words."""
    spans, text = document.spans, document.text
    for i, (one, two) in enumerate(pairwise(spans)):
        if one.label != two.label or one.label not in ("ORG", "EVENT", "MISC"):
            continue
        between, after = text[one.end : two.start], text[two.end : two.end + 3]
        if re.fullmatch(r"[»\"”’']?\s*\(\s*[«\"“‘']?", between) and re.match(r"[»\"”’']?\s*\)", after):
            sizes = [1 if span.text.isascii() else len(span.text.split()) for span in (one, two)]
            if min(sizes) == 1 < max(sizes):
                yield i, i + 1
