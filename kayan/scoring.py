"""Scores: additive counts on the character spans of raw articles, bootstrap by article, and seqeval at token level.

Every figure is a count first: `SpanScorer` keeps those of each article, so that scorers add and articles can be drawn
again, and `SpanScorer.add` hands back the matched pairs behind each number. Denominators are those of the whole text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from kayan.document import Document, Span
from kayan.words import has_particle

_NOT_COUNTED = ("gold_of_other_types", "gold_repeated", "predicted_of_other_types", "predicted_repeated")
COLUMNS = ("correct", "predicted", "gold")
_UNIT = "character span [start, end) of the raw article, in Unicode code points"
Spans = Sequence[Span]
SeqevalStrict: type[Any]  # made by __getattr__ when first asked for, because importing evaluate takes seconds


class Match(NamedTuple):
    """A gold mention and the prediction it is paired with, as positions in the two lists, and the credit in (0, 1]."""

    gold: int
    predicted: int
    credit: float


class Average(NamedTuple):
    """Unweighted means over `types` entity types."""

    precision: float
    recall: float
    f1: float
    types: int


class _Additive:
    def __add__(self, other: Self) -> Self:
        return type(self)(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass
class Counts(_Additive):
    """What precision, recall and F1 are made of; counts add with `+` and `+=`.

    correct: the sum of credits of the matched pairs, a whole number except for the strategy `partial`
    predicted, gold: how many mentions each side has
    """

    correct: float = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """correct / predicted; 0.0 where nothing is predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """correct / gold; 0.0 where there is no gold."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2 · correct / (predicted + gold), the harmonic mean of precision and recall; 0.0 where both sides are empty."""
        return 2 * self.correct / (self.predicted + self.gold) if self.predicted + self.gold else 0.0

    def to_dict(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, **asdict(self)}


@dataclass
class Particles(_Additive):
    """Where mentions behind an attached particle («بمراكش») begin.

    total: gold mentions with a particle before them in the same written word (`kayan.words.has_particle`)
    found: those paired by the strategy `type` with a prediction that begins in the same written word
    right: those whose paired prediction starts at exactly the gold's first character
    """

    right: int = 0
    found: int = 0
    total: int = 0

    @property
    def accuracy(self) -> float:
        """right / total: a mention that was not found is not right; 0.0 where no mention has a particle."""
        return self.right / self.total if self.total else 0.0

    @property
    def accuracy_found(self) -> float:
        """right / found: the cut alone, where the right word was found; 0.0 where none was."""
        return self.right / self.found if self.found else 0.0


def match_strict(gold: Spans, predicted: Spans) -> list[Match]:
    """Pairs with the same start, end and label, one to one; credit 1.

    The exact match of CoNLL-2003 (Tjong Kim Sang & De Meulder 2003), on characters in place of tokens.
    """
    return _equal(gold, predicted, lambda span: (span.start, span.end, span.label))


def match_boundary(gold: Spans, predicted: Spans) -> list[Match]:
    """Pairs with the same start and end whatever the labels, one to one, pairs with the same label first; credit 1.

    The "exact" measure of SemEval-2013 task 9 (Segura-Bedmar et al. 2013).
    """
    pairs = match_strict(gold, predicted)
    ours = sorted(set(range(len(gold))) - {pair.gold for pair in pairs})
    theirs = sorted(set(range(len(predicted))) - {pair.predicted for pair in pairs})
    rest = _equal([gold[i] for i in ours], [predicted[j] for j in theirs], lambda span: (span.start, span.end))
    return sorted(pairs + [Match(ours[i], theirs[j], credit) for i, j, credit in rest])


def match_type(gold: Spans, predicted: Spans) -> list[Match]:
    """Pairs with the same label that share at least one character, one to one; credit 1.

    As many pairs as possible; among such matchings, one with the largest sum of intersection over union. The "type"
    measure of SemEval-2013 task 9, with an optimal matching in place of a greedy one.
    """
    # One pair more outweighs any gain in overlap, which is at most 1 a pair.
    pairs = _overlapping(gold, predicted, lambda iou: np.where(iou > 0, iou + min(iou.shape), 0))
    return [Match(i, j, 1.0) for i, j, _ in pairs]


def match_partial(gold: Spans, predicted: Spans) -> list[Match]:
    """Pairs with the same label, one to one, with the largest possible sum of credits.

    credit(g, p) = |g ∩ p| / |g ∪ p|, in characters (Jaccard's index). SemEval-2013 gives 0.5 to any overlap; here a
    missed particle in a long name costs less than half of the name.

    >>> match_partial([Span(1, 6, "LOC")], [Span(0, 6, "LOC")])
    [Match(gold=0, predicted=0, credit=0.8333333333333334)]
    """
    return _overlapping(gold, predicted, lambda iou: iou)


_MATCHERS = (match_strict, match_boundary, match_type, match_partial)
STRATEGIES: dict[str, Callable[[Spans, Spans], list[Match]]] = dict(
    zip(("strict", "boundary", "type", "partial"), _MATCHERS, strict=True)
)


class SpanScorer:
    """Counts of predicted against gold mentions, article by article, for each of `STRATEGIES`.

    labels: the types that count, in the order of the arrays; None takes all that occur, sorted.
    `not_counted` tallies what stays out: mentions of other types, and mentions repeated with the same start, end and
    label in one article, which count once. Scorers add with `+` and `+=`.

    >>> scorer = SpanScorer()
    >>> gold = Document("وصل إلى مراكش وبغداد", [Span(8, 13, "LOC"), Span(15, 20, "LOC")])
    >>> pairs = scorer.add(gold, gold.with_spans([Span(8, 13, "LOC"), Span(14, 20, "LOC")]))
    >>> pairs["strict"], scorer.micro().f1, scorer.particles
    ([Match(gold=0, predicted=0, credit=1.0)], 0.5, Particles(right=0, found=1, total=1))
    """

    def __init__(self, labels: Iterable[str] | None = None) -> None:
        self.labels = None if labels is None else tuple(dict.fromkeys(labels))
        self.articles: list[str] = []
        self.particles = Particles()
        self.not_counted = Counter(dict.fromkeys(_NOT_COUNTED, 0))
        # One entry an article: type -> [predicted, gold, credit of each strategy].
        self._counts: list[dict[str, list[float]]] = []

    def add(self, gold: Document, predicted: Document) -> dict[str, list[Match]]:
        """Count one article; returns the pairs of each strategy, as positions in `gold.spans` and `predicted.spans`.

        Raises `ValueError` naming the document when the two texts differ: offsets into another text mean nothing.
        """
        if gold.text != predicted.text:
            raise ValueError(f"document {gold.id!r}: gold and predicted text differ; score spans of the same raw text")
        sides = self._kept(gold, "gold"), self._kept(predicted, "predicted")
        spans = [[document.spans[i] for i in kept] for document, kept in zip((gold, predicted), sides, strict=True)]
        counts: dict[str, list[float]] = defaultdict(lambda: [0] * (2 + len(STRATEGIES)))
        for column, side in enumerate((spans[1], spans[0])):
            for span in side:
                counts[span.label][column] += 1
        pairs: dict[str, list[Match]] = {}
        for column, (name, match) in enumerate(STRATEGIES.items(), 2):
            pairs[name] = [Match(sides[0][i], sides[1][j], credit) for i, j, credit in match(*spans)]
            for i, _, credit in pairs[name]:
                counts[gold.spans[i].label][column] += credit
        starts = {i: predicted.spans[j].start for i, j, _ in pairs["type"]}
        for i, span in zip(sides[0], spans[0], strict=True):
            if has_particle(gold, span):
                start = starts.get(i)
                between = " " if start is None else gold.text[min(start, span.start) : max(start, span.start)]
                in_word = not any(char.isspace() for char in between)
                self.particles += Particles(int(start == span.start), int(in_word), 1)
        self.articles.append(gold.id)
        self._counts.append(dict(counts))
        return pairs

    def __iadd__(self, other: SpanScorer) -> SpanScorer:
        if self.labels != other.labels:
            raise ValueError(f"scorers of different types do not add: {self.labels} and {other.labels}")
        self.articles += other.articles
        self._counts += other._counts
        self.particles += other.particles
        self.not_counted.update(other.not_counted)
        return self

    def __add__(self, other: SpanScorer) -> SpanScorer:
        total = SpanScorer(self.labels)
        total += self
        total += other
        return total

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the arrays' second axis."""
        return tuple(sorted({label for row in self._counts for label in row})) if self.labels is None else self.labels

    def array(self, strategy: str = "strict") -> np.ndarray:
        """Counts of shape (articles, types, 3), the last axis being `COLUMNS`: correct, predicted, gold.

        Under `boundary` a credit stands with the gold's type, so that only sums over the types mean something.
        """
        if strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {strategy!r}: accepted are {', '.join(STRATEGIES)}")
        column = 2 + list(STRATEGIES).index(strategy)
        index = {label: k for k, label in enumerate(self.types)}
        array = np.zeros((len(self.articles), len(index), len(COLUMNS)))
        for article, row in enumerate(self._counts):
            for label, counts in row.items():
                array[article, index[label]] = counts[column], counts[0], counts[1]
        return array

    def micro(self, strategy: str = "strict") -> Counts:
        """The counts of all types and articles together; each mention weighs the same."""
        return _counts(self.array(strategy).sum(axis=(0, 1)), strategy)

    def per_type(self, strategy: str = "strict") -> dict[str, Counts]:
        """The counts of each type. `ValueError` for `boundary`, which looks at no label."""
        if strategy == "boundary":
            raise ValueError("the strategy 'boundary' looks at no label, so it has no figures per type")
        return {t: _counts(row, strategy) for t, row in zip(self.types, self.array(strategy).sum(axis=0), strict=True)}

    def macro(self, strategy: str = "strict") -> Average:
        """Means of precision, recall and F1 over the types with gold support > 0; each such type weighs the same.

        F1 is the mean of the types' F1 ("averaged F1", Opitz & Burst 2019). A type that is predicted but never gold
        has no recall and is left out here; its predictions lower the micro precision.
        """
        known = [counts for counts in self.per_type(strategy).values() if counts.gold]
        n = len(known) or 1
        precision, recall, f1 = (sum(getattr(c, name) for c in known) / n for name in ("precision", "recall", "f1"))
        return Average(precision, recall, f1, len(known))

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; keys say the mode and the unit."""
        result: dict[str, Any] = {"unit": _UNIT, "articles": len(self.articles), "types": list(self.types)}
        result["mentions_not_counted"] = dict(self.not_counted)
        for name in STRATEGIES:
            figures: dict[str, Any] = {"micro": self.micro(name).to_dict()}
            if name != "boundary":
                figures["macro_over_types_with_gold"] = self.macro(name)._asdict()
                figures["per_type"] = {label: counts.to_dict() for label, counts in self.per_type(name).items()}
            result[f"character_span_{name}"] = figures
        rates = {"accuracy": self.particles.accuracy, "accuracy_found": self.particles.accuracy_found}
        counts = {f"particles_{name}": count for name, count in asdict(self.particles).items()}
        result["proclitic"] = {"unit": "gold mention behind an attached particle", **rates, **counts}
        return result

    def _kept(self, document: Document, side: str) -> list[int]:
        kept: dict[tuple[int, int, str], int] = {}
        for i, span in enumerate(document.spans):
            if self.labels is not None and span.label not in self.labels:
                self.not_counted[f"{side}_of_other_types"] += 1
            elif kept.setdefault((span.start, span.end, span.label), i) != i:
                self.not_counted[f"{side}_repeated"] += 1
        return list(kept.values())


def resamples(articles: int, n: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`n` draws of `articles` articles with replacement, as blocks of counts of shape (draws, articles).

    A row says how often each article was drawn (multinomial), so a resampled total is `counts @ per_article`. The same
    seed gives two systems scored on the same articles the same draws, as a paired comparison needs.
    """
    rng = np.random.default_rng(seed)
    step = max(1, 4_000_000 // max(1, articles))  # 32 MB of counts at once
    for first in range(0, n, step):
        rows = min(step, n - first)
        drawn = rng.integers(articles, size=(rows, articles)) + articles * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * articles).reshape(rows, articles)


def bootstrap(
    scores: SpanScorer, n: int = 10_000, seed: int = 0, level: float = 0.95, strategy: str = "strict"
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the micro F1 (Efron & Tibshirani 1993, chapter 13).

    Articles are drawn, not mentions, because the mentions of an article resemble each other. Each resample's F1 is
    2 · Σ correct / (Σ predicted + Σ gold); the interval holds the middle `level` of the `n` values.
    """
    return _intervals(scores.array(strategy).sum(axis=1)[:, None], n, seed, level)[0]


def bootstrap_per_type(
    scores: SpanScorer, n: int = 10_000, seed: int = 0, level: float = 0.95, strategy: str = "strict"
) -> dict[str, tuple[float, float]]:
    """The interval of each type's F1, all from the same draws of articles as `bootstrap` makes."""
    return dict(zip(scores.types, _intervals(scores.array(strategy), n, seed, level), strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for having asked several questions (Holm 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _intervals(per_article: np.ndarray, n: int, seed: int, level: float) -> list[tuple[float, float]]:
    """Intervals from counts of shape (articles, figures, 3)."""
    articles, figures, _ = per_article.shape
    if not articles or n < 1 or not 0 < level < 1:
        raise ValueError(f"need articles, n >= 1 and 0 < level < 1, not {articles} articles, n={n}, level={level}")
    flat = per_article.reshape(articles, -1).astype(float)
    totals = np.concatenate([counts.astype(float) @ flat for counts in resamples(articles, n, seed)])
    correct, *sizes = np.moveaxis(totals.reshape(n, figures, 3), 2, 0)
    support = sizes[0] + sizes[1]
    values = np.divide(2 * correct, support, out=np.zeros((n, figures)), where=support > 0)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def conll_tags(words: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[str]:
    """IOB2 tags of `words`, sorted half-open offsets, for character spans: particles inside a token join its mention.

    A word belongs to the span with the largest overlap in characters; of equals, to the one that starts first, then to
    the longest. The first word of a span gets B-, the others I-. `unreachable` lists the spans left without any word.

    >>> conll_tags([(0, 6), (7, 12), (13, 18)], [Span(1, 6, "LOC"), Span(7, 18, "PER")])
    ['B-LOC', 'B-PER', 'I-PER']
    """
    owners = _owners(words, list(spans))
    # One string a tag, not one a word.
    tags = {s.label: (f"B-{s.label}", f"I-{s.label}") for s in owners if s is not None}
    return ["O" if s is None else tags[s.label][s == last] for last, s in pairwise([None, *owners])]


def unreachable(words: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[Span]:
    """The spans that `conll_tags` cannot express: they overlap no word, or other spans take all their words."""
    spans = list(spans)
    tagged = set(_owners(words, spans))
    return [span for span in spans if span not in tagged]


def _owners(words: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[Span | None]:
    owners: list[Span | None] = [None] * len(words)
    best = [0] * len(words)
    # In this order the words of a span are contiguous: a span between two of them loses the tie.
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        for k in range(bisect_right(words, span.start, key=lambda word: word[1]), len(words)):
            if words[k][0] >= span.end:
                break
            overlap = min(span.end, words[k][1]) - max(span.start, words[k][0])
            if overlap > best[k]:
                best[k], owners[k] = overlap, span
    return owners


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "SeqevalStrict":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = made = _seqeval_strict()
        return made


def _seqeval_strict() -> type[Any]:
    try:
        import datasets
        import evaluate
        from seqeval.metrics.sequence_labeling import get_entities
        from seqeval.scheme import IOB2, Tokens
    except ImportError as error:
        raise ImportError("SeqevalStrict needs evaluate and seqeval: pip install kayan[eval]") from error

    def entities(tags: list[str], strict: bool) -> set[tuple[str, int, int]]:
        if strict:
            return {(found.tag, found.start, found.end) for found in Tokens(tags, IOB2).entities}
        return set(get_entities(tags))

    class SeqevalStrict(evaluate.Metric):
        """Token-level mention scores of IOB2 tags by seqeval, as a local `evaluate.Metric`: no network, no files.

        mode: "strict" reads IOB2, where an I- that continues nothing is no mention; "default" reads tags as conlleval
            does, for comparison with published tables, E- and S- included.

        `compute(predictions=[[tag, …], …], references=[[tag, …], …])` returns `mode`, `scheme`, `average`, `unit`,
        `overall_{precision,recall,f1,number}` (number of gold mentions, 0.0 where undefined), and `per_type`, the same
        four a type. Raises `ValueError` for tags that are none and for unequal lengths.
        """

        __qualname__ = "SeqevalStrict"  # so that pickle finds the class through the module

        def __init__(self, mode: str = "strict", **options: Any) -> None:
            if mode not in ("strict", "default"):
                raise ValueError(f"mode must be 'strict' or 'default', not {mode!r}")
            options.setdefault("keep_in_memory", options.get("num_process", 1) == 1)
            super().__init__(config_name=mode, **options)

        def _build_data_dir(self) -> str:
            # evaluate makes a folder in the user's cache even where everything stays in memory.
            return str(self._data_dir_root if self.keep_in_memory else super()._build_data_dir())

        def _info(self) -> Any:
            tags = datasets.Sequence(datasets.Value("string"))
            return evaluate.MetricInfo(
                description="Precision, recall and F1 of mentions in IOB2 tags, by seqeval.",
                citation="Hiroki Nakayama (2018). seqeval. https://github.com/chakki-works/seqeval",
                inputs_description="predictions, references: lists of sentences, each a list of tags.",
                features=datasets.Features({"predictions": tags, "references": tags}),
            )

        def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, Any]:
            strict = self.config_name == "strict"
            prefixes = "BI" if strict else "BIES"
            for number, (gold, found) in enumerate(zip(references, predictions, strict=True), 1):
                if len(gold) != len(found):
                    raise ValueError(f"sentence {number} has {len(gold)} reference tags, {len(found)} predicted ones")
                for tag in {*gold, *found}:
                    if not re.fullmatch(f"O|[{prefixes}](-.+)?", tag):
                        forms = ", ".join(f"{prefix}-X" for prefix in prefixes)
                        raise ValueError(f"sentence {number}: unknown tag {tag!r}; accepted are O, {forms}")
            # Where both sides have O no mention begins, ends or is told apart, so each stretch between is read once.
            stretches = Counter(
                tuple(part)
                for pair in zip(references, predictions, strict=True)
                for outside, part in groupby(zip(*pair, strict=True), ("O", "O").__eq__)
                if not outside
            )
            types: dict[str, Counts] = defaultdict(Counts)
            for stretch, times in stretches.items():
                ours, theirs = (entities(list(side), strict) for side in zip(*stretch, strict=True))
                for name in {name for name, *_ in ours | theirs}:
                    sides = (ours & theirs, theirs, ours)
                    types[name] += Counts(*(times * sum(label == name for label, *_ in side) for side in sides))
            total = sum(types.values(), Counts())
            figures = {
                name: {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "number": counts.gold}
                for name, counts in [("overall", total), *sorted(types.items())]
            }
            scheme = "IOB2" if strict else "conlleval"
            result = {"mode": self.config_name, "scheme": scheme, "average": "micro", "unit": "token span"}
            result |= {f"overall_{name}": value for name, value in figures.pop("overall").items()}
            return result | {"per_type": figures}

    return SeqevalStrict


def _counts(row: np.ndarray, strategy: str) -> Counts:
    correct = float(row[0])
    return Counts(correct if strategy == "partial" else round(correct), int(row[1]), int(row[2]))


def _equal(gold: Spans, predicted: Spans, key: Callable[[Span], Hashable]) -> list[Match]:
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for i in reversed(range(len(gold))):
        waiting[key(gold[i])].append(i)
    return sorted(Match(waiting[k].pop(), j, 1.0) for j, span in enumerate(predicted) if waiting.get(k := key(span)))


def _overlapping(gold: Spans, predicted: Spans, weigh: Callable[[np.ndarray], np.ndarray]) -> list[Match]:
    """The one-to-one matching of same-label spans with the largest sum of weights; credit is intersection over union.

    weigh: from `iou`, of shape (gold, predicted), to weights ≥ 0, 0 exactly where nothing is shared.
    """
    pairs = []
    for ours, theirs in _components(gold, predicted):
        if len(ours) == len(theirs) == 1:
            # Nearly all groups, at a tenth of the time that arrays of one take.
            if credit := iou(gold[ours[0]], predicted[theirs[0]]):
                pairs.append(Match(ours[0], theirs[0], credit))
            continue
        credits = np.array([[iou(gold[i], predicted[j]) for j in theirs] for i in ours])
        pairs += [
            Match(ours[a], theirs[b], float(credits[a, b])) for a, b in assign(weigh(credits)) if credits[a, b] > 0
        ]
    return sorted(pairs)


def iou(a: Span, b: Span) -> float:
    """Intersection over union of two spans, in characters (Jaccard's index)."""
    shared = min(a.end, b.end) - max(a.start, b.start)
    return max(0, shared) / (max(a.end, b.end) - min(a.start, b.start))


def _components(gold: Spans, predicted: Spans) -> list[tuple[list[int], list[int]]]:
    """Groups of same-label spans that no gap separates, with both sides in them; a best matching never leaves a group."""
    sides = enumerate((gold, predicted))
    entries = [(s.label, s.start, s.end, side, i) for side, spans in sides for i, s in enumerate(spans)]
    groups: list[tuple[list[int], list[int]]] = []
    current, reach = "", 0
    for label, start, end, side, index in sorted(entries):
        if label != current or start >= reach:
            groups.append(([], []))
            current, reach = label, 0
        groups[-1][side].append(index)
        reach = max(reach, end)
    return [group for group in groups if group[0] and group[1]]


def assign(weights: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns of the assignment with the largest sum of weights, the whole shorter side assigned (Kuhn 1955,
    Munkres 1957; shortest augmenting paths with potentials, O(rows² · columns))."""
    rows, columns = weights.shape
    if rows > columns:
        return [(i, j) for j, i in assign(weights.T)]
    if rows == 1:
        return [(0, int(weights.argmax()))]
    # The last column is virtual: the path of a new row starts there.
    costs = np.pad(-weights, ((0, 0), (0, 1)), constant_values=np.inf)
    row_of, row_potential, potential = np.full(columns + 1, -1), np.zeros(rows), np.zeros(columns + 1)
    for row in range(rows):
        column = columns
        row_of[column] = row
        slack, before = np.full(columns + 1, np.inf), np.full(columns + 1, -1)
        visited = np.zeros(columns + 1, dtype=bool)
        while row_of[column] >= 0:
            visited[column] = True
            reduced = costs[row_of[column]] - row_potential[row_of[column]] - potential
            closer = ~visited & (reduced < slack)
            slack[closer], before[closer] = reduced[closer], column
            column = int(np.where(visited, np.inf, slack).argmin())
            step = slack[column]
            row_potential[row_of[visited]] += step
            potential[visited] -= step
            slack[~visited] -= step
        while column < columns:
            row_of[column] = row_of[before[column]]
            column = before[column]
    return [(int(row_of[j]), j) for j in range(columns) if row_of[j] >= 0]
