import random
from pathlib import Path

from kayan.corpus import Corpus
from kayan.document import Document
from kayan.schema import Declaration
from tests.conftest import marked
from train.swap import mention_pool, swap, with_names

POOL = {"LOC": ["تيزنيت"], "PER": ["سلمى أوعلي"]}


class Always(random.Random):
    """Replaces every name that can be."""

    def random(self) -> float:
        return 0.0


def shown(document: Document) -> list[tuple[str, str]]:
    return [(span.label, span.text) for span in document.spans]


def test_names_change_and_particles_stay() -> None:
    document = marked("زار [PER كريم الوزاني] مدينة [LOC فاس] في [DATE ماي] وعاد إلى [LOC فاس] ثم ب[LOC مراكش].")
    changed = swap(document, POOL, Always())
    assert changed.text == "زار سلمى أوعلي مدينة تيزنيت في ماي وعاد إلى تيزنيت ثم بتيزنيت."
    assert shown(changed) == [("PER", "سلمى أوعلي"), ("LOC", "تيزنيت"), ("DATE", "ماي"), *[("LOC", "تيزنيت")] * 2]


def test_a_name_is_the_same_everywhere_or_stays() -> None:
    document = marked(" ثم ".join(["[LOC فاس]"] * 9))
    for seed in range(20):
        assert len(set(shown(swap(document, {"LOC": ["تيزنيت", "آسفي", "وجدة"]}, random.Random(seed))))) == 1


def test_what_could_break_the_spelling_stays() -> None:
    document = marked("وفد ل[LOC لرباط] و«[LOC فاس]» وب[LOC طنجة]")
    assert shown(swap(document, {"LOC": ["«الدار»"]}, Always())) == [
        ("LOC", "لرباط"),
        ("LOC", "«الدار»"),
        ("LOC", "طنجة"),
    ]
    glued = marked("عاد [LOC بباريس] و[LOC مدريد]")
    assert shown(swap(glued, POOL, Always(), exact=False)) == [("LOC", "بباريس"), ("LOC", "تيزنيت")]


def test_overlapping_mentions_stay_where_they_are() -> None:
    plain = marked("من [LOC فاس] قدم [PER والي الرباط] أمس")
    inner = plain.text.index("الرباط")
    document = plain.with_spans([*plain.spans, marked("[LOC الرباط]").spans[0].__class__(inner, inner + 6, "LOC")])
    changed = swap(document, POOL, Always())
    assert shown(changed) == [("LOC", "تيزنيت"), ("PER", "والي الرباط"), ("LOC", "الرباط")]


def test_the_pool_takes_no_glued_particle() -> None:
    glued = Corpus("a", (marked("[LOC بباريس] [LOC مدريد] [DATE ماي]"),), Declaration(proclitics=False))
    exact = Corpus("b", (marked("[LOC برلين] [PER وهبي]"),), Declaration())
    assert mention_pool([glued, exact]) == {"LOC": ["برلين", "مدريد"], "PER": ["وهبي"]}


def test_a_list_of_names_joins_the_pool(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ليلى أيت  بها\nم\n\nإدريس\n", encoding="utf-8")
    (tmp_path / "more.txt").write_text("إدريس\nبرادة\n", encoding="utf-8")
    grown = with_names(POOL, {"PER": [tmp_path / "names.txt", tmp_path / "more.txt"]})
    assert grown == {"LOC": ["تيزنيت"], "PER": ["إدريس", "برادة", "بها", "سلمى أوعلي", "ليلى أيت بها"]}
    assert POOL["PER"] == ["سلمى أوعلي"]
