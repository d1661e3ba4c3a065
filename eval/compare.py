"""Several systems on the same corpora: a matrix of scores, each system against the first, and who wins on which mentions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kayan
from eval.cost import load as load_tagger
from eval.errors import components
from eval.page import brief, browsed, read_texts, render, svg
from eval.predictions import is_predictions
from eval.report import aligned, evaluate, given, sides
from eval.significance import SAMPLES, differences
from kayan.corpus import Corpus, Description, load
from kayan.document import Document
from kayan.formats import jsonl, replacing, write_json
from kayan.scoring import holm
from kayan.terminal import isolated

if TYPE_CHECKING:
    from markupsafe import Markup

# What becomes of the mentions of a place, from the side of the first and the second system.
OUTCOMES = ("second", "first", "neither", "both")


def run(
    systems: Sequence[str],
    data: Sequence[str],
    descriptions: Sequence[Description | None],
    out: str | None = None,
    device: str = "auto",
    threshold: float | None = None,
    language: str = "ar",
    samples: int = SAMPLES,
) -> dict[str, Any]:
    """Score the systems (checkpoints, or files of predictions) on every corpus, and each of them against the first.

    With `out`, compare.json, compare.md, compare.html and the predictions are written there. Raises `ValueError` for fewer
    than two systems, a system named twice, or a file of predictions where there are several corpora.
    """
    _check(systems, data)
    corpora = [load(path, description) for path, description in zip(data, descriptions, strict=True)]
    found: list[list[list[Document]]] = []
    figures: list[list[dict[str, Any]]] = []
    costs: list[dict[str, Any]] = []
    for system in systems:
        cost: dict[str, Any] = {}
        if is_predictions(system):
            rows = [given(system, data[0], descriptions[0], threshold, None)]
        else:
            tagger, cost = load_tagger(system, device, threshold)
            rows = [evaluate(tagger, path, about) for path, about in zip(data, descriptions, strict=True)]
            words = sum(result["words"] for result, _ in rows)
            cost["words_per_second"] = round(words / sum(result["speed"]["seconds"] for result, _ in rows), 1)
        costs.append(cost)
        figures.append([result for result, _ in rows])
        found.append([tagged for _, tagged in rows])
    names = short(systems)
    results: list[dict[str, Any]] = []
    for k, (path, corpus) in enumerate(zip(data, corpora, strict=True)):
        labels = list(dict.fromkeys(label for own in figures for label in own[k]["annotates"]))
        drawn = [sides(corpus, own[k]) for own in found]
        pairs: list[dict[str, Any]] = [
            {"first": names[0], "second": name, "figures": differences(gold, drawn[0][1], other, labels, samples)}
            for name, (gold, other) in zip(names[1:], drawn[1:], strict=True)
        ]
        together = [pair["figures"]["all"] for pair in pairs]
        for row, value in zip(together, holm([row["p"] for row in together]), strict=True):
            row["p_holm"] = value
        scores = {name: own[k]["character_span_strict"] for name, own in zip(names, figures, strict=True)}
        about = {key: figures[0][k][key] for key in ("name", "sha256", "articles", "words", "particles")}
        results.append({"data": str(path), **about, "types": labels, "scores": scores, "pairs": pairs})
    used = "auto" if threshold is None else threshold
    report: dict[str, Any] = {"kayan": kayan.__version__, "threshold": used, "systems": names, "paths": [*systems]}
    report |= {"cost": costs, "data": results}
    if out:
        _write(Path(out), report, corpora, found, language)
    return report


def _check(systems: Sequence[str], data: Sequence[str]) -> None:
    if len(systems) < 2:
        raise ValueError(f"two systems or more are compared, not {len(systems)}")
    for system in systems:
        if systems.count(system) > 1:
            raise ValueError(f"{system} is named twice")
        if is_predictions(system) and len(data) > 1:
            raise ValueError(f"{system} holds the predictions for one file; --data names {len(data)}")


def short(paths: Sequence[str]) -> list[str]:
    """The paths without the folders at the start and the end that all of them share; what remains tells them apart."""
    parts = [Path(path).parts for path in paths]
    least = min(len(part) for part in parts) - 1
    head = next((i for i in range(least) if len({part[i] for part in parts}) > 1), least)
    tail = next((i for i in range(least - head) if len({part[-1 - i] for part in parts}) > 1), least - head)
    return ["/".join(part[head : len(part) - tail]) for part in parts]


def outcomes(gold: Document, first: Document, second: Document) -> list[list[Any]]:
    """The places of an article where any of the three marks something, as `brief` writes them: which of the two systems
    (`OUTCOMES`) has exactly the gold mentions there."""
    cases = []
    for ours, *others in components(gold.spans, first.spans, second.spans):
        right = {(span.start, span.end, span.label) for span in ours}
        one, two = ({(span.start, span.end, span.label) for span in spans} == right for spans in others)
        kind = "both" if one and two else "first" if one else "second" if two else "neither"
        cases.append(brief(kind, ours, *others))
    return cases


def _write(
    out: Path,
    report: Mapping[str, Any],
    corpora: Sequence[Corpus],
    found: Sequence[Sequence[Sequence[Document]]],
    language: str,
) -> None:
    write_json(out / "compare.json", report)
    with replacing(out / "compare.md") as file:
        file.write(markdown(report))
    with replacing(out / "compare.html") as file:
        file.write(page(report, corpora, found, language))
    for i, own in enumerate(found, 1):
        for k, documents in enumerate(own, 1):
            jsonl.write(out / f"predictions-system{i}-data{k}.jsonl", documents)


def matrix(report: Mapping[str, Any]) -> list[list[str]]:
    """A header, then a row a system: F1 with its 95 % interval on every corpus, millions of parameters, words a second."""
    table = [["system", *(result["name"] for result in report["data"]), "million parameters", "words a second"]]
    for name, cost in zip(report["systems"], report["cost"], strict=True):
        cells = []
        for result in report["data"]:
            micro = result["scores"][name]["micro"]
            low, high = micro["f1_interval_95"]
            cells.append(f"{micro['f1']:.3f} ({low:.3f}–{high:.3f})")
        cells += [f"{cost['parameters'] / 1e6:.1f}", f"{cost['words_per_second']:,.0f}"] if cost else ["–", "–"]
        table.append([name, *cells])
    return table


def verdicts(result: Mapping[str, Any]) -> list[list[str]]:
    """A header, then all types and each type of every pair: scores, difference, interval, p-values."""
    table = [["against", "type", "gold", "first", "second", "difference", "95 % interval", "p", "p, Holm"]]
    for pair in result["pairs"]:
        for label, row in pair["figures"].items():
            low, high = row["interval"]
            figures = [f"{value:.3f}" for value in row["f1"]] + [f"{row['difference']:+.3f}"]
            trust = [f"{low:+.3f} to {high:+.3f}", f"{row['p']:.4f}", f"{row['p_holm']:.4f}"]
            table.append([pair["second"], label, str(row["gold"]), *figures, *trust])
    return table


_NOTE = (
    "Difference: second minus first, exact spans. Interval: paired bootstrap over articles. p: approximate randomisation by "
    "article, two-sided; Holm's correction over the types of a pair, and over the pairs for all types together."
)


def markdown(report: Mapping[str, Any]) -> str:
    """The comparison as Markdown."""
    parts = [
        f"# Comparison with {report['systems'][0]}\n",
        f"kayan {report['kayan']}, threshold {report['threshold']}.\n",
    ]
    parts += [*_table(matrix(report)), "", _NOTE]
    for result in report["data"]:
        parts += [f"\n## {result['name']}\n", f"`{result['data']}`, SHA-256 `{result['sha256']}`.\n"]
        parts += _table(verdicts(result))
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def terminal(report: Mapping[str, Any]) -> str:
    """The comparison as plain text."""
    parts = aligned(matrix(report))
    for result in report["data"]:
        against = f"{isolated(result['data'])}: against {isolated(report['systems'][0])}"
        parts += [f"\n{against}", *aligned(verdicts(result))]
    return "\n".join(parts)


def page(
    report: Mapping[str, Any],
    corpora: Sequence[Corpus],
    found: Sequence[Sequence[Sequence[Document]]],
    language: str = "ar",
) -> str:
    """The comparison as one page. Raises as `eval.page.render` does."""
    texts = read_texts(language)
    results = []
    for k, (corpus, result) in enumerate(zip(corpora, report["data"], strict=True)):
        drawn = [sides(corpus, own[k]) for own in found]
        gold, first = drawn[0]
        pairs = []
        for pair, (_, second) in zip(result["pairs"], drawn[1:], strict=True):
            kinds = {name: texts["outcomes"][name].format(**pair) for name in OUTCOMES}
            articles = [
                {"id": one.id, "text": one.text, "cases": outcomes(one, *both)}
                for one, *both in zip(gold, first, second, strict=True)
            ]
            named = {"gold": texts["gold"], "predicted": pair["first"], "other": pair["second"]}
            counts = {name: sum(case[0] == name for one in articles for case in one["cases"]) for name in OUTCOMES}
            data = browsed(named, kinds, ["both", "neither"], articles)
            pairs.append(
                {**pair, "browse_json": data, "kinds": kinds, "counts": counts, "sides": named, "chart": chart(pair)}
            )
        results.append({**result, "pairs": pairs})
    return render("compare.html", texts, report=report, results=results, matrix=matrix(report)[1:])


def chart(pair: Mapping[str, Any]) -> Markup:
    """The differences of a pair of the report by type, in points, with their 95 % intervals, as SVG."""
    return svg(lambda axes: _forest(axes, pair["figures"]), 4.6, 2.6)


def _forest(axes: Any, rows: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(rows)[::-1]
    middle = [100 * rows[name]["difference"] for name in names]
    low, high = ([100 * rows[name]["interval"][end] for name in names] for end in (0, 1))
    spread = [
        [max(0, m - a) for m, a in zip(middle, low, strict=True)],
        [max(0, b - m) for m, b in zip(middle, high, strict=True)],
    ]
    axes.axvline(0, color="#1c1c1c", linewidth=0.8)
    axes.errorbar(
        middle, range(len(names)), xerr=spread, fmt="o", color="#0a5a8a", elinewidth=1.4, capsize=3, markersize=4
    )
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x", alpha=0.3)
