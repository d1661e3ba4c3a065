"""Grouping of mentions into entities, scored against groups made by hand: B-cubed and pairs of mentions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kayan.document import Document
from kayan.entities import fold, group
from kayan.formats import FormatError, jsonl
from kayan.scoring import Counts, resamples

Groups = list[list[int]]


@dataclass(frozen=True)
class Grouping:
    """Counts of one article or several; they add.

    precision_sum, recall_sum: over the mentions, the share of the found (gold) group of a mention that is in its gold
        (found) group too, the mention itself among them
    pairs: pairs of mentions of one article in one group: in both, in the found, in the gold groups
    """

    mentions: int = 0
    precision_sum: float = 0.0
    recall_sum: float = 0.0
    pairs: Counts = field(default_factory=Counts)

    def __add__(self, other: Grouping) -> Grouping:
        return Grouping(
            self.mentions + other.mentions,
            self.precision_sum + other.precision_sum,
            self.recall_sum + other.recall_sum,
            self.pairs + other.pairs,
        )

    @property
    def b_cubed(self) -> tuple[float, float, float]:
        """Precision, recall and their harmonic mean, every mention weighing the same (Bagga & Baldwin 1998); 0.0 for none."""
        if not self.mentions:
            return 0.0, 0.0, 0.0
        precision, recall = self.precision_sum / self.mentions, self.recall_sum / self.mentions
        return precision, recall, 2 * precision * recall / (precision + recall)


def compare(gold: Sequence[Hashable], found: Sequence[Hashable]) -> Grouping:
    """The counts of one article: for each mention, the group that each side puts it in.

    >>> precision, recall, f1 = compare("aab", "xyy").b_cubed
    >>> round(precision, 3), round(recall, 3), round(f1, 3)
    (0.667, 0.667, 0.667)
    """
    both, ours, theirs = Counter(zip(gold, found, strict=True)), Counter(gold), Counter(found)
    return Grouping(
        len(gold),
        sum(n * n / theirs[b] for (_, b), n in both.items()),
        sum(n * n / ours[a] for (a, _), n in both.items()),
        Counts(*(sum(n * (n - 1) // 2 for n in side.values()) for side in (both, theirs, ours))),
    )


def read(path: str | Path) -> list[Document]:
    """Articles whose `meta` has "groups": the numbers of the spans, in reading order and from 0, that name one thing.

    Raises `FormatError` with line and article where the groups are not a partition of the spans, or one mixes types.
    """
    documents = []
    for document, (number,) in jsonl.numbered(path):
        groups, count = document.meta.get("groups"), len(document.spans)
        where = f"article {document.id!r}"
        if not isinstance(groups, list) or not all(
            isinstance(one, list) and all(type(i) is int for i in one) for one in groups
        ):
            raise FormatError(path, number, f'{where}: meta needs "groups", a list of lists of span numbers')
        numbers = Counter(i for one in groups for i in one)
        if wrong := sorted(numbers.keys() ^ set(range(count))) or sorted(i for i, n in numbers.items() if n > 1):
            raise FormatError(
                path, number, f'{where}: "groups" must hold each of the {count} spans, from 0, once; see {wrong[0]}'
            )
        for one in groups:
            if len({document.spans[i].label for i in one}) > 1:
                shown = ", ".join(f"{document.spans[i].label} {document.spans[i].text!r}" for i in one)
                raise FormatError(path, number, f"{where}: a group is of one type, not {shown}")
        documents.append(document)
    return documents


def grouped(document: Document) -> Groups:
    """The groups of `kayan.entities.group` as span numbers."""
    at = {id(span): i for i, span in enumerate(document.spans)}
    return [[at[id(span)] for span in entity.mentions] for entity in group(document)]


def _same_form(document: Document) -> Groups:
    found: dict[Hashable, list[int]] = {}
    for i, span in enumerate(document.spans):
        found.setdefault((span.label, *fold(span.name)), []).append(i)
    return list(found.values())


# What grouping by rules is worth is seen beside doing without.
SYSTEMS: dict[str, Callable[[Document], Groups]] = {
    "every mention alone": lambda document: [[i] for i in range(len(document.spans))],
    "same spelling": _same_form,
    "kayan": grouped,
}


def run(path: str | Path) -> dict[str, Any]:
    """Figures of `SYSTEMS` on the gold mentions of a file, for each part that `meta` names and for all; kayan's by type, and
    its errors. Raises as `read` does."""
    documents = read(path)
    names = list(dict.fromkeys(str(document.meta["part"]) for document in documents if "part" in document.meta))
    parts = {name: [one for one in documents if str(one.meta.get("part")) == name] for name in names}
    if list(map(len, parts.values())) != [len(documents)]:
        parts["all"] = documents
    return {
        "data": str(path),
        "parts": {
            name: {
                "articles": len(own),
                "mentions": sum(len(one.spans) for one in own),
                "groups": sum(len(one.meta["groups"]) for one in own),
                "systems": {system: _figures(own, rule) for system, rule in SYSTEMS.items()},
                "types": {
                    label: _figures(own, grouped, label)
                    for label in sorted({span.label for one in own for span in one.spans})
                },
            }
            for name, own in parts.items()
        },
        "errors": [error for document in documents for error in errors(document)],
    }


def errors(document: Document) -> list[dict[str, Any]]:
    """Gold groups that `kayan.entities.group` splits, and groups of its own that hold several gold ones."""
    found = []
    for kind, ours, theirs in (
        ("split", document.meta["groups"], grouped(document)),
        ("joined", grouped(document), document.meta["groups"]),
    ):
        of = _membership(theirs)
        for one in ours:
            pieces: dict[int, list[str]] = {}
            for i in one:
                pieces.setdefault(of[i], []).append(document.spans[i].name)
            if len(pieces) > 1:
                label = document.spans[one[0]].label
                found.append({"article": document.id, "kind": kind, "label": label, "parts": list(pieces.values())})
    return found


def _membership(groups: Groups) -> dict[int, int]:
    return {i: n for n, one in enumerate(groups) for i in one}


def _figures(
    documents: Iterable[Document], rule: Callable[[Document], Groups], label: str | None = None
) -> dict[str, Any]:
    rows = []
    for document in documents:
        gold, found = _membership(document.meta["groups"]), _membership(rule(document))
        kept = [i for i, span in enumerate(document.spans) if label in (None, span.label)]
        rows.append(compare([gold[i] for i in kept], [found[i] for i in kept]))
    total = sum(rows, Grouping())
    precision, recall, f1 = total.b_cubed
    figures: dict[str, Any] = {
        "mentions": total.mentions,
        "b_cubed": {"precision": precision, "recall": recall, "f1": f1},
    }
    if label is None:
        figures["b_cubed"]["f1_interval_95"] = _interval(rows)
    return figures | {"pairwise": total.pairs.to_dict()}


def _interval(rows: Sequence[Grouping], n: int = 10_000) -> list[float]:
    """Percentile bootstrap of B-cubed F1 by article."""
    counts = np.array([[row.mentions, row.precision_sum, row.recall_sum] for row in rows])
    totals = np.concatenate([draw @ counts for draw in resamples(len(rows), n)])
    # Articles without mentions may be all that a draw holds: then F1 is 0.
    precision, recall = (totals[:, 1:] / np.maximum(totals[:, :1], 1)).T
    f1 = 2 * precision * recall / np.where(totals[:, 0] > 0, precision + recall, 1)
    low, high = np.quantile(f1, [0.025, 0.975])
    return [float(low), float(high)]


def terminal(report: dict[str, Any], listed: bool = False) -> str:
    """The report as plain text; `listed` adds every error."""
    lines = []
    for name, part in report["parts"].items():
        counts = f"{part['articles']} articles, {part['mentions']} mentions, {part['groups']} entities"
        lines += [
            f"{name}: {counts}",
            f"  {'':<20}{'B-cubed P':>10}{'R':>7}{'F1':>7}  {'95 %':<13}{'pairs P':>8}{'R':>7}{'F1':>7}",
        ]
        for system, figures in [*part["systems"].items(), *part["types"].items()]:
            b, pairs = figures["b_cubed"], figures["pairwise"]
            interval = "–".join(f"{value:.3f}" for value in b.get("f1_interval_95", ()))
            lines.append(
                f"  {system:<20}{b['precision']:>10.3f}{b['recall']:>7.3f}{b['f1']:>7.3f}  {interval:<13}"
                f"{pairs['precision']:>8.3f}{pairs['recall']:>7.3f}{pairs['f1']:>7.3f}"
            )
    if listed:
        for error in report["errors"]:
            pieces = " | ".join(" · ".join(dict.fromkeys(piece)) for piece in error["parts"])
            lines.append(f"{error['article']}: {error['kind']}: {error['label']} {pieces}")
    return "\n".join(lines)
