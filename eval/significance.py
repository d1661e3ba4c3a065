"""Is one system better than another on the same articles: paired bootstrap and approximate randomisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kayan.document import Document
from kayan.scoring import SpanScorer, holm, resamples

SAMPLES = 10_000


def f1(totals: np.ndarray) -> np.ndarray:
    """F1 from counts whose last axis is correct, predicted, gold; 0 where both sides are empty."""
    support = totals[..., 1] + totals[..., 2]
    return np.divide(2 * totals[..., 0], support, out=np.zeros(support.shape), where=support > 0)


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, n: int = SAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """The difference F1(b) − F1(a) with its percentile interval (Efron & Tibshirani 1993), both systems on the same draws
    of articles, and the share of draws in which b is better (Koehn 2004).

    a, b: counts per article of shape (articles, 3): correct, predicted, gold. Raises `ValueError` for unequal shapes.
    """
    _check(a, b)
    differences = np.concatenate(
        [f1(counts.astype(float) @ b) - f1(counts.astype(float) @ a) for counts in resamples(len(a), n, seed)]
    )
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return {
        "difference": float(f1(b.sum(axis=0)) - f1(a.sum(axis=0))),
        "interval": [float(low), float(high)],
        "level": level,
        "share_better": float((differences > 0).mean() + (differences == 0).mean() / 2),
        "resamples": n,
    }


def randomisation(a: np.ndarray, b: np.ndarray, n: int = SAMPLES, seed: int = 0) -> float:
    """p-value, two-sided, of the hypothesis that the two systems are exchangeable: each article's counts are swapped at
    random (approximate randomisation, Noreen 1989; Yeh 2000). (1 + swaps at least as far apart) / (1 + n).

    a, b: as in `paired_bootstrap`. Articles on which the two do not differ weigh nothing.
    """
    _check(a, b)
    observed = abs(f1(b.sum(axis=0)) - f1(a.sum(axis=0)))
    delta, both = (b - a).astype(float), (a + b).sum(axis=0)
    rng = np.random.default_rng(seed)
    reached, step = 0, max(1, 4_000_000 // max(1, len(a)))
    for first in range(0, n, step):
        signs = rng.integers(0, 2, size=(min(step, n - first), len(a)), dtype=np.int8) * 2 - 1
        swapped = signs.astype(np.float32) @ delta.astype(np.float32)
        reached += int((abs(f1((both + swapped) / 2) - f1((both - swapped) / 2)) >= observed - 1e-6).sum())
    return (1 + reached) / (1 + n)


def differences(
    gold: Sequence[Document],
    a: Sequence[Document],
    b: Sequence[Document],
    labels: Sequence[str],
    n: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Two systems on the same articles: scores, difference with interval, p-value, for all types together ("all") and each
    that occurs (those Holm-corrected among themselves, `p_holm`).

    Raises `ValueError` where the articles are not the same.
    """
    scorers = SpanScorer(labels), SpanScorer(labels)
    for one, first, second in zip(gold, a, b, strict=True):
        scorers[0].add(one, first)
        scorers[1].add(one, second)
    arrays = [scorer.array() for scorer in scorers]
    rows = {"all": [array.sum(axis=1) for array in arrays]}
    rows |= {label: [array[:, k] for array in arrays] for k, label in enumerate(scorers[0].types)}
    result: dict[str, Any] = {}
    for name, (ours, theirs) in rows.items():
        if name != "all" and not (ours[:, 1:].any() or theirs[:, 1:].any()):
            continue
        result[name] = {
            "gold": int(ours[:, 2].sum()),
            "f1": [float(f1(ours.sum(axis=0))), float(f1(theirs.sum(axis=0)))],
            **paired_bootstrap(ours, theirs, n, seed),
            "p": randomisation(ours, theirs, n, seed),
        }
    types = [name for name in result if name != "all"]
    for name, value in zip(types, holm([result[name]["p"] for name in types]), strict=True):
        result[name]["p_holm"] = value
    return result


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 3 or not len(a):
        raise ValueError(f"two arrays of shape (articles, 3) are needed, not {a.shape} and {b.shape}")
