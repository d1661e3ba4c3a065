"""Choose the sub-words of a unigram tokenizer for given text: expectation–maximisation over the segmentations of its
words, and pruning by what each piece is worth (Kudo 2018, arXiv:1804.10959, sections 3.2 and 3.3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

# A piece longer than this is a phrase glued together, or markup.
LONGEST = 16
# Of the pieces that are not yet decided, the share that a round of pruning keeps.
KEPT_A_ROUND = 0.75
NOWHERE = -1e9


class Lattice:
    """Segmentations of words into pieces, each with a natural logarithm of its probability."""

    def __init__(self, scores: Mapping[str, float]):
        self.scores = dict(scores)
        self.longest = max(map(len, self.scores), default=0)

    def edges(self, word: str) -> list[list[tuple[int, str, float]]]:
        """For each position of the word, the pieces that end there: (start, piece, score)."""
        scores, longest = self.scores, self.longest
        return [
            [
                (start, piece, score)
                for start in range(max(0, end - longest), end)
                if (score := scores.get(piece := word[start:end])) is not None
            ]
            for end in range(1, len(word) + 1)
        ]

    def expect(self, words: Mapping[str, float]) -> tuple[dict[str, float], float]:
        """Expected counts of the pieces over all segmentations of the words, and the log-likelihood of the words that
        have one, by the forward–backward algorithm."""
        expected: dict[str, float] = dict.fromkeys(self.scores, 0.0)
        total = 0.0
        for word, count in words.items():
            edges = self.edges(word)
            size = len(word)
            forward = [0.0] + [NOWHERE] * size
            for end, arriving in enumerate(edges, 1):
                if arriving:
                    forward[end] = _logsum([forward[start] + score for start, _, score in arriving])
            if forward[size] < NOWHERE / 2:
                continue
            total += count * forward[size]
            backward = [NOWHERE] * size + [0.0]
            for end in range(size, 0, -1):
                if backward[end] < NOWHERE / 2:
                    continue
                for start, piece, score in edges[end - 1]:
                    expected[piece] += count * math.exp(forward[start] + score + backward[end] - forward[size])
                    backward[start] = _logadd(backward[start], score + backward[end])
        return expected, total

    def best(self, word: str, without: str | None = None) -> tuple[list[str], float]:
        """The likeliest segmentation, not using the piece `without`, and its score; ([], `NOWHERE`) if there is none."""
        score = [0.0] + [NOWHERE] * len(word)
        came: list[str] = [""] * (len(word) + 1)
        for end, arriving in enumerate(self.edges(word), 1):
            for start, piece, own in arriving:
                if piece != without and score[start] + own > score[end]:
                    score[end], came[end] = score[start] + own, piece
        if score[-1] < NOWHERE / 2:
            return [], NOWHERE
        pieces, at = [], len(word)
        while at:
            pieces.append(came[at])
            at -= len(came[at])
        return pieces[::-1], score[-1]


def choose(
    words: Mapping[str, float],
    candidates: Collection[str],
    keep: Collection[str],
    size: int,
    rounds: int = 2,
) -> list[tuple[str, float]]:
    """The `size` pieces, `keep` among them, that give the words the highest likelihood found, with their scores.

    `words` maps words, as the tokenizer will see them, to how often they occur; `candidates` are the pieces to choose
    from. Raises `ValueError` if `keep` alone is more than `size`.
    """
    keep = set(keep)
    if len(keep) > size:
        raise ValueError(f"{size} pieces are too few: {len(keep)} must be kept")
    # Sorted, for sums of floating numbers depend on their order.
    pieces = dict.fromkeys(sorted(keep | {piece for piece in candidates if len(piece) <= LONGEST}))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + LONGEST) + 1):
                if word[start:end] in pieces:
                    counts[word[start:end]] += count  # type: ignore[assignment]
    lattice = Lattice(
        _scores({piece: counts[piece] * len(piece) for piece in pieces if counts[piece] or piece in keep})
    )
    while True:
        for _ in range(rounds):
            expected, _ = lattice.expect(words)
            lattice = Lattice(_scores({p: n for p, n in expected.items() if n > 0.5 or p in keep}))
        if len(lattice.scores) <= size:
            return sorted(lattice.scores.items(), key=lambda item: (-item[1], item[0]))
        worth = {
            piece: expected[piece] * (score - lattice.best(piece, without=piece)[1])
            for piece, score in lattice.scores.items()
            if piece not in keep
        }
        room = max(size - len(keep), int(KEPT_A_ROUND * len(worth)))
        ranked = sorted(worth, key=lambda piece: (-worth[piece], piece))
        lattice = Lattice({piece: lattice.scores[piece] for piece in (*sorted(keep), *ranked[:room])})


def _scores(counts: Mapping[str, float]) -> dict[str, float]:
    """Counts as logarithms of probabilities; what was never seen counts a hundredth."""
    total = math.log(sum(max(n, 0.01) for n in counts.values()))
    return {piece: math.log(max(n, 0.01)) - total for piece, n in counts.items()}


def _logadd(a: float, b: float) -> float:
    a, b = max(a, b), min(a, b)
    return a if b - a < -30 else a + math.log1p(math.exp(b - a))


def _logsum(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
