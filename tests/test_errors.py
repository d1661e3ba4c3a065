import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import CLASSES, NONE, classify, confusion, tally
from kayan.document import Document, Span

TYPES = ("PER", "ORG", "LOC")


def marked(text: str) -> Document:
    """«زار [PER علي] فاس»: a document from text with its mentions in brackets."""
    plain, spans = "", []
    for piece in re.split(r"(\[[A-Z]+ [^]]+\])", text):
        match = re.fullmatch(r"\[([A-Z]+) ([^]]+)\]", piece)
        if match:
            spans.append(Span(len(plain), len(plain) + len(match[2]), match[1]))
        plain += match[2] if match else piece
    return Document(plain, spans)


@pytest.mark.parametrize(
    ("kind", "gold", "predicted"),
    [
        ("correct", "زار [LOC فاس] أمس", "زار [LOC فاس] أمس"),
        ("wrong type", "زار [LOC فاس] أمس", "زار [ORG فاس] أمس"),
        ("particle", "نزل ب[LOC مراكش] أمس", "نزل [LOC بمراكش] أمس"),
        ("particle", "نزل [LOC لشبونة] أمس", "نزل ل[LOC شبونة] أمس"),
        ("too short", "قال [PER محمد العلوي] أمس", "قال [PER محمد] العلوي أمس"),
        ("too short", "قال [PER محمد العلوي] أمس", "قال محمد [PER العلوي] أمس"),
        ("too long", "قال [PER محمد] أمس", "قال [PER محمد أمس]"),
        ("shifted", "قال [PER محمد العلوي] أمس", "قال محمد [PER العلوي أمس]"),
        ("split", "وزارة [ORG التربية والتعليم والرياضة]", "وزارة [ORG التربية] والتعليم [ORG والرياضة]"),
        ("merged", "بين [LOC فاس] و[LOC مكناس] أمس", "بين [LOC فاس ومكناس] أمس"),
        ("type and boundary", "في [ORG جامعة فاس] أمس", "في جامعة [LOC فاس] أمس"),
        ("missed", "زار [LOC فاس] أمس", "زار فاس أمس"),
        ("spurious", "زار فاس أمس", "زار [LOC فاس] أمس"),
    ],
)
def test_every_class_has_its_example(kind: str, gold: str, predicted: str) -> None:
    assert [case.kind for case in classify(marked(gold), marked(predicted))] == [kind]


def test_a_mention_left_over_joins_the_pair_that_it_overlaps_most() -> None:
    [case] = classify(marked("في [ORG جامعة فاس العليا]"), marked("في [ORG جامعة فاس] [LOC العليا]"))
    assert case.kind == "type and boundary"
    assert [span.label for span in case.predicted] == ["ORG", "LOC"]


def test_the_same_type_is_paired_before_a_larger_overlap() -> None:
    gold = Document("أ" * 12, [Span(0, 10, "PER")])
    [case] = classify(gold, gold.with_spans([Span(0, 9, "LOC"), Span(9, 11, "PER")]))
    assert case.predicted[0].label == "PER"


def test_texts_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="text differ"):
        classify(Document("فاس", id="a1"), Document("مكناس"))


spans = st.lists(
    st.tuples(st.integers(0, 28), st.integers(1, 8), st.sampled_from(TYPES)).map(
        lambda t: Span(t[0], min(t[0] + t[1], 30), t[2])
    ),
    max_size=7,
    unique_by=lambda span: (span.start, span.end, span.label),
)


@given(spans, spans)
def test_each_mention_stands_in_exactly_one_case(ours: list[Span], theirs: list[Span]) -> None:
    gold = Document("في بمراكش والرباط ثم فاس أيضاً "[:30].ljust(30), ours)
    predicted = gold.with_spans(theirs)
    cases = classify(gold, predicted)
    assert sorted((s.start, s.end, s.label) for case in cases for s in case.gold) == [
        (s.start, s.end, s.label) for s in gold.spans
    ]
    assert sorted((s.start, s.end, s.label) for case in cases for s in case.predicted) == [
        (s.start, s.end, s.label) for s in predicted.spans
    ]
    assert all(case.kind in CLASSES for case in cases)

    matrix = confusion(cases, TYPES)
    assert matrix[-1, -1] == 0
    for k, label in enumerate((*TYPES, NONE)):
        if label != NONE:
            assert matrix[k].sum() == sum(span.label == label for span in ours)
            assert matrix[:, k].sum() == sum(span.label == label for span in theirs)

    counts = tally(cases)
    assert sum(row["gold"] for row in counts.values()) == len(ours)
    assert sum(row["predicted"] for row in counts.values()) == len(theirs)
    assert {case.kind for case in classify(gold, gold)} <= {"correct"}


@given(spans, spans)
def test_sides_swapped_mirror_the_classes(ours: list[Span], theirs: list[Span]) -> None:
    gold = Document("أ" * 30, ours)
    mirror = {"missed": "spurious", "spurious": "missed"}
    there = Counter(case.kind for case in classify(gold, gold.with_spans(theirs)))
    back = Counter(case.kind for case in classify(gold.with_spans(theirs), gold))
    for kind in ("correct", "wrong type", "missed", "spurious"):
        assert there[kind] == back[mirror.get(kind, kind)]


def test_the_confusion_counts_what_nobody_found() -> None:
    cases = classify(marked("زار [PER علي] [LOC فاس]"), marked("زار [ORG علي] فاس"))
    expected = np.zeros((4, 4), dtype=int)
    expected[0, 1] = expected[2, 3] = 1
    assert (confusion(cases, TYPES) == expected).all()
