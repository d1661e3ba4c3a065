"""Whether a score means what it says: reliability, expected calibration error, Brier score, precision against threshold.

A prediction is right when it equals a gold mention in both edges and type; its score claims the probability of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kayan.document import Document
from kayan.scoring import match_strict

BINS = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions of all articles, highest score first.

    scores: float array of shape (predictions,), in [0, 1]
    right: bool array of shape (predictions,)
    gold: how many gold mentions there are
    """

    scores: np.ndarray
    right: np.ndarray
    gold: int


def scored(pairs: Iterable[tuple[Document, Document]]) -> Scored:
    """Collect from (gold, predicted) articles. Raises `ValueError` naming the article where a prediction has no score."""
    scores: list[float] = []
    right: list[bool] = []
    gold_count = 0
    for gold, predicted in pairs:
        hits = {pair.predicted for pair in match_strict(gold.spans, predicted.spans)}
        gold_count += len(gold.spans)
        for number, span in enumerate(predicted.spans):
            if span.score is None:
                raise ValueError(f"article {predicted.id!r}: prediction {span.text!r} at {span.start} has no score")
            scores.append(span.score)
            right.append(number in hits)
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    return Scored(np.asarray(scores, dtype=float)[order], np.asarray(right, dtype=bool)[order], gold_count)


def reliability(data: Scored, bins: int = BINS) -> list[dict[str, float]]:
    """For each of `bins` equal ranges of the score that holds predictions: low, high, predictions, mean score, share right."""
    place = np.minimum((data.scores * bins).astype(int), bins - 1)
    rows = []
    for k in range(bins):
        inside = place == k
        if inside.any():
            row = {"low": k / bins, "high": (k + 1) / bins, "predictions": int(inside.sum())}
            rows.append(row | {"score": float(data.scores[inside].mean()), "right": float(data.right[inside].mean())})
    return rows


def calibration_error(data: Scored, bins: int = BINS) -> float:
    """Expected calibration error (Naeini, Cooper & Hauskrecht 2015): the mean over predictions of the distance between the
    mean score and the share right of its bin; 0.0 without predictions."""
    rows = reliability(data, bins)
    total = sum(row["predictions"] for row in rows)
    return float(sum(row["predictions"] * abs(row["score"] - row["right"]) for row in rows) / total) if total else 0.0


def brier(data: Scored) -> float:
    """The mean squared distance between the score and 1 (right) or 0 (wrong) (Brier 1950); 0.0 without predictions."""
    return float(np.mean((data.scores - data.right) ** 2)) if len(data.scores) else 0.0


def operating_points(data: Scored) -> dict[str, np.ndarray]:
    """Precision, recall and F1 when predictions that score less than a threshold are left out: arrays of shape (distinct
    scores,), thresholds falling. Predictions of equal score go together."""
    last = np.flatnonzero(np.diff(data.scores, append=-1.0))
    right = np.cumsum(data.right)[last]
    kept = last + 1
    return {
        "threshold": data.scores[last],
        "precision": right / kept,
        "recall": right / data.gold if data.gold else np.zeros(len(last)),
        "f1": 2 * right / (kept + data.gold),
    }


def threshold_for(data: Scored, precision: float) -> dict[str, float] | None:
    """The lowest threshold at which the precision is reached, which keeps the most mentions: threshold, precision, recall;
    None where no threshold reaches it. Chosen on these articles, so expect a little less on others."""
    points = operating_points(data)
    enough = np.flatnonzero(points["precision"] >= precision)
    if not len(enough):
        return None
    return {name: float(points[name][enough[-1]]) for name in ("threshold", "precision", "recall")}


def figures(data: Scored, wished: Sequence[float] = (0.9, 0.95)) -> dict[str, Any]:
    """Everything above, ready for JSON; the curve is thinned to a hundred points."""
    points = operating_points(data)
    shown = np.unique(np.linspace(0, len(points["f1"]) - 1, min(100, len(points["f1"]))).astype(int))
    best = int(points["f1"].argmax()) if len(points["f1"]) else None
    return {
        "predictions": len(data.scores),
        "expected_calibration_error": calibration_error(data),
        "brier": brier(data),
        "reliability": reliability(data),
        "curve": [{name: float(values[k]) for name, values in points.items()} for k in shown],
        "best_f1": None if best is None else {name: float(values[best]) for name, values in points.items()},
        "threshold_for_precision": {f"{value:g}": threshold_for(data, value) for value in wished},
    }
