import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.significance import differences, f1, paired_bootstrap, randomisation
from kayan.document import Document, Span
from kayan.scoring import holm

A = np.array([[1, 2, 2], [0, 1, 2], [2, 2, 2], [1, 1, 1]] * 10)
B = np.array([[2, 2, 2], [1, 1, 2], [2, 2, 2], [1, 1, 1]] * 10)


def test_the_difference_is_that_of_the_whole_and_the_same_draws_serve_both() -> None:
    result = paired_bootstrap(A, B, n=500)
    assert result["difference"] == pytest.approx(f1(B.sum(axis=0)) - f1(A.sum(axis=0)))
    assert result["interval"][0] > 0
    assert result["share_better"] == 1.0
    alone = paired_bootstrap(A, A, n=500)
    assert alone["interval"] == [0, 0], "unpaired draws would differ"
    assert alone["share_better"] == 0.5


def test_randomisation_equals_the_exact_test_on_few_articles() -> None:
    a, b = np.array([[0, 1, 1], [1, 1, 1], [0, 1, 1]]), np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1]])
    # Two articles differ: of the four ways to swap them two are as far apart.
    assert randomisation(a, b, n=20_000) == pytest.approx(0.5, abs=0.02)
    assert randomisation(A, A, n=100) == 1.0
    assert randomisation(A, B, n=1_000) < 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(new >= old and new <= 1 for new, old in zip(corrected, values, strict=True))
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert [corrected[i] for i in order] == sorted(corrected)


def test_two_systems_on_the_same_articles() -> None:
    gold = [Document("زار علي فاس", [Span(4, 7, "PER"), Span(8, 11, "LOC")], id="a1")]
    a = [gold[0].with_spans([Span(4, 7, "PER"), Span(0, 3, "ORG")])]
    b = [gold[0].with_spans([Span(4, 7, "PER"), Span(8, 11, "LOC")])]
    result = differences(gold, a, b, ("PER", "ORG", "LOC", "DATE"), n=50)
    assert list(result) == ["all", "PER", "ORG", "LOC"]
    assert result["LOC"]["f1"] == [0.0, 1.0]


def test_unequal_articles_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(articles, 3\)"):
        randomisation(A, B[:3])
