import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.calibration import (
    Scored,
    brier,
    calibration_error,
    figures,
    operating_points,
    reliability,
    scored,
    threshold_for,
)
from kayan.document import Document, Span


def collected(scores: list[float], right: list[bool], gold: int) -> Scored:
    order = np.argsort(-np.array(scores), kind="stable")
    return Scored(np.array(scores)[order], np.array(right, dtype=bool)[order], gold)


FOUR = collected([0.95, 0.85, 0.85, 0.2], [True, True, False, False], 3)


def test_figures_by_hand() -> None:
    assert brier(FOUR) == pytest.approx((0.05**2 + 0.15**2 + 0.85**2 + 0.2**2) / 4)
    assert [(row["low"], row["predictions"], row["right"]) for row in reliability(FOUR)] == [
        (0.2, 1, 0.0),
        (0.8, 2, 0.5),
        (0.9, 1, 1.0),
    ]
    assert calibration_error(FOUR) == pytest.approx((0.2 + 2 * 0.35 + 0.05) / 4)


def test_equal_scores_stay_together() -> None:
    points = operating_points(FOUR)
    assert points["threshold"].tolist() == [0.95, 0.85, 0.2]
    assert points["precision"].tolist() == pytest.approx([1, 2 / 3, 1 / 2])
    assert points["recall"].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert points["f1"].tolist() == pytest.approx([2 / 4, 4 / 6, 4 / 7])


def test_a_wished_precision_keeps_what_it_can() -> None:
    assert threshold_for(FOUR, 0.6) == pytest.approx({"threshold": 0.85, "precision": 2 / 3, "recall": 2 / 3})
    assert threshold_for(collected([0.5], [False], 1), 0.5) is None


def test_nothing_predicted_is_no_error() -> None:
    result = figures(collected([], [], 2))
    assert (result["brier"], result["expected_calibration_error"], result["curve"]) == (0.0, 0.0, [])
    assert result["best_f1"] is None


def test_right_is_exact_and_scores_are_needed() -> None:
    gold = Document("زار علي فاس", [Span(4, 7, "PER"), Span(8, 11, "LOC")], id="a1")
    data = scored([(gold, gold.with_spans([Span(4, 7, "PER", 0.9), Span(8, 11, "ORG", 0.8)]))])
    assert (data.right.tolist(), data.gold) == ([True, False], 2)
    with pytest.raises(ValueError, match=r"article 'a1': prediction 'علي' at 4 has no score"):
        scored([(gold, gold)])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(0, 5))
def test_every_prediction_is_in_one_bin_and_the_last_point_keeps_all(rows: list[tuple[float, bool]], more: int) -> None:
    right = sum(ok for _, ok in rows)
    data = collected([score for score, _ in rows], [ok for _, ok in rows], right + more)
    assert sum(row["predictions"] for row in reliability(data)) == len(rows)
    assert 0 <= calibration_error(data) <= 1
    assert operating_points(data)["precision"][-1] == pytest.approx(right / len(rows))
